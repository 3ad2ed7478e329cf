//! Acting on runs from the command line: without a daemon, where they go on by `panta run --resume`.

use super::Place;

const FAILS: &str = r#"
    fn main(input) {
        let a = step("a", #{ undo: |a| log::info("undone") }, || 1);
        step("b", || { if !file::exists("ok") { throw "not yet" } a + 1 })
    }"#;

/// A place with so many runs of `w` that have failed; their ids.
fn failed(script: &str, runs: usize) -> (Place, Vec<String>) {
    let place = Place::new(&[("w.rhai", script)]);
    let one = |_| place.panta(&["run", "w.rhai", "--json"]).expect(1).json()["run"].as_str().unwrap().to_owned();
    let runs = (0..runs).map(one).collect();
    (place, runs)
}

fn fix(place: &Place) {
    place.write("data/workspace/w/ok", "");
}

#[test]
fn a_failed_run_is_retried_where_it_failed_once_what_was_undone_is_confirmed() {
    let (place, runs) = failed(FAILS, 1);
    fix(&place);
    let asked = place.panta(&["retry", &runs[0]]).expect(2).err;
    assert!(asked.contains("`a`") && asked.contains("--yes"), "{asked}");
    place.panta(&["retry", &runs[0], "--yes"]).expect(0);
    assert_eq!(place.panta(&["run", "--resume", &runs[0]]).expect(0).out, "2\n");
    let shown = place.panta(&["show", &runs[0]]).expect(0).out;
    assert!(shown.contains("repair") && shown.contains("retry"), "{shown}");
    assert!(place.panta(&["audit"]).expect(0).out.contains("run.retry"));
}

#[test]
fn why_says_what_to_try_and_a_wrong_step_is_named() {
    let (place, runs) = failed(FAILS, 1);
    let why = place.panta(&["why", &runs[0]]).expect(0).out;
    assert!(why.contains(&format!("retry {}", runs[0])) && why.contains(&format!("skip {} 'b'", runs[0])), "{why}");
    let wrong = place.panta(&["retry", &runs[0], "--from", "bb"]).expect(2).err;
    assert!(wrong.contains("did you mean `b`?"), "{wrong}");
}

#[test]
fn a_step_is_skipped_or_given_and_a_copy_goes_its_own_way() {
    let script = r#"fn main() { let a = step("a", || 1); let b = step("b", || throw "no"); [a, b] }"#;
    let (place, runs) = failed(script, 2);
    place.panta(&["skip", &runs[0], "b"]).expect(0);
    assert_eq!(
        place.panta(&["run", "--resume", &runs[0], "--json"]).expect(0).json()["output"],
        serde_json::json!([1, null])
    );
    place.panta(&["set-result", &runs[1], "b", "{\"n\":2}"]).expect(0);
    let output = place.panta(&["run", "--resume", &runs[1], "--json"]).expect(0).json()["output"].clone();
    assert_eq!(output, serde_json::json!([1, { "n": 2 }]));
    let copy = place.panta(&["fork", &runs[1], "--at", "a", "--set", "5"]).expect(0).out.trim().to_owned();
    place.panta(&["run", "--resume", &copy]).expect(1);
    let shown = place.panta(&["show", &copy, "--json"]).expect(0).json();
    assert_eq!(
        (&shown["trigger"]["forked"]["run"], &shown["entries"][1]["name"]),
        (&runs[1].as_str().into(), &"fork".into())
    );
}

#[test]
fn many_are_counted_before_anything_is_done_and_what_is_refused_is_listed() {
    let (place, runs) = failed(FAILS, 3);
    fix(&place);
    let asked = place.panta(&["retry", "--workflow", "w", "--status", "failed"]).expect(2).err;
    assert!(asked.contains("3 runs"), "{asked}");
    let did = place.panta(&["retry", "--workflow", "w", "--yes", "--json"]).expect(0).json();
    assert_eq!((&did["matched"], did["done"].as_array().map(Vec::len)), (&3.into(), Some(3)));
    let refused = place.panta(&["resume", "--workflow", "w", "--status", "running", "--yes"]).expect(1).out;
    assert!(refused.contains("0 of 3") && refused.contains(&format!("refused {}", runs[2])), "{refused}");
    place.panta(&["cancel", &runs[0], &runs[1]]).expect(0);
    place.panta(&["cancel"]).expect(2);
}

#[test]
fn a_paused_run_and_a_held_workflow_are_shown_and_go_on() {
    let (place, runs) = failed(FAILS, 1);
    fix(&place);
    place.panta(&["retry", &runs[0], "--yes"]).expect(0);
    place.panta(&["pause", &runs[0], "--reason", "a look"]).expect(0);
    let listed = place.panta(&["runs"]).expect(0).out;
    assert!(listed.contains("paused by") && listed.contains("a look"), "{listed}");
    assert!(place.panta(&["why", &runs[0]]).expect(0).out.contains(&format!("resume {}", runs[0])));
    place.panta(&["run", "--resume", &runs[0]]).expect(1);
    place.panta(&["resume", &runs[0]]).expect(0);
    place.panta(&["pause", "--workflow", "w"]).expect(0);
    assert!(place.panta(&["why", &runs[0]]).expect(0).out.contains("resume --workflow w"));
    place.panta(&["resume", "--workflow", "w"]).expect(0);
    assert_eq!(place.panta(&["run", "--resume", &runs[0]]).expect(0).out, "2\n");
    assert!(place.panta(&["pause", "--all"]).expect(0).out.contains("everything is paused"));
}

#[test]
fn a_repaired_run_is_shown_and_replayed_as_it_went_on() {
    let (place, runs) = failed(FAILS, 1);
    fix(&place);
    place.panta(&["retry", &runs[0], "--yes", "--reason", "the file came"]).expect(0);
    place.panta(&["run", "--resume", &runs[0]]).expect(0);
    let shown = place.panta(&["show", &runs[0]]).expect(0).out;
    assert!(shown.contains("retry") && shown.contains("the file came") && !shown.contains("not yet"), "{shown}");
    assert!(place.panta(&["why", &runs[0]]).expect(0).out.contains("nothing is wrong"));
    assert!(place.panta(&["replay", &runs[0]]).expect(0).out.contains("where it ended"));
    let drawn = place.panta(&["graph", "--run", &runs[0], "--format", "mermaid"]).expect(0).out;
    assert!(drawn.contains(" done\n") && !drawn.contains("classDef failed"), "{drawn}");
    place.panta(&["record", &runs[0]]).expect(0);
    assert!(std::fs::read_to_string(place.path().join("w.test.rhai")).unwrap().contains("assert_eq(t.output(), 2)"));
}

#[test]
fn a_run_with_a_result_set_by_hand_replays_and_is_no_test() {
    let (place, runs) = failed(r#"fn main() { let b = step("b", || throw "no"); b }"#, 1);
    place.panta(&["set-result", &runs[0], "b", "7"]).expect(0);
    place.panta(&["run", "--resume", &runs[0]]).expect(0);
    assert!(place.panta(&["show", &runs[0]]).expect(0).out.contains("set-result"));
    assert!(place.panta(&["replay", &runs[0]]).expect(0).out.contains("b  int  7"));
    let refused = place.panta(&["record", &runs[0]]).expect(1).err;
    assert!(refused.contains("set by hand (`set-result`)") && refused.contains("t.mock_step"), "{refused}");
}

#[test]
fn a_copy_from_inside_of_a_lock_is_refused_and_says_what_to_do() {
    let script = r#"fn main() { step("a", || 1); lock("till", || step("b", || throw "no")) }"#;
    let (place, runs) = failed(script, 1);
    let refused = place.panta(&["fork", &runs[0], "--at", "b"]).expect(1).err;
    assert!(refused.contains("inside of a lock at `b`") && refused.contains("before the lock"), "{refused}");
    place.panta(&["fork", &runs[0], "--at", "a", "--set", "2"]).expect(0);
}
