//! The tests of the shipped scripts, by `panta test`; and the examples of it that scripts may rely on.

use std::sync::Arc;

use panta::script::bundle::{self, Kind, Sources, classify};
use sha2::{Digest, Sha256};

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

/// The order of the guide, and its test, unchanged.
const ORDER: &str = include_str!("orders/invoice.rhai");
const ORDER_TEST: &str = include_str!("orders/invoice.test.rhai");

/// The tests of a workflow `orders/invoice`.
fn order(workflow: &str, tests: &str) -> TestReport {
    let file = "orders/invoice.test.rhai".to_owned();
    let sources = [("orders/invoice.rhai".to_owned(), workflow.to_owned()), (file.clone(), tests.to_owned())];
    let sources: std::collections::BTreeMap<_, _> = sources.into();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: panta::reload::STDLIB });
    run_tests(&folder, &Selection { files: vec![file], threads: 1, ..Selection::default() })
}

/// What was promised to those who write workflows is not bent to fit: another text is another promise.
#[test]
fn the_order_of_the_guide_is_what_it_says() {
    let digest = |text: &str| hex::encode(Sha256::digest(text.trim_end()));
    assert_eq!(digest(ORDER), "372cc86c6a26638660c6b585324c627491c7b1e3355641ce84c285d982b3ba49");
    assert_eq!(digest(ORDER_TEST), "1fa13eb25bb460f13195170e66a64e9fa81386974bc9072241f3b083670deb93");
}

#[test]
fn the_order_of_the_guide_passes_its_test() {
    let report = order(ORDER, ORDER_TEST);
    assert_eq!((told(&report).as_str(), report.counts()), ("", (1, 0)));
}

#[test]
fn thirty_virtual_days_are_moments() {
    let once = ORDER_TEST.replace("t.crash_everywhere();", "");
    // The first one compiles; of the others, the one that the machine disturbed least counts.
    let tests: String = (0..5).map(|n| once.replace("fn test_", &format!("fn test_{n}_"))).collect();
    let report = order(ORDER, &tests);
    assert_eq!((told(&report).as_str(), report.counts()), ("", (5, 0)));
    let least = report.outcomes.iter().map(|outcome| outcome.took).min().expect("five tests");
    assert!(least < std::time::Duration::from_millis(50), "{least:?}");
}
