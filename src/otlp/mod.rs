//! OTLP over HTTP, with JSON: runs and what they did as spans for a collector.
//!
//! Spans are made of durable entries, when a run parks or ends, by a thread of its own. It owns a bounded queue of runs and the
//! batch that is on its way; what a collector does not take is dropped and counted, and slows no run. Built with the feature
//! `otlp` alone.

mod span;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::effect::http::Body;
use crate::effect::{Allow, Attempt, HttpRequest, Limits, NoSecrets, Performer, Request, missing_host};
use crate::engine::Follower;
use crate::id::RunId;
use crate::journal::decode_segment;
use crate::store::Store;

/// Runs that wait for their spans to be made at most.
const QUEUE: usize = 65_536;
/// Spans in one request at most: some hundred KB.
const BATCH: usize = 512;
/// How long a batch that is not full waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// For one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this, what is left at the end is dropped.
const LAST: Duration = Duration::from_secs(3);
/// Open runs of which it is known how far they were exported. Of a forgotten one spans are sent again, with the same ids.
const REMEMBERED: usize = 100_000;

/// Where spans go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collector {
    /// The base address: `/v1/traces` is added.
    pub endpoint: String,
    /// Headers of each request, with their values.
    pub headers: Vec<(String, String)>,
}

/// What happened to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moved {
    Parked(RunId),
    Ended(RunId),
}

/// Follows the runs of an engine. Ends when dropped.
pub struct Exporter {
    queue: Mutex<Option<SyncSender<Moved>>>,
    dropped: Arc<AtomicU64>,
    done: Mutex<Receiver<()>>,
}

impl Exporter {
    /// Starts the thread. The error says what is wrong with the address.
    pub fn start(collector: Collector, store: Arc<dyn Store>) -> Result<Arc<Self>, String> {
        let url = format!("{}/v1/traces", collector.endpoint.trim_end_matches('/'));
        // The operator named it: it may have any address.
        let none = Allow { http: Some(Vec::new()), ..Allow::default() };
        let (host, _) = missing_host(&url, &none).ok_or_else(|| format!("`{}` is no address", collector.endpoint))?;
        let allow = Allow::parse(Some(&[host]), &[])?;
        let (sender, receiver) = sync_channel(QUEUE);
        let (ended, done) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let sending = Sending { url, headers: collector.headers, allow, dropped: Arc::clone(&dropped), is_away: false };
        let work = move || {
            Work { store, sending, exported: HashMap::new(), batch: Vec::new() }.run(&receiver);
            let _ = ended.send(());
        };
        let thread = std::thread::Builder::new().name("otlp".into()).spawn(work);
        thread.map_err(|error| format!("the system gives no thread: {error}"))?;
        Ok(Arc::new(Self { queue: Mutex::new(Some(sender)), dropped, done: Mutex::new(done) }))
    }

    fn push(&self, moved: Moved) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_some_and(|queue| queue.try_send(moved).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Follower for Exporter {
    fn parked(&self, run: RunId) {
        self.push(Moved::Parked(run));
    }

    fn ended(&self, run: RunId) {
        self.push(Moved::Ended(run));
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LAST);
    }
}

/// The thread's side.
struct Work {
    store: Arc<dyn Store>,
    sending: Sending,
    /// How many entries of open runs were exported.
    exported: HashMap<RunId, usize>,
    batch: Vec<Value>,
}

impl Work {
    fn run(mut self, receiver: &Receiver<Moved>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        // Connections are driven by the runtime on which they were opened.
        let performer = Performer::new(Limits::default());
        loop {
            let moved = receiver.recv_timeout(LINGER);
            if let Ok(moved) = moved {
                self.add(moved);
            }
            if self.batch.len() >= BATCH || moved.is_err() {
                let batch = std::mem::take(&mut self.batch);
                batch.chunks(BATCH).for_each(|spans| runtime.block_on(self.sending.send(&performer, spans)));
            }
            if moved == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn add(&mut self, moved: Moved) {
        let (Moved::Parked(run) | Moved::Ended(run)) = moved;
        match self.spans(run, moved) {
            Ok(spans) => self.batch.extend(spans),
            Err(problem) => {
                self.sending.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%run, "the spans of the run cannot be made: {problem}");
            }
        }
    }

    fn spans(&mut self, run: RunId, moved: Moved) -> Result<Vec<Value>, String> {
        let Some(row) = self.store.run(run).map_err(|error| error.to_string())? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for segment in self.store.journal(run).map_err(|error| error.to_string())? {
            entries.append(&mut decode_segment(&segment).map_err(|error| error.to_string())?.1);
        }
        let from = self.exported.remove(&run).unwrap_or(0).min(entries.len());
        let mut spans: Vec<_> = entries[from..].iter().filter_map(|entry| span::of_entry(&row, entry)).collect();
        if moved == Moved::Ended(run) {
            spans.push(span::of_run(&row));
        } else {
            if self.exported.len() >= REMEMBERED {
                self.exported.clear();
            }
            self.exported.insert(run, entries.len());
        }
        Ok(spans)
    }
}

/// How batches are sent.
struct Sending {
    url: String,
    headers: Vec<(String, String)>,
    allow: Allow,
    dropped: Arc<AtomicU64>,
    /// The last batch was not taken: that is said once.
    is_away: bool,
}

impl Sending {
    async fn send(&mut self, performer: &Performer, spans: &[Value]) {
        let resource = json!([span::attribute("service.name", "panta")]);
        let scope = json!({ "name": "panta", "version": env!("CARGO_PKG_VERSION") });
        let body = json!({
            "resourceSpans": [{
                "resource": { "attributes": resource }, "scopeSpans": [{ "scope": scope, "spans": spans }],
            }],
        });
        let request = HttpRequest {
            method: "POST".into(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            body: Body::Json(body.to_string()),
            timeout: Some(PATIENCE),
            ..HttpRequest::default()
        };
        let attempt = Attempt {
            number: 1,
            idempotency_key: "spans",
            undo: None,
            again: false,
            allow: &self.allow,
            secrets: &NoSecrets,
            trace: None,
        };
        match performer.perform(&Request::Http(request), attempt).await {
            Ok(_) => self.is_away = false,
            Err(failure) => {
                self.dropped.fetch_add(spans.len() as u64, Ordering::Relaxed);
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!("the collector of spans does not take them, they are dropped: {failure}");
                }
            }
        }
    }
}
