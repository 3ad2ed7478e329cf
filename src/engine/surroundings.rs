//! Where settings come from.

use std::collections::BTreeMap;

use crate::id::RunId;
use crate::payload::Payload;

/// Plain settings for scripts.
pub trait Settings: Send + Sync {
    /// The value of a setting.
    fn get(&self, name: &str) -> Option<Payload>;
}

/// None at all.
#[derive(Clone, Copy, Debug)]
pub struct NoSettings;

impl Settings for NoSettings {
    fn get(&self, _: &str) -> Option<Payload> {
        None
    }
}

impl Settings for BTreeMap<String, Payload> {
    fn get(&self, name: &str) -> Option<Payload> {
        BTreeMap::get(self, name).cloned()
    }
}

/// Follows what runs do. Called after the commit of what happened, from the log's thread: must not block.
pub trait Follower: Send + Sync {
    /// A run waits, and all that it did until then is durable.
    fn parked(&self, run: RunId);
    /// A run has ended, or is held for a person.
    fn ended(&self, run: RunId);
    /// How much could not be handed on so far.
    fn dropped(&self) -> u64;
}
