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
