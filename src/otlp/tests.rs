//! Against a collector that remembers what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;
use crate::engine::{Engine, Options, Start, compile};
use crate::script::bundle::Bundle;
use crate::store::Run;
use crate::store::memory::Memory;
use crate::trace::SpanId;

/// A request: its head, and its body.
type Sent = (String, Value);

/// Answers each request with this status.
fn collector(status: u16) -> (String, mpsc::Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, sent) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while reader.read_line(&mut head).unwrap_or(0) > 2 {}
            for line in head.to_lowercase().lines() {
                length = line.strip_prefix("content-length: ").map_or(length, |n| n.parse().unwrap());
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = sender.send((head, serde_json::from_slice(&body).unwrap()));
        }
    });
    (endpoint, sent)
}

/// Runs a script to its end under an exporter; its row, and how many spans were dropped.
fn run(script: &str, endpoint: &str, start: Value) -> (Run, u64) {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let headers = vec![("x-key".to_owned(), "value".to_owned())];
    let collector = Collector { endpoint: endpoint.to_owned(), headers };
    let exporter = Exporter::start(collector, Arc::clone(&store)).unwrap();
    let options = Options { workers: 1, follower: Some(Arc::clone(&exporter) as _), ..Options::new(folder.path()) };
    let engine = Engine::start(store, options);
    let handle = engine.handle();
    let bundle = Bundle::of_text("w.rhai", script).unwrap();
    handle.deploy(compile(bundle, handle.settings()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let row = runtime.block_on(async {
        let started = handle.start("w", Start { trigger: start, ..Start::default() }).await.unwrap();
        handle.ended(started.run).await.unwrap()
    });
    drop((handle, engine));
    *exporter.queue.lock().unwrap() = None;
    exporter.done.lock().unwrap().recv_timeout(Duration::from_mins(1)).unwrap();
    (row, exporter.dropped())
}

#[test]
fn a_run_its_steps_and_effects_are_spans_under_each_other() {
    let (endpoint, sent) = collector(200);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let script = "step(\"pay\", || file::write(\"x\", \"y\")); try { file::read(\"z\") } catch {} now()";
    let (row, dropped) = run(script, &endpoint, json!({ "kind": "hand", "traceparent": parent }));
    let (head, body) = sent.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(head.starts_with("POST /v1/traces ") && head.contains("x-key: value"), "{head}");
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let one = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert!(spans.iter().all(|span| span["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"), "{spans:?}");
    assert_eq!((spans.len(), dropped), (4, 0));
    let root = SpanId::of_run(row.id).to_string();
    assert_eq!((&one("w")["parentSpanId"], &one("w")["spanId"]), (&json!("00f067aa0ba902b7"), &json!(root)));
    assert_eq!(
        (&one("pay")["parentSpanId"], &one("file::write")["parentSpanId"]),
        (&json!(root), &one("pay")["spanId"])
    );
    assert_eq!((&one("file::read")["status"]["code"], &one("w")["status"]["code"]), (&json!(2), &json!(1)));
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    let (refusing, _sent) = collector(503);
    for endpoint in [refusing.as_str(), "http://127.0.0.1:9"] {
        let (row, dropped) = run("step(\"a\", || 1)", endpoint, Value::Null);
        assert_eq!((row.status, dropped), (crate::store::Status::Completed, 2));
    }
    assert!(
        Exporter::start(Collector { endpoint: "nowhere".into(), ..Collector::default() }, Arc::new(Memory::default()))
            .is_err()
    );
}
