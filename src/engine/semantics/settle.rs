//! The first start of a binary under which scripts mean something else: open runs are tried before any of them goes on.
//!
//! Those that would diverge are held as `diverged`, with both lines, before anything of them is performed; they go on with a
//! binary that means what they were recorded with, or by an upgrade to a version that fits. Runs that were held so, and fit
//! now, go on.
//!
//! The trials are made by as many threads as there are workers, beside all else: the API answers, and what starts meanwhile
//! runs. Each is watched like a turn of the run, so one that kills the process is charged to the run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::trial::{Bench, Came};
use crate::engine::log::Item;
use crate::engine::options::Reach;
use crate::engine::shared::{Shared, held};
use crate::engine::timekeeper;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Applied, Change, Run, RunFilter, Status};

/// Where the store notes under which semantics its open runs are known to fit: one version, or several behind commas, where
/// runs of different ones may be open.
const SCOPE: &str = "$semantics";
const KEY: &str = "version";
/// Rows read at once.
const PAGE: usize = 256;

/// Looks whether open runs are to be tried, and holds them back until they are. Before any thread that claims runs.
pub(in crate::engine) fn hold_back(shared: &Arc<Shared>) {
    let now = shared.options.semantics.version();
    let noted = match shared.store.state(SCOPE, KEY) {
        Ok(noted) => noted.and_then(|noted| noted.to_json().as_str().map(str::to_owned)),
        Err(error) => return tracing::warn!("the semantics of open runs cannot be read: {error}"),
    };
    if noted.as_deref() == Some(now) {
        return;
    }
    if shared.options.reach == Reach::Own {
        // Others' runs are left alone. Those that it leaves open are of these semantics.
        return note(shared, &noted.map_or_else(|| now.to_owned(), |noted| format!("{noted},{now}")));
    }
    match shared.store.counts() {
        Ok(counts) => match counts.iter().filter(|(_, status, _)| concerns(*status)).map(|(_, _, n)| *n as usize).sum()
        {
            0 => note_durably(shared, now),
            total => shared.settling.hold_back(total),
        },
        Err(error) => tracing::warn!("open runs cannot be counted, and are not tried before they go on: {error}"),
    }
}

/// Puts in motion what can go on. Where open runs are to be tried first, that begins here (what a workflow says of its
/// failures is known by now), and they are taken up when it is over. Returns how many are taken up at once.
pub(in crate::engine) fn take_up(shared: &Arc<Shared>) -> crate::store::Result<usize> {
    if shared.settling.begins() {
        let settled = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("settle".into());
        match thread.spawn(move || settle(&settled)) {
            Ok(thread) => shared.settling.keep(thread),
            Err(error) => {
                // Replays stop where they diverge in any case. It is tried again with the next start.
                tracing::warn!("open runs are not tried before they go on: {error}");
                shared.settling.end();
            }
        }
    }
    if shared.settling.progress().is_some() { Ok(0) } else { shared.claim_ready() }
}

/// Tries all open runs, and lets those go on that can.
fn settle(shared: &Arc<Shared>) {
    let _ending = Ending(shared);
    let now = shared.options.semantics.version();
    let queue = Queue::default();
    std::thread::scope(|scope| {
        for number in 0..shared.options.workers.max(1) {
            let thread = std::thread::Builder::new().name(format!("settle-{number}"));
            let work = || queue.work(shared);
            if thread.spawn_scoped(scope, work).is_err() && number == 0 {
                work();
            }
        }
    });
    if shared.closing.load(Ordering::Relaxed) {
        // Those that were not tried are tried by the next engine.
        return;
    }
    match held(&queue.failed).take() {
        None => note_durably(shared, now),
        // It is tried again with the next start. Replays stop where they diverge in any case.
        Some(error) => tracing::warn!("open runs cannot be tried under the semantics of this release: {error}"),
    }
    let [tried, diverged, revived] =
        [&queue.tried, &queue.diverged, &queue.revived].map(|count| count.load(Ordering::Relaxed));
    if tried > 0 {
        tracing::warn!(
            "this release evaluates scripts otherwise than the one before ({now}): of {tried} open runs {diverged} would \
             diverge and are held, {revived} that were held go on; hint: `panta runs --status diverged`"
        );
    }
}

/// Whatever became of the trials, runs go on: their replays stop where they diverge, too.
struct Ending<'a>(&'a Arc<Shared>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        shared.settling.end();
        if let Err(error) = shared.claim_ready() {
            tracing::error!("open runs cannot be taken up: {error}; hint: start the daemon again");
        }
        // What fell due meanwhile was passed over.
        timekeeper::load_soon(shared);
        shared.timeline.wake();
        shared.settling.over();
    }
}

/// The same for runs that an engine with [`Reach::Own`] takes up.
pub(in crate::engine) fn settle_family(shared: &Arc<Shared>, runs: &[RunId]) -> crate::store::Result<()> {
    let noted = shared.store.state(SCOPE, KEY)?;
    if noted.is_some_and(|noted| noted.to_json() == json!(shared.options.semantics.version())) {
        return Ok(());
    }
    let mut bench = Bench::new(shared);
    for run in runs {
        if let Some(row) = shared.store.run(*run)?.filter(|row| concerns(row.status)) {
            bench.settle(&row);
        }
    }
    Ok(())
}

fn note(shared: &Arc<Shared>, version: &str) {
    shared.log.send(Item { changes: vec![noting(version)], done: None });
}

/// With all that stands before it in the log: what follows reads the store.
fn note_durably(shared: &Arc<Shared>, version: &str) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = move |_: &[Applied]| {
        let _ = sender.send(());
    };
    shared.log.send(Item { changes: vec![noting(version)], done: Some(Box::new(done)) });
    // An error says that the store failed; the engine says so itself.
    let _ = receiver.recv();
}

fn noting(version: &str) -> Change {
    Change::SetState { scope: SCOPE.into(), key: KEY.into(), value: Some(Payload::from_json(&json!(version))) }
}

/// Quarantined runs go on by nothing but a person's act, and evaluating one may end the process.
fn concerns(status: Status) -> bool {
    !status.is_final() && status != Status::Quarantined
}

/// Open runs that are to be tried, newest first, and what came of the trials so far.
#[derive(Default)]
struct Queue {
    rows: Mutex<Rows>,
    failed: Mutex<Option<crate::store::Error>>,
    tried: AtomicUsize,
    diverged: AtomicUsize,
    revived: AtomicUsize,
}

#[derive(Default)]
struct Rows {
    page: VecDeque<Run>,
    before: Option<RunId>,
    is_last: bool,
}

impl Queue {
    fn work(&self, shared: &Arc<Shared>) {
        let mut bench = Bench::new(shared);
        while let Some(run) = self.next(shared) {
            let came = bench.settle(&run);
            self.tried.fetch_add(1, Ordering::Relaxed);
            match came {
                Came::Fits => {}
                Came::Diverges => _ = self.diverged.fetch_add(1, Ordering::Relaxed),
                Came::Revived => _ = self.revived.fetch_add(1, Ordering::Relaxed),
            }
            shared.settling.tried();
        }
    }

    fn next(&self, shared: &Shared) -> Option<Run> {
        let mut rows = held(&self.rows);
        loop {
            if shared.closing.load(Ordering::Relaxed) {
                return None;
            }
            match rows.page.pop_front() {
                Some(run) if shared.settling.is_fresh(run.id) => {}
                Some(run) => return Some(run),
                None if rows.is_last => return None,
                None => {
                    if let Err(error) = rows.read(shared) {
                        rows.is_last = true;
                        *held(&self.failed) = Some(error);
                    }
                }
            }
        }
    }
}

impl Rows {
    fn read(&mut self, shared: &Shared) -> crate::store::Result<()> {
        let statuses = Status::ALL.into_iter().filter(|status| concerns(*status)).collect();
        let filter = RunFilter { statuses, limit: PAGE, before: self.before, ..RunFilter::default() };
        self.page = shared.store.runs(&filter)?.into();
        self.is_last = self.page.len() < PAGE;
        self.before = self.page.back().map(|run| run.id);
        Ok(())
    }
}
