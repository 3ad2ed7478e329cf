//! What people do to runs: holding them, and opening them again.

use std::sync::Arc;

use super::{Change, Run, Status};
use crate::id::{RunId, Version};
use crate::payload::Payload;

/// The scope of the state that says what is held: a workflow by its name, everything by the empty name. Runs of what is held
/// are not claimed, unless they are asked to end, and those that start are queued.
pub const PAUSED: &str = "$paused";

/// A run that is to go on from what its journal says.
#[derive(Clone, Debug)]
pub struct Reopen {
    /// Which.
    pub run: RunId,
    /// Its epoch, as it was seen. It is raised, so that nobody who had it before writes any more.
    pub epoch: u64,
    /// Its status, as it was seen.
    pub status: Status,
    /// Who opens it: another node must not own it.
    pub node: Arc<str>,
    /// What is appended to its journal.
    pub segment: Vec<u8>,
    /// The version from then on, with its settings; `None`: as before.
    pub upgrade: Option<(Version, Payload)>,
    /// Names, tickets and limits of what it holds by its journal: it gets all of them, or is not opened.
    pub locks: Vec<(Arc<str>, Arc<str>, u32)>,
    /// Name and limit of the slot that it needs to run at all: it comes into the line for it.
    pub slot: Option<(Arc<str>, u32)>,
    /// It stays held: paused.
    pub stays_paused: bool,
    /// What is done with it, and only with it: it does not wait any more for what it had begun.
    pub then: Vec<Change>,
}

/// Why a run is to end whose parent has ended.
pub(super) fn orphaned() -> Payload {
    Payload::from_text(r#"{"kind":"cancelled","message":"the run that waited for it has ended"}"#)
}

/// What a run becomes that starts while it is held.
pub(super) fn hold_back(run: &mut Run) {
    let (wake_at, epoch) = (run.wake_at, run.epoch);
    super::slot::put_back(run, "its workflow to be resumed".into(), wake_at);
    // Who has it in motion already, since it looked as if nothing could be in its way, writes no more.
    run.epoch = epoch + 1;
    run.ready = wake_at.is_none();
}

/// What a run becomes that is opened again.
pub(super) fn reopened(run: &mut Run, reopen: &Reopen) {
    run.status = if reopen.stays_paused { Status::Paused } else { Status::Running };
    run.epoch += 1;
    (run.output, run.error, run.cancel) = (None, None, None);
    (run.ended_at, run.expires_at, run.wake_at) = (None, None, None);
    run.rollback = super::Rollback::None;
    run.charged = 0;
    run.owner = None;
    run.waiting_for = "".into();
    run.ready = true;
    if let Some((version, settings)) = &reopen.upgrade {
        run.version = version.clone();
        run.settings = settings.clone();
    }
}
