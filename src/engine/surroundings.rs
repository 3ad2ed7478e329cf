//! Where settings come from.

use std::collections::BTreeMap;

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
