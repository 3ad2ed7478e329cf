//! Holding, retrying and repairing runs over HTTP.

use super::*;

const FAILS: &str = r#"
    fn main() {
        let a = step("a", #{ undo: |a| log::info("undone") }, || 1);
        step("b", || { if state::get("ok", false) != 1 { throw "not yet" } a + 1 })
    }"#;

/// A bench with a failed run of `w`, and its path.
fn failed() -> (Bench, String) {
    let bench = Bench::new(&[("w", FAILS)]);
    let run = bench.post("/api/v1/workflows/w/runs?wait=30s", &json!({})).expect(200).json();
    assert_eq!(run["status"], "failed");
    let path = format!("/api/v1/runs/{}", run["run"].as_str().expect("an id"));
    (bench, path)
}

fn ended(bench: &Bench, path: &str) -> Value {
    let run = path.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id");
    bench.block(bench.engine.handle().ended(run)).expect("ends").to_json()
}

#[test]
fn what_would_be_done_again_has_to_be_confirmed() {
    let (bench, path) = failed();
    let asked = bench.post(&format!("{path}/retry"), &json!({})).expect(409).json();
    assert_eq!(asked["confirm"], json!(["a"]));
    bench.post(&format!("{path}/retry"), &json!({ "from": "c", "confirm": true })).expect(404);
    let answer = bench.post(&format!("{path}/retry"), &json!({ "confirm": true })).expect(200).json();
    assert_eq!((&answer["from"], &answer["again"]), (&json!("1"), &json!(["a"])));
    assert_eq!(ended(&bench, &path)["status"], "failed");
}

#[test]
fn a_result_is_set_and_a_copy_is_made() {
    let (bench, path) = failed();
    bench.post(&format!("{path}/set-result"), &json!({ "step": "b" })).expect(400);
    bench.post(&format!("{path}/skip"), &json!({ "step": "b", "value": 1 })).expect(400);
    let undone = bench.post(&format!("{path}/set-result"), &json!({ "step": "b", "value": 7 })).expect(409).json();
    assert!(undone["detail"].as_str().is_some_and(|detail| detail.contains("panta retry")), "{undone}");
    let copy = bench.post(&format!("{path}/fork"), &json!({ "at": "b", "set": null })).expect(202).json();
    let copy = format!("/api/v1/runs/{}", copy["run"].as_str().expect("an id"));
    assert_eq!((&ended(&bench, &copy)["status"], &ended(&bench, &copy)["output"]), (&json!("completed"), &json!(null)));
}

#[test]
fn many_are_counted_and_acted_on() {
    let (bench, _) = failed();
    bench.post("/api/v1/runs/retry", &json!({})).expect(400);
    let counted = bench.post("/api/v1/runs/retry", &json!({ "workflow": "w", "dry_run": true })).expect(200).json();
    assert_eq!(counted, json!({ "matched": 1, "done": [], "refused": [] }));
    let refused = bench.post("/api/v1/runs/retry", &json!({ "workflow": "w" })).expect(200).json();
    assert_eq!((&refused["matched"], refused["refused"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    let none = bench.post("/api/v1/runs/cancel", &json!({ "workflow": "w" })).expect(200).json();
    assert_eq!(none["matched"], 0);
}

#[test]
fn a_workflow_and_everything_are_held() {
    let bench = Bench::new(&[("w", "1")]);
    bench.post("/api/v1/workflows/x/pause", &json!({})).expect(404);
    for (hold, let_go) in [("workflows/w/pause", "workflows/w/resume"), ("pause", "resume")] {
        let changed = bench.post(&format!("/api/v1/{hold}"), &json!({ "reason": "a look" })).expect(200).json();
        assert_eq!((&changed["paused"], &changed["changed"]), (&json!(true), &json!(true)));
        assert_eq!(bench.get("/api/v1/workflows/w").expect(200).json()["paused"]["reason"], "a look");
        let run = bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202).json();
        let path = format!("/api/v1/runs/{}", run["run"].as_str().expect("an id"));
        let row = bench.get(&path).expect(200).json();
        assert_eq!((&row["status"], row["paused"].is_object()), (&json!("queued"), true));
        bench.post(&format!("/api/v1/{let_go}"), &json!({})).expect(200);
        assert_eq!(ended(&bench, &path)["status"], "completed");
    }
}
