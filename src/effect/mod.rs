//! Performing commands of the outside world: HTTP requests, files, mail, programs, databases, messages.
//!
//! A [`Request`] is plain data, an [`Outcome`] is plain data. In between, a [`Performer`] checks what the workflow may
//! touch ([`Allow`]), replaces placeholders by secrets at the last moment ([`Secrets`]), and performs.
//! It owns the pooled HTTP connections and nothing durable.
//!
//! It must not know: the scripting language, the journal, the store, retries and their schedule. It says whether a
//! failure may be retried and whether anything reached the peer ([`Sent`]); the engine decides.

use std::borrow::Cow;

pub mod ai;
mod allow;
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "amqp", feature = "mqtt", feature = "nats")),
    allow(unused, reason = "it is there for servers")
)]
mod aside;
mod failure;
pub mod file;
pub mod http;
pub mod imap;
pub mod letter;
pub mod mail;
#[cfg_attr(
    not(all(feature = "amqp", feature = "mqtt", feature = "nats")),
    allow(unused, reason = "each broker needs a part of it")
)]
pub mod message;
pub mod net;
pub mod oauth;
mod performer;
mod scrub;
mod secrets;
pub mod shell;
pub mod sql;
mod tls;
pub mod upload;

pub use ai::{AiReply, AiRequest};
pub use allow::{Allow, host_entry, host_of, missing_host};
pub use failure::{Failure, Field, Sent};
pub use file::{FileReply, FileRequest};
pub use http::{HttpReply, HttpRequest};
pub use mail::{MailRequest, MailServer};
pub use message::{MessageReply, MessageRequest};
pub use performer::{Attempt, Limits, Performer, TraceHeaders};
pub use secrets::{NoSecrets, Secrets, Target};
pub use shell::{ShellReply, ShellRequest};
pub use sql::{SqlReply, SqlRequest};

/// A command to the outside world, with all its arguments.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// An HTTP exchange.
    Http(HttpRequest),
    /// An act on files.
    File(FileRequest),
    /// A message by mail.
    Mail(Box<MailRequest>),
    /// A program.
    Shell(Box<ShellRequest>),
    /// Statements for a database.
    Sql(Box<SqlRequest>),
    /// A question to a model.
    Ai(Box<AiRequest>),
    /// A message for a broker.
    Message(Box<MessageRequest>),
}

/// What a performed [`Request`] gave.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// The response to an HTTP request.
    Http(HttpReply),
    /// What a file function returns.
    File(FileReply),
    /// The `Message-ID` of a message that the server took.
    Mail(String),
    /// How a program ended.
    Shell(ShellReply),
    /// What a database answered.
    Sql(SqlReply),
    /// What a model answered.
    Ai(AiReply),
    /// What a broker said of a message that it has.
    Message(MessageReply),
}

/// How performing a [`Request`] ended.
pub type Outcome = Result<Reply, Failure>;

/// What a request does to the outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Changes nothing: may be performed before earlier journal entries are durable.
    Reading,
    /// May change something: starts only when its intent is durable.
    Mutating,
}

impl Request {
    /// Whether performing this changes anything, the workflow's own folder included (so a download into a file is
    /// mutating, whatever its method).
    pub fn kind(&self) -> Kind {
        match self {
            Self::Http(request) => request.kind(),
            Self::File(request) => request.kind(),
            Self::Sql(request) => request.kind(),
            Self::Mail(_) | Self::Shell(_) | Self::Ai(_) | Self::Message(_) => Kind::Mutating,
        }
    }

    /// Whether a second execution leaves the world as one would, so that it may be retried unasked: reading requests,
    /// downloads into a file, and all file functions (they redo themselves safely).
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Http(request) => request.has_safe_method(),
            Self::Sql(request) => request.is_repeatable(),
            Self::Message(request) => request.is_repeatable(),
            // A question that is asked twice costs twice, and changes nothing.
            Self::File(_) | Self::Ai(_) => true,
            Self::Mail(_) | Self::Shell(_) => false,
        }
    }

    /// What it asks for, in a line. A secret in it is a placeholder.
    pub fn shown(&self) -> String {
        match self {
            Self::Http(request) => format!("{} {}", request.method, request.url),
            Self::File(request) => format!("file::{}", request.verb()),
            Self::Mail(request) => format!("mail to {}", request.to.join(", ")),
            Self::Shell(request) => format!("program {}", request.program),
            Self::Sql(request) => format!("database {}", request.database),
            Self::Ai(request) => format!("model {}", request.name),
            Self::Message(request) => format!("message {} to {}", request.subject, request.address),
        }
    }

    /// All texts in which placeholders of secrets may stand: those of the arguments, and what these only have a digest of.
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        let mut texts = vec![Cow::Owned(self.arguments())];
        if let Self::Http(request) = self {
            match &request.body {
                http::Body::Json(text) | http::Body::Text(text) => texts.push(Cow::Borrowed(text.as_str())),
                http::Body::Bytes(bytes) => texts.push(String::from_utf8_lossy(bytes)),
                // These are among the arguments, and the contents of files hold no placeholders.
                http::Body::None | http::Body::Form(_) | http::Body::File(_) | http::Body::Multipart(_) => {}
            }
        }
        texts
    }

    /// All arguments as canonical text, for an argument hash: the same request gives the same text on every machine.
    /// Contents are represented by their SHA-256. Secrets are in it as the placeholders that the request holds.
    pub fn arguments(&self) -> String {
        match self {
            Self::Http(request) => request.arguments(),
            Self::File(request) => request.arguments().to_string(),
            Self::Mail(request) => request.arguments().to_string(),
            Self::Shell(request) => request.arguments().to_string(),
            Self::Sql(request) => request.arguments().to_string(),
            Self::Ai(request) => request.arguments().to_string(),
            Self::Message(request) => request.arguments().to_string(),
        }
    }
}
