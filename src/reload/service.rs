//! Follows the scripts folder: what settles there is loaded, deployed, withdrawn, and told.
//!
//! A thread of its own does all of it, one round of saves after another. The version that is live is noted in the store, so that
//! a file that is broken when the daemon starts keeps its last good version too.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};

use super::folder::Skipped;
use super::gates::Gates;
use super::load::{checked, load};
use super::record::{Reload, Status};
use super::scripts::{Scripts, Update};
use super::snapshot::Change;
use super::watch::{Caller, Options};
use super::workflows::{Outcome, Workflows};
use super::{Error, folder};
use crate::diag::{Diagnostic, Place, Severity};
use crate::engine::gate::{Report, State};
use crate::engine::{Deployed, Handle};
use crate::id::Version;
use crate::payload::Payload;
use crate::script::bundle::{Bundle, Kind, classify};
use crate::store;
use crate::trigger::verify;

/// Records that are kept: a long day of saving.
const RECORDS_MAX: usize = 1_000;
/// Whoever wants something of the thread calls it: how long it waits where nobody does.
const LOOK: Duration = Duration::from_mins(10);
/// How often, and with what pause between, a file that does not stop changing is looked at while somebody waits for a reading.
const REREAD_ROUNDS: usize = 10;
const REREAD_LOOK: Duration = Duration::from_millis(200);
/// Where the store notes which version of a workflow is live.
const SCOPE: &str = "$reload";

/// The scripts folder, followed. Ends when dropped.
pub struct Service {
    board: Arc<Board>,
    caller: Caller,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread tells.
struct Board {
    told: Mutex<Told>,
    sender: broadcast::Sender<Reload>,
    gates: broadcast::Sender<Reload>,
    /// Both, as the API shows them.
    shown: broadcast::Sender<Value>,
    is_closing: AtomicBool,
    /// Those who want the folder read at once.
    rereads: Mutex<Vec<oneshot::Sender<()>>>,
}

#[derive(Default)]
struct Told {
    records: VecDeque<Reload>,
    broken: BTreeMap<String, Vec<Diagnostic>>,
}

impl Service {
    /// Loads what is in the folder, and follows it. When this returns, what is good is live; what came of each file is in
    /// [`Service::reloads`].
    pub fn start(handle: Handle, folder: &Path) -> Result<Arc<Self>, Error> {
        let board = Arc::new(Board {
            told: Mutex::default(),
            sender: broadcast::channel(RECORDS_MAX).0,
            gates: broadcast::channel(RECORDS_MAX).0,
            shown: broadcast::channel(RECORDS_MAX).0,
            is_closing: AtomicBool::new(false),
            rereads: Mutex::default(),
        });
        let (ready, opened) = mpsc::channel();
        let (root, shared) = (folder.to_path_buf(), Arc::clone(&board));
        let thread = std::thread::Builder::new().name("reload".into());
        let thread = thread.spawn(move || follow(handle, &root, shared, &ready)).map_err(Error::Start)?;
        let caller = opened.recv().map_err(|_| Error::Ended)??;
        Ok(Arc::new(Self { board, caller, thread: Mutex::new(Some(thread)) }))
    }

    /// The last records, oldest first.
    pub fn reloads(&self) -> Vec<Reload> {
        self.board.told().records.iter().cloned().collect()
    }

    /// The records so far, and those that come: none is missed in between.
    pub fn follow(&self) -> (Vec<Reload>, broadcast::Receiver<Reload>) {
        let told = self.board.told();
        (told.records.iter().cloned().collect(), self.board.sender.subscribe())
    }

    /// What the gate found of the version of a workflow that went live last.
    pub fn gate(&self, workflow: &str) -> Option<Report> {
        let told = self.board.told();
        let of_this = |record: &&Reload| record.workflow == workflow && record.gate.is_some();
        told.records.iter().rev().find(of_this).and_then(|record| record.gate.clone())
    }

    /// Records that come once more, when the gate is done with their version.
    pub fn follow_gates(&self) -> broadcast::Receiver<Reload> {
        self.board.gates.subscribe()
    }

    /// Records that come from now on, and those that come once more, as the API shows them.
    pub fn follow_shown(&self) -> broadcast::Receiver<Value> {
        self.board.shown.subscribe()
    }

    /// What is wrong with the file of a workflow; nothing where it is good, or not known.
    pub fn broken(&self, workflow: &str) -> Option<Vec<Diagnostic>> {
        self.board.told().broken.get(workflow).cloned()
    }

    /// Reads the folder although nothing was noticed in it. When this returns, what it holds is loaded; a file that does not
    /// stop changing is not waited for.
    pub async fn reread(&self) {
        let (done, read) = oneshot::channel();
        self.board.rereads.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        self.caller.call();
        // Only a service that ends does not answer.
        let _ = read.await;
    }

    /// Ends it. What is deployed stays.
    pub fn stop(&self) {
        self.board.is_closing.store(true, Ordering::Relaxed);
        self.caller.call();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Board {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut *self.rereads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, reload: Reload) {
        let mut told = self.told();
        if reload.status == Status::Broken {
            told.broken.insert(reload.workflow.clone(), reload.diagnostics.clone());
        } else {
            told.broken.remove(&reload.workflow);
        }
        if told.records.len() == RECORDS_MAX {
            told.records.pop_front();
        }
        told.records.push_back(reload.clone());
        // Nobody needs to listen.
        self.show(&reload);
        let _ = self.sender.send(reload);
    }
}

impl Board {
    /// Enters what the gate found so far with the save that it is of; once done, that is told.
    fn gated(&self, report: &Report) {
        let mut told = self.told();
        let of_this = |record: &&mut Reload| {
            record.workflow == report.workflow
                && record.version.as_ref() == Some(&report.version)
                && record.gate.is_some()
        };
        let Some(record) = told.records.iter_mut().rev().find(of_this) else { return };
        record.gate = Some(report.clone());
        if report.state == State::Done {
            // Nobody needs to listen.
            let _ = self.gates.send(record.clone());
            self.show(record);
        }
    }

    fn show(&self, reload: &Reload) {
        if self.shown.receiver_count() > 0 {
            let _ = self.shown.send(reload.to_json());
        }
    }
}

fn follow(handle: Handle, root: &Path, board: Arc<Board>, ready: &mpsc::Sender<Result<Caller, Error>>) {
    let open = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::Start)?;
        let teller = Arc::clone(&board);
        let tell = Box::new(move |report: &Report| teller.gated(report));
        let gates = Gates::start(handle.clone(), tell).map_err(Error::Start)?;
        Ok((runtime, gates, Scripts::open(root, Options::default())?))
    };
    let (runtime, gates, (mut scripts, update)) = match open() {
        Ok(opened) => opened,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let (workflows, skipped) = (Workflows::default(), Vec::new());
    let mut follower = Follower { handle, board, runtime, gates, workflows, skipped };
    follower.take(&scripts, update);
    let _ = ready.send(Ok(scripts.caller()));
    while !follower.board.is_closing.load(Ordering::Relaxed) {
        let update = scripts.wait(LOOK);
        follower.take(&scripts, update);
        let asked = follower.board.asked();
        if !asked.is_empty() {
            let update = scripts.reread();
            follower.take(&scripts, update);
            for _ in 0..REREAD_ROUNDS {
                if scripts.is_settled() {
                    break;
                }
                let update = scripts.wait(REREAD_LOOK);
                follower.take(&scripts, update);
            }
            for done in asked {
                let _ = done.send(());
            }
        }
    }
    // Nobody is left waiting.
    drop(follower.board.asked());
}

struct Follower {
    handle: Handle,
    board: Arc<Board>,
    /// For writes to the store alone.
    runtime: Runtime,
    gates: Gates,
    workflows: Workflows,
    skipped: Vec<Skipped>,
}

impl Follower {
    fn take(&mut self, scripts: &Scripts, update: Update) {
        if let Some(problem) = update.problem {
            tracing::warn!("scripts folder: {problem}");
        }
        if !update.changes.is_empty() {
            self.round(scripts, &update.changes);
        }
        if let Some(skipped) = update.skipped {
            self.skip(scripts, skipped);
        }
    }

    fn round(&mut self, scripts: &Scripts, changes: &[Change]) {
        let handle = self.handle.clone();
        let live = scripts.snapshot().live();
        let load = |path: &str| {
            let mut loaded = load(path, live, handle.settings())?;
            loaded.warnings.extend(handle.channels().diagnose(&loaded.deployed, handle.people()));
            let mailboxes: Vec<_> =
                handle.mailboxes().into_iter().flat_map(|all| all.all()).map(|(name, _)| name).collect();
            // The workflow can be started in other ways.
            loaded.warnings.extend(verify::unknown_mailboxes(&loaded.deployed, &mailboxes, Severity::Warning));
            Ok(loaded)
        };
        let recall = |workflow: &str| recall(&handle, workflow);
        let outcomes = self.workflows.round(changes, &load, &recall);
        let known: Vec<_> = outcomes.iter().map(|outcome| noted(&self.handle, &outcome.workflow)).collect();
        outcomes.iter().for_each(|outcome| self.put_live(outcome));
        self.note(&outcomes, &known);
        for (outcome, known) in outcomes.into_iter().zip(known) {
            self.tell_outcome(outcome, known.as_ref());
        }
    }

    fn put_live(&self, outcome: &Outcome) {
        if let Some(deployed) = &outcome.deploy {
            self.handle.deploy((**deployed).clone());
        } else if outcome.status == Status::Removed {
            self.handle.withdraw(&outcome.workflow);
            self.gates.forget(&outcome.workflow);
        }
    }

    /// Tells what came of a file, and has a version tried that was not live before: one that was when the daemon ended is no news.
    fn tell_outcome(&self, outcome: Outcome, known: Option<&Version>) {
        let is_news = |deployed: &Arc<Deployed>| known != Some(deployed.version());
        let tried = outcome.deploy.filter(|deployed| outcome.status == Status::Live && is_news(deployed));
        self.handle.metrics().reloads.one(&outcome.status.name());
        let gate = tried.as_ref().map(|deployed| Report::new(&deployed.name, deployed.version()));
        self.board.tell(Reload {
            version: outcome.live.as_ref().map(|live| live.version().clone()),
            file: outcome.file,
            workflow: outcome.workflow,
            status: outcome.status,
            diagnostics: outcome.diagnostics,
            at: self.handle.clock().now(),
            gate,
        });
        if let Some(deployed) = tried {
            self.gates.add(deployed);
        }
    }

    /// Notes which versions are live now, all in one commit. Without the note a restart only lacks the last good version of a file
    /// that is broken then.
    fn note(&self, outcomes: &[Outcome], known: &[Option<Version>]) {
        let changed = outcomes.iter().zip(known).filter_map(|(outcome, known)| {
            let version = outcome.deploy.as_ref().map(|deployed| deployed.version());
            let is_gone = outcome.status == Status::Removed;
            if version.is_none() && !is_gone || version == known.as_ref() {
                return None;
            }
            let value = version.map(|version| Payload::from_json(&json!(version)));
            Some(store::Change::SetState { scope: SCOPE.into(), key: outcome.workflow.as_str().into(), value })
        });
        let changes: Vec<_> = changed.collect();
        if changes.is_empty() {
            return;
        }
        let count = changes.len();
        if let Err(error) = self.runtime.block_on(self.handle.write(changes)) {
            tracing::warn!("which versions are live is not noted ({count} files): {error}");
        }
    }

    /// Tells of what looks like a script and is none, once.
    fn skip(&mut self, scripts: &Scripts, skipped: Vec<Skipped>) {
        for one in skipped.iter().filter(|one| !self.skipped.contains(one)) {
            let workflow = match (classify(&one.path), one.path.strip_suffix(".rhai")) {
                (Kind::Workflow(workflow), _) => workflow,
                (Kind::Ignored, Some(name)) => name.to_owned(),
                _ => {
                    tracing::warn!("`{}` is skipped: {}", one.path, one.reason);
                    continue;
                }
            };
            self.tell_file(&one.path, workflow, Status::Broken, vec![skipped_fault(one)]);
        }
        let is_back = |one: &&Skipped| {
            let is_live = scripts.snapshot().live().contains_key(&one.path);
            is_live && !scripts.snapshot().is_settling(&one.path) && skipped.iter().all(|now| now.path != one.path)
        };
        for one in self.skipped.iter().filter(is_back) {
            if let Kind::Workflow(workflow) = classify(&one.path) {
                self.tell_file(&one.path, workflow, Status::Unchanged, Vec::new());
            }
        }
        self.skipped = skipped;
    }

    fn tell_file(&self, file: &str, workflow: String, status: Status, diagnostics: Vec<Diagnostic>) {
        let version = self.handle.workflow(&workflow).ok().map(|live| live.version().clone());
        self.handle.metrics().reloads.one(&status.name());
        let (file, at) = (file.to_owned(), self.handle.clock().now());
        self.board.tell(Reload { file, workflow, version, status, diagnostics, at, gate: None });
    }
}

fn skipped_fault(skipped: &folder::Skipped) -> Diagnostic {
    Diagnostic::new(
        skipped.code,
        format!("`{}` is skipped: {}", skipped.path, skipped.reason),
        Place::file(&*skipped.path),
    )
}

/// Which version was live last, as the store has it.
fn noted(handle: &Handle, workflow: &str) -> Option<Version> {
    let version = handle.store().state(SCOPE, workflow).ok()??;
    serde_json::from_value(version.to_json()).ok()
}

/// The version that was live when the daemon ended, from the store.
fn recall(handle: &Handle, workflow: &str) -> Option<Deployed> {
    let version = noted(handle, workflow)?;
    let bundle = Bundle::from_stored(&handle.store().bundle(&version).ok()??).ok()?;
    checked(bundle, handle.settings()).ok().map(|loaded| loaded.deployed)
}

#[cfg(test)]
mod tests;
