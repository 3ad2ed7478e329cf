//! Why a command failed, in the terms that scripts and retry rules use.

use std::time::Duration;

/// Why a command failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of `http`, `network`, `timeout`, `file`, `mail`, `message`, `shell`, `sql`, `denied`, `invalid`, `limit`, `not_found`.
    pub kind: &'static str,
    /// What failed, where and why, and after `hint:` what to do.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether anything reached the peer.
    pub sent: Sent,
    /// How long the peer asks to wait before the next try (`Retry-After`), a day at most.
    pub retry_after: Option<Duration>,
    /// What the error map has beside the above: `status`, `body`, `headers`, `url`, `path`.
    pub fields: Vec<(String, Field)>,
}

/// Whether a failed request may have had an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Surely nothing reached the peer: the name did not resolve, the connection was refused, a check said no.
    No,
    /// Something may have.
    Maybe,
}

/// A value in [`Failure::fields`].
#[derive(Clone, PartialEq, Debug)]
pub enum Field {
    /// A number, such as a status.
    Int(i64),
    /// Text, such as a URL.
    Text(String),
    /// Raw JSON text, such as a body.
    Json(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// Names and values, such as headers.
    Map(Vec<(String, String)>),
    /// Nothing, such as an empty body.
    Unit,
}

impl Failure {
    /// A failure of this kind before anything was sent, not worth a retry.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retryable: false, sent: Sent::No, retry_after: None, fields: Vec::new() }
    }

    /// An argument that does not make sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// A capability is missing.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new("denied", message)
    }

    /// Something is larger than its limit.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new("limit", message)
    }

    /// The same, with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, field: Field) -> Self {
        self.fields.push((name.to_owned(), field));
        self
    }

    /// The same, worth a retry.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }

    /// The same, after something may have reached the peer.
    #[must_use]
    pub fn maybe_sent(self) -> Self {
        Self { sent: Sent::Maybe, ..self }
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, field)| field)
    }
}
