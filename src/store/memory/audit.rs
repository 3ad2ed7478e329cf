//! The audit log in memory.

use super::State;
use crate::audit::{Act, Head, Record};
use crate::store::{Applied, AuditFilter, Change};

impl State {
    /// Does the change, and keeps a record of the act where it took effect.
    pub(super) fn audit(&mut self, act: &Act, change: Option<&Change>) -> Applied {
        let applied = change.map_or(Applied::Done, |change| self.apply(change));
        if applied.took_effect() {
            let record = self.audit_head().unwrap_or_default().next(act);
            self.audit.push(record);
        }
        applied
    }

    /// Records, newest first.
    pub(super) fn acts(&self, filter: &AuditFilter) -> Vec<Record> {
        let wanted = |record: &&Record| {
            filter.before.is_none_or(|before| record.seq < before)
                && filter.since.is_none_or(|since| record.act.at >= since)
        };
        self.audit.iter().rev().filter(wanted).take(filter.limit).cloned().collect()
    }

    /// The end of the log.
    pub(super) fn audit_head(&self) -> Option<Head> {
        self.audit.last().map(|last| Head { seq: last.seq, hash: last.hash })
    }
}
