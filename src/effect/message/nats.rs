//! NATS with JetStream: a message is published when a stream has it, and consumed by a durable consumer of that stream.

mod consume;
mod wire;

use std::time::Duration;

use serde_json::{Value, json};

use self::consume::Pull;
use self::wire::{Message, Said};
use super::brokers::Login;
use super::fault::{Fault, Reason};
use super::pipe::{Pipe, greeted};
use super::{MessageReply, Outgoing, Wanted};

/// Until JetStream has answered a question about streams and consumers.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection.
pub(super) struct Nats {
    pub(super) pipe: Pipe,
    /// Where answers to this connection come.
    inbox: String,
    /// How many were asked for.
    asked: u64,
    /// The most that the server takes at once.
    most: usize,
    /// What is consumed.
    pull: Option<Pull>,
}

impl Nats {
    pub(super) async fn open(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        let mut nats = greeted(Self::greet(login)).await?;
        if let Some(wanted) = wanted {
            nats.pull = Some(nats.consumer(wanted).await?);
        }
        Ok(nats)
    }

    async fn greet(login: &Login) -> Result<Self, Fault> {
        let address = &login.broker.address;
        let inbox = format!("_INBOX.{}", uuid::Uuid::now_v7().simple());
        let pipe = Pipe::open(address).await?;
        let mut nats = Self { pipe, inbox, asked: 0, most: usize::MAX, pull: None };
        let Said::Info(info) = nats.said().await? else {
            return Err(Fault::new(Reason::Protocol, "it does not greet as NATS does"));
        };
        let info: Value = serde_json::from_str(&info).unwrap_or_default();
        nats.most = info["max_payload"].as_u64().map_or(usize::MAX, |most| most as usize);
        if address.tls || info["tls_required"] == true {
            nats.pipe = nats.pipe.secure(&address.host, login.broker.ca_file.as_deref()).await?;
        }
        let mut connect = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1, "lang": "rust",
            "name": "panta", "version": env!("CARGO_PKG_VERSION"), "tls_required": address.tls,
        });
        match (&login.broker.user, &login.password) {
            (Some(user), password) => {
                connect["user"] = user.as_str().into();
                connect["pass"] = password.clone().unwrap_or_default().into();
            }
            (None, Some(token)) => connect["auth_token"] = token.as_str().into(),
            (None, None) => {}
        }
        let hello = format!("CONNECT {connect}\r\nSUB {}.* 1\r\nPING\r\n", nats.inbox);
        nats.pipe.send(hello.as_bytes()).await?;
        loop {
            match nats.said().await? {
                Said::Pong => return Ok(nats),
                Said::Error(error) => return Err(told(&error)),
                _ => {}
            }
        }
    }

    /// The next thing that the server says; it is told that we are here by the way. May be given up in between.
    async fn said(&mut self) -> Result<Said, Fault> {
        loop {
            if let Some((said, length)) = wire::said(self.pipe.input())? {
                if said == Said::Ping {
                    self.pipe.send(b"PONG\r\n").await?;
                }
                self.pipe.take(length);
                return Ok(said);
            }
            self.pipe.more().await?;
        }
    }

    /// The next message; an error that the server tells is one.
    async fn message(&mut self) -> Result<Message, Fault> {
        loop {
            match self.said().await? {
                Said::Message(message) => return Ok(message),
                Said::Error(error) => return Err(told(&error)),
                _ => {}
            }
        }
    }

    /// Publishes, and waits for the answer to that.
    async fn ask(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<Message, Fault> {
        self.asked += 1;
        let reply = format!("{}.{}", self.inbox, self.asked);
        self.pipe.send(&wire::publish(subject, Some(&reply), headers, payload)).await?;
        loop {
            let message = self.message().await?;
            if message.subject == reply {
                return Ok(message);
            }
        }
    }

    /// Asks JetStream about streams and consumers.
    async fn manage(&mut self, what: &str, question: &Value) -> Result<Value, Fault> {
        let (subject, question) = (format!("$JS.API.{what}"), question.to_string());
        let answer = tokio::time::timeout(ANSWER, self.ask(&subject, &[], question.as_bytes())).await;
        let answer = answer.map_err(|_| {
            Fault::new(Reason::Lost, format!("JetStream does not answer within {} s", ANSWER.as_secs()))
        })??;
        if answer.status.is_some() {
            return Err(Fault::new(Reason::NotFound, "the server has no JetStream, or this user may not use it"));
        }
        let answer: Value = serde_json::from_slice(&answer.payload)
            .map_err(|error| Fault::new(Reason::Protocol, format!("JetStream answers what is no JSON: {error}")))?;
        if answer["error"].is_object() { Err(refused(&answer["error"])) } else { Ok(answer) }
    }

    pub(super) async fn publish(&mut self, message: &Outgoing) -> Result<MessageReply, Fault> {
        if message.payload.len() > self.most {
            let (length, most) = (message.payload.len(), self.most);
            return Err(Fault::new(Reason::TooLarge, format!("the message has {length} bytes, and it takes {most}")));
        }
        let own = [("Nats-Msg-Id", message.id.as_str()), ("Content-Type", message.content_type.as_str())];
        let given = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = own.into_iter().chain(given).collect();
        let answer = self.ask(&message.subject, &headers, &message.payload).await?;
        if answer.status.is_some() {
            return Err(Fault::new(Reason::Unroutable, format!("no stream covers the subject `{}`", message.subject)));
        }
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
        if answer["error"].is_object() {
            return Err(refused(&answer["error"]));
        }
        let Some(sequence) = answer["seq"].as_u64() else {
            let what = "somebody answered who is no stream: another subscriber of the subject";
            return Err(Fault::new(Reason::Unroutable, format!("`{}`: {what}", message.subject)));
        };
        Ok(MessageReply {
            id: message.id.clone(),
            stream: answer["stream"].as_str().map(str::to_owned),
            sequence: Some(sequence),
            duplicate: answer["duplicate"] == true,
        })
    }
}

/// An error of the server.
fn told(error: &str) -> Fault {
    let lower = error.to_lowercase();
    let reason = match () {
        () if lower.contains("permissions violation") => Reason::Permission,
        () if lower.contains("authorization") || lower.contains("authentication") => Reason::Auth,
        () if lower.contains("maximum payload") => Reason::TooLarge,
        () => Reason::Lost,
    };
    Fault::new(reason, error.to_owned())
}

/// An error of JetStream: `{ code, err_code, description }`.
fn refused(error: &Value) -> Fault {
    let (code, told) = (error["code"].as_u64().unwrap_or_default(), error["description"].as_str().unwrap_or_default());
    let reason = match code {
        404 => Reason::NotFound,
        503 | 429 => Reason::Unavailable,
        _ => Reason::Refused,
    };
    Fault::new(reason, format!("JetStream: {told} ({})", error["err_code"]))
}
