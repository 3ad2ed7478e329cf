//! Events as the store keeps them, and what they leave to be gathered.

use std::sync::Arc;

use crate::id::RunId;
use crate::payload::Payload;
use crate::time::Timestamp;

/// An event as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Place in the order of all events; 0 until stored.
    pub seq: u64,
    /// Its identity: a repeat within seven days is dropped.
    pub id: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Correlation key.
    pub key: Option<Arc<str>>,
    /// What it says.
    pub payload: Payload,
    /// Meant for this run alone; kept as meant for the first of its chain.
    pub run: Option<RunId>,
    /// When it was accepted.
    pub at: Timestamp,
}

/// A durable value that an event leaves, to be read with [`super::Store::states`] and removed with
/// [`super::Change::SetState`]. Its key ends in the event's place in the order, so that keys that begin alike are in that
/// order: see [`Gather::key_at`].
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// A scope of the engine's own: begins with `$`.
    pub scope: Arc<str>,
    /// The beginning of the key.
    pub prefix: Arc<str>,
    /// The value.
    pub value: Payload,
}

impl Gather {
    /// The key under which the event at this place leaves its value: twenty digits after the prefix.
    pub fn key_at(prefix: &str, seq: u64) -> Arc<str> {
        format!("{prefix}{seq:020}").into()
    }
}
