//! Each workload at a tiny size: what comes out makes sense, and everything is gone after.

use std::path::Path;

use super::*;

fn tiny() -> Bench {
    of_size(8)
}

fn of_size(size: usize) -> Bench {
    let sizes = Sizes { quick: true, size: Some(size) };
    Bench::new(&std::env::temp_dir(), sizes, Path::new("none")).expect("a folder")
}

fn measured(name: &str) -> Vec<Figure> {
    let workload = Workload::named(name).expect("a workload");
    let figures = workload.measure(&tiny()).expect("figures");
    assert!(!figures.is_empty(), "{name}");
    for figure in &figures {
        assert!(figure.value >= 0.0 && figure.value.is_finite() && !figure.what.is_empty(), "{figure:?}");
        assert!(figure.cpu_us.is_none_or(|cpu| cpu >= 0.0) && figure.commits.is_none_or(|all| all > 0.0), "{figure:?}");
    }
    figures
}

#[test]
fn all_that_is_measured_inside_the_process_gives_figures() {
    for name in ["disk", "hot", "strict", "engine", "mutating", "growth", "fanout", "replay"] {
        measured(name);
    }
}

#[test]
fn a_run_alone_is_on_the_disk_without_a_commit_for_each_step() {
    let figure = single::inside(&tiny()).expect("a figure");
    // Two, and one more each time that a busy machine takes a turn from the script.
    assert!(figure.commits.is_some_and(|commits| commits < 5.0), "{figure:?}");
}

#[test]
fn every_mutating_step_waits_for_the_disk() {
    let one = of_size(1);
    for figure in Workload::named("mutating").expect("a workload").measure(&one).expect("figures") {
        assert!(figure.commits.is_some_and(|commits| commits >= 10.0), "{figure:?}");
    }
}

#[test]
fn names_are_told_apart_and_known() {
    for workload in WORKLOADS {
        assert_eq!(Workload::named(workload.name).map(|found| found.about), Some(workload.about));
    }
    assert!(Workload::named("nothing").is_none());
}

#[test]
fn nothing_is_left_behind() {
    let bench = tiny();
    let folder = bench.folder().to_owned();
    Workload::named("engine").expect("a workload").measure(&bench).expect("figures");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "each removes its own");
    drop(bench);
    assert!(!folder.exists());
}

#[test]
fn a_data_folder_that_is_not_there_is_not_made() {
    let base = tempfile::tempdir().expect("a folder");
    let bench = Bench::new(&base.path().join("a/b"), Sizes::default(), Path::new("none")).expect("a folder");
    assert_eq!(bench.folder().parent(), Some(base.path()));
    assert!(!base.path().join("a").exists());
}
