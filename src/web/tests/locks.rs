//! Locks, and starts that are dropped.

use super::*;

#[test]
fn a_dropped_start_says_which_run_is_there() {
    let script = r#"workflow(#{ concurrency: #{ on_conflict: "skip" } }); fn main() { sleep("1h") }"#;
    let bench = Bench::new(&[("w", script)]);
    let first = bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202).json()["run"].clone();
    let refused = bench.post("/api/v1/workflows/w/runs", &json!({})).expect(409).json();
    assert_eq!((&refused["skipped"], &refused["run"]), (&json!(true), &first));
    assert_eq!(bench.runs(), 1);
}

#[test]
fn a_queued_run_shows_its_place_in_line() {
    let script = r#"workflow(#{ concurrency: #{ limit: 1 } }); fn main() { sleep("1h") }"#;
    let bench = Bench::new(&[("w", script)]);
    let start = || bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202).json()["run"].clone();
    let (first, second) = (start(), start());
    let path = format!("/api/v1/runs/{}/locks", second.as_str().expect("an id"));
    let line = bench.get(&path).expect(200).json()["locks"][0].clone();
    assert_eq!(line["name"], "workflow:w");
    let slots: Vec<_> = (0..2).map(|n| (&line["slots"][n]["run"], &line["slots"][n]["place"])).collect();
    assert_eq!(slots, [(&first, &json!(0)), (&second, &json!(1))]);
    assert_eq!(bench.get("/api/v1/locks/workflow:w").expect(200).json()["slots"], line["slots"]);
}

#[test]
fn a_lock_is_not_taken_from_a_run_that_goes_on_unless_forced() {
    let script = r#"workflow(#{ concurrency: #{ limit: 1 } }); fn main() { sleep("1h") }"#;
    let bench = Bench::new(&[("w", script)]);
    bench.post("/api/v1/locks/workflow:w/unlock", &json!({})).expect(404);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202).json()["run"].clone();
    assert_eq!(bench.post("/api/v1/locks/workflow:w/unlock", &json!({})).expect(409).json()["run"], run);
    let freed = bench.post("/api/v1/locks/workflow:w/unlock", &json!({ "force": true })).expect(200).json();
    assert_eq!((&freed["taken_from"], &freed["given_to"]), (&json!([run]), &json!([])));
}
