//! Every route through the router, on an engine over the memory store.

mod access;
mod api;
mod audit;
mod backfill;
mod bounds;
mod connections;
mod control;
mod described;
mod doors;
mod entitled;
mod events;
mod gate;
mod hooks;
mod live;
mod locks;
mod metrics;
mod run_page;
mod streams;
mod tasks;
mod trace;
mod unfinished;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::engine::{Engine, NoSettings, Options, Settings, compile};
use crate::script::bundle::Bundle;
use crate::store::memory::{Fault, Memory};
use crate::vault::Vault;

/// A server over an engine with some scripts.
struct Bench {
    engine: Engine,
    store: Arc<Memory>,
    router: Router,
    app: App,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

/// One file never compiled.
struct OneBroken;

impl Reloads for OneBroken {
    fn reloads(&self) -> Value {
        json!({ "reloads": [{ "file": "broken.rhai", "status": "broken" }], "next": null })
    }

    fn broken(&self, workflow: &str) -> Option<Value> {
        (workflow == "broken").then(|| json!([{ "code": "E0101", "line": 3 }]))
    }
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Asserts the status; a problem must say so itself, too.
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if status >= 400 {
            assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
            assert_eq!(self.json()["status"], status, "{}", self.text);
        }
        self
    }
}

impl Bench {
    fn new(scripts: &[(&str, &str)]) -> Self {
        Self::over(Arc::new(Memory::default()), scripts, |options| options)
    }

    fn over(store: Arc<Memory>, scripts: &[(&str, &str)], change: impl FnOnce(Options) -> Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = [("PANTA_SECRET_HOOK", "It's a Secret to Everybody"), ("PANTA_SECRET_PASS", "open sesame")];
        let secrets = secrets.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secrets = Arc::new(Vault::from_pairs(secrets));
        let kept = Arc::clone(&store);
        let engine = Engine::start(store, change(Options { workers: 1, secrets, ..Options::new(folder.path()) }));
        for (name, text) in scripts {
            let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
            let settings: Arc<dyn Settings> = Arc::new(NoSettings);
            engine.handle().deploy(compile(bundle, &settings).expect("compiles"));
        }
        let app = App { handle: engine.handle(), reloads: Arc::new(OneBroken), access: access("127.0.0.1:7262") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { engine, store: kept, router: router(app.clone()), app, runtime, _folder: folder }
    }

    /// Sends a request: `METHOD /path`, headers, body.
    fn send(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.block(answer(self.router.clone(), request(line, headers, body)))
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&format!("POST {path}"), &[], body.to_string())
    }

    fn runs(&self) -> usize {
        self.get("/api/v1/runs").json()["runs"].as_array().expect("a list").len()
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        let limit = std::time::Duration::from_mins(2);
        self.runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("in time") })
    }
}

/// Of a server that listens there and is named `panta.example.com`.
fn access(listen: &str) -> Access {
    let listen: std::net::SocketAddr = listen.parse().expect("an address");
    let hosts = Hosts::new(listen, ["https://panta.example.com"]);
    let (local, https) = (listen.ip().is_loopback(), Some("panta.example.com".to_owned()));
    Access { local, given: None, hosts, https, requests: REQUESTS }
}

fn request(line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:7262");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

async fn answer(router: Router, request: Request<Body>) -> Answer {
    // The stream of everything has no end to read.
    let is_endless = request.uri().path() == "/api/v1/stream";
    let (parts, body) = router.oneshot(request).await.expect("an answer").into_parts();
    let body = if is_endless && parts.status == StatusCode::OK { Body::empty() } else { body };
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    Answer { status: parts.status, headers: parts.headers, text }
}
