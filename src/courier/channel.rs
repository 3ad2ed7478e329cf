//! Channels as data: how each is reached. The config makes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::channels::Channels;

/// How long repeats are put together unless something else is said.
pub const REPEAT: Duration = Duration::from_mins(15);

/// All channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outlets {
    /// By name.
    pub channels: BTreeMap<Arc<str>, Channel>,
    /// The one for failures that nobody handles.
    pub default: Option<Arc<str>>,
    /// How long repeats are put together.
    pub repeat: Duration,
}

impl Default for Outlets {
    fn default() -> Self {
        Self { channels: BTreeMap::new(), default: None, repeat: REPEAT }
    }
}

/// How a channel is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Channel {
    /// By mail, through the server of `[mail]`.
    Mail {
        /// Addresses; at least one.
        to: Vec<String>,
    },
    /// A webhook that takes `{"text": …}`, as Slack, Mattermost, Rocket.Chat and Discord have it.
    Slack {
        /// Where.
        address: Address,
    },
    /// A webhook that takes the message as JSON.
    Webhook {
        /// Where.
        address: Address,
        /// The secret that is sent as a bearer token.
        token_secret: Option<String>,
        /// Headers beside it.
        headers: Vec<(String, String)>,
    },
    /// A topic of ntfy.
    Ntfy {
        /// Server and topic.
        address: Address,
        /// The secret that is sent as a bearer token.
        token_secret: Option<String>,
        /// `min`, `low`, `default`, `high`, `max`, or 1 to 5.
        priority: Option<String>,
    },
    /// A program that gets the message on its standard input.
    Program {
        /// The program and its arguments; at least the program.
        command: Vec<String>,
    },
}

impl Channel {
    /// The name of its kind, as the config has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Ntfy { .. } => "ntfy",
            Self::Program { .. } => "program",
        }
    }
}

/// A URL, or the name of the secret that is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// Written in the config.
    Url(String),
    /// The secret with this name.
    Secret(String),
}

impl Outlets {
    /// Their names, as the engine wants them.
    pub fn names(&self) -> Channels {
        Channels { names: self.channels.keys().cloned().collect(), default: self.default.clone() }
    }
}
