//! Workflows, runs, what is refused, and what describes.

use super::*;

const ORDER: &str = r#"
    //! Takes an order.
    workflow(#{ title: "Order", input: #{ id: "string", lines: [#{ qty: "int" }] } });
    fn main(order) { log::info("taken", #{ id: order.id }); order.id }"#;

fn order(id: &str) -> Value {
    json!({ "input": { "id": id, "lines": [{ "qty": 1 }] } })
}

#[test]
fn a_run_is_started_and_looked_at() {
    let bench = Bench::new(&[("shop/order", ORDER)]);
    let answer = bench.post("/api/v1/workflows/shop%2Forder/runs?wait=20s", &order("A1")).expect(200).json();
    assert_eq!((&answer["status"], &answer["output"]), (&json!("completed"), &json!("A1")));
    let run = answer["run"].as_str().expect("an id");
    assert_eq!(bench.get(&format!("/api/v1/runs/{run}")).expect(200).json(), answer);
    let journal = bench.get(&format!("/api/v1/runs/{run}/journal")).expect(200).json();
    assert_eq!((&journal["entries"][0]["kind"], &journal["next"]), (&json!("start"), &Value::Null));
    let logs = bench.get(&format!("/api/v1/runs/{run}/logs")).expect(200).json();
    let line = &logs["logs"][0];
    assert_eq!(
        (&line["level"], &line["message"], &line["fields"]),
        (&json!("info"), &json!("taken"), &json!({"id": "A1"}))
    );
}

#[test]
fn a_run_is_replayed_and_handed_out_whole() {
    let bench = Bench::new(&[("w", "let a = 1;\nlet b = step(\"s\", || a + 1);\ndecimal(\"1.50\")")]);
    let answer = bench.post("/api/v1/workflows/w/runs?wait=20s", &json!({})).expect(200).json();
    let run = answer["run"].as_str().expect("an id");
    let seen = bench.get(&format!("/api/v1/runs/{run}/replay?until=s")).expect(200).json();
    assert_eq!((&seen["stands"], &seen["until"]["name"]), (&json!("returning"), &json!("s")));
    let known = &seen["strands"][0]["frames"][0]["variables"];
    assert!(known.as_array().is_some_and(|all| all.iter().any(|v| v["name"] == "a" && v["value"] == "1")), "{seen}");
    bench.get(&format!("/api/v1/runs/{run}/replay?until=t")).expect(404);
    let whole = bench.get(&format!("/api/v1/runs/{run}/recording")).expect(200).json();
    let recording = crate::engine::recording::Recording::from_json(&whole).expect("reads");
    assert_eq!(
        recording.0[0].outcome.as_ref().and_then(|o| o.as_ref().ok()).map(crate::payload::Payload::text),
        Some("{\"$decimal\":\"1.50\"}")
    );
}

#[test]
fn a_workflow_has_its_graph() {
    let bench = Bench::new(&[("w", "trigger::event(\"go\");\nfn main(order) { sleep(\"1h\") }")]);
    let graph = bench.get("/api/v1/workflows/w").expect(200).json()["graph"].clone();
    let kinds: Vec<_> = graph["nodes"].as_array().expect("a list").iter().map(|node| node["kind"].clone()).collect();
    assert_eq!(kinds, ["trigger", "start", "wait", "end"]);
    assert_eq!((&graph["edges"][1]["from"], &graph["edges"][1]["to"]), (&json!("start"), &json!("n2_18")));
}

#[test]
fn without_wait_a_start_is_accepted_and_a_key_starts_once() {
    let bench = Bench::new(&[("w", "input")]);
    let start = |input: Value| {
        bench.send("POST /api/v1/workflows/w/runs", &[("idempotency-key", "k")], json!({ "input": input }).to_string())
    };
    let first = start(json!(1)).expect(202);
    let run = first.json()["run"].clone();
    assert_eq!(first.headers["location"], format!("/api/v1/runs/{}", run.as_str().expect("an id")));
    assert_eq!(start(json!(1)).expect(202).json(), json!({ "run": run, "repeated": true }));
    assert_eq!(start(json!(2)).expect(409).json()["run"], run);
}

#[test]
fn an_empty_body_is_no_input_and_a_slow_run_is_not_waited_for() {
    let bench = Bench::new(&[("w", "sleep(\"1h\"); input")]);
    bench.send("POST /api/v1/workflows/w/runs?wait=1ms", &[], "").expect(202);
    assert_eq!(bench.get("/api/v1/runs").json()["runs"][0]["input"], Value::Null);
}

#[test]
fn input_that_does_not_fit_is_refused_with_every_path() {
    let bench = Bench::new(&[("order", ORDER)]);
    let bad = json!({ "input": { "lines": [{ "qty": "two" }, {}] } });
    let errors = bench.post("/api/v1/workflows/order/runs", &bad).expect(422).json()["errors"].clone();
    let paths: Vec<_> =
        errors.as_array().expect("a list").iter().map(|error| error["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["id", "lines[0].qty", "lines[1].qty"]);
    assert_eq!(bench.runs(), 0);
}

#[test]
fn what_is_not_there_is_named() {
    let bench = Bench::new(&[("order", ORDER)]);
    let detail = bench.post("/api/v1/workflows/ordr/runs", &order("x")).expect(404).json()["detail"].clone();
    assert!(detail.as_str().expect("text").contains("did you mean `order`?"), "{detail}");
    let broken = bench.post("/api/v1/workflows/broken/runs", &order("x")).expect(409).json();
    assert_eq!(broken["diagnostics"][0]["line"], 3);
    bench.get("/api/v1/workflows/broken").expect(409);
    for path in
        ["/api/v1/runs/x", "/api/v1/runs/0198c0de-0000-7000-8000-000000000000/journal", "/nothing", "/hooks/none"]
    {
        bench.get(path).expect(404);
    }
}

#[test]
fn requests_that_cannot_be_understood_are_refused() {
    let bench = Bench::new(&[("order", ORDER)]);
    for body in ["{", "[]", r#"{"order": 1}"#] {
        bench.send("POST /api/v1/workflows/order/runs", &[], body).expect(400);
    }
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "since=yesterday", "status=done", "state=failed"] {
        bench.get(&format!("/api/v1/runs?{query}")).expect(400);
    }
    bench.send("POST /api/v1/workflows/order/runs?wait=soon", &[], "").expect(400);
    bench.send("POST /api/v1/workflows/order/runs", &[("idempotency-key", "")], "").expect(400);
    bench.send("DELETE /api/v1/runs", &[], "").expect(405);
    bench.send("POST /api/v1/events", &[], vec![b' '; (1 << 20) + 1]).expect(413);
}

#[test]
fn pages_are_walked_by_cursor_and_filters_hold() {
    let bench = Bench::new(&[("a", "1"), ("b", "throw \"no\"")]);
    for workflow in ["a", "a", "a", "b"] {
        bench.post(&format!("/api/v1/workflows/{workflow}/runs?wait=20s"), &json!({})).expect(200);
    }
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = bench.get(&format!("/api/v1/runs?workflow=a&limit=2{next}")).expect(200).json();
        seen.extend(page["runs"].as_array().expect("a list").iter().map(|run| run["run"].to_string()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert!(seen.len() == 3 && seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let count = |query: &str| bench.get(&format!("/api/v1/runs?{query}")).json()["runs"].as_array().map(Vec::len);
    assert_eq!(
        (count("status=failed"), count("status=failed,completed"), count("since=1h")),
        (Some(1), Some(4), Some(4))
    );
}

#[test]
fn workflows_say_what_they_declare_and_how_their_runs_stand() {
    let bench = Bench::new(&[("order", ORDER)]);
    bench.post("/api/v1/workflows/order/runs?wait=20s", &order("x")).expect(200);
    let list = bench.get("/api/v1/workflows").expect(200).json();
    let shown = &list["workflows"][0];
    assert_eq!(
        (&shown["name"], &shown["title"], &shown["counts"]),
        (&json!("order"), &json!("Order"), &json!({"completed": 1}))
    );
    let one = bench.get("/api/v1/workflows/order").expect(200).json();
    assert!(
        one["doc"].as_str().expect("text").contains("Takes an order") && one["declaration"]["input"].is_object(),
        "{one}"
    );
}

#[test]
fn a_run_is_cancelled_once() {
    let bench = Bench::new(&[("w", "sleep(\"1h\")")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().expect("an id").to_owned();
    bench.post(&format!("/api/v1/runs/{run}/cancel"), &json!({ "reason": "enough" })).expect(202);
    let ended = bench.block(bench.engine.handle().ended(run.parse().expect("an id"))).expect("ends");
    assert_eq!((ended.status.name(), &ended.to_json()["error"]["message"]), ("cancelled", &json!("enough")));
    assert_eq!(
        bench.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).expect(409).json()["run_status"],
        "cancelled"
    );
}

#[test]
fn foreign_names_and_pages_are_turned_away() {
    let bench = Bench::new(&[("w", "1")]);
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1:7262", ""] {
        bench.send("GET /api/v1/runs", &[("host", host)], "").expect(421);
    }
    let start = "POST /api/v1/workflows/w/runs";
    for origin in ["http://evil.example", "null", "http://localhost:3000", "http://localhost:7262.evil.example"] {
        bench.send(start, &[("origin", origin)], "").expect(403);
    }
    bench.send(start, &[("origin", "http://localhost:7262")], "").expect(202);
    bench.send("GET /api/v1/runs", &[("host", "[::1]:7262")], "").expect(200);
    assert_eq!(bench.runs(), 1);
}

#[test]
fn elsewhere_a_token_is_needed() {
    let bench = Bench::new(&[("w", "trigger::webhook(\"open\"); fn main(i) { 1 }")]);
    let router =
        router(App { access: Access { given: Some("t0ken".into()), ..access("0.0.0.0:7262") }, ..bench.app.clone() });
    let send = |line: &str, headers: &[(&str, &str)]| bench.block(answer(router.clone(), request(line, headers, "")));
    for bad in ["", "Bearer", "Bearer t0ke", "Basic t0ken"] {
        send("GET /api/v1/runs", &[("authorization", bad)]).expect(401);
    }
    send("POST /hooks/open", &[]).expect(401);
    send("GET /api/v1/runs", &[("authorization", "Bearer t0ken"), ("host", "panta.example.com")]).expect(200);
    send("GET /healthz", &[("host", "panta.example.com")]).expect(200);
}

#[test]
fn it_is_not_ready_until_open_runs_were_tried_and_answers_meanwhile() {
    let (store, scripts) = (Arc::new(Memory::default()), [("w", "wait_for(\"go\")"), ("fresh", "1")]);
    let bench = Bench::over(Arc::clone(&store), &scripts, |options| options);
    bench.post("/api/v1/workflows/w/runs?wait=1ms", &json!({})).expect(202);
    drop(bench);
    let semantics = crate::engine::Semantics::altered();
    let bench = Bench::over(store, &scripts, |options| Options { semantics, ..options });
    let answer = bench.get("/readyz").expect(503).json();
    assert_eq!(answer["settling"], json!({ "tried": 0, "total": 1 }), "{answer}");
    bench.get("/healthz").expect(200);
    bench.post("/api/v1/workflows/fresh/runs?wait=20s", &json!({})).expect(200);
    let handle = bench.engine.handle();
    handle.recover().expect("reads");
    bench.block(handle.settled());
    bench.get("/readyz").expect(200);
}

#[test]
fn health_metrics_and_reloads_are_shown() {
    let bench = Bench::new(&[("w", "1")]);
    bench.post("/api/v1/workflows/w/runs?wait=20s", &json!({})).expect(200);
    for path in ["/healthz", "/readyz", "/"] {
        bench.get(path).expect(200);
    }
    assert_eq!(bench.get("/api/v1/reloads").expect(200).json()["reloads"][0]["status"], "broken");
    let metrics = bench.get("/metrics").expect(200).text;
    assert!(
        metrics.contains("panta_runs{workflow=\"w\",status=\"completed\"} 1\n") && metrics.contains("panta_up 1\n"),
        "{metrics}"
    );
}

#[test]
fn the_description_names_what_is_there() {
    let bench = Bench::new(&[]);
    let described = bench.get("/openapi.json").expect(200).json();
    for (path, item) in described["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let path = path.replace(['{', '}'], "");
            let answer = bench.send(&format!("{} {path}", method.to_uppercase()), &[], "");
            assert!(
                answer.status != 405 && !answer.text.contains("there is nothing at"),
                "{method} {path}: {}",
                answer.text
            );
        }
    }
}

#[test]
fn a_stopped_engine_takes_nothing() {
    let bench = Bench::new(&[("w", "1")]);
    let Bench { engine, router, runtime, .. } = bench;
    engine.stop();
    let start = request("POST /api/v1/workflows/w/runs", &[], "");
    let refused = runtime.block_on(answer(router, start)).expect(503);
    assert_eq!(refused.headers["retry-after"], "5");
}

#[test]
fn what_is_wrong_with_a_parameter_is_said_in_plain_words() {
    let bench = Bench::new(&[]);
    for (path, said) in [
        ("/api/v1/runs?limit=abc", "`limit` is not a whole number"),
        ("/api/v1/runs?limit=0", "`limit` is from 1 to 1000"),
        ("/api/v1/runs?cursor=", "`cursor` is empty; hint: leave it out"),
        ("/api/v1/runs?cursor=x", "`cursor` is not what `next` of a page said"),
        ("/api/v1/runs?limt=5", "there is no parameter `limt`; hint: did you mean `limit`?"),
        ("/api/v1/tasks?cursor=", "`cursor` is empty"),
        ("/api/v1/events?after=", "`after` is not a whole number"),
    ] {
        let problem = bench.get(path).expect(400).json();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(said)), "{path}: {problem}");
    }
}
