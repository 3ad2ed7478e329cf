//! Acts of people and programs outside: each with its record in the audit log, in the same commit.

use std::fmt;

use serde_json::Value;

use super::{Error, Handle};
use crate::audit::{Act, Actor, Broken, Head, Record, Walk};
use crate::store::{Applied, AuditFilter, Change, Store};

/// Records that are read at once while a log is walked along.
const STRIDE: usize = 1_000;

impl Handle {
    /// Does a change on somebody's behalf. Its record is kept with it unless nothing came of it; see [`Change::Audit`].
    /// `act` is `object.verb`; `details` is a map without secrets, or `null`.
    pub async fn act(
        &self,
        by: &Actor,
        act: &str,
        subject: impl fmt::Display,
        details: &Value,
        change: Change,
    ) -> Result<Applied, Error> {
        let act = Box::new(self.record(by, act, subject, details));
        let mut applied = self.write(vec![Change::Audit { act, change: Some(Box::new(change)) }]).await?;
        applied.pop().ok_or_else(|| self.stopped())
    }

    /// Keeps a record of what was done elsewhere than in the store.
    pub async fn note_act(
        &self,
        by: &Actor,
        act: &str,
        subject: impl fmt::Display,
        details: &Value,
    ) -> Result<(), Error> {
        let act = Box::new(self.record(by, act, subject, details));
        self.write(vec![Change::Audit { act, change: None }]).await.map(drop)
    }

    /// What is kept of an act.
    pub(super) fn record(&self, by: &Actor, act: &str, subject: impl fmt::Display, details: &Value) -> Act {
        self.act_from_outside(Act::new(self.shared.now(), by, act, subject, details))
    }

    /// Records of the audit log, newest first.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<Record>, Error> {
        Ok(self.shared.store.audit(filter)?)
    }

    /// Walks along the whole audit log; see [`verify_audit`].
    pub fn verify_audit(&self, known: Option<Head>) -> Result<Result<Head, Broken>, Error> {
        Ok(verify_audit(&*self.shared.store, known)?)
    }
}

/// Walks along the audit log of a store: its end, or the first record that is wrong. `known`: a head that the log had at some
/// time, kept by whoever asks.
pub fn verify_audit(store: &dyn Store, known: Option<Head>) -> Result<Result<Head, Broken>, crate::store::Error> {
    // Read before the records: what is written meanwhile is not behind it.
    let known = store.audit_head()?.into_iter().chain(known).collect();
    let (mut walk, mut last) = (Walk::new(known), 0);
    loop {
        let records = store.acts(last, STRIDE)?;
        let Some(newest) = records.last() else { return Ok(walk.end()) };
        last = newest.seq;
        if let Err(broken) = records.iter().try_for_each(|record| walk.step(record)) {
            return Ok(Err(broken));
        }
    }
}
