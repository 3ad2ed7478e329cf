//! Events in all forms.

use super::*;

const ON: (&str, &str) = ("on", "trigger::event(\"order.*\"); fn main(order) { order }");

#[test]
fn an_event_starts_what_is_triggered_by_it_once() {
    let bench = Bench::new(&[ON]);
    let event = json!({ "name": "order.placed", "key": "k", "payload": { "n": 1 }, "id": "e1" });
    let first = bench.post("/api/v1/events", &event).expect(202).json();
    assert_eq!((&first["event"], first["started"].as_array().map(Vec::len)), (&json!("e1"), Some(1)));
    let again = bench.post("/api/v1/events", &event).expect(202).json();
    assert_eq!(again, json!({ "event": "e1", "started": [], "delivered_to": [], "repeated": true }));
    let listed = bench.get("/api/v1/events").expect(200).json();
    let shown = &listed["events"][0];
    assert_eq!((&shown["event"], &shown["key"], &shown["payload"]), (&json!("e1"), &json!("k"), &json!({"n": 1})));
}

#[test]
fn cloud_events_are_taken_in_both_forms() {
    let bench = Bench::new(&[ON]);
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "subject": "k", "data": { "n": 1 } });
    let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
    bench.send("POST /api/v1/events", &structured, event.to_string()).expect(202);
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "2"),
        ("ce-source", "/sh%20op"),
        ("ce-type", "order.paid"),
    ];
    bench.send("POST /api/v1/events", &binary, "{\"n\":2}").expect(202);
    let listed = bench.get("/api/v1/events").json();
    let seen: Vec<_> = listed["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| (&e["event"], &e["name"], &e["payload"]["n"]))
        .collect();
    assert_eq!(
        seen,
        [(&json!("/shop 1"), &json!("order.placed"), &json!(1)), (&json!("/sh op 2"), &json!("order.paid"), &json!(2))]
    );
    assert_eq!(bench.runs(), 2);
}

#[test]
fn bad_events_are_refused() {
    let bench = Bench::new(&[]);
    for bad in
        [json!({}), json!({ "name": "a..b" }), json!({ "name": "a", "id": "" }), json!({ "name": "a", "data": 1 })]
    {
        bench.post("/api/v1/events", &bad).expect(400);
    }
    let kind = [("content-type", "application/cloudevents+json")];
    for bad in [
        json!({}),
        json!({ "specversion": "0.3", "id": "1", "source": "/", "type": "a" }),
        json!({ "specversion": "1.0", "id": "1", "type": "a" }),
    ] {
        bench.send("POST /api/v1/events", &kind, bad.to_string()).expect(400);
    }
    bench.send("POST /api/v1/events", &[("content-type", "application/cloudevents-batch+json")], "[]").expect(415);
}

#[test]
fn an_event_for_one_run_reaches_that_run() {
    let bench = Bench::new(&[("w", "fn main() { wait_for(\"go\") }")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().expect("an id").to_owned();
    let to = format!("/api/v1/runs/{run}/events");
    bench.post(&to, &json!({ "name": "go", "payload": 7 })).expect(202);
    let ended = bench.block(bench.engine.handle().ended(run.parse().expect("an id"))).expect("ends");
    assert_eq!(ended.to_json()["output"], 7);
    bench.post(&to, &json!({ "name": "go" })).expect(409);
}

#[test]
fn pages_of_events_follow_each_other() {
    let bench = Bench::new(&[]);
    for n in 0..3 {
        bench.post("/api/v1/events", &json!({ "name": "a", "payload": n })).expect(202);
    }
    let first = bench.get("/api/v1/events?limit=2").json();
    let next = first["next"].as_str().expect("more");
    let second = bench.get(&format!("/api/v1/events?limit=2&after={next}")).json();
    assert_eq!((&second["events"][0]["payload"], &second["next"]), (&json!(2), &Value::Null));
}
