//! Looking without a daemon.

use super::Place;

#[test]
fn a_bare_command_shows_what_a_newcomer_needs() {
    let came = Place::new(&[]).panta(&[]).expect(0);
    assert_eq!(came.out.lines().filter(|line| line.starts_with("  panta ")).count(), 5);
}

#[test]
fn a_run_is_listed_shown_and_explained() {
    let place = Place::new(&[("w.rhai", "log::info(\"here\");\nthrow \"broken\"")]);
    let run = place.panta(&["run", "w.rhai", "--json"]).expect(1).json()["run"].as_str().unwrap().to_owned();
    assert!(place.panta(&["runs", "--status", "failed"]).expect(0).out.contains(&run));
    assert!(place.panta(&["show", &run]).expect(0).out.contains("KIND"));
    assert!(place.panta(&["logs", &run]).expect(0).out.contains("here"));
    let why = place.panta(&["why", &run]).expect(0);
    assert!(why.out.contains("`w` failed") && why.err.contains("throw \"broken\""), "{}{}", why.out, why.err);
}

#[test]
fn an_unknown_run_is_wrong_usage_and_a_start_needs_a_daemon() {
    let place = Place::new(&[]);
    place.panta(&["show", "0198f000-0000-7000-8000-000000000000"]).expect(2);
    place.panta(&["show", "x"]).expect(2);
    place.panta(&["start", "w"]).expect(5);
}

#[test]
fn check_finds_mistakes_and_counts_them() {
    let place = Place::new(&[("scripts/a.rhai", "sleep(\"90\")"), ("scripts/b.rhai", "1")]);
    let came = place.panta(&["check"]).expect(1);
    assert!(came.err.contains("a.rhai:1:"), "{}", came.err);
    assert_eq!(came.out, "2 scripts, 1 error, 0 warnings\n");
    let json = place.panta(&["check", "scripts/a.rhai", "--json"]).expect(1).json();
    assert_eq!(json["line"], 1);
    assert_eq!(place.panta(&["check", "scripts/b.rhai"]).expect(0).out, "1 script, 0 errors, 0 warnings\n");
}

#[test]
fn codes_are_explained() {
    let place = Place::new(&[]);
    assert!(place.panta(&["explain", "e0501"]).expect(0).out.starts_with("# E0501"));
    place.panta(&["explain", "E9999"]).expect(2);
}
