//! What stands open to everybody: what goes out through it as it was made, and what does not come in.

use super::*;

/// A webhook whose run answers this.
fn answering(output: &str) -> Bench {
    let script = format!("trigger::webhook(\"in\", #{{ respond: \"output\" }}); fn main(i) {{ {output} }}");
    Bench::new(&[("w", &script)])
}

#[test]
fn an_error_that_a_workflow_returns_is_answered_as_it_is() {
    for status in [404, 422, 500, 503] {
        let json = "#{ \"content-type\": \"application/json\", \"x-mine\": \"1\" }";
        let bench = answering(&format!("#{{ status: {status}, headers: {json}, body: #{{ mine: true }} }}"));
        let answer = bench.send("POST /hooks/in", &[], "");
        assert_eq!((answer.status.as_u16(), &*answer.text), (status, "{\"mine\":true}"));
        assert_eq!(
            (&answer.headers["content-type"], &answer.headers["x-mine"]),
            (&"application/json".parse().expect("text"), &"1".parse().expect("text"))
        );
    }
    let answer = answering("#{ status: 400, body: \"no\" }").send("POST /hooks/in", &[], "");
    assert_eq!((answer.status.as_u16(), &*answer.text), (400, "no"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[test]
fn an_error_of_the_run_is_a_problem_all_the_same() {
    answering("throw \"no\"").send("POST /hooks/in", &[], "").expect(500);
    answering("#{ status: 99 }").send("POST /hooks/in", &[], "").expect(500);
}

#[test]
fn no_page_of_another_site_starts_a_run_by_any_way() {
    let script = "trigger::webhook(\"get\", #{ methods: [\"GET\", \"POST\"] }); fn main(i) { 1 }";
    let bench = Bench::new(&[("w", script)]);
    let from = |site: &str, dest: &str, method: &str| {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
        bench.send(&format!("{method} /hooks/get"), &headers, "")
    };
    for dest in ["document", "iframe", "image", "empty"] {
        for method in ["GET", "POST"] {
            from("cross-site", dest, method).expect(403);
            from("same-site", dest, method).expect(403);
        }
    }
    bench.send("GET /hooks/get", &[("origin", "http://evil.example")], "").expect(403);
    assert_eq!(bench.runs(), 0);
    from("none", "document", "GET").expect(202);
    bench.send("GET /hooks/get", &[], "").expect(202);
}

#[test]
fn a_password_that_a_browser_knows_lets_no_other_site_in() {
    let script = "trigger::webhook(\"in\", #{ verify: basic(\"ann\", secret(\"pass\")) }); fn main(i) { 1 }";
    let bench = Bench::new(&[("w", script)]);
    // `ann:open sesame`
    let known = ("authorization", "Basic YW5uOm9wZW4gc2VzYW1l");
    bench.send("POST /hooks/in", &[known, ("sec-fetch-site", "cross-site")], "").expect(403);
    bench.send("POST /hooks/in", &[known, ("origin", "http://evil.example")], "").expect(403);
    bench.send("POST /hooks/in", &[("origin", "http://evil.example")], "").expect(401);
    assert_eq!(bench.runs(), 0);
    bench.send("POST /hooks/in", &[known], "").expect(202);
}

#[test]
fn a_form_to_sign_in_is_small() {
    let bench = Bench::new(&[]);
    bench.send("POST /login", &[], "x".repeat(4_097)).expect(413);
    assert_eq!(bench.send("POST /login", &[], "x".repeat(4_096)).status, StatusCode::UNAUTHORIZED);
}

/// A body of a megabyte that never ends.
fn unfinished() -> Body {
    use tokio_stream::StreamExt as _;
    let piece = Ok::<_, std::io::Error>(vec![b'x'; (1 << 20) - 1]);
    Body::from_stream(tokio_stream::once(piece).chain(tokio_stream::pending()))
}

/// How many of so many requests that never end are turned away at once, and how many wait.
fn turned_away(bench: &Bench, line: &str, host: &str, requests: usize) -> (usize, usize) {
    use std::future::poll_fn;
    use std::task::Poll;
    let ask = |_| Box::pin(answer(bench.router.clone(), request(line, &[("host", host)], unfinished())));
    let mut all: Vec<_> = (0..requests).map(ask).collect();
    bench.block(poll_fn(|context| {
        let mut refused = 0;
        all.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Ready(answer) => {
                answer.expect(503);
                refused += 1;
                false
            }
            Poll::Pending => true,
        });
        Poll::Ready((refused, all.len()))
    }))
}

#[test]
fn bodies_of_strangers_take_no_more_room_than_there_is() {
    let bench = Bench::new(&[("w", "trigger::webhook(\"open\"); fn main(i) { 1 }")]);
    assert_eq!(turned_away(&bench, "POST /hooks/none", "tunnel.example", 100), (36, 64));
    assert_eq!(turned_away(&bench, "POST /hooks/open", "localhost", 100), (36, 64));
    assert_eq!(turned_away(&bench, "POST /api/v1/events", "localhost", 100), (36, 64));
    bench.send("POST /hooks/open", &[], "x").expect(202);
}

/// The lengths of the pages of a list.
fn pages(bench: &Bench, path: &str, field: &str) -> Vec<usize> {
    let (mut lengths, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("{path}?limit=1000{cursor}")).expect(200);
        assert!(page.text.len() < 5 << 20, "{}", page.text.len());
        let page = page.json();
        lengths.push(page[field].as_array().expect("a list").len());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return lengths,
        }
    }
}

#[test]
fn a_list_of_large_rows_comes_in_pages_that_fit_into_memory() {
    let bench = Bench::new(&[("w", "fn main(i) { 1 }")]);
    for _ in 0..6 {
        bench.post("/api/v1/workflows/w/runs", &json!({ "input": "x".repeat(900_000) })).expect(202);
        bench.post("/api/v1/events", &json!({ "name": "a.b", "payload": "x".repeat(900_000) })).expect(202);
    }
    assert_eq!(pages(&bench, "/api/v1/events", "events"), [4, 2]);
    assert_eq!(pages(&bench, "/api/v1/runs", "runs"), [6]);
}

#[test]
fn a_list_leaves_out_what_is_large_and_says_so() {
    let bench = Bench::new(&[("w", "fn main(i) { if i.starts_with(\"!\") { throw i } i + i }")]);
    let start = |input: Value| bench.post("/api/v1/workflows/w/runs?wait=60s", &json!({ "input": input })).expect(200);
    let large = start("x".repeat(9_000).into()).json();
    assert_eq!(
        (large["input"].as_str().map(str::len), large["output"].as_str().map(str::len)),
        (Some(9_000), Some(18_000))
    );
    start("!".repeat(9_000).into());
    start("y".into());
    let listed = bench.get("/api/v1/runs").expect(200).json()["runs"].clone();
    let seen = |n: usize| (&listed[n]["input"], &listed[n]["output"], &listed[n]["left_out"]);
    assert_eq!(seen(0), (&json!("y"), &json!("yy"), &json!(null)));
    assert_eq!(seen(2), (&json!(null), &json!(null), &json!({ "input": 9_002, "output": 18_002 })));
    let message = listed[1]["error"]["message"].as_str().expect("a message");
    assert!(message.chars().count() == 1_000 && listed[1]["left_out"]["error"].is_u64(), "{message}");
    assert_eq!(listed[2]["trace"], large["trace"]);
}

#[test]
fn a_large_answer_is_whole_and_says_its_length() {
    let answer = answering("i").send("POST /hooks/in", &[("content-type", "text/plain")], "x".repeat(300_000));
    assert_eq!((answer.status.as_u16(), answer.text.len()), (200, 300_002));
    assert_eq!(answer.headers["content-length"], "300002");
}

#[test]
fn large_answers_that_nobody_reads_take_no_more_room_than_there_is() {
    let (bench, flood) = (Bench::new(&[]), flood::Flood::new());
    let all = bench.block(flood.answer(u64::MAX, std::time::Duration::ZERO)).expect("room");
    let none = bench.block(flood.answer(1, std::time::Duration::ZERO));
    assert_eq!(none.expect_err("no room").status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(all);
    assert!(bench.block(flood.answer(1, std::time::Duration::ZERO)).is_ok());
}
