//! Every code that a user can meet: the single source of `panta explain` and of the pages under `docs/errors/`.
//!
//! `E01` files and imports, `E02` syntax, `E03` names and declarations, `E05` running, `E06` configuration, `E07` tests, `W04` likely mistakes.
//! A code is never reused for something else.

mod wrong;

use super::Severity;

/// One code with its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, for example `E0301`.
    pub code: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Why it is an error, and what to do.
    pub explanation: &'static str,
    /// A script that is right, or empty.
    pub example: &'static str,
}

/// The row of a code.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|row| row.code.eq_ignore_ascii_case(code))
}

/// Errors begin with `E`, warnings with `W`.
pub fn severity(code: &str) -> Severity {
    if code.starts_with('W') { Severity::Warning } else { Severity::Error }
}

impl Code {
    /// A script that brings it about, where one alone can.
    pub fn wrong(&self) -> Option<&'static str> {
        wrong::WRONG.iter().find(|(code, _)| *code == self.code).map(|(_, script)| *script)
    }

    /// The page of the code in Markdown: what it means, a script that brings it about, and one that is right.
    pub fn page(&self) -> String {
        let shown = |label: &str, script: &str| format!("\n{label}\n\n```rhai\n{script}\n```\n");
        let wrong = self.wrong().map(|script| shown("This brings it about:", script)).unwrap_or_default();
        let right =
            if self.example.is_empty() { String::new() } else { shown("This is how it is written:", self.example) };
        format!("# {}: {}\n\n{}\n{wrong}{right}", self.code, self.title, self.explanation)
    }
}

const fn row(code: &'static str, title: &'static str, explanation: &'static str, example: &'static str) -> Code {
    Code { code, title, explanation, example }
}

/// All codes, in order.
pub const CODES: &[Code] = &[
    row(
        "E0101",
        "file is not text",
        "A script is UTF-8 text. This file holds bytes that are not, at the line shown. Save it as UTF-8; a byte-order mark and Windows line ends are accepted.",
        "",
    ),
    row(
        "E0102",
        "file contains a NUL byte",
        "A NUL byte means that this is not a text file, or that an editor or a copy damaged it.",
        "",
    ),
    row(
        "E0103",
        "file is too large",
        "A script may be 256 KiB at most. It is parsed as a whole at every reload and kept with every version; data belongs in a file that the script reads with `file::read`, or in `state`.",
        "",
    ),
    row(
        "E0104",
        "not a regular file",
        "A script must be a regular file. Folders, pipes, sockets and devices are refused: reading one could wait for ever.",
        "",
    ),
    row(
        "E0105",
        "link leaves the scripts folder",
        "A symbolic link may point to another place within the scripts folder, not outside of it: what a workflow is made of must be in one place.",
        "",
    ),
    row(
        "E0106",
        "file cannot be read",
        "The operating system refused to read the file; its reason is in the message.",
        "",
    ),
    row("E0107", "no such file", "There is no such script below the scripts folder.", ""),
    row(
        "E0108",
        "file is empty",
        "There is nothing in the file. It was just created, or an editor or a copy was interrupted; the version before stays live.",
        "",
    ),
    row(
        "E0109",
        "name cannot be a workflow's",
        "The name of a file is the name of its workflow, which is shown, typed and part of addresses. Names are UTF-8 text without line ends and other control characters.",
        "",
    ),
    row(
        "E0110",
        "import path is not a literal",
        "What a workflow consists of is known before it runs: its version is the hash of the file and of all that it imports. Therefore `import` takes a string literal, without `${...}`.",
        "import \"lib/money\" as money;",
    ),
    row(
        "E0111",
        "imported module not found",
        "`import \"lib/x\"` is looked up from the scripts folder, `import \"./x\"` and `\"../x\"` from the importing file, `import \"std/x\"` among the modules that are built in. `.rhai` is added.",
        "import \"lib/money\" as money;",
    ),
    row(
        "E0112",
        "modules import each other in a circle",
        "A module is evaluated once, before what imports it; in a circle there is no such order. Move what both need into a third module.",
        "",
    ),
    row(
        "E0113",
        "import path is not allowed",
        "An import stays within the scripts folder and is written with `/`: no absolute path, no `..` beyond the folder, no backslash.",
        "import \"lib/money\" as money;",
    ),
    row(
        "E0114",
        "a workflow cannot be imported",
        "A file with `fn main` is a workflow. To share its functions move them to a module in a folder named `lib`; to run it use `workflow::run`.",
        "import \"lib/common\" as common;",
    ),
    row(
        "E0115",
        "too many modules",
        "A workflow may consist of 256 files at most, all imports included. More is a mistake or a generated tree, and every one is kept with every version.",
        "",
    ),
    row(
        "E0116",
        "stored version cannot be read",
        "The stored sources of a version are damaged or were written by a newer release.",
        "",
    ),
    row("E0201", "syntax error", "The parser did not expect what it found at the caret.", "let total = 1;"),
    row(
        "E0202",
        "something is missing",
        "The parser expected a certain token, such as `;`, `)` or `}`. The caret is where it is missing.",
        "let a = 1;\nlet b = 2;",
    ),
    row(
        "E0203",
        "reserved word",
        "Some words are reserved by the language and cannot be names. As a property write `map[\"new\"]` for `map.new`, and `\"new\": 1` in a map literal.",
        "let repo = #{ \"private\": true };\nlet secretive = repo[\"private\"];",
    ),
    row(
        "E0204",
        "the script ends too early",
        "A bracket, brace or string that was opened is never closed.",
        "fn main(order) {\n    if order.paid {\n        print(\"paid\");\n    }\n}",
    ),
    row(
        "E0205",
        "malformed token",
        "A number, string, character or symbol is not written as the language wants it.",
        "print(\"C:\\\\dir\");",
    ),
    row(
        "E0206",
        "this is another language",
        "The construct exists in JavaScript or Python but not in Rhai; the hint says how Rhai writes it.",
        "let kind = if total > 100 { \"big\" } else { \"small\" };",
    ),
    row(
        "E0207",
        "beyond a limit of the language",
        "An expression is nested too deeply, or there are too many functions, or a literal is too long. Split it.",
        "",
    ),
    row(
        "E0208",
        "faulty function definition",
        "Functions are defined at the top level of a file, each name and number of parameters once, parameters named differently.",
        "fn add(a, b) { a + b }",
    ),
    row(
        "E0209",
        "cannot be assigned to",
        "The left side of the assignment is a constant, a literal or the result of a call.",
        "let limit = 1;\nlimit = 2;",
    ),
    row(
        "E0210",
        "statement in the wrong place",
        "`break` and `continue` belong in a loop, `export` at top level, a `///` comment directly before a function.",
        "fn main() {\n    loop { break; }\n}",
    ),
    row(
        "E0301",
        "unknown function",
        "Neither the engine nor this file nor its imports have a function of that name.",
        "http::get(\"https://example.com\")",
    ),
    row(
        "E0302",
        "unknown variable",
        "No variable, parameter or constant of that name is visible here. Functions see their parameters and the file's constants, not the variables at top level; `input` is visible at the top level of a bare script only.",
        "const LIMIT = 100;\nfn main(order) { order.total > LIMIT }",
    ),
    row(
        "E0303",
        "wrong number of arguments",
        "The function exists, but does not take this many arguments.",
        "sleep(\"5m\");",
    ),
    row(
        "E0304",
        "unknown module",
        "There is no `import ... as` of that name in this file, and the engine has no functions under it.",
        "import \"std/slack\" as slack;",
    ),
    row(
        "E0305",
        "main takes the input or nothing",
        "`fn main` has no parameter, or one: the input of the run.",
        "fn main(order) { order.id }",
    ),
    row(
        "E0306",
        "effect at top level",
        "The top level of a file with `fn main` only declares: it is evaluated when the file is loaded, not when it runs. Move the call into `main`. The same holds for the closures of a declaration, such as `input` of a trigger: they are asked before there is a run.",
        "workflow(#{ title: \"Invoice\" });\nfn main(order) { http::get(order.url) }",
    ),
    row(
        "E0307",
        "bad literal",
        "A literal argument cannot be what the function expects there: a duration, a cron line, a time, a policy, a map of options that it knows.",
        "sleep(\"1h 30m\");",
    ),
    row(
        "E0308",
        "unknown option",
        "The map of options has a key that the function does not know. A misspelt option would be silence where something was meant.",
        "http::get(\"https://example.com\", #{ timeout: \"5s\" })",
    ),
    row(
        "E0309",
        "declaration is not accepted",
        "`workflow(...)` or a trigger got a value that it does not take. The declaration is evaluated when the file is loaded, so this is found before any run.",
        "workflow(#{ title: \"Invoice\", deadline: \"60d\" });\ntrigger::cron(\"0 8 * * MON-FRI\", #{ tz: \"Europe/Berlin\" });",
    ),
    row(
        "E0310",
        "variable with the name of a function",
        "A closure captures the variables around it, but not one that has the name of a function of the file: within the closure the name is the function, so that `` `${lead}` `` gives `Fn(lead)`. Give the variable or the function another name.",
        "fn lead(name) { name }\nlet first = lead(\"Ann\");\nlet shown = || `${first}`;\nshown.call()",
    ),
    row(
        "E0501",
        "uncaught error",
        "The script or a function that it called threw an error that nothing caught. `kind` says what sort it is; `retry`, `attempt` and `try` handle it.",
        "try { http::get(url) } catch (e) { log::warn(e.message) }",
    ),
    row(
        "E0502",
        "value of the wrong type",
        "An operation got a value of a type that it has no meaning for.",
        "let total = parse_int(\"5\") * 2;",
    ),
    row(
        "E0503",
        "no such function for these values",
        "A function of that name exists for values of other types or another number of them, or not at all.",
        "let double = |x| x * 2;\ndouble.call(1)",
    ),
    row(
        "E0504",
        "index out of bounds",
        "An array, string or bit field has no element of that number; they count from 0, negative ones from the end.",
        "let lines = [1, 2];\nlines[1]",
    ),
    row(
        "E0505",
        "no such property",
        "The value has no property of that name.",
        "let order = #{};\norder.customer?.email",
    ),
    row(
        "E0506",
        "arithmetic error",
        "A number became too large, or was divided by zero.",
        "let count = 0;\nlet share = if count == 0 { 0 } else { 1 / count };",
    ),
    row(
        "E0507",
        "value is in use",
        "A value cannot be touched while one of its own methods runs on it, or while a branch beside this one waits inside such a method. Copy what the closure needs into a variable first.",
        "let id = order.id;\norder.lines.map(|line| id)",
    ),
    row(
        "E0508",
        "constant cannot change",
        "A `const`, a module's variable or a literal was about to be changed.",
        "let total = LIMIT;\ntotal += 1;",
    ),
    row(
        "E0509",
        "cannot loop over this",
        "`for` takes an array, a range, a string, a blob or the keys of a map (`map.keys()`).",
        "for key in order.keys() { print(key) }",
    ),
    row(
        "E0510",
        "limit exceeded",
        "The run computed for too long without a host call, nested too deeply, or made data that is too large.",
        "fn again(n) { if n < 10 { again(n + 1) } else { n } }\nagain(0)",
    ),
    row("E0511", "run was stopped", "The evaluation was ended from outside.", ""),
    row(
        "E0512",
        "`this` is not bound",
        "`this` exists only in a function that is called as a method: `value.double()`.",
        "fn double() { this * 2 }",
    ),
    row(
        "E0513",
        "argument is not accepted",
        "A host function got an argument of the wrong kind, out of its range, or an option that it does not know. The error has the kind `invalid`; trying again would not help.",
        "sleep(\"90s\");",
    ),
    row(
        "E0514",
        "not allowed",
        "The workflow may not touch that host, file or secret. What it may touch is declared in `allow`; the hint says which line to add, and `panta check --fix` adds it where the name is written out. The operator's configuration can narrow it.",
        "workflow(#{ allow: #{ http: [\"billing.example.com\"], files: [\"/srv/inbox/*.csv\"] } });",
    ),
    row(
        "E0515",
        "a recorded run does not fit",
        "A run goes on by evaluating its script again, with each recorded outcome from its journal. What the script does there must be what is recorded: the same kind, name and arguments, in the same order. Here it does something else, since the script was changed before a point that the run has passed, or since a release gives a function another meaning. Open runs stay on their version unless somebody moves them; `panta gate FILE` tells before a save, and `panta upgrade --dry-run RUN` of one run. Steps that are added behind what has happened fit.",
        "",
    ),
    row(
        "E0601",
        "configuration cannot be read",
        "The configuration file is not valid TOML, or a value in it is of the wrong kind. Every key is in the annotated example `panta.example.toml`.",
        "",
    ),
    row(
        "E0602",
        "unknown key in the configuration",
        "The configuration file has a key that means nothing. Settings for scripts belong under `[config]`, where any key may stand.",
        "",
    ),
    row(
        "E0701",
        "an assertion of a test does not hold",
        "The test says what must be true at this point, and it is not. `actual` is what the workflow did, `expected` what the test says.",
        "fn test_it() {\n    let t = test::workflow(\"orders/invoice\");\n    t.start(#{ order_id: \"A1\" });\n    assert_eq(t.status(), \"waiting\");\n}",
    ),
    row(
        "E0702",
        "a call has no mock",
        "In a test nothing outside is touched: every function that would needs a mock, a value or a closure that gets the arguments. A mock is named as the workflow calls the function, `http::post` or, for a function of an imported module, `slack::post`.",
        "fn test_it() {\n    let t = test::workflow(\"orders/invoice\");\n    t.mock(\"http::post\", test::response(201, #{ id: \"R1\" }));\n    t.mock(\"slack::post\", |channel, text| ());\n}",
    ),
    row(
        "E0703",
        "the outcome depends on where the process dies",
        "`crash_everywhere` runs the test again and again, each time with a process that dies before or after another write, and goes on in a new one. What the workflow does must be the same each time. It is not, where a mock answers by what it was asked before, or where the workflow's outcome depends on how often a call was tried.",
        "",
    ),
    row(
        "E0704",
        "a test uses the test object in a way that makes no sense",
        "Such as an output before anything was started, a duration that cannot be read, a setting after the workflow has begun, or the name of a function, a step, a trigger or a workflow that there is not.",
        "",
    ),
    row(
        "W0401",
        "code is never reached",
        "What follows a `return`, `throw`, `break`, `continue` or an endless `loop` in the same block never runs.",
        "fn main(order) {\n    print(\"done\");\n    order.id\n}",
    ),
    row(
        "W0403",
        "function hides one of the engine",
        "A function of the script has the name and the number of parameters of a function of the engine. Give it another name.",
        "fn pause(time) { print(time) }\npause(\"1s\")",
    ),
    row(
        "W0404",
        "property is not in the declared input",
        "The workflow declares its `input`, and that has no such property: it is `()` in every run.",
        "workflow(#{ input: #{ order_id: \"string\" } });\nfn main(order) { order.order_id }",
    ),
    row(
        "W0405",
        "variable at top level of a declaration",
        "The top level of a file with `fn main` is evaluated when the file is loaded; a `let` there is visible in no function. Use `const`.",
        "const BILLING = \"https://billing.example.com\";",
    ),
    row(
        "W0406",
        "module outside of a `lib` folder",
        "A file outside of a folder named `lib` is a workflow of its own, also when it is imported. Move it into `lib`.",
        "import \"lib/money\" as money;",
    ),
    row(
        "W0407",
        "option is not carried out",
        "The option is part of the language and is checked, but this release does not act on it. The workflow runs as if it were not there.",
        "",
    ),
    row(
        "W0408",
        "value in double quotes",
        "`${...}` is filled in within backticks only. In double quotes it is text like any other.",
        "let id = 7;\nprint(`order ${id}`);",
    ),
    row(
        "W0409",
        "escape in backticks",
        "In backticks a backslash is a character like any other: `\\n` there are two of them. A line break can be written as it is.",
        "print(\"one\\ntwo\");",
    ),
    row(
        "W0410",
        "a line of `allow` is missing",
        "The call names a host, file, secret, program or database that the workflow may not touch: it would fail with the kind `denied`. The hint says what to declare, and `panta check --fix` declares it.",
        "workflow(#{ allow: #{ http: [\"*\", \"127.0.0.1\"], secrets: [\"billing\"] } });",
    ),
    row(
        "W0411",
        "effect without a way back",
        "The call changes something outside, and a later call may fail: then what it did stays done, and the run says `failed`. A `step` with `undo` takes it back, one with `retry` tries the later call again, `try` handles the failure, `on_rollback` says what to do about it.",
        "fn main(order) {\n    let url = \"https://stock.example.com\";\n    step(\"reserve\", #{ undo: || http::delete(url) }, || http::post(url, order));\n    http::post(\"https://billing.example.com\", order);\n}",
    ),
    row(
        "W0412",
        "workflows start each other in a circle",
        "What one workflow emits (or its end) starts another, and that one starts the first again: without a condition they never stop.",
        "trigger::event(\"order.placed\", #{ when: |order| order.total > 0 });",
    ),
    row(
        "W0413",
        "no such workflow",
        "A name that is written out is that of no workflow in the folder that is checked: what it would start fails with the kind `not_found`, and what waits for its end never starts. A workflow that comes later is fine when it is there by then, so this is a warning; `panta check --strict` fails on it.",
        "trigger::run(\"orders/*\", #{ on: \"failed\" });\nfn main(end) { workflow::start(end.workflow, end.input); }",
    ),
    row(
        "W0414",
        "channel is not in the config",
        "`on_failure` or `sla` names a channel that the config does not have, and that is no person or group of it: what it is to tell goes to the default channel, or to the log where there is none. Add `[channels.NAME]` to `panta.toml`, or mend the name.",
        "workflow(#{ on_failure: \"ops\" });",
    ),
    row(
        "W0415",
        "value of what returns nothing",
        "Methods such as `trim`, `push` and `sort` change the value before the dot, and return `()`. What is done with that `()` fails when it runs, or does nothing.",
        "let name = \" Ann \";\nname.trim();\nname.is_empty()",
    ),
    row(
        "W0416",
        "value of `catch` is lost",
        "`try` is a statement: where its body throws, it has no value, whatever stands at the end of `catch`. Write `return` there, set a variable, or use `attempt`, which is an expression.",
        "fn stock() { http::get(\"https://example.com/stock\").body }\nlet stock = attempt(|| stock());\nif stock.ok { stock.value } else { 0 }",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        for row in CODES {
            assert!(row.code.len() == 5 && !row.explanation.is_empty(), "{}", row.code);
        }
    }

    #[test]
    fn examples_are_valid_scripts() {
        let mut engine = rhai::Engine::new_raw();
        // An unoptimised build has a low limit of its own.
        engine.set_max_expr_depths(64, 64);
        for row in CODES {
            assert!(engine.compile(row.example).is_ok(), "{}: {}", row.code, row.example);
        }
    }

    #[test]
    fn a_page() {
        assert!(find("e0303").unwrap().page().starts_with("# E0303: wrong number of arguments\n\nThe function"));
        assert_eq!(find("E9999"), None);
    }
}
