//! What is bounded: how often somebody may ask, how long what they were let in by counts, and how much one answer has.

use tokio_stream::StreamExt as _;

use super::access::{Open, token};
use super::*;
use crate::engine::tokens::Role;

const OWN: (&str, &str) = ("origin", "https://panta.example.com");

/// Begins a stream, does something, and waits for the stream's end.
fn ends_by(open: &Open, stream: &str, header: (&str, &str), act: impl Future<Output = Answer>) {
    let host = ("host", "panta.example.com");
    open.bench.block(async {
        let asked = request(&format!("GET {stream}"), &[host, header], "");
        let came = open.router.clone().oneshot(asked).await.expect("an answer");
        assert_eq!(
            (came.status(), &came.headers()["content-type"]),
            (StatusCode::OK, &"text/event-stream".parse().expect("text"))
        );
        let mut chunks = came.into_body().into_data_stream();
        chunks.next().await.expect("it begins").expect("reads");
        assert!(act.await.status.as_u16() < 400, "it is done");
        while let Some(chunk) = chunks.next().await {
            chunk.expect("it ends in order");
        }
    });
}

/// A server with a run that waits; the addresses of all streams.
fn watched() -> (Open, [String; 2]) {
    let open = Open::new(&[("w", "sleep(\"1h\")")]);
    let started = open.with("POST /api/v1/workflows/w/runs", open.token(Role::Run)).expect(202).json();
    let run = started["run"].as_str().expect("an id");
    let streams = [format!("/api/v1/runs/{run}/stream"), "/api/v1/stream".to_owned()];
    (open, streams)
}

#[test]
fn a_stream_ends_when_its_token_is_taken_back() {
    let (open, streams) = watched();
    let admin = format!("Bearer {}", open.token(Role::Admin));
    for (name, stream) in ["one", "two"].into_iter().zip(streams) {
        let bearer = format!("Bearer {}", token(&open.bench, name, Role::Read, None));
        let headers = [("host", "panta.example.com"), ("authorization", &*admin)];
        let revoke = request(&format!("DELETE /api/v1/tokens/{name}"), &headers, "");
        ends_by(&open, &stream, ("authorization", &bearer), answer(open.router.clone(), revoke));
        open.send(&format!("GET {stream}"), &[("authorization", &bearer)], "").expect(401);
    }
}

#[test]
fn a_stream_ends_with_its_session() {
    let (open, streams) = watched();
    for stream in streams {
        let cookie = open.sign_in(open.token(Role::Read));
        let headers = [("host", "panta.example.com"), ("cookie", &*cookie), OWN];
        let leave = answer(open.router.clone(), request("POST /logout", &headers, ""));
        ends_by(&open, &stream, ("cookie", &cookie), leave);
        open.send(&format!("GET {stream}"), &[("cookie", &cookie)], "").expect(401);
    }
}

#[test]
fn with_a_session_only_own_pages_act() {
    let open = Open::new(&[("w", "1")]);
    let (run, read) = (open.sign_in(open.token(Role::Run)), open.sign_in(open.token(Role::Read)));
    let start = |cookie: &str, headers: &[(&str, &str)]| {
        let all = [headers, &[("cookie", cookie)]].concat();
        open.send("POST /api/v1/workflows/w/runs", &all, "{}")
    };
    let (json, text) = (("content-type", "application/json"), ("content-type", "text/plain"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for kind in [json, text, form] {
        let detail = start(&run, &[kind]).expect(403).json()["detail"].to_string();
        assert!(detail.contains("a page of this server"), "{detail}");
        start(&run, &[kind, ("origin", "https://evil.example")]).expect(403);
        start(&run, &[kind, ("origin", "null")]).expect(403);
        start(&read, &[kind, OWN]).expect(403);
    }
    start(&run, &[text, OWN]).expect(415);
    start(&run, &[json, OWN]).expect(202);
    start(&run, &[json, ("sec-fetch-site", "same-origin")]).expect(202);
    open.send("GET /api/v1/runs", &[("cookie", &run)], "").expect(200);
    let bearer = format!("Bearer {}", open.token(Role::Run));
    open.send("POST /api/v1/workflows/w/runs", &[("authorization", &bearer), text], "{}").expect(415);
    open.send("POST /api/v1/workflows/w/runs", &[("authorization", &bearer), text, ("origin", "null")], "{}")
        .expect(403);
    open.send("POST /api/v1/workflows/w/runs", &[text], "{}").expect(401);
}

#[test]
fn each_token_and_each_address_may_ask_so_often() {
    let rate = Rate { count: 3, per: std::time::Duration::from_hours(24) };
    let open = Open::with_rate(&[("w", "trigger::webhook(\"in\"); fn main(i) { 1 }")], rate);
    let look = |role| open.with("GET /api/v1/runs", open.token(role));
    for _ in 0..3 {
        look(Role::Read).expect(200);
    }
    let refused = look(Role::Read).expect(429);
    let wait: u64 = refused.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=8 * 3600).contains(&wait) && refused.json()["hint"].is_string(), "{wait} {}", refused.text);
    look(Role::Run).expect(200);
    // Whoever shows no token is one with all others of the address, whatever they ask for.
    for line in ["POST /hooks/in", "GET /api/v1/runs", "POST /e/x"] {
        assert!(matches!(open.send(line, &[], "").status.as_u16(), 401 | 404), "{line}");
    }
    for line in ["POST /hooks/in", "GET /api/v1/runs", "POST /e/x", "GET /t/x", "GET /login", "GET /nothing"] {
        open.send(line, &[], "").expect(429);
    }
    look(Role::Run).expect(200);
    (0..9).for_each(|_| drop(open.send("GET /healthz", &[], "").expect(200)));
}

#[test]
fn wrong_links_are_bounded_as_wrong_tokens_are_and_right_ones_are_let_in() {
    let bench = Bench::new(&[]);
    for n in 0..5 {
        bench.post(&format!("/e/x{n}"), &json!({})).expect(404);
        assert_eq!(bench.get(&format!("/t/x{n}")).status, StatusCode::NOT_FOUND);
    }
    for line in ["POST /e/x", "GET /t/x", "POST /t/x"] {
        assert_eq!(bench.send(line, &[], "").expect(429).headers["retry-after"], "60");
    }
    let link = crate::engine::links::EventLink { name: "a.b".to_owned(), key: None, expires: None };
    let address = bench.app.handle.links().event(&link).expect("signs");
    let path = &address[address.find("/e/").expect("an address of an event")..];
    bench.post(path, &json!({})).expect(202);
    bench.send(&format!("POST {path}"), &[], "x".repeat((1 << 20) + 1)).expect(413);
}

/// The names of a list, page by page, and how many pages there were.
fn named(open: &Open, path: &str, field: &str, name: &str, limit: usize) -> (Vec<String>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = open.with(&format!("GET {path}?limit={limit}{cursor}"), open.token(Role::Admin)).expect(200).json();
        all.extend(
            page[field].as_array().expect("a list").iter().map(|item| item[name].as_str().expect("text").to_owned()),
        );
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace(' ', "%20").replace('"', "%22")),
            None => return (all, pages),
        }
    }
}

#[test]
fn tokens_and_secrets_come_in_pages() {
    let open = Open::new(&[]);
    (0..7).for_each(|n| drop(token(&open.bench, &format!("t{n}"), Role::Read, None)));
    let (tokens, pages) = named(&open, "/api/v1/tokens", "tokens", "name", 2);
    assert!(tokens.is_sorted() && tokens.len() == 11 && pages == 6, "{tokens:?}");
    let (secrets, pages) = named(&open, "/api/v1/secrets", "secrets", "secret", 1);
    assert!(secrets.len() == pages && secrets.is_sorted() && secrets.contains(&"hook".to_owned()), "{secrets:?}");
    for wrong in ["limit=0", "limit=1001", "cursor=", "cursor=t1", "page=2"] {
        open.with(&format!("GET /api/v1/tokens?{wrong}"), open.token(Role::Admin)).expect(400);
    }
}

#[test]
fn the_line_of_a_lock_comes_in_pages_and_a_run_sees_its_head_and_itself() {
    let open = Open::new(&[("w", "lock(\"till\", || sleep(\"1h\"))")]);
    let started: Vec<_> = (0..5)
        .map(|_| {
            let answer = open.with("POST /api/v1/workflows/w/runs", open.token(Role::Run)).expect(202).json();
            answer["run"].as_str().expect("an id").to_owned()
        })
        .collect();
    let line = || named(&open, "/api/v1/locks/till", "slots", "run", 2);
    let (all, pages) = open.bench.until(|| Some(line()).filter(|(all, _)| all.len() == 5));
    assert_eq!((pages, started.iter().all(|run| all.contains(run))), (3, true));
    let own = open.with(&format!("GET /api/v1/runs/{}/locks", all[4]), open.token(Role::Read)).expect(200).json();
    assert_eq!((&own["locks"][0]["length"], &own["locks"][0]["slots"][4]["run"]), (&json!(5), &json!(all[4])));
}
