//! The audit log as data: who acts, what is kept of an act, and the chain of hashes by which a change of the log shows.
//!
//! Each record bears a hash over the hash before it and its own text, so that who changes, removes or adds a record in between
//! breaks the chain from there on. The store computes it, where the order is decided. Pure: no clock, no store.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::payload::Payload;
use crate::time::Timestamp;

/// Who does something to the engine from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Somebody on this machine: through loopback without a token, or with a command on the data folder.
    Local {
        /// The user of the system, where that is known.
        user: Option<Arc<str>>,
    },
    /// The holder of a token.
    Token {
        /// The token's name.
        name: Arc<str>,
        /// The person of the config that it stands for.
        person: Option<Arc<str>>,
    },
    /// The holder of a signed address.
    Link {
        /// Whom it was sent to.
        person: Option<Arc<str>>,
    },
}

impl Actor {
    /// Somebody on this machine, of whom no more is known.
    pub const LOCAL: Self = Self::Local { user: None };

    /// The person of the config, where the actor stands for one.
    pub fn person(&self) -> Option<&str> {
        match self {
            Self::Local { .. } => None,
            Self::Token { person, .. } | Self::Link { person } => person.as_deref(),
        }
    }
}

impl fmt::Display for Actor {
    /// `local`, `local:ann`, `token:ci`, `link`, `link:ann`: names cannot pass for each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Local { user } => ("local", user.as_deref()),
            Self::Token { name, .. } => ("token", Some(&**name)),
            Self::Link { person } => ("link", person.as_deref()),
        };
        match name {
            Some(name) => write!(f, "{kind}:{name}"),
            None => f.write_str(kind),
        }
    }
}

/// What is to be kept of an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// By whom: an [`Actor`] as text.
    pub actor: Arc<str>,
    /// What: `run.cancel`, `task.answer`, `token.create`, …
    pub act: Arc<str>,
    /// To what: the id of a run or a task, or a name.
    pub subject: Arc<str>,
    /// What belongs to it: a map, and never a secret's value.
    pub details: Payload,
}

impl Act {
    /// An act of somebody. `details` is a map without secrets, or `null`.
    pub fn new(at: Timestamp, actor: &Actor, act: &str, subject: impl fmt::Display, details: &Value) -> Self {
        Self {
            at,
            actor: actor.to_string().into(),
            act: act.into(),
            subject: subject.to_string().into(),
            details: Payload::from_json(details),
        }
    }
}

/// The hash of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A record of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What was done.
    pub act: Act,
    /// Over the hash of the record before, and this one.
    pub hash: Hash,
}

impl Record {
    /// The record as the API shows it.
    pub fn to_json(&self) -> Value {
        let Act { at, actor, act, subject, details } = &self.act;
        json!({
            "seq": self.seq, "at": at, "actor": &**actor, "act": &**act, "subject": &**subject,
            "details": details.to_json(), "hash": self.hash,
        })
    }
}

/// The end of a log: the number and the hash of its last record. An empty log has number 0, and a hash of zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// Number of the last record.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// The record that comes next.
    pub fn next(self, act: &Act) -> Record {
        let seq = self.seq + 1;
        Record { seq, act: act.clone(), hash: hash(self.hash, seq, act) }
    }

    /// The head as written by `Display`; `None`: it is none.
    pub fn from_text(text: &str) -> Option<Self> {
        let (seq, hash) = text.trim().split_once(':')?;
        let hash = hex::decode(hash).ok()?.try_into().ok()?;
        Some(Self { seq: seq.parse().ok()?, hash: Hash(hash) })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// The canonical text is a JSON list: equal acts have equal texts, and no two acts share one.
fn hash(before: Hash, seq: u64, act: &Act) -> Hash {
    let Act { at, actor, act, subject, details } = act;
    let text = json!([seq, at.0, &**actor, &**act, &**subject, details.text()]).to_string();
    let mut sum = Sha256::new();
    sum.update(before.0);
    sum.update(text.as_bytes());
    Hash(sum.finalize().into())
}

/// Why a log is not what was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// A record is not what its hash says, or follows on another one than it did.
    #[error("record {0} was changed, or the one before it")]
    Changed(u64),
    /// Records are missing.
    #[error("record {0} is missing")]
    Missing(u64),
    /// The log ends before what is known of it.
    #[error("the log ends with record {last}, and had {known}: its end was removed, or an older backup was restored")]
    Short {
        /// The last that is there.
        last: u64,
        /// The last that was there.
        known: u64,
    },
}

impl Broken {
    /// The number of the first record that is wrong or missing.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Changed(seq) | Self::Missing(seq) => *seq,
            Self::Short { last, .. } => last + 1,
        }
    }
}

/// Walks along a log, record by record.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    head: Head,
    /// What is known from elsewhere.
    known: Vec<Head>,
}

impl Walk {
    /// From the beginning of a log. `known`: heads that it had at some time, kept elsewhere.
    pub fn new(known: Vec<Head>) -> Self {
        Self { head: Head::default(), known }
    }

    /// The next record.
    pub fn step(&mut self, record: &Record) -> Result<(), Broken> {
        let expected = self.head.next(&record.act);
        if record.seq != expected.seq {
            return Err(Broken::Missing(expected.seq));
        }
        let head = Head { seq: record.seq, hash: record.hash };
        let is_known = self.known.iter().all(|known| known.seq != head.seq || known.hash == head.hash);
        if record.hash != expected.hash || !is_known {
            return Err(Broken::Changed(record.seq));
        }
        self.head = head;
        Ok(())
    }

    /// After the last record: the end of the log.
    pub fn end(self) -> Result<Head, Broken> {
        match self.known.iter().map(|known| known.seq).max() {
            Some(known) if known > self.head.seq => Err(Broken::Short { last: self.head.seq, known }),
            _ => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(n: i64) -> Act {
        Act::new(Timestamp(n), &Actor::LOCAL, "run.cancel", n, &json!({ "reason": "x" }))
    }

    fn log(n: i64) -> Vec<Record> {
        let next = |head: &mut Head, n| {
            let record = head.next(&act(n));
            *head = Head { seq: record.seq, hash: record.hash };
            Some(record)
        };
        (1..=n).scan(Head::default(), next).collect()
    }

    fn verify(records: &[Record], known: &[Head]) -> Result<Head, Broken> {
        let mut walk = Walk::new(known.to_vec());
        records.iter().try_for_each(|record| walk.step(record))?;
        walk.end()
    }

    fn head(records: &[Record]) -> Head {
        records.last().map_or(Head::default(), |last| Head { seq: last.seq, hash: last.hash })
    }

    #[test]
    fn a_whole_log_has_its_head() {
        assert_eq!(verify(&[], &[]), Ok(Head::default()));
        let log = log(3);
        assert_eq!(verify(&log, &[head(&log[..2]), head(&log)]), Ok(head(&log)));
        assert_eq!(Head::from_text(&head(&log).to_string()), Some(head(&log)));
    }

    #[test]
    fn the_first_wrong_record_is_named() {
        let whole = log(5);
        let changed = |change: fn(&mut Record)| {
            let mut log = whole.clone();
            change(&mut log[2]);
            verify(&log, &[])
        };
        assert_eq!(changed(|record| record.act.actor = "local:bob".into()), Err(Broken::Changed(3)));
        assert_eq!(changed(|record| record.act.at = Timestamp(9)), Err(Broken::Changed(3)));
        assert_eq!(changed(|record| record.act.details = Payload::unit()), Err(Broken::Changed(3)));
        assert_eq!(changed(|record| record.hash = Hash::default()), Err(Broken::Changed(3)));
        assert_eq!(verify(&[&whole[..2], &whole[3..]].concat(), &[]), Err(Broken::Missing(3)));
        assert_eq!(verify(&whole[1..], &[]), Err(Broken::Missing(1)));
    }

    #[test]
    fn a_removed_end_and_a_log_that_was_written_anew_show_against_a_known_head() {
        let whole = log(5);
        assert_eq!(verify(&whole[..3], &[head(&whole)]), Err(Broken::Short { last: 3, known: 5 }));
        let mut other = Head::default().next(&Act { actor: "local:bob".into(), ..act(1) });
        other.seq = 1;
        assert_eq!(verify(&[other], &[head(&whole[..1])]), Err(Broken::Changed(1)));
    }

    #[test]
    fn names_of_actors_do_not_pass_for_each_other() {
        let person = Some("ann".into());
        let token = Actor::Token { name: "local".into(), person: person.clone() };
        assert_eq!(token.to_string(), "token:local");
        assert_eq!(Actor::Link { person }.to_string(), "link:ann");
        assert_eq!(Actor::Local { user: Some("ann".into()) }.to_string(), "local:ann");
    }
}
