//! Functions of the same name in a workflow and its modules, as tests and crashes meet them.

use super::*;
use crate::diag::Color;

const MODULE: &str = "fn find(r) { \"module\" } fn create(x) { find(x) } fn seek(list) { list.find(|x| x == 2) } \
    fn send(x) { http::get(`https://m.example/${x}`).status } fn sent(x) { send(x) } \
    fn polled(f) { wait_until(#{ every: \"1m\", timeout: \"1h\" }, || if send(1) > 0 { f.call() } else { false }) }";

/// A workflow that imports the module, its test, then the same with a crash at each place.
fn passes(workflow: &str, test: &str) {
    passes_with("", workflow, test);
}

fn passes_with(more: &str, workflow: &str, test: &str) {
    let mock = "t.mock(\"http::get\", |url| test::response(if url.contains(\"m.example\") { 201 } else { 202 }, #{}));";
    let test = format!(
        "fn test_it() {{ let t = test::workflow(\"w\"); {mock} {more} t.start(); {test} t.crash_everywhere(); }}"
    );
    let files = [("w.rhai", workflow), ("lib/m.rhai", MODULE), ("w.test.rhai", &test)];
    let sources: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: &[] });
    let report = run(&folder, &Selection { files: vec!["w.test.rhai".to_owned()], threads: 1, ..Selection::default() });
    let failures = report.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).chain(&report.broken);
    let said: String = failures.map(|fault| fault.render(Color::Plain)).collect();
    assert!(said.is_empty() && report.outcomes.len() == 1, "\n{said}");
}

#[test]
fn a_workflow_and_its_module_call_their_own() {
    let workflow = "import \"lib/m\" as m;\n\
        fn send(x) { http::get(`https://w.example/${x}`).status }\n\
        fn main() { let found = m::create(1);\n [found, [1, 2].find(|x| x == 2), send(1), m::sent(1), send(2), m::seek([1, 2])] }";
    passes(workflow, "assert_eq(t.output(), [\"module\", 2, 202, 201, 202, 2]);");
}

#[test]
fn so_do_branches_steps_and_waits() {
    let workflow = "import \"lib/m\" as m;\n\
        fn send(x) { http::get(`https://w.example/${x}`).status }\n\
        fn main() {\n\
        let both = parallel([|| send(1), || m::sent(1), || step(\"s\", || m::sent(2)), || step(\"o\", || send(2))]);\n\
        let waited = wait_until(#{ every: \"1m\", timeout: \"1h\" }, || if m::sent(3) == 201 { [1, 2].find(|x| x == 2) } else { false });\n\
        both + [waited, m::polled(|| send(4))] }";
    passes(workflow, "assert_eq(t.output(), [202, 201, 201, 202, 2, 202]);");
}

#[test]
fn functions_of_modules_are_mocked_in_waits_too() {
    let workflow = "import \"lib/m\" as m;\n\
        fn main() { wait_until(#{ every: \"1m\", timeout: \"1h\" }, || if m::create(1) > 2 { m::sent(2) } else { false }) }";
    let mocks = "let n = 0; t.mock(\"m::create\", |x| { n += 1; n }); t.mock(\"m::sent\", |x| x * 10);";
    passes_with(mocks, workflow, "t.advance(\"1h\"); assert_eq(t.output(), 20);");
}

#[test]
fn each_function_is_gone_through_once() {
    let files = [
        ("w.rhai", "import \"lib/m\" as m;\nfn tax(x) { x * 2 }\nfn main() { tax(1) + m::taxed(1) }"),
        ("lib/m.rhai", "fn tax(x) { x }\nfn taxed(x) { tax(x) }\nfn never(x) { x }"),
        ("w.test.rhai", "fn test_it() { let t = test::workflow(\"w\"); t.start(); assert_eq(t.output(), 3); }"),
    ];
    let sources: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: &[] });
    let report = run(&folder, &Selection { files: vec!["w.test.rhai".into()], coverage: true, ..Selection::default() });
    assert_eq!(report.counts(), (1, 0), "{:?}", report.outcomes[0].failure);
    let ways = report.coverage.iter().flat_map(|file| &file.branches).map(|way| (way.what.as_str(), way.taken));
    let expected = [("fn tax", true), ("fn taxed", true), ("fn never", false), ("fn tax", true), ("fn main", true)];
    assert_eq!(ways.collect::<Vec<_>>(), expected);
}
