//! Times that have passed get their runs.

use super::*;

const DAILY: (&str, &str) = (
    "w",
    "trigger::cron(\"0 8 * * *\", #{ input: |t| t.scheduled_at }); trigger::webhook(\"in\"); fn main(i) { [i, trigger::info()] }",
);

fn ask(bench: &Bench, more: &Value) -> Answer {
    let mut body = json!({ "from": "2026-03-01T00:00Z", "to": "2026-03-05T00:00Z" });
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    bench.post("/api/v1/workflows/w/backfill", &body)
}

fn count(answer: &Value, list: &str) -> usize {
    answer[list].as_array().map_or(0, Vec::len)
}

#[test]
fn what_is_missing_is_started_in_order_and_never_twice() {
    let bench = Bench::new(&[DAILY]);
    let dry = ask(&bench, &json!({ "dry_run": true })).expect(200).json();
    assert_eq!((&dry["count"], &dry["existing"], count(&dry, "times"), bench.runs()), (&json!(4), &json!(0), 4, 0));
    let first = ask(&bench, &json!({ "only_missing": true, "limit": 3 })).expect(200).json();
    assert_eq!((count(&first, "started"), &first["next"]), (3, &json!("2026-03-04T08:00:00.000Z")));
    let days: Vec<_> = (1..=3).map(|day| format!("2026-03-0{day}T08:00:00.000Z")).collect();
    let started = first["started"].as_array().expect("a list");
    assert_eq!(started.iter().map(|one| one["at"].clone()).collect::<Vec<_>>(), days);
    let rest = ask(&bench, &json!({ "only_missing": true })).expect(200).json();
    assert_eq!((count(&rest, "started"), &rest["existing"], &rest["next"]), (1, &json!(3), &Value::Null));
    let none = ask(&bench, &json!({ "only_missing": true })).expect(200).json();
    assert_eq!((&none["count"], bench.runs()), (&json!(0), 4));
}

#[test]
fn a_run_knows_its_time_that_it_was_made_up_for_and_by_whom() {
    let bench = Bench::new(&[DAILY]);
    let first = ask(&bench, &json!({ "limit": 1 })).expect(200).json();
    let run: crate::id::RunId = first["started"][0]["run"].as_str().expect("a run").parse().expect("an id");
    let row = bench.block(bench.app.handle.ended(run)).expect("ends");
    let output = row.output.expect("an output").to_json();
    let at = json!("2026-03-01T08:00:00.000Z");
    assert_eq!((&output[0], &output[1]["scheduled_at"], &output[1]["backfill"]), (&at, &at, &json!(true)));
    assert!(output[1]["by"].is_string() && row.priority == -1, "{output}");
    assert_eq!(
        bench.get("/api/v1/audit").json()["acts"][0]["subject"],
        json!(run),
        "{}",
        bench.get("/api/v1/audit").text
    );
}

#[test]
fn without_only_missing_all_are_started_anew_but_a_repeated_request_starts_none() {
    let bench = Bench::new(&[DAILY]);
    ask(&bench, &json!({})).expect(200);
    assert_eq!(ask(&bench, &json!({ "dry_run": true })).json()["existing"], 4);
    let body = json!({ "from": "2026-03-01T00:00Z", "to": "2026-03-05T00:00Z" }).to_string();
    let again = || bench.send("POST /api/v1/workflows/w/backfill", &[("idempotency-key", "k")], body.clone());
    assert_eq!((count(&again().expect(200).json(), "started"), bench.runs()), (4, 8));
    assert_eq!((count(&again().expect(200).json(), "there"), bench.runs()), (4, 8));
}

#[test]
fn the_concurrency_of_the_workflow_holds_and_what_it_drops_is_told() {
    let script = "workflow(#{ concurrency: #{ limit: 1, on_conflict: \"skip\" } });
        trigger::cron(\"0 8 * * *\"); fn main() { wait_for(\"go\") }";
    let bench = Bench::new(&[("w", script)]);
    let done = ask(&bench, &json!({ "only_missing": true })).expect(200).json();
    assert_eq!((count(&done, "started"), count(&done, "refused"), bench.runs()), (1, 3, 1));
    assert!(done["refused"][0]["reason"].as_str().is_some_and(|reason| reason.starts_with("skipped")));
}

#[test]
fn times_that_have_not_come_are_left_out() {
    let bench = Bench::new(&[DAILY]);
    let done = ask(&bench, &json!({ "from": "2999-01-01T00:00Z", "to": "2999-02-01T00:00Z" })).expect(200).json();
    assert_eq!((&done["count"], bench.runs()), (&json!(0), 0));
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_way_out() {
    let two = "trigger::cron(\"0 8 * * *\"); trigger::every(\"1h\"); fn main() { 1 }";
    let bench = Bench::new(&[("w", two), ("hook", "trigger::webhook(\"in\"); fn main(i) { 1 }")]);
    let detail =
        |status, more: Value| ask(&bench, &more).expect(status).json()["detail"].as_str().expect("why").to_owned();
    assert!(detail(422, json!({})).contains("say which by `trigger`: `cron:0 8 * * *`, `every:1h`"));
    assert!(detail(422, json!({ "trigger": "x" })).contains("no such schedule"));
    assert!(detail(422, json!({ "trigger": "every:1h", "to": "2026-01-01T00:00Z" })).contains("not before"));
    assert!(detail(400, json!({ "from": "yesterday" })).contains("`from`"));
    assert!(detail(400, json!({ "limit": 0 })).contains("`limit`"));
    assert_eq!(ask(&bench, &json!({ "trigger": "1h", "dry_run": true })).expect(200).json()["count"], 96);
    let body = json!({ "from": "2026-03-01T00:00Z", "to": "2026-03-05T00:00Z" });
    bench.post("/api/v1/workflows/hook/backfill", &body).expect(422);
    bench.post("/api/v1/workflows/none/backfill", &body).expect(404);
    bench.post("/api/v1/workflows/broken/backfill", &body).expect(409);
}

#[test]
fn each_trigger_shows_what_is_next_what_it_started_and_what_it_refused() {
    let script = "trigger::cron(\"0 8 * * *\"); trigger::webhook(\"in\", #{ when: |r| r.body == 1 });
        trigger::event(\"a\", #{ when: |e| e.x }); fn main(i) { i }";
    let bench = Bench::new(&[("w", script)]);
    let run = bench.send("POST /hooks/in", &[], "1").expect(202).json()["run"].clone();
    bench.send("POST /hooks/in", &[], "2").expect(200);
    bench.post("/api/v1/events", &json!({ "name": "a", "payload": 1 })).expect(202);
    let shown = bench.get("/api/v1/workflows/w").expect(200).json()["triggers"].clone();
    assert_eq!((count(&shown[0], "next"), &shown[0]["last_start"]), (3, &Value::Null));
    assert_eq!((&shown[1]["last_start"]["run"], &shown[1]["next"]), (&run, &json!([])));
    assert_eq!(shown[1]["last_refusal"]["reason"], "its `when` gave `false`");
    let said = shown[2]["last_refusal"]["reason"].as_str().unwrap_or_default();
    assert!(said.contains("`when` of event:a failed"), "{said}");
}
