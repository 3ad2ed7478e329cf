//! The outside of repaired runs: a service that remembers every request, and knows which of them must not have come.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effect::{Failure, Field, HttpReply, Outcome, Reply, Request, Sent};
use crate::engine::{Mocked, Mocks};
use crate::host::session::{Answer, Ask, What, hash_text};
use crate::id::RunId;
use crate::journal::{Entry, History, Kind, Phase, Position};
use crate::store::Store;
use crate::store::memory::Memory;

/// A request: its idempotency key, the attempt, and what was asked for.
pub(super) type Made = (String, u32, String);

pub(super) struct Service {
    store: Arc<Memory>,
    /// Addresses with `/down/` succeed.
    pub(super) is_up: Cell<bool>,
    /// Counts processes and repairs.
    pub(super) life: Cell<u32>,
    made: RefCell<Vec<(u32, Made)>>,
    wrong: RefCell<Vec<String>>,
}

impl Service {
    pub(super) fn new(store: &Arc<Memory>) -> Self {
        Self {
            store: Arc::clone(store),
            is_up: Cell::new(false),
            life: Cell::new(0),
            made: RefCell::default(),
            wrong: RefCell::default(),
        }
    }

    /// Each request once, however often it came.
    pub(super) fn made(&self) -> BTreeSet<Made> {
        self.made.borrow().iter().map(|(_, made)| made.clone()).collect()
    }

    /// What should not have happened.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.borrow().clone()
    }

    fn look(&self, run: RunId, position: &Position, made: &Made) {
        let mut wrong = self.wrong.borrow_mut();
        let journal = History::read(self.store.journal(run).expect("reads")).expect("reads").into_entries();
        let over = |e: &Entry| e.kind == Kind::Effect && e.phase == Phase::Closed && e.position == *position;
        if journal.iter().any(over) {
            wrong.push(format!("{made:?} at {position} though its outcome is recorded"));
        }
        let life = self.life.get();
        for (before, (key, attempt, asked)) in self.made.borrow().iter() {
            if *key == made.0 && *asked != made.2 {
                wrong.push(format!("{made:?} under the key of another request: {asked}"));
            }
            if *before == life && (key, attempt) == (&made.0, &made.1) {
                wrong.push(format!("{made:?} twice, without a crash or a repair in between"));
            }
        }
    }

    fn answer_to(&self, request: &Request, attempt: u32) -> Outcome {
        let Request::Http(http) = request else { return Err(Failure::new("file", "no files here")) };
        let url = &http.url;
        let is_down = url.contains("/down/") && !self.is_up.get() || url.contains("/fail/");
        if is_down {
            let failure = Failure { sent: Sent::Maybe, ..Failure::new("http", "it says no") };
            return Err(failure.with("status", Field::Int(400)));
        }
        if url.contains("/flaky/") && u64::from(attempt) <= hash_text(url) % 3 {
            return Err(Failure { sent: Sent::No, retryable: true, ..Failure::new("network", "it does not answer") });
        }
        let number = hash_text(url) % 100;
        let body = crate::effect::http::HttpBody::Json(serde_json::json!({ "url": url, "n": number }).to_string());
        Ok(Reply::Http(HttpReply { status: 200, headers: Vec::new(), body, url: url.clone() }))
    }
}

impl Mocks for Service {
    fn answer(&self, run: RunId, ask: &Ask) -> Mocked {
        let What::Effect { request, attempt, position, key, .. } = &ask.what else { return Mocked::Never };
        if let Some(position) = position {
            let made = (key.clone(), *attempt, request.arguments());
            self.look(run, position, &made);
            self.made.borrow_mut().push((self.life.get(), made));
        }
        Mocked::Answer(Answer::Effect(self.answer_to(request, *attempt)))
    }

    fn stands_for_step(&self, _: &str) -> bool {
        false
    }

    fn begun(&self, _: &str, _: &str) {}

    fn functions(&self) -> Vec<String> {
        Vec::new()
    }

    fn has_stopped(&self) -> bool {
        false
    }
}
