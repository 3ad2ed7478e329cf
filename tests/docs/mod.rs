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

#[test]
fn the_readme_shows_the_script_that_is_shipped() {
    let read =
        |path: &str| std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).expect("is there");
    let (readme, hello) = (read("README.md"), read("scripts/hello.rhai"));
    let body = &hello[hello.find("workflow(").expect("a declaration")..];
    assert!(readme.contains(body), "the first example of README.md is `scripts/hello.rhai`");
}
