//! What a repair leaves behind: runs, tasks and slots that had been begun, and that nobody will ask for again.

use crate::host::session::abandoned;
use crate::host::{lock, task, workflows};
use crate::journal::{Entry, Phase, Position, Repair};
use crate::store::{Change, Run};
use crate::time::Timestamp;

use super::repair::{closing, is_within};

/// What ends with the commit that opens the run again, so that nothing goes on without anybody who waits for it.
pub(super) fn behind(run: &Run, before: &[Entry], kept: &[Entry], repair: &Repair, at: Timestamp) -> Vec<Change> {
    let begins = |entry: &&Entry| entry.phase == Phase::Opened;
    let is_kept = |position: &Position| kept.iter().filter(begins).any(|entry| entry.position == *position);
    let gone = before.iter().filter(begins).filter(|entry| closing(before, &entry.position).is_none());
    let gone = gone.filter(|entry| !is_kept(&entry.position)).filter_map(|entry| {
        let child = workflows::attached_by(entry).map(|run| Change::Cancel { run, reason: abandoned() });
        child.or_else(|| task::opened_by(entry).map(|task| Change::CloseTask { task, at }))
    });
    gone.chain(slots(run, before, repair)).collect()
}

/// Slots that were asked for inside of what is left out. Whatever is done again asks for its own again, by the same tickets.
fn slots(run: &Run, before: &[Entry], repair: &Repair) -> Vec<Change> {
    let Some((left_out, _)) = &repair.result else { return Vec::new() };
    let inside = before.iter().filter(|entry| entry.phase == Phase::Opened && is_within(&entry.position, left_out));
    // Under the claim that the run has from then on.
    let give_up = |ticket| Change::ReleaseSlot { run: run.id, epoch: run.epoch + 1, ticket };
    inside.filter_map(lock::asked_by).map(give_up).collect()
}
