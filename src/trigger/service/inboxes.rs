//! `trigger::file`, over time: folders are scanned, what has settled is hashed and started for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{AGAIN, Begun, Cause, LOOK_MAX, SCOPE, begin, note, write};
use crate::engine::{Handle, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::parse_duration;
use crate::trigger::files::{Arrivals, FilePattern, On, Version, look, scan};

/// How often a folder is looked at.
const SCAN: Duration = Duration::from_millis(500);
/// Not sooner than this, whatever settles.
const SCAN_MIN: Duration = Duration::from_millis(20);
/// Looking takes a tenth of the time at most, however many files there are.
const SHARE: u32 = 10;
/// How long a file must look the same.
const SETTLE: Duration = Duration::from_secs(2);
/// Read at a time while hashing.
const PIECE: usize = 64 * 1024;
/// Notes of one commit at most.
const BATCH: usize = 512;

/// One trigger's files.
struct Inbox {
    workflow: Arc<str>,
    spec: TriggerSpec,
    /// The workflow's own folder.
    folder: PathBuf,
    pattern: FilePattern,
    arrivals: Arrivals,
    /// What the store has of `arrivals`.
    kept: BTreeMap<String, Version>,
    /// Due, but the engine could not start it yet.
    waiting: Vec<Version>,
    /// Why the last scan failed.
    problem: Option<String>,
}

/// All file triggers of what is deployed, by workflow and trigger.
pub(super) struct Inboxes {
    handle: Handle,
    inboxes: BTreeMap<(Arc<str>, String), Inbox>,
}

impl Inboxes {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, inboxes: BTreeMap::new() }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut deployments = self.handle.deployments();
        let mut is_complete = false;
        loop {
            if !is_complete || deployments.has_changed().unwrap_or(false) {
                deployments.mark_unchanged();
                is_complete = self.sync();
            }
            let before = self.handle.clock().elapsed();
            for inbox in self.inboxes.values_mut() {
                inbox.scan(&self.handle, &stop).await;
            }
            let now = self.handle.clock().elapsed();
            let wait =
                self.pause(now).max(now.saturating_sub(before) * SHARE).min(if is_complete { LOOK_MAX } else { AGAIN });
            tokio::select! {
                _ = stop.changed() => return,
                _ = deployments.changed() => is_complete = false,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn pause(&self, now: Duration) -> Duration {
        if self.inboxes.is_empty() {
            return LOOK_MAX;
        }
        let checks = self.inboxes.values().filter_map(|inbox| inbox.arrivals.next_check());
        checks.min().map_or(SCAN, |at| at.saturating_sub(now)).clamp(SCAN_MIN, SCAN)
    }

    /// Takes in what is deployed. False: not all could be read, and it is to be done again.
    fn sync(&mut self) -> bool {
        let mut found = BTreeSet::new();
        let mut is_complete = true;
        for deployed in self.handle.workflows() {
            for spec in deployed.triggers.iter().filter(|spec| spec.kind == TriggerKind::File) {
                let id = (Arc::clone(&deployed.name), spec.id.clone());
                found.insert(id.clone());
                if self.inboxes.get(&id).is_some_and(|inbox| inbox.spec.options == spec.options) {
                    continue;
                }
                match Inbox::open(&self.handle, &deployed.name, spec) {
                    Ok(inbox) => {
                        self.inboxes.insert(id, inbox);
                    }
                    Err(problem) => {
                        tracing::warn!("{} of `{}` does not work now: {problem}", spec.id, deployed.name);
                        is_complete = false;
                    }
                }
            }
        }
        // What the store has of it stays: a file is not started for anew because its trigger was away.
        self.inboxes.retain(|id, _| found.contains(id));
        is_complete
    }
}

impl Inbox {
    fn open(handle: &Handle, workflow: &Arc<str>, spec: &TriggerSpec) -> Result<Self, String> {
        let workspace = std::path::absolute(handle.workspace()).map_err(|error| error.to_string())?;
        let folder = workspace.join(&**workflow);
        let pattern = FilePattern::parse(&spec.subject, &folder).map_err(|error| error.to_string())?;
        if !pattern.is_absolute() {
            // So that there is a place to put files into.
            std::fs::create_dir_all(pattern.folder()).map_err(|error| error.to_string())?;
        }
        let prefix = prefix(workflow, spec);
        let states = handle.store().states(SCOPE, &prefix).map_err(|error| error.to_string())?;
        let versions = states.iter().filter_map(|(_, state)| serde_json::from_value::<Version>(state.to_json()).ok());
        let kept: BTreeMap<_, _> = versions.map(|version| (version.path.clone(), version)).collect();
        let settle = spec.options["settle"].as_str().and_then(|text| parse_duration(text).ok()).unwrap_or(SETTLE);
        let on = spec.options["on"].as_str().and_then(On::parse).unwrap_or_default();
        let arrivals = Arrivals::new(settle, on, kept.values().cloned().collect());
        let (workflow, spec) = (Arc::clone(workflow), spec.clone());
        Ok(Self { workflow, spec, folder, pattern, arrivals, kept, waiting: Vec::new(), problem: None })
    }

    async fn scan(&mut self, handle: &Handle, stop: &watch::Receiver<bool>) {
        let elapsed = || handle.clock().elapsed();
        let seen = match scan(&self.pattern) {
            Ok(seen) => seen,
            Err(error) => return self.fails(error.to_string()),
        };
        self.problem = None;
        let mut due = std::mem::take(&mut self.waiting);
        for before in self.arrivals.scanned(seen, elapsed()) {
            if *stop.borrow() {
                return;
            }
            let hash = hash(Path::new(&before.path), stop).ok();
            let after = look(Path::new(&before.path)).ok().flatten();
            due.extend(self.arrivals.hashed(&before, hash.as_deref(), after.as_ref(), elapsed()));
        }
        for version in due {
            if let Begun::NotNow(_) = begin(handle, self.cause(&version)).await {
                self.waiting.push(version);
            }
        }
        self.keep(handle).await;
    }

    fn fails(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!("the folder of {} of `{}` cannot be read: {problem}", self.spec.id, self.workflow);
            self.problem = Some(problem);
        }
    }

    fn cause(&self, version: &Version) -> Cause<'_> {
        let input = payload(version, &self.folder);
        let (key, info) = (Some(version.key()), input.clone());
        Cause { key, input, info, ..Cause::of(&self.workflow, &self.spec) }
    }

    /// Notes what changed since the last time, but nothing of what is still to be started for.
    async fn keep(&mut self, handle: &Handle) {
        let prefix = prefix(&self.workflow, &self.spec);
        let fired: BTreeMap<&str, &Version> =
            self.arrivals.fired().map(|version| (version.path.as_str(), version)).collect();
        let is_settled = |path: &str| self.waiting.iter().all(|version| version.path != path);
        let news = fired.iter().filter(|(path, version)| self.kept.get(**path) != Some(**version) && is_settled(path));
        let mut changes: Vec<(String, Option<Version>)> =
            news.map(|(path, version)| ((*path).to_owned(), Some((*version).clone()))).collect();
        changes.extend(self.kept.keys().filter(|path| !fired.contains_key(path.as_str())).map(|p| (p.clone(), None)));
        for batch in changes.chunks(BATCH) {
            let notes = batch.iter().map(|(path, version)| {
                let value = version.as_ref().map(|version| json!(version));
                note(&format!("{prefix}{path}"), value.as_ref())
            });
            if !write(handle, notes.collect()).await {
                return;
            }
            for (path, version) in batch.iter().cloned() {
                match version {
                    Some(version) => self.kept.insert(path, version),
                    None => self.kept.remove(&path),
                };
            }
        }
    }
}

/// No identity of a trigger has a line end in it, so that none is the beginning of another's keys.
fn prefix(workflow: &str, spec: &TriggerSpec) -> String {
    format!("{workflow}/{}\n", spec.id)
}

/// What the workflow gets; the path is one that `file::read` takes.
fn payload(version: &Version, folder: &Path) -> Value {
    let path = Path::new(&version.path);
    let shown = path.strip_prefix(folder).unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    json!({
        "path": shown.to_string_lossy(), "name": name.to_string_lossy(), "size": version.size, "sha256": version.sha256,
    })
}

/// SHA-256 in lower-case hex, piece by piece.
fn hash(path: &Path, stop: &watch::Receiver<bool>) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        if *stop.borrow() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex::encode(hash.finalize())),
            Ok(count) => hash.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
