//! Runs, recorded, and the written tests run.

use super::*;
use crate::diag::Color;
use crate::host::catalog;
use crate::script::bundle::Bundle;
use crate::script::stdlib::STDLIB;
use crate::sim::functions;
use crate::sim::stage::{Slot, Stage, Take};
use crate::sim::suite::{self, Selection};
use crate::store::Store;

type Files = BTreeMap<String, String>;

fn folder(files: &Files) -> Arc<Folder> {
    Arc::new(Folder { sources: Box::new(files.clone()), stdlib: STDLIB })
}

/// The ended runs of a test, each with those that it started.
fn recorded(files: &Files, file: &str, test: &str) -> Vec<Recording> {
    let slot = Rc::new(Slot::default());
    let mut engine = crate::engine::script_engine();
    functions::register(&mut engine, &slot);
    let site = Rc::new(Site::new(folder(files), Tools::new()));
    let limits = crate::script::guard::Limits::default();
    let stage = Stage::new(site, Rc::new(engine), catalog::catalog(), file, limits).expect("compiles");
    let (result, cases) = stage.evaluate_with_cases(&slot, Take { test: test.to_owned(), ..Take::default() });
    let said = result.err().map(|error| stage.diagnose(&error).render(Color::Plain));
    assert!(said.is_none(), "{test}: {}", said.unwrap_or_default());
    let mut all = Vec::new();
    for case in cases {
        let load = |id| {
            let row = case.store.run(id).expect("reads").expect("is there");
            let bundle = Bundle::from_stored(&case.store.bundle(&row.version).expect("reads").expect("is there"));
            Ok::<_, crate::sim::broken::Broken>(Some(Recorded::new(row, case.journal(id)?, bundle.expect("reads"))))
        };
        for run in case.runs(None).unwrap_or_default() {
            let gathered = Recording::gather(run.id, load).ok().flatten().expect("is there");
            all.push(Recording::from_json(&gathered.to_json()).expect("comes back as it was"));
        }
    }
    all.retain(|recording| recording.0[0].status.is_final());
    all
}

/// What the written test says when it is run; empty where it passes.
fn run(files: &Files, written: &str) -> String {
    let mut files = files.clone();
    files.insert("written.test.rhai".to_owned(), written.to_owned());
    let selection = Selection { files: vec!["written.test.rhai".to_owned()], threads: 1, ..Selection::default() };
    let report = suite::run(&folder(&files), &selection);
    assert_eq!(report.outcomes.len() + report.broken.len(), 1, "{written}");
    let failures = report.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).chain(&report.broken);
    failures.map(|failure| failure.render(Color::Plain)).collect()
}

/// The written tests of a workflow `w`, as a test goes through it; each of them passes.
fn written(workflow: &str, test: &str) -> Vec<String> {
    written_with(&[("w", workflow)], test)
}

fn written_with(workflows: &[(&str, &str)], test: &str) -> Vec<String> {
    let mut files: Files = workflows.iter().map(|(name, text)| (format!("{name}.rhai"), (*text).to_owned())).collect();
    let test = format!("fn test_it() {{ let t = test::workflow(\"w\"); {test} }}");
    files.insert("w.test.rhai".to_owned(), test);
    let recordings = recorded(&files, "w.test.rhai", "test_it");
    let all: Vec<_> = recordings.iter().map(|recording| record(recording, &[]).expect("is written")).collect();
    for text in &all {
        let said = run(&files, text);
        assert!(said.is_empty(), "{text}\n{said}");
    }
    assert!(!all.is_empty(), "a run has ended");
    all
}

/// One written test, and what it must say.
fn says(workflow: &str, test: &str, parts: &[&str]) -> String {
    let found = written(workflow, test).remove(0);
    for part in parts {
        assert!(found.contains(part), "`{part}` is missing in\n{found}");
    }
    found
}

/// Those that call services by host functions alone: functions of modules that a test has mocked are not recorded yet.
const SELF_CONTAINED: [&str; 5] = ["csv-import", "deploy", "hello", "invoice", "uptime"];

#[test]
fn each_run_of_the_shipped_scripts_becomes_a_test_that_passes() {
    let mut files = Files::new();
    for file in std::fs::read_dir("scripts").expect("is there") {
        let path = file.expect("reads").path();
        let text = std::fs::read_to_string(&path).expect("reads").replace("t.crash_everywhere();", "");
        files.insert(path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned(), text);
    }
    let mut workflows = std::collections::BTreeSet::new();
    let tests = SELF_CONTAINED.map(|name| format!("{name}.test.rhai"));
    for (file, text) in files.iter().filter(|(file, _)| tests.contains(file)) {
        for test in text.lines().filter_map(|line| line.strip_prefix("fn test_")?.split('(').next()) {
            for recording in recorded(&files, file, &format!("test_{test}")) {
                let text = record(&recording, STDLIB).unwrap_or_else(|error| panic!("{file} {test}: {error}"));
                let said = run(&files, &text);
                assert!(said.is_empty(), "{file} {test}\n{text}\n{said}");
                workflows.insert(recording.0[0].workflow.to_string());
            }
        }
    }
    assert_eq!(workflows.into_iter().collect::<Vec<_>>(), SELF_CONTAINED);
}

#[test]
fn answers_come_in_the_order_of_the_calls_and_errors_as_errors() {
    let workflow = "let a = http::get(\"https://a.example/\").body; let b = http::get(\"https://a.example/\").body; \
                    let c = attempt(|| http::post(\"https://a.example/\", 1)); [a, b, c.error.status]";
    let test = "let n = 0; t.mock(\"http::get\", || { n += 1; test::response(200, n) }); \
                t.mock(\"http::post\", test::response(422, #{ why: \"no\" })); t.start();";
    says(
        workflow,
        test,
        &[
            "t.mock(\"http::get\", || http_get.shift());",
            "test::error(\"http\", #{",
            "assert_eq(t.output(), [1, 2, 422]);",
        ],
    );
}

#[test]
fn retries_and_what_they_wait_for() {
    let workflow =
        "step(\"a\", #{ retry: #{ attempts: 3, delay: \"10s\" } }, || http::get(\"https://a.example/\").body)";
    let test = "let n = 0; t.mock(\"http::get\", || { n += 1; if n < 3 { test::error(\"network\") } else { test::response(200, n) } }); \
                t.start(); t.advance(\"5m\"); assert_eq(t.output(), 3);";
    says(workflow, test, &["test::error(\"network\"", "t.advance(\"", "assert_eq(t.output(), 3);"]);
}

#[test]
fn events_tasks_and_cancellations_come_when_they_came() {
    let workflow = r#"let a = wait_for("go", #{ key: input.id }); sleep("2h");
        let b = task::ask(#{ title: "ok?", to: "ann", choices: ["yes", "no"], form: #{ n: "int" } });
        #{ a: a, b: b.choice, n: b.data.n }"#;
    let test = r#"t.start(#{ id: "k" }); t.advance("1h"); t.emit("go", #{ x: 1 }, #{ key: "k" }); t.advance("2h");
        t.answer(0, #{ choice: "yes", by: "ann", data: #{ n: 4 } });"#;
    says(
        workflow,
        test,
        &[
            "t.emit(\"go\", #{ x: 1 }, #{ key: \"k\" });\n    t.advance(\"2h\");\n    t.answer(0, #{ by: \"ann\", choice: \"yes\", data: #{ n: 4 } });",
            "assert_eq(t.output(), #{ a: #{ x: 1 }, b: \"yes\", n: 4 });",
        ],
    );
    says("wait_for(\"never\")", "t.start(); t.cancel();", &["t.cancel();", "assert_eq(t.status(), \"cancelled\");"]);
    says(
        "wait_for(\"x\", #{ timeout: \"3d\" }) == ()",
        "t.start(); t.advance(\"4d\");",
        &["t.advance(\"3d\");", "assert_eq(t.output(), true);"],
    );
}

#[test]
fn branches_and_calls_that_never_came_back() {
    let workflow = r#"let both = parallel([|| { let a = http::get("https://a.example/").body; http::get(`https://a.example/${a}`).body },
            || http::get("https://b.example/").body]);
        let late = attempt(|| timeout("1m", || http::put("https://c.example/", 1))); [both, late.error.kind]"#;
    let test = "t.mock(\"http::get\", |url| test::response(200, url.len())); t.hang(\"http::put\"); t.start(); t.advance(\"2m\");";
    says(workflow, test, &["t.mock(\"http::put\", test::hang());", "t.advance(\"1m\");", "\"timeout\"]);"]);
}

#[test]
fn what_was_kept_before_and_settings_are_there() {
    let workflow =
        "const A = config(\"a\", 1); fn main() { [A, config(\"b\", 2), state::add(\"n\", 2), state::get(\"m\", 0)] }";
    let test = "t.config(\"a\", 5); t.config(\"b\", 6); t.state(\"n\", 40); t.state(\"m\", \"kept\"); t.start();";
    says(
        workflow,
        test,
        &["t.state(\"n\", 40);", "t.state(\"m\", \"kept\");", "assert_eq(t.output(), [5, 6, 42, \"kept\"]);"],
    );
}

#[test]
fn values_that_json_does_not_have_and_secrets_that_nobody_sees() {
    let workflow = "workflow(#{ allow: #{ secrets: [\"s\"], http: [\"a.example\"] } }); fn main() { let s = secret(\"s\"); \
                    let a = http::get(\"https://a.example/\", #{ auth: bearer(s) }).body; #{ a: a, d: decimal(\"1.50\"), c: 'x', t: `${s}` } }";
    let test = "t.secret(\"s\", \"hunter2\"); t.mock(\"http::get\", test::response(200, base64::decode(\"AP8=\"))); t.start();";
    let found = says(
        workflow,
        test,
        &["base64::decode(\"AP8=\")", "decimal(\"1.50\")", "'x'", "t.secret(\"s\", \"placeholder\");"],
    );
    assert!(!found.contains("hunter2") && !found.contains('⟦'), "{found}");
}

#[test]
fn errors_compensations_and_runs_that_are_started() {
    let workflow = r#"step("a", #{ undo: |x| http::delete("https://a.example/") }, || 1); workflow::run("child", 2)"#;
    let child = "let x = http::get(\"https://a.example/\").body; if x > 1 { throw `no ${x}` } x";
    let test =
        "t.mock(\"http::get\", test::response(200, 7)); t.mock(\"http::delete\", test::response(204)); t.start();";
    let all = written_with(&[("w", workflow), ("child", child)], test);
    let parent = all.iter().find(|one| one.contains("test::workflow(\"w\")")).expect("the parent is written");
    assert!(parent.contains("assert_eq(t.status(), \"failed\");") && parent.contains("no 7"), "{parent}");
}

#[test]
fn times_and_ids_are_not_asserted() {
    says(
        "#{ at: now(), n: 1 }",
        "t.advance(\"1h\"); t.start();",
        &["assert_eq(t.output()[\"n\"], 1);", "another one each time"],
    );
}

#[test]
fn what_cannot_be_a_test_says_why() {
    let files: Files = [
        ("w.rhai".to_owned(), "wait_until(#{ every: \"1s\" }, || http::get(\"https://a.example/\").ok)".to_owned()),
        (
            "w.test.rhai".to_owned(),
            "fn test_it() { let t = test::workflow(\"w\"); t.mock(\"http::get\", test::response(200)); t.start(); }"
                .to_owned(),
        ),
    ]
    .into();
    let recording = recorded(&files, "w.test.rhai", "test_it").remove(0);
    let error = record(&recording, &[]).expect_err("polls are not recorded").to_string();
    assert!(error.contains("inside of `wait_until`; hint: polls are not recorded"), "{error}");
}
