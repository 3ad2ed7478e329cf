//! HTTP: what a request and a response are. How they are exchanged is in the files below.
//!
//! Redirects are followed by hand, so that every hop passes the same checks as the first; environment variables name no
//! proxy; only `http` and `https` are spoken.

mod auth;
mod aws;
pub mod azure;
mod breaker;
mod clients;
mod exchange;
pub(super) mod fault;
pub(super) mod message;
mod response;
#[cfg(test)]
pub(super) mod server;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::file::{FileStat, Place};
use super::oauth::OAuth;
use super::scrub::Scrub;
use super::{Allow, Attempt, Failure, Kind, Limits, Outcome, Reply, net};

pub use auth::{Auth, AwsKeys, AzureKey};
pub use breaker::Breakers;
pub(super) use clients::Clients;
pub(super) use message::encode_form;
pub use upload::{Part, PartContents, SentFile};

/// Redirects that are followed at most: more is a loop (browsers stop at 20, APIs have one or two).
pub const MAX_REDIRECTS: usize = 10;

/// One HTTP exchange to perform. Its texts may hold placeholders for secrets.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HttpRequest {
    /// `GET`, `POST`, …, in capitals.
    pub method: String,
    /// `http://…` or `https://…`. Only a secret that keeps the host as it is may be in it.
    pub url: String,
    /// Names and values, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// Added to the query of the URL, encoded.
    pub query: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
    /// For the whole exchange, redirects and body included; `None`: [`Limits::request`], or [`Limits::download`].
    pub timeout: Option<Duration>,
    /// The largest response body, decompressed; `None`: [`Limits::body_bytes`], or [`Limits::saved_bytes`].
    pub max_bytes: Option<u64>,
    /// Statuses of 300 and up that are answers rather than errors or redirects.
    pub accept: Vec<u16>,
    /// A file that gets the body of the response.
    pub save_to: Option<String>,
    /// Makes the `Authorization` header; not sent on to another host.
    pub auth: Option<Auth>,
}

/// What is sent with a request. The content type is set unless a header says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON text.
    Json(String),
    /// Plain text.
    Text(String),
    /// Form fields, to be URL-encoded.
    Form(Vec<(String, String)>),
    /// Anything.
    Bytes(Vec<u8>),
    /// A file, read as it is sent.
    File(Box<SentFile>),
    /// A form with files.
    Multipart(Vec<Part>),
}

/// A response whose status is below 400, or accepted.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Names in lower case, sorted; values of repeated ones joined by `, `.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody,
    /// The address that answered, after redirects.
    pub url: String,
}

/// The body of a response, by its content type.
#[derive(Clone, PartialEq, Debug)]
pub enum HttpBody {
    /// Valid JSON text.
    Json(String),
    /// Text, decoded from its charset. Also what calls itself JSON and is not.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
    /// Nothing.
    Empty,
    /// It is in a file.
    Saved(FileStat),
}

impl HttpRequest {
    /// A request without headers and body, with the defaults of [`Limits`].
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.to_ascii_uppercase(), url: url.into(), ..Self::default() }
    }

    pub(super) fn kind(&self) -> Kind {
        if self.has_safe_method() && self.save_to.is_none() { Kind::Reading } else { Kind::Mutating }
    }

    /// Whether the method is one that changes nothing.
    pub fn has_safe_method(&self) -> bool {
        ["GET", "HEAD", "OPTIONS"].iter().any(|method| self.method.eq_ignore_ascii_case(method))
    }

    pub(super) fn arguments(&self) -> String {
        let Self { method, url, headers, query, body, timeout, max_bytes, accept, save_to, auth } = self;
        let arguments = Arguments {
            method,
            url,
            headers,
            query,
            body: body.arguments(),
            timeout_ms: timeout.map(|timeout| timeout.as_millis().to_string()),
            max_bytes: *max_bytes,
            accept,
            save_to: save_to.as_deref(),
            auth: auth.as_ref(),
        };
        serde_json::to_string(&arguments).expect("texts and numbers are JSON")
    }
}

/// The arguments of a request, in the order in which their text has them: its hash is in every journal.
#[derive(Serialize)]
struct Arguments<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a [(String, String)],
    query: &'a [(String, String)],
    body: Option<BodyArgument<'a>>,
    timeout_ms: Option<String>,
    max_bytes: Option<u64>,
    accept: &'a [u16],
    save_to: Option<&'a str>,
    auth: Option<&'a Auth>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum BodyArgument<'a> {
    Json(String),
    Text(String),
    Form(&'a [(String, String)]),
    Bytes(String),
    File(Value),
    Multipart(Vec<Value>),
}

impl Body {
    fn arguments(&self) -> Option<BodyArgument<'_>> {
        Some(match self {
            Self::None => return None,
            Self::Json(text) => BodyArgument::Json(super::file::digest(text.as_bytes())),
            Self::Text(text) => BodyArgument::Text(super::file::digest(text.as_bytes())),
            Self::Form(fields) => BodyArgument::Form(fields),
            Self::Bytes(bytes) => BodyArgument::Bytes(super::file::digest(bytes)),
            Self::File(file) => BodyArgument::File(file.arguments()),
            Self::Multipart(parts) => BodyArgument::Multipart(parts.iter().map(Part::arguments).collect()),
        })
    }
}

/// Whether an address may be called, as far as can be said before its name is resolved.
pub(super) fn admit(url: &str, allow: &Allow) -> Result<(), Failure> {
    net::admit(&message::written(url)?, allow).map(drop)
}

/// What an exchange is made with, beside the request.
pub(super) struct Means<'a> {
    pub(super) clients: &'a Clients,
    pub(super) limits: &'a Limits,
    pub(super) place: &'a Place,
    pub(super) breakers: &'a Breakers,
    /// Where tokens come from.
    pub(super) oauth: Option<&'a Arc<OAuth>>,
}

/// Performs one exchange within its time.
pub(super) async fn perform(request: &HttpRequest, attempt: &Attempt<'_>, means: &Means<'_>) -> Outcome {
    let scrub = Scrub::new(attempt.secrets);
    let exchange = exchange::Exchange::new(request, attempt, means);
    let (outcome, scrub) = match exchange {
        Err(failure) => (Err(failure), scrub),
        Ok(exchange) => (exchange.run_in_time().await, exchange.scrub()),
    };
    scrub.outcome(outcome.map(Reply::Http))
}
