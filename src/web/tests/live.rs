//! The stream of all runs, pages of every list, keys, and that every error is a problem.

use std::collections::BTreeSet;

use tokio_stream::StreamExt as _;

use super::*;

/// A stream that is read event by event.
struct Reader {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Reader {
    async fn open(bench: &Bench, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = request(&format!("GET {path}"), headers, "");
        let response = bench.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: its name, id and data.
    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                let found = (field("event:"), field("id:"), serde_json::from_str(&field("data:")).unwrap_or_default());
                self.text = rest.to_owned();
                if !found.0.is_empty() {
                    return found;
                }
                continue;
            }
            let chunk = self.body.next().await.expect("it goes on").expect("bytes");
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// The next event of a run in that status.
    async fn run(&mut self, status: &str) -> (String, Value) {
        loop {
            let (name, id, data) = self.next().await;
            if name == "run" && data["status"] == status {
                return (id, data);
            }
        }
    }
}

async fn started(bench: &Bench, workflow: &str) -> String {
    let start = request(&format!("POST /api/v1/workflows/{workflow}/runs"), &[], "{}");
    answer(bench.router.clone(), start).await.expect(202).json()["run"].as_str().expect("an id").to_owned()
}

#[test]
fn who_watches_gets_each_run_as_it_is_and_resumes_where_the_line_broke() {
    let bench = Bench::new(&[("w", "1")]);
    bench.block(async {
        let mut reader = Reader::open(&bench, "/api/v1/stream", &[]).await;
        let (name, place, _) = reader.next().await;
        assert_eq!(name, "reset");
        let first = started(&bench, "w").await;
        assert_eq!(reader.run("completed").await.1["run"], *first);
        let second = started(&bench, "w").await;
        reader.run("completed").await;
        drop(reader);
        let mut reader = Reader::open(&bench, "/api/v1/stream", &[("last-event-id", &place)]).await;
        let seen = [reader.run("completed").await.1, reader.run("completed").await.1];
        assert_eq!([&seen[0]["run"], &seen[1]["run"]], [&json!(first), &json!(second)]);
    });
}

#[test]
fn who_was_away_for_too_long_is_told_to_read_anew_and_nonsense_is_refused() {
    let bench = Bench::new(&[]);
    bench.block(async {
        let mut reader = Reader::open(&bench, "/api/v1/stream", &[("last-event-id", "1f-7")]).await;
        assert_eq!(reader.next().await.0, "reset");
    });
    bench.send("GET /api/v1/stream", &[("last-event-id", "x")], "").expect(400);
    bench.get("/api/v1/stream?state=failed").expect(400);
}

#[test]
fn tasks_are_news_and_other_workflows_are_left_out() {
    let bench = Bench::new(&[("ask", "task::ask(#{ title: \"go?\", choices: [\"yes\"] })"), ("w", "1")]);
    bench.block(async {
        let mut reader = Reader::open(&bench, "/api/v1/stream?workflow=ask", &[]).await;
        reader.next().await;
        started(&bench, "w").await;
        started(&bench, "ask").await;
        let mut names = BTreeSet::new();
        while names.len() < 2 {
            let (name, _, data) = reader.next().await;
            assert_eq!(data["workflow"], "ask", "{data}");
            names.insert(name);
        }
        assert_eq!(names, BTreeSet::from(["run".to_owned(), "task".to_owned()]));
    });
}

/// All items of a list by pages of two, while `between` happens after each page.
fn walked(bench: &Bench, path: &str, field: &str, mut between: impl FnMut()) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("{path}?limit=2{next}")).expect(200).json();
        all.extend(page[field].as_array().expect("a list").iter().cloned());
        let Some(cursor) = page["next"].as_str() else { return all };
        next = format!("&cursor={}", url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>());
        between();
    }
}

#[test]
fn every_list_has_pages_that_newcomers_do_not_move() {
    let ask = "task::ask(#{ title: \"go?\" })";
    let bench = Bench::new(&[("a", ask), ("b", "1"), ("c/d", "1"), ("é", "1"), ("z", "1")]);
    for _ in 0..5 {
        bench.post("/api/v1/workflows/a/runs", &json!({})).expect(202);
        bench.post("/api/v1/events", &json!({ "name": "x" })).expect(202);
    }
    let is_open = || bench.get("/api/v1/tasks?limit=5").json()["tasks"].as_array().map(Vec::len) == Some(5);
    bench.block(async {
        while !is_open_async(&bench).await {
            tokio::task::yield_now().await;
        }
    });
    assert!(is_open());
    let newcomer = || {
        bench.post("/api/v1/workflows/b/runs?wait=20s", &json!({})).expect(200);
    };
    let names: Vec<_> = walked(&bench, "/api/v1/workflows", "workflows", newcomer);
    assert_eq!(
        names.iter().map(|w| w["name"].as_str().expect("text")).collect::<Vec<_>>(),
        ["a", "b", "c/d", "z", "é"]
    );
    for (path, field, id) in
        [("runs", "runs", "run"), ("tasks", "tasks", "task"), ("events", "events", "seq"), ("audit", "acts", "seq")]
    {
        let known = bench.get(&format!("/api/v1/{path}?limit=1000")).json()[field].as_array().expect("a list").clone();
        let seen = walked(&bench, &format!("/api/v1/{path}"), field, newcomer);
        let ids: Vec<_> = seen.iter().map(|item| item[id].to_string()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path}: an item came twice");
        assert!(known.iter().all(|item| ids.contains(&item[id].to_string())), "{path}: an item is missing");
    }
}

async fn is_open_async(bench: &Bench) -> bool {
    let tasks = answer(bench.router.clone(), request("GET /api/v1/tasks?limit=5", &[], "")).await.json();
    tasks["tasks"].as_array().map(Vec::len) == Some(5)
}

#[test]
fn a_cursor_that_no_page_gave_is_refused_everywhere() {
    let bench = Bench::new(&[("w", "1")]);
    for list in ["workflows", "runs", "events", "tasks", "audit", "reloads"] {
        for cursor in ["", "%00", "nonsense", "-1", "99999999999999999999999"] {
            let problem = bench.get(&format!("/api/v1/{list}?cursor={cursor}")).expect(400).json();
            assert!(
                problem["detail"].as_str().is_some_and(|said| said.starts_with("`cursor` is")),
                "{list}: {problem}"
            );
        }
        bench.get(&format!("/api/v1/{list}?limit=0")).expect(400);
        bench.get(&format!("/api/v1/{list}?limit=1001")).expect(400);
    }
}

#[test]
fn fifty_equal_starts_at_once_are_one_run_and_another_input_is_a_conflict() {
    let bench = Bench::new(&[("w", "input")]);
    let start = |input: u64| {
        let body = json!({ "input": input }).to_string();
        answer(bench.router.clone(), request("POST /api/v1/workflows/w/runs", &[("idempotency-key", "k")], body))
    };
    let answers = bench.block(async {
        let mut all = tokio::task::JoinSet::new();
        (0..50).for_each(|_| drop(all.spawn(start(1))));
        all.join_all().await
    });
    let fresh = answers.iter().filter(|answer| answer.json()["repeated"].is_null()).count();
    let runs: BTreeSet<_> = answers.iter().map(|answer| answer.json()["run"].to_string()).collect();
    assert_eq!((fresh, runs.len(), bench.runs()), (1, 1, 1));
    assert_eq!(bench.block(start(2)).expect(409).json()["run"].to_string(), *runs.first().expect("one"));
}

#[test]
fn fifty_equal_events_at_once_are_one_and_another_payload_is_a_conflict() {
    let bench = Bench::new(&[("w", "trigger::event(\"x\"); fn main(i) { i }")]);
    let emit = |payload: u64| {
        let body = json!({ "name": "x", "payload": payload }).to_string();
        answer(bench.router.clone(), request("POST /api/v1/events", &[("idempotency-key", "k")], body))
    };
    let answers = bench.block(async {
        let mut all = tokio::task::JoinSet::new();
        (0..50).for_each(|_| drop(all.spawn(emit(1))));
        all.join_all().await
    });
    let started: usize = answers.iter().map(|answer| answer.json()["started"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((started, bench.runs()), (1, 1));
    bench.block(emit(2)).expect(409);
}
