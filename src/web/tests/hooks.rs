//! Webhooks: who may, what arrives, what is answered.

use super::*;
use tokio_stream::StreamExt as _;

const GITHUB: (&str, &str) = (
    "deploy",
    "trigger::webhook(\"deploy\", #{ verify: hmac(\"github\", secret(\"hook\")) }); fn main(i) { trigger::info() }",
);
/// The signature of `Hello, World!` in GitHub's documentation.
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn hello(bench: &Bench, signature: &str, body: &'static str) -> Answer {
    let headers = [
        ("x-hub-signature-256", signature),
        ("x-github-delivery", "72d3162e"),
        ("content-type", "text/plain"),
        ("host", "tunnel.example"),
    ];
    bench.send("POST /hooks/deploy", &headers, body)
}

#[test]
fn a_good_signature_starts_one_run() {
    let bench = Bench::new(&[GITHUB]);
    let run = hello(&bench, SIGNATURE, "Hello, World!").expect(202).json()["run"].clone();
    let again = hello(&bench, SIGNATURE, "Hello, World!").expect(202).json();
    assert_eq!(again, json!({ "run": run, "repeated": true }));
    assert_eq!(bench.runs(), 1);
}

#[test]
fn a_bad_signature_starts_none() {
    let bench = Bench::new(&[GITHUB]);
    let flipped = SIGNATURE.replace("757", "756");
    hello(&bench, &flipped, "Hello, World!").expect(401);
    hello(&bench, SIGNATURE, "Hello, world!").expect(401);
    hello(&bench, "", "Hello, World!").expect(401);
    bench.send("POST /hooks/deploy", &[], "Hello, World!").expect(401);
    assert_eq!(bench.runs(), 0);
}

/// What a stranger sees of a request, whatever it came to.
#[test]
fn strangers_cannot_tell_which_webhooks_there_are() {
    let open = ("open", "trigger::webhook(\"open\", #{ verify: bearer(secret(\"pass\")) }); fn main(i) { 1 }");
    let bench = Bench::new(&[GITHUB, open]);
    let seen = |line: &str, host: &str, headers: &[(&str, &str)]| {
        let headers = [&[("host", host)], headers].concat();
        let answer = bench.send(line, &headers, "x");
        (answer.status, answer.headers, answer.text)
    };
    let unknown = seen("POST /hooks/none", "tunnel.example", &[]);
    let wrong = [("x-hub-signature-256", SIGNATURE)];
    for (line, headers) in [
        ("POST /hooks/deploy", &wrong[..]),
        ("POST /hooks/deploy", &[]),
        ("GET /hooks/deploy", &[]),
        ("POST /hooks/open", &[("authorization", "Bearer wrong")]),
        ("POST /hooks/open", &[("authorization", "Basic wrong")]),
    ] {
        assert_eq!(seen(line, "tunnel.example", headers), unknown, "{line}");
    }
    assert_eq!(unknown.0, StatusCode::UNAUTHORIZED);
    let told = |line: &str| seen(line, "localhost", &[]).0.as_u16();
    let statuses = ["POST /hooks/none", "GET /hooks/deploy", "POST /hooks/deploy"].map(told);
    assert_eq!((statuses, bench.runs()), ([404, 405, 401], 0), "on its own machine it says which");
}

#[test]
fn passwords_are_checked_and_reach_no_run() {
    let script = "trigger::webhook(\"in\", #{ verify: basic(\"ann\", secret(\"pass\")), respond: \"output\" }); fn main(i) { trigger::info() }";
    let bench = Bench::new(&[("w", script)]);
    let send = |password: &str| {
        use base64::Engine as _;
        let given = base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}"));
        bench.send(
            "POST /hooks/in?a=1",
            &[("authorization", &format!("Basic {given}")), ("cookie", "c"), ("x-a", "b")],
            "",
        )
    };
    assert_eq!(send("wrong").expect(401).headers["www-authenticate"], "Basic");
    let info = send("open sesame").expect(200).json();
    assert_eq!(
        (&info["kind"], &info["path"], &info["method"], &info["query"]),
        (&json!("webhook"), &json!("in"), &json!("POST"), &json!({"a": "1"}))
    );
    assert_eq!(info["headers"], json!({ "host": "localhost:7262", "x-a": "b" }));
}

#[test]
fn a_secret_that_is_not_set_lets_nobody_in() {
    let bench =
        Bench::new(&[("w", "trigger::webhook(\"in\", #{ verify: bearer(secret(\"none\")) }); fn main(i) { 1 }")]);
    let answer = bench.send("POST /hooks/in", &[("authorization", "Bearer ")], "").expect(500);
    assert!(!answer.text.contains("none") && bench.runs() == 0, "{}", answer.text);
}

#[test]
fn fifty_equal_deliveries_at_once_are_one_run() {
    let bench = Bench::new(&[("w", "trigger::webhook(\"in\", #{ dedupe: \"X-Id\" }); fn main(i) { i }")]);
    let mut all = tokio::task::JoinSet::new();
    let runs = bench.block(async {
        for _ in 0..50 {
            all.spawn(answer(bench.router.clone(), request("POST /hooks/in", &[("x-id", "7")], "{\"n\":1}")));
        }
        all.join_all().await
    });
    let runs: std::collections::BTreeSet<_> =
        runs.into_iter().map(|answer| answer.expect(202).json()["run"].to_string()).collect();
    assert_eq!((runs.len(), bench.runs()), (1, 1));
    bench.send("POST /hooks/in", &[("x-id", "8")], "{\"n\":1}").expect(202);
    assert_eq!(bench.runs(), 2);
}

#[test]
fn the_output_is_the_answer_where_the_workflow_says_so() {
    let script = r#"
        trigger::webhook("in", #{ respond: "output", methods: ["get", "PUT"] });
        fn main(i) { if i == () { throw "empty" } #{ status: 201, headers: #{ "X-Made": "yes" }, body: `<p>${i.a}</p>` } }"#;
    let bench = Bench::new(&[("w", script)]);
    let answer =
        bench.send("PUT /hooks/in/", &[("content-type", "application/x-www-form-urlencoded")], "a=1+2").expect(201);
    assert_eq!((answer.text.as_str(), &answer.headers["x-made"]), ("<p>1 2</p>", &"yes".parse().expect("a value")));
    assert_eq!(answer.headers["content-security-policy"], "sandbox");
    assert!(bench.get("/hooks/in").expect(500).json()["run"].is_string());
    assert_eq!(bench.send("POST /hooks/in", &[], "").expect(405).headers["allow"], "GET, PUT");
}

/// A page that a workflow makes acts in nobody's name here.
#[test]
fn an_answer_cannot_act_for_this_server() {
    let script = r#"trigger::webhook("in", #{ respond: "output", methods: ["GET"] });
        fn main(i) { #{ status: 200, headers: #{ HEADER: "x" }, body: "<script>alert(1)</script>" } }"#;
    let answer = |header: &str| Bench::new(&[("w", &script.replace("HEADER", header))]).get("/hooks/in");
    for header in ["\"Clear-Site-Data\"", "\"Service-Worker-Allowed\""] {
        assert!(answer(header).expect(500).json()["detail"].as_str().is_some_and(|why| why.contains("whole server")));
    }
    for header in ["\"Content-Security-Policy\"", "\"X-Content-Type-Options\""] {
        let headers = answer(header).expect(200).headers;
        let texts =
            |name: &str| headers.get_all(name).iter().map(|text| text.to_str().expect("text")).collect::<Vec<_>>();
        assert_eq!(texts("content-security-policy"), ["sandbox"]);
        assert_eq!(texts("x-content-type-options"), ["nosniff"]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let script = "workflow(#{ input: #{ n: \"int\" } }); trigger::webhook(\"in\"); fn main(i) { i.n }";
    let bench = Bench::new(&[("w", script)]);
    let json = [("content-type", "application/json")];
    assert_eq!(bench.send("POST /hooks/in", &json, "{}").expect(422).json()["errors"][0]["path"], "n");
    bench.send("POST /hooks/in", &json, "{").expect(400);
    bench.send("POST /hooks/in", &[("content-length", "1048577")], "").expect(413);
    let chunks = tokio_stream::iter([vec![b'x'; 1 << 20], vec![b'x']]).map(Ok::<_, std::io::Error>);
    bench.send("POST /hooks/in", &json, Body::from_stream(chunks)).expect(413);
    assert_eq!(bench.runs(), 0);
}

#[test]
fn a_request_is_taken_when_its_closure_says_so_and_as_its_closure_makes_it() {
    let script = r#"
        trigger::webhook("in", #{
            respond: "output",
            when: |req| req.query.a == "1" && req.method == "POST" && req.headers["x-kind"] == "order",
            input: |req| #{ id: req.body.id, from: req.path },
        });
        fn main(i) { i }"#;
    let bench = Bench::new(&[("w", script)]);
    let send = |line: &str, kind: &str| bench.send(line, &[("x-kind", kind)], "{\"id\":7}").expect(200).json();
    assert_eq!(send("POST /hooks/in?a=1", "order"), json!({ "id": 7, "from": "in" }));
    assert_eq!(send("POST /hooks/in?a=2", "order"), json!({ "run": null, "skipped": "when" }));
    assert_eq!(send("POST /hooks/in?a=1", "other"), json!({ "run": null, "skipped": "when" }));
    assert_eq!(bench.runs(), 1);
}

#[test]
fn a_closure_that_fails_starts_nothing_and_says_where() {
    let said_by = |script: &str| {
        let bench = Bench::new(&[("w", script)]);
        let detail = bench.send("POST /hooks/in", &[], "{\"n\":1}").expect(500).json()["detail"].to_string();
        assert_eq!(bench.runs(), 0);
        detail
    };
    let said = |closure: &str| said_by(&format!("trigger::webhook(\"in\", #{{ {closure} }});\nfn main(i) {{ 1 }}"));
    let thrown = said("when: |r| { throw \"no \" + r.body.n }");
    assert!(thrown.contains("`when` of webhook:in failed: no 1 (w.rhai:1:"), "{thrown}");
    assert!(said("when: |r| 1").contains("must give `true` or `false`, not an integer"));
    assert!(said("dedupe: |r| [1]").contains("must give a text, an integer or `()`, not a list"));
    assert!(said("input: |r| || 1").contains("what is no data"));
    // Written beside the declaration, where the check does not see it.
    let beside = "const W = |r| state::get(\"x\") == 1;\ntrigger::webhook(\"in\", #{ when: W });\nfn main(i) { 1 }";
    assert!(said_by(beside).contains("must be pure"));
    assert!(said("when: |r| { let a = []; loop { a.push(\"x\".to_upper()) } }").contains("limit"));
}

#[test]
fn an_endless_condition_holds_up_no_other_request() {
    let endless = "trigger::webhook(\"in\", #{ when: |r| { loop {} } }); fn main(i) { 1 }";
    let bench = Bench::new(&[("w", endless), ("other", "trigger::webhook(\"other\"); fn main(i) { 1 }")]);
    let (first, other) = bench.block(async {
        let first = tokio::spawn(answer(bench.router.clone(), request("POST /hooks/in", &[], "")));
        tokio::task::yield_now().await;
        let other = answer(bench.router.clone(), request("POST /hooks/other", &[], "")).await;
        let is_over = first.is_finished();
        (first.await.expect("ends"), (other, is_over))
    });
    assert!(!other.1, "the other one was answered first");
    other.0.expect(202);
    assert!(first.expect(500).json()["detail"].to_string().contains("CPU limit"));
    let again = bench.send("POST /hooks/in", &[], "").expect(500).json()["detail"].to_string();
    assert!(again.contains("not asked again"), "{again}");
}

#[test]
fn a_closure_tells_deliveries_apart() {
    let script = "trigger::webhook(\"in\", #{ dedupe: |req| req.body.id }); fn main(i) { i.n }";
    let bench = Bench::new(&[("w", script)]);
    let send = |body: &'static str| bench.send("POST /hooks/in", &[], body).expect(202).json();
    let first = send("{\"id\":\"a\",\"n\":1}");
    assert_eq!(send("{\"id\":\"a\",\"n\":2}"), json!({ "run": first["run"], "repeated": true }));
    send("{\"id\":\"b\",\"n\":1}");
    send("{\"n\":1}");
    send("{\"n\":1}");
    assert_eq!(bench.runs(), 4);
}

#[test]
fn the_closures_of_a_bare_script_are_asked_without_running_it() {
    let script = "const LEAST = 2;
        trigger::webhook(\"in\", #{ when: |r| r.body.n > LEAST, respond: \"output\" });
        state::add(\"runs\", 1)";
    let bench = Bench::new(&[("w", script)]);
    let send = |body: &'static str| bench.send("POST /hooks/in", &[], body).expect(200).json();
    assert_eq!((send("{\"n\":2}")["skipped"].clone(), send("{\"n\":3}")), (json!("when"), json!(1)));
}

#[test]
fn a_delivery_is_new_again_after_its_time() {
    let script = "trigger::webhook(\"in\", #{ dedupe: \"X-Id\", within: \"1ms\" }); fn main(i) { 1 }";
    let bench = Bench::new(&[("w", script)]);
    let send = || answer(bench.router.clone(), request("POST /hooks/in", &[("x-id", "1")], ""));
    bench.block(async {
        let first = send().await.expect(202).json()["run"].clone();
        while send().await.expect(202).json()["run"] == first {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn what_is_gathered_is_shown_until_it_starts() {
    let bench = Bench::new(&[("w", "trigger::event(\"a\", #{ debounce: \"1h\" }); fn main(i) { 1 }")]);
    bench.post("/api/v1/events", &json!({ "name": "a", "key": "k", "payload": 1 })).expect(202);
    let shown = bench.get("/api/v1/workflows/w").expect(200).json()["gathered"].clone();
    let (trigger, key, events) = (&shown[0]["trigger"], &shown[0]["key"], &shown[0]["events"]);
    assert_eq!((trigger, key, events), (&json!("event:a"), &json!("k"), &json!(1)));
    assert!(shown[0]["due"].as_str() > shown[0]["since"].as_str());
}

#[test]
fn a_webhook_without_its_secret_names_it_to_the_operator_alone() {
    let script = "trigger::webhook(\"in\", #{ verify: hmac(\"github\", secret(\"absent\")) });\nfn main() { 1 }";
    let bench = Bench::new(&[("w", script)]);
    let sent = bench.post("/hooks/in", &json!({})).expect(500);
    assert!(!sent.text.contains("absent"), "{}", sent.text);
    let refusal = bench.get("/api/v1/workflows/w").json()["triggers"][0]["last_refusal"]["reason"].clone();
    assert!(refusal.as_str().is_some_and(|reason| reason.contains("absent")), "{refusal}");
    let refused = bench.get("/api/v1/workflows").json()["workflows"][0]["refused"][0].clone();
    assert_eq!((&refused["trigger"], &refused["count"]), (&json!("webhook:in"), &json!(1)), "{refused}");
    let deployed = bench.engine.handle().workflow("w").expect("is there");
    let why =
        crate::trigger::receive::unusable(bench.engine.handle().secrets(), &deployed.triggers[0].options["verify"]);
    assert!(why.as_deref().is_some_and(|why| why.contains("absent")), "{why:?}");
}
