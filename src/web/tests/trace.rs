//! W3C trace context: in with what starts runs, out with the answers.

use serde_json::json;

use super::Bench;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const HOOK: &str = "trigger::webhook(\"in\"); fn main(body) { 1 }";

/// The trace of the run that an answer tells of, and that its header names.
fn trace_of(bench: &Bench, answer: &super::Answer) -> String {
    let run = answer.json()["run"].as_str().expect("a run").to_owned();
    let trace =
        bench.get(&format!("/api/v1/runs/{run}")).expect(200).json()["trace"].as_str().expect("a trace").to_owned();
    let header = answer.headers["traceparent"].to_str().expect("a text");
    assert!(header.starts_with(&format!("00-{trace}-")) && header.ends_with("-01") && header != PARENT, "{header}");
    trace
}

#[test]
fn a_start_belongs_to_the_trace_of_its_request() {
    let bench = Bench::new(&[("w", "1"), ("hook", HOOK)]);
    for line in ["POST /api/v1/workflows/w/runs", "POST /api/v1/workflows/w/runs?wait=60s", "POST /hooks/in"] {
        let answer = bench.send(line, &[("traceparent", PARENT), ("tracestate", "a=1")], "{}");
        assert_eq!(trace_of(&bench, &answer), TRACE, "{line}");
        let answer = bench.send(line, &[("traceparent", "00-nonsense")], "{}");
        let run: uuid::Uuid = answer.json()["run"].as_str().expect("a run").parse().expect("an id");
        assert_eq!(trace_of(&bench, &answer), run.simple().to_string(), "{line}");
    }
}

#[test]
fn a_repeated_start_is_answered_with_the_trace_of_the_run_that_is_there() {
    let bench = Bench::new(&[("w", "1")]);
    let first = [("traceparent", PARENT), ("idempotency-key", "k")];
    bench.send("POST /api/v1/workflows/w/runs", &first, "{}").expect(202);
    let other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01";
    let again = bench.send("POST /api/v1/workflows/w/runs", &[("traceparent", other), ("idempotency-key", "k")], "{}");
    assert_eq!(trace_of(&bench, &again.expect(202)), TRACE);
}

#[test]
fn an_event_and_what_runs_start_in_turn_hand_the_trace_on() {
    let first =
        "trigger::event(\"go\");\nfn main(e) { event::emit(\"next\"); workflow::start(\"child\", ()); throw \"no\" }";
    let bench = Bench::new(&[
        ("first", &format!("workflow(#{{ on_failure: #{{ workflow: \"handler\" }} }});\n{first}")),
        ("second", "trigger::event(\"next\");\nfn main(e) { 1 }"),
        ("child", "1"),
        ("handler", "1"),
        ("after", "trigger::run(\"first\");\nfn main(r) { 1 }"),
    ]);
    let cloud =
        json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "go", "traceparent": PARENT, "data": 1 });
    let kind = [("content-type", "application/cloudevents+json")];
    bench.send("POST /api/v1/events", &kind, cloud.to_string()).expect(202);
    bench.until(|| (bench.runs() == 5).then_some(()));
    let runs = bench.get("/api/v1/runs").json()["runs"].as_array().expect("runs").clone();
    for run in runs {
        assert_eq!(run["trace"], TRACE, "{}", run["workflow"]);
    }
    bench.send("POST /api/v1/events", &[("traceparent", "bad")], json!({ "name": "next" }).to_string()).expect(202);
    bench.until(|| (bench.runs() == 6).then_some(()));
    let newest = &bench.get("/api/v1/runs").json()["runs"][0];
    assert_eq!(newest["trace"].as_str(), newest["run"].as_str().map(|id| id.replace('-', "")).as_deref());
}
