//! Messages of brokers: NATS JetStream, AMQP 0-9-1, MQTT 5.
//!
//! The protocols are our own, as far as workflows need them: publish and wait for the broker's word, consume and acknowledge when
//! a run is durable. That is little of each, and what comes of an error, a lost connection or a second try has to be known to the
//! byte. [`connection`] is what they have in common; [`brokers`] has the connections that publish.
//!
//! A broker that the configuration does not name is talked to as nobody in particular.

pub mod address;
mod allowed;
#[cfg(feature = "amqp")]
mod amqp;
pub mod brokers;
mod connection;
mod consumer;
mod fault;
mod idle;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod pipe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

pub use address::{Address, Protocol};
pub use allowed::MayTalk;
pub use brokers::{Broker, Brokers};
pub use consumer::Consumer;

use super::{Allow, Attempt, Failure, Limits};

/// What is published.
#[derive(Clone, PartialEq, Debug)]
pub struct MessageRequest {
    /// The broker.
    pub address: Address,
    /// The subject, routing key or topic.
    pub subject: String,
    /// The message.
    pub payload: Payload,
    /// What the payload is, in place of what it is by itself.
    pub content_type: Option<String>,
    /// Names and values beside the payload.
    pub headers: Vec<(String, String)>,
    /// AMQP: the exchange; the default one where it is left out, whose routing keys are names of queues.
    pub exchange: Option<String>,
    /// MQTT: whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// How long the broker may take; as long as a request where it is left out.
    pub timeout: Option<Duration>,
}

/// What a message has in it.
#[derive(Clone, PartialEq, Debug)]
pub enum Payload {
    /// JSON text.
    Json(String),
    /// Plain text.
    Text(String),
    /// Anything.
    Bytes(Vec<u8>),
}

/// What a broker said of a message that it has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MessageReply {
    /// The id under which it went.
    pub id: String,
    /// JetStream: the stream that has it.
    pub stream: Option<String>,
    /// JetStream: its number there.
    pub sequence: Option<u64>,
    /// JetStream: whether the stream had it already, by an earlier try.
    pub duplicate: bool,
}

/// A message as it goes over the line.
#[derive(Clone, PartialEq, Debug)]
struct Outgoing {
    id: String,
    subject: String,
    payload: Vec<u8>,
    content_type: String,
    headers: Vec<(String, String)>,
    exchange: String,
    retain: bool,
}

/// What a trigger consumes.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// The subject, queue or topic, perhaps with wildcards.
    pub filter: String,
    /// The name by which the broker knows who consumes, also after a restart.
    pub name: String,
    /// JetStream: whether what was there before counts, too.
    pub all: bool,
}

/// A message that came.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Arrived {
    /// The message.
    pub payload: Vec<u8>,
    /// What it is, as its sender says.
    pub content_type: Option<String>,
    /// Its subject, routing key or topic.
    pub subject: String,
    /// Names and values beside the payload.
    pub headers: Vec<(String, String)>,
    /// The id that its sender gave to it.
    pub id: Option<String>,
    /// What is the same whenever this message comes, and of no other. `None`: nothing tells it from another.
    pub key: Option<String>,
    /// Whether it came before, as far as the broker knows.
    pub redelivered: bool,
    /// What else the broker says: `stream`, `sequence`, `exchange`.
    pub more: Vec<(&'static str, serde_json::Value)>,
    /// By what it is acknowledged.
    pub mark: Mark,
}

/// By what a broker knows a message that it has handed over.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Mark {
    /// It wants to hear nothing.
    #[default]
    None,
    /// NATS: where the word goes.
    Subject(String),
    /// AMQP and MQTT: its number.
    Number(u64),
}

impl Payload {
    /// The text, where it is one.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Json(text) | Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Bytes(_) => "application/octet-stream",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Json(text) | Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl MessageRequest {
    /// Whether a second one leaves the world as one would: JetStream knows the id for two minutes, unless a stream says otherwise.
    pub(super) fn is_repeatable(&self) -> bool {
        self.address.protocol == Protocol::Nats
    }

    pub(super) fn arguments(&self) -> serde_json::Value {
        // A text is there as it is: it may have a secret in it, whose mark must not count.
        let payload = match (&self.payload, self.payload.text()) {
            (Payload::Json(_), Some(text)) => json!(["json", text]),
            (Payload::Text(_), Some(text)) => json!(["text", text]),
            (_, Some(text)) => json!(["bytes", text]),
            (Payload::Bytes(bytes), None) => json!(["sha256", hex::encode(Sha256::digest(bytes))]),
            (_, None) => unreachable!("what is text is text"),
        };
        let time = self.timeout.map(|time| time.as_millis() as u64);
        let (address, kind) = (self.address.to_string(), &self.content_type);
        json!(["message", address, self.subject, payload, kind, self.headers, self.exchange, self.retain, time])
    }
}

/// Whether a workflow may publish this, as far as can be said without the configuration.
pub(super) fn admit(request: &MessageRequest, allow: &Allow) -> Result<(), Failure> {
    allowed::admit(&request.address, &allow.message, None)
}

/// Publishes a message.
pub(super) async fn perform(
    request: &MessageRequest,
    attempt: &Attempt<'_>,
    limits: &Limits,
    brokers: Option<&Arc<Brokers>>,
) -> Result<MessageReply, Failure> {
    let Some(brokers) = brokers else {
        return Err(Failure::new("not_found", "this process knows no brokers; hint: the daemon and `panta run` do"));
    };
    allowed::admit(&request.address, &attempt.allow.message, Some(brokers))?;
    if request.payload.len() as u64 > limits.body_bytes {
        let most = limits.body_bytes >> 20;
        let hint = "put it into a file or a bucket, and publish where it is";
        return Err(Failure::limit(format!("a message of more than {most} MiB is not published; hint: {hint}")));
    }
    let outgoing = outgoing(request, attempt)?;
    brokers.publish(&request.address, outgoing, request.timeout.unwrap_or(limits.request)).await
}

/// The message as it goes, with the secrets that are for this broker.
fn outgoing(request: &MessageRequest, attempt: &Attempt<'_>) -> Result<Outgoing, Failure> {
    let resolved = |text: &str| brokers::resolved(attempt.secrets, text, &request.address);
    let payload = match (&request.payload, request.payload.text()) {
        (_, Some(text)) => resolved(text)?.into_bytes(),
        (Payload::Bytes(bytes), None) => bytes.clone(),
        (_, None) => unreachable!("what is text is text"),
    };
    let header = |(name, value): &(String, String)| {
        let value = resolved(value)?;
        if value.chars().any(char::is_control) {
            let hint = "was the secret set with a line break at its end?";
            return Err(Failure::invalid(format!(
                "header `{name}` has a line break with its secret put in; hint: {hint}"
            )));
        }
        Ok((name.clone(), value))
    };
    Ok(Outgoing {
        id: attempt.idempotency_key.to_owned(),
        subject: request.subject.clone(),
        payload,
        content_type: request.content_type.clone().unwrap_or_else(|| request.payload.content_type().to_owned()),
        headers: request.headers.iter().map(header).collect::<Result<_, Failure>>()?,
        exchange: request.exchange.clone().unwrap_or_default(),
        retain: request.retain,
    })
}
