//! Streams and real connections.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn ids(text: &str) -> Vec<usize> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect()
}

#[test]
fn a_stream_has_every_entry_and_resumes_behind_the_last_one() {
    let bench = Bench::new(&[("w", "step(\"a\", || 1); sleep(\"30ms\"); step(\"b\", || 2)")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().expect("an id").to_owned();
    let path = format!("GET /api/v1/runs/{run}/stream");
    let whole = bench.send(&path, &[], "").expect(200);
    let length = bench.get(&format!("/api/v1/runs/{run}/journal")).json()["entries"].as_array().expect("a list").len();
    assert_eq!(ids(&whole.text), (0..=length).collect::<Vec<_>>());
    assert!(whole.text.contains("event: end") && whole.text.contains("\"status\":\"completed\""), "{}", whole.text);
    let rest = bench.send(&path, &[("last-event-id", "1")], "").expect(200);
    assert_eq!(ids(&rest.text), (2..=length).collect::<Vec<_>>());
    bench.send(&path, &[("last-event-id", &length.to_string())], "").expect(204);
    bench.send(&path, &[("last-event-id", "x")], "").expect(400);
}

/// The numbers of a list, page by page.
fn walked(bench: &Bench, path: &str, field: &str, limit: usize) -> (Vec<u64>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = bench.get(&format!("{path}?limit={limit}{cursor}")).expect(200).json();
        all.extend(page[field].as_array().expect("a list").iter().map(|item| item["n"].as_u64().expect("a number")));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, pages),
        }
    }
}

#[test]
fn a_long_journal_comes_in_pages_and_its_stream_from_anywhere() {
    let bench = Bench::new(&[("w", "for n in 0..2_500 { log::info(`line ${n}`) }")]);
    let ended = bench.post("/api/v1/workflows/w/runs?wait=60s", &json!({})).expect(200).json();
    let path = format!("/api/v1/runs/{}", ended["run"].as_str().expect("an id"));
    let first = bench.get(&format!("{path}/journal")).expect(200).json();
    assert_eq!((first["entries"].as_array().map(Vec::len), &first["next"]), (Some(1_000), &json!("1000")));
    let (entries, pages) = walked(&bench, &format!("{path}/journal"), "entries", 999);
    assert_eq!((entries.len() > 2_500, pages), (true, 3));
    assert_eq!(entries, (0..entries.len() as u64).collect::<Vec<_>>());
    assert_eq!(walked(&bench, &format!("{path}/logs"), "logs", 1_000).0.len(), 2_500);
    let stream = format!("GET {path}/stream");
    assert_eq!(ids(&bench.send(&stream, &[], "").expect(200).text), (0..=entries.len()).collect::<Vec<_>>());
    let late = bench.send(&stream, &[("last-event-id", "2400")], "").expect(200);
    assert_eq!(ids(&late.text), (2_401..=entries.len()).collect::<Vec<_>>());
}

/// Sends this to a real server that is stopped once it has begun to answer; what came back.
fn talk(bench: &Bench, sent: &str) -> String {
    bench.block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = serve(listener, bench.app.clone(), async { drop(stopped.await) });
        let client = async {
            let mut stream = TcpStream::connect(address).await.expect("connects");
            stream.write_all(sent.as_bytes()).await.expect("writes");
            let mut came = vec![0; 64];
            stream.read_exact(&mut came).await.expect("an answer");
            stop.send(()).expect("stops");
            stream.read_to_end(&mut came).await.expect("its end");
            String::from_utf8(came).expect("text")
        };
        let (ended, came) = tokio::join!(server, client);
        ended.expect("serves");
        came
    })
}

#[test]
fn a_server_answers_and_stops() {
    let came = talk(&Bench::new(&[]), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(came.starts_with("HTTP/1.1 200 OK\r\n") && came.ends_with("{\"status\":\"ok\"}"), "{came}");
}

#[test]
fn stopping_ends_the_streams_of_runs_that_go_on() {
    let bench = Bench::new(&[("w", "sleep(\"1h\")")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().expect("an id").to_owned();
    let came = talk(&bench, &format!("GET /api/v1/runs/{run}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(came.ends_with("0\r\n\r\n") && !came.contains("event: end"), "{came}");
}
