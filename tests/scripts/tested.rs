//! The tests of the shipped scripts, by `panta test`; and the examples of it that scripts may rely on.

use std::sync::Arc;

use panta::script::bundle::{self, Kind, Sources, classify};
use panta::sim::{Folder, Selection, TestReport, run_tests};

/// The tests of a folder of this repository.
fn run(folder: &str) -> TestReport {
    let sources = Box::new(bundle::Folder::new(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))));
    let files = sources.list().into_iter().filter(|file| classify(file) == Kind::Test).collect();
    let folder = Arc::new(Folder { sources, stdlib: panta::reload::STDLIB });
    run_tests(&folder, &Selection { files, ..Selection::default() })
}

fn told(report: &TestReport) -> String {
    let failures = report.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
    report.broken.iter().chain(failures).map(|fault| fault.render(panta::diag::Color::Plain)).collect()
}

#[test]
fn every_shipped_script_has_tests_that_pass_wherever_the_process_dies() {
    let report = run("scripts");
    assert_eq!(told(&report), "");
    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts")).unwrap();
    for script in scripts.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let Kind::Workflow(name) = classify(&script) else { continue };
        let file = format!("{name}.test.rhai");
        assert!(report.outcomes.iter().any(|outcome| outcome.file == file), "`scripts/{file}` has no tests");
        let text = std::fs::read_to_string(format!("{}/scripts/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(text.contains("crash_everywhere()"), "`scripts/{file}` crashes nowhere");
    }
}
