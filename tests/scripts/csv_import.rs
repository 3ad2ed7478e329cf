//! `scripts/csv-import.rhai`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use panta::store::{Run, Status};
use serde_json::{Value, json};

use crate::support::bench::Bench;

fn drop_in(bench: &Bench, name: &str, text: &str) -> Value {
    let path = bench.file("csv-import", &format!("inbox/{name}"));
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
    json!({ "path": format!("inbox/{name}"), "name": name, "size": text.len(), "sha256": "" })
}

fn import(bench: &Bench, text: &str) -> Run {
    let input = drop_in(bench, "a.csv", text);
    bench.run("csv-import", input)
}

fn counts(run: &Run) -> Value {
    assert_eq!(run.status, Status::Completed, "{:?}", run.error);
    let output = run.output.as_ref().expect("an output").to_json();
    json!([output["imported"], output["rejected"]])
}

fn imported(bench: &Bench) -> String {
    fs::read_to_string(bench.file("csv-import", "payments.csv")).unwrap_or_default()
}

#[test]
fn good_rows_are_added_and_bad_ones_rejected_with_reasons() {
    let bench = Bench::shipped("csv-import", &[]);
    let rows = "email,id,date,amount\r\nann@example.com,P1,2026-01-31,12.50\r\nnobody,P2,2026-02-30,x\r\n\r\nP3\r\n\
                \"bob@example.com\",\"P,4\",2026-02-01,3\r\n\"open,P5,2026-02-01,3\r\n";
    let run = import(&bench, rows);
    assert_eq!(counts(&run), json!([2, 3]));
    assert_eq!(imported(&bench), "P1,ann@example.com,12.50,2026-01-31\n\"P,4\",bob@example.com,3,2026-02-01\n");
    let name = format!("{}-a.csv", run.id);
    let rejected = fs::read_to_string(bench.file("csv-import", &format!("rejected/{name}"))).expect("rejects");
    let lines: Vec<_> = rejected.lines().filter_map(|line| line.split(',').next()?.parse::<u32>().ok()).collect();
    assert_eq!(lines, [3, 5, 7], "{rejected}");
    assert!(rejected.contains("`email`") && rejected.contains("fields"), "{rejected}");
    assert!(bench.file("csv-import", &format!("done/{name}")).exists());
    assert!(!bench.file("csv-import", "inbox/a.csv").exists());
}

#[test]
fn two_files_are_added_to_one() {
    let bench = Bench::shipped("csv-import", &[]);
    for id in ["P1", "P2"] {
        let run = import(&bench, &format!("\u{feff}id,email,amount,date\n{id},a@example.com,1,2026-01-01"));
        assert_eq!(counts(&run), json!([1, 0]));
    }
    assert_eq!(imported(&bench), "P1,a@example.com,1,2026-01-01\nP2,a@example.com,1,2026-01-01\n");
}

#[test]
fn an_empty_file_imports_nothing() {
    let bench = Bench::shipped("csv-import", &[]);
    assert_eq!(counts(&import(&bench, "")), json!([0, 0]));
    assert_eq!(counts(&import(&bench, "other,columns\n1,2\n")), json!([0, 1]));
    assert_eq!(imported(&bench), "");
}

/// The bound is that of a script between two host calls, so that a slow machine fails here as it would fail there.
#[test]
fn a_hundred_thousand_rows() {
    let bench = Bench::shipped("csv-import", &[]);
    let mut rows = "id,email,amount,date\n".to_owned();
    for n in 0..ROWS {
        let email = if n % 100 == 0 { "nobody" } else { "someone@example.com" };
        writeln!(rows, "P{n},{email},{}.{:02},2026-01-{:02}", n % 977, n % 100, n % 28 + 1).expect("a text");
    }
    let run = import(&bench, &rows);
    assert_eq!(counts(&run), json!([ROWS - ROWS / 100, ROWS / 100]));
    assert_eq!(imported(&bench).lines().count(), ROWS - ROWS / 100);
    let took = run.ended_at.expect("an end").since(run.created_at);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Without optimisation the host functions are ten times slower; the full size is for a release build.
const ROWS: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
