//! The reference of functions and the pages of error codes are made from the tables in the code.
//! `PANTA_WRITE_DOCS=1 cargo test docs` writes them anew.

use std::fmt::Write;
use std::path::PathBuf;

use panta::host::function::{Function, Nature};

fn documented(path: &str, made: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("PANTA_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, made).expect("is written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "`{path}` is not what the code says; hint: `PANTA_WRITE_DOCS=1 cargo test docs`");
}

fn section(function: &Function) -> String {
    let params = function.params.join(", ");
    let nature = match function.nature {
        Nature::Pure => "computes; not recorded",
        Nature::Reading => "looks at the outside; recorded",
        Nature::Mutating => "changes the outside; its intent is durable before it starts",
        Nature::Internal => "asks or changes the engine; exactly once",
        Nature::Control => "runs its closures",
        Nature::Declarative => "describes; allowed at the top level of a file with `fn main`",
    };
    let mut text = format!("### `{}({params})`\n\n{} *({nature})*\n\n", function.name, function.doc);
    if !function.options.is_empty() {
        let at = function.options_at().expect("where its options go");
        let name = function.params[at].split(':').next().unwrap_or_default();
        let _ = write!(text, "| key of `{name}` | type | meaning |\n| --- | --- | --- |\n");
        for option in function.options {
            let _ = writeln!(text, "| `{}` | {} | {} |", option.name, option.kind, option.doc.replace('|', "\\|"));
        }
        text.push('\n');
    }
    let _ = write!(text, "Returns: {}.", function.returns);
    if !function.errors.is_empty() {
        let _ = write!(text, " Throws: `{}`.", function.errors.join("`, `"));
    }
    if let Some(capability) = function.capability {
        let _ = write!(text, " Capability: `{capability}`.");
    }
    let _ = write!(text, "\n\n```rhai\n{}\n```\n\n", function.example);
    text
}

#[test]
fn the_reference_of_functions_is_made_from_the_tables() {
    let mut text = String::from(
        "# Functions\n\nWhat scripts can call. A type that ends in `?` may be left out. Bad arguments throw `invalid`. A duration is a text such as `\"90s\"`,\n\
         `\"1h 30m\"`, `\"3d\"`, `\"2 weeks\"` or `\"PT5M\"`; a time is RFC 3339, with a zone behind it where wanted:\n\
         `\"2026-12-24T08:00[Europe/Berlin]\"`. A retry policy is what `retry` takes first. Made from `src/host/`.\n\n",
    );
    for function in panta::host::tables().into_iter().flatten() {
        let _ = write!(text, "{}", section(function));
    }
    documented("docs/functions.md", &format!("{}\n", text.trim_end()));
}

#[test]
fn every_code_has_its_page() {
    for code in panta::diag::codes::CODES {
        documented(&format!("docs/errors/{}.md", code.code), &code.page());
    }
}

/// What `panta check` finds in a script, or `panta run` fails with.
fn codes_of(script: &str, verb: &str) -> String {
    let place = crate::cli::Place::new(&[("w.rhai", script)]);
    place.panta(&[verb, "w.rhai"]).err
}

#[test]
fn each_page_shows_a_script_that_brings_it_about_and_one_that_is_right() {
    for code in panta::diag::codes::CODES {
        let Some(wrong) = code.wrong() else { continue };
        // Errors of the language keep their code within the evaluation: the snapshots beside it hold them.
        if code.code.starts_with("E05") && !matches!(code.code, "E0501" | "E0513" | "E0514") {
            continue;
        }
        let verb = if code.code.starts_with("E05") { "run" } else { "check" };
        let (mark, found) = (format!("[{}]", code.code), codes_of(wrong, verb));
        assert!(found.contains(&mark), "{}: {wrong}\n{found}", code.code);
        assert!(!code.example.is_empty(), "{} shows how it is written", code.code);
        let found = codes_of(code.example, "check");
        assert!(code.code == "E0111" || !found.contains(&mark), "{}\n{found}", code.example);
    }
}

/// A file of the project.
fn page(path: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).expect("is there")
}

#[test]
fn the_readme_shows_the_script_that_is_shipped() {
    let (readme, hello) = (page("README.md"), page("scripts/hello.rhai"));
    let body = &hello[hello.find("workflow(").expect("a declaration")..];
    assert!(readme.contains(body), "the first example of README.md is `scripts/hello.rhai`");
}

#[test]
fn the_examples_of_triggers_and_messages_compile() {
    assert_eq!((compiling("docs/triggers.md"), compiling("docs/messages.md")), (6, 2));
}

/// How many examples a page has; each compiles without a fault.
fn compiling(path: &str) -> usize {
    let text = page(path);
    let settings: std::sync::Arc<dyn panta::engine::Settings> = std::sync::Arc::new(panta::engine::NoSettings);
    let examples: Vec<_> = text.split("```rhai\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    for example in &examples {
        let bundle = panta::script::bundle::Bundle::of_text("w.rhai", example).expect("a bundle");
        let (deployed, found) = panta::engine::examine(bundle, &settings);
        let faults =
            panta::trigger::verify::diagnose(&deployed.unwrap_or_else(|| panic!("{example}: {found:?}")), true);
        assert!(found.is_empty() && faults.is_empty(), "{example}: {found:?} {faults:?}");
    }
    examples.len()
}

/// The blocks of a language that a page shows.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect()
}

#[test]
fn the_examples_of_mail_are_right_and_their_test_passes() {
    let text = page("docs/mail.md");
    let (scripts, settings) = (blocks(&text, "rhai"), blocks(&text, "toml"));
    let names = ["support.rhai", "delivery.rhai", "delivery.test.rhai"];
    assert_eq!(scripts.len(), names.len());
    let place = crate::cli::Place::new(&[]);
    place.write("panta.toml", &settings.concat());
    for (name, script) in names.iter().zip(&scripts) {
        place.write(&format!("scripts/{name}"), script);
    }
    for command in ["check", "test"] {
        let came = place.panta(&[command, "scripts"]);
        assert_eq!(came.code, 0, "{}{}", came.out, came.err);
    }
    place.write("scripts/other.rhai", &scripts[0].replace("\"support\"", "\"suport\""));
    let came = place.panta(&["check", "scripts"]);
    assert!(came.code == 1 && came.err.contains("did you mean `support`?"), "{}", came.err);
}

/// The rows of the table under this head, cell by cell, without the marks of code.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let (_, below) = page.split_once(head).expect("the table is there");
    let rows = below.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "{head}");
    rows
}

#[test]
fn cron_lines_mean_what_the_page_says() {
    use panta::trigger::cron::Cron;
    let words = |line: &str| Cron::parse(line, None).unwrap_or_else(|error| panic!("{line}: {error}")).describe();
    let text = page("docs/triggers.md");
    for row in table(&text, "| line | in words |\n") {
        assert_eq!(words(&row[0]), format!("{} (UTC)", row[1]));
    }
    for row in table(&text, "| short form | is |\n") {
        row[0].split(", ").for_each(|short| assert_eq!(words(short), words(&row[1]), "{short}"));
    }
}

#[test]
fn runs_start_around_changes_of_clocks_as_the_page_says() {
    let text = page("docs/triggers.md");
    for row in table(&text, "| `tz` | line | after | starts |\n") {
        let [zone, line, after, starts] = row.try_into().expect("four cells");
        let after = panta::time::parse_time(&format!("{}[{zone}]", after.replace(' ', "T"))).expect("a time");
        let expected: Vec<_> = starts.split(", ").collect();
        let found = panta::trigger::schedule::next_fires(&line, Some(&zone), after, expected.len()).expect("a line");
        // `Sun 2026-03-29 03:00:00 +02:00` without weekday, year and seconds.
        let short = |at: &String| at[9..].replace(":00 ", " ");
        assert_eq!(found.iter().map(short).collect::<Vec<_>>(), expected, "{line} in {zone}");
    }
}

/// Each `panta …` that a page shows, as words.
fn commands(page: &str) -> Vec<Vec<String>> {
    let (mut found, mut is_shell) = (Vec::new(), false);
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_shell = matches!(language, "sh" | "console");
        } else if is_shell {
            found.push(line.trim_start_matches("$ ").trim_start_matches("sudo "));
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let piped = found.iter().flat_map(|line| line.split(" | "));
    let words = |command: &str| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    piped.map(words).filter(|words| words.len() > 1 && words[0] == "panta").collect()
}

/// What follows the options that come before the verb.
fn verbs(command: &[String]) -> Vec<&str> {
    let mut words = command[1..].iter().map(String::as_str).peekable();
    while let Some(option) = words.next_if(|word| word.starts_with("--")) {
        if option != "--json" {
            words.next();
        }
    }
    words.take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')).collect()
}

#[test]
fn commands_that_the_pages_show_are_there_with_their_options() {
    let place = crate::cli::Place::new(&[]);
    let mut helps = std::collections::BTreeMap::new();
    let pages = [
        "README.md",
        "docs/operating.md",
        "docs/access.md",
        "docs/messages.md",
        "docs/triggers.md",
        "docs/notifications.md",
    ];
    for command in pages.iter().flat_map(|path| commands(&page(path))) {
        let mut words = verbs(&command);
        // Only these have verbs below them.
        words.truncate(if matches!(words.first(), Some(&("token" | "secret" | "service"))) { 2 } else { 1 });
        let call: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
        let help = helps.entry(words.join(" ")).or_insert_with(|| place.panta(&call).expect(0).out);
        for option in command.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")), "{command:?}");
        }
    }
    assert!(helps.len() > 30, "{}", helps.len());
}
