//! What people are still to be told, as durable values: kept in the commit of what it tells of, removed when it was delivered.
//!
//! The scope is [`TOLD`]. Who keeps and removes rows there is the engine's business; the store only keeps those of a change with
//! the change, or not at all.

use std::sync::Arc;

use crate::payload::Payload;

/// The scope of the state that holds what people are to be told.
pub const TOLD: &str = "$told";

/// The beginning of the key of one message; the message's id follows.
pub const MESSAGE: &str = "m/";

/// One thing that people are to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The same for the same thing, however often it is written.
    pub id: Arc<str>,
    /// What it says, as the engine wrote it.
    pub value: Payload,
}

impl Told {
    /// The key under which it is kept in [`TOLD`].
    pub fn key(&self) -> Arc<str> {
        format!("{MESSAGE}{}", self.id).into()
    }
}

/// Whether what people are told is kept until it was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// In [`TOLD`].
    Until,
    /// Not at all: it is told once, after the commit.
    Not,
}
