//! `panta check` over scripts that are wrong in every way that was thought of, and over good ones.
//!
//! A line that is at fault ends in `//~ CODE COLUMN`, several with commas between them.

mod fix;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::cli::Place;

/// A finding: file, line, column, code.
type Found = (String, u64, u64, String);

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The lines of JSON that `panta check` prints of a folder.
fn checked(name: &str, code: i32) -> Vec<Value> {
    let path = folder(name);
    let came = Place::new(&[]).panta(&["check", path.to_str().expect("Unicode"), "--json", "--strict"]).expect(code);
    came.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn findings(name: &str, code: i32) -> BTreeSet<Found> {
    let found = checked(name, code).into_iter().filter(|line| line.get("code").is_some());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    found.map(|it| (text(&it["file"]), number(&it["line"]), number(&it["column"]), text(&it["code"]))).collect()
}

/// What the marks of a script say.
fn expected(file: &str, text: &str) -> BTreeSet<Found> {
    let mut expected = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let marks = line.split_once("//~ ").map_or("", |(_, marks)| marks.trim());
        for mark in marks.split(',').filter(|mark| !mark.is_empty()) {
            let (code, column) = mark.trim().split_once(' ').expect("a code and a column");
            expected.insert((file.to_owned(), index as u64 + 1, column.parse().expect("a column"), code.to_owned()));
        }
    }
    expected
}

fn marked() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder("tests/check/bad")).expect("the corpus").flatten();
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    files.map(|file| (name(&file.path()), std::fs::read_to_string(file.path()).expect("text"))).collect()
}

#[test]
fn every_fault_of_the_corpus_is_found_at_its_line_and_column() {
    let files = marked();
    let expected: BTreeSet<Found> = files.iter().flat_map(|(file, text)| expected(file, text)).collect();
    let found = findings("tests/check/bad", 1);
    let missed: Vec<_> = expected.difference(&found).collect();
    let unexpected: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && unexpected.is_empty(), "missed: {missed:#?}\nunexpected: {unexpected:#?}");
    assert!(files.len() >= 80 && files.iter().all(|(_, text)| text.contains("//~ ")));
}

#[test]
fn good_scripts_are_left_in_peace() {
    assert_eq!(findings("tests/check/good", 0), BTreeSet::new());
    assert_eq!(findings("scripts", 0), BTreeSet::new());
}

#[test]
fn every_finding_has_a_page_a_title_and_a_width() {
    for finding in checked("tests/check/bad", 1).into_iter().filter(|line| line.get("code").is_some()) {
        let code = finding["code"].as_str().expect("a code");
        assert!(panta::diag::codes::find(code).is_some(), "{code}");
        let title = finding["title"].as_str().expect("a title");
        assert!(!title.is_empty() && !title.starts_with(|c: char| c.is_uppercase()), "{title}");
        assert!(finding["width"].as_u64().is_some_and(|width| width > 0), "{finding}");
    }
}

#[test]
fn the_report_says_what_a_workflow_touches() {
    let reports = checked("tests/check/good", 0);
    let invoice = reports.iter().find(|report| report["workflow"] == "invoice").expect("a report");
    assert_eq!(invoice["hosts"], serde_json::json!(["billing.example.com", "chat.example.com"]));
    assert_eq!(invoice["secrets"], serde_json::json!(["billing"]));
    assert_eq!(invoice["awaits"], serde_json::json!(["delivery.confirmed", "payment.received"]));
    assert_eq!(invoice["triggers"][0]["subject"], "orders");
    let waiting = reports.iter().find(|report| report["workflow"] == "waiting").expect("a report");
    let next = waiting["triggers"][0]["next"].as_array().expect("times");
    assert!(next.len() == 5 && next.iter().all(|at| at.as_str().is_some_and(|at| at.contains(" 08:00:00 +0"))));
}
