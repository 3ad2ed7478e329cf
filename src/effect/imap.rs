//! Mailboxes on IMAP servers, which the configuration names.
//!
//! [`Session`] is one connection, with a bound on everything that a server sends: a line, a message, the time. It knows no
//! workflow; what a message means is [`letter`](super::letter)'s.

mod answer;
mod fields;
mod folder;
mod session;
mod wire;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use session::{Head, Opened, Session};

use super::mail::Security;

/// Bytes of a message, unless it is said: what the large providers take.
pub const MAX_BYTES: usize = 25 << 20;
/// How often a server is asked that does not tell by itself, unless it is said.
pub const EVERY: Duration = Duration::from_mins(1);

/// A folder on a server that is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Whom it knows us as.
    pub user: String,
    /// The name of the secret that is the password.
    pub secret: String,
    /// The folder.
    pub folder: String,
    /// The certificates that are trusted, in place of the usual ones: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// How often it is asked where it does not tell by itself.
    pub every: Duration,
    /// What becomes of a message that was taken.
    pub after: After,
    /// Whether it is followed for replies, also where no workflow declares a trigger for it.
    pub replies: bool,
    /// Bytes of a message; of a larger one the headers are read.
    pub max_bytes: usize,
}

impl Mailbox {
    /// What tells this folder from others: who, where, which.
    pub fn place(&self) -> String {
        format!("{}@{}:{}/{}", self.user, self.host, self.port, self.folder)
    }
}

/// What becomes of a message that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum After {
    /// It counts as read.
    #[default]
    Seen,
    /// Nothing: the folder is only read.
    Leave,
    /// It goes to another folder, as read.
    Move(String),
}

/// Gives the password of a mailbox: its secret's name, and host and port that get it. The error says why there is none.
pub type Password = dyn Fn(&str, &str, u16) -> Result<String, String> + Send + Sync;

/// All mailboxes of a configuration, by name.
pub struct Mailboxes {
    all: BTreeMap<String, Mailbox>,
    password: Box<Password>,
}

impl Mailboxes {
    /// Those of a configuration.
    pub fn new(all: BTreeMap<String, Mailbox>, password: Box<Password>) -> Self {
        Self { all, password }
    }

    /// The mailbox of this name.
    pub fn get(&self, name: &str) -> Option<&Mailbox> {
        self.all.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        self.all.iter().map(|(name, mailbox)| (name.as_str(), mailbox))
    }

    /// Connects, and logs in.
    pub async fn open(&self, mailbox: &Mailbox) -> Result<Session, Error> {
        let password = (self.password)(&mailbox.secret, &mailbox.host, mailbox.port).map_err(Error::Settings)?;
        Session::open(mailbox, &password).await
    }
}

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.all.keys()).finish()
    }
}

/// Why a mailbox cannot be followed. After any of them but [`Refused`](Self::Refused) the connection is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What the configuration says cannot be: another try will not help.
    #[error("{0}")]
    Settings(String),
    /// The server does not let us in.
    #[error("the server does not let `{user}` in: {why}; hint: check `user` and the secret `{secret}`")]
    Login {
        /// As whom.
        user: String,
        /// The secret.
        secret: String,
        /// Its own words.
        why: String,
    },
    /// The server says no to a command.
    #[error("the server refuses `{command}`: {why}")]
    Refused {
        /// Which.
        command: String,
        /// Its own words.
        why: String,
    },
    /// No connection, or none any more.
    #[error("{0}")]
    Network(String),
    /// What it says is not IMAP, or more than it may be.
    #[error("the server says what cannot be understood: {0}")]
    Protocol(String),
}
