//! Messages of a stream, asked for in small lots by a durable consumer.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::fault::{Fault, Reason};
use super::super::{Arrived, Mark, Wanted};
use super::wire::Message;
use super::{Nats, wire};

/// Messages that are asked for at once: what is handed over is not another daemon's, nor after a crash soon this one's again.
const LOT: u64 = 16;
/// How long the server waits for a word about a message before it hands it over again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How long one asking counts.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it is there while nothing comes, and after which silence it is gone.
const HEARTBEAT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(20);
/// How long a message that is given back rests.
const REST: Duration = Duration::from_secs(1);
const PULL: &str = "pull";

/// What is consumed.
pub(super) struct Pull {
    stream: String,
    /// When the stream was made: a new one of the same name counts from 1 again.
    created: String,
    consumer: String,
    /// Messages that were asked for, and have not come.
    open: u64,
}

impl Nats {
    /// The durable consumer for what is wanted, made where it is not there.
    pub(super) async fn consumer(&mut self, wanted: &Wanted) -> Result<Pull, Fault> {
        let filter = &wanted.filter;
        let found = self.manage("STREAM.NAMES", &json!({ "subject": filter })).await?;
        let names: Vec<_> = found["streams"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let stream = match names.as_slice() {
            [one] => (*one).to_owned(),
            [] => return Err(Fault::new(Reason::NotFound, format!("no stream covers the subject `{filter}`"))),
            several => {
                let all = several.join("`, `");
                return Err(Fault::new(
                    Reason::Refused,
                    format!("`{filter}` is in several streams: `{all}`; narrow it"),
                ));
            }
        };
        let facts = self.manage(&format!("STREAM.INFO.{stream}"), &json!({})).await?;
        let consumer = wanted.name.clone();
        match self.manage(&format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await {
            Ok(known) if known["config"]["filter_subject"].as_str().is_none_or(|subject| subject == filter) => {}
            Ok(_) => {
                let told =
                    format!("the consumer `{consumer}` is for another subject; choose another name with `consumer`");
                return Err(Fault::new(Reason::Refused, told));
            }
            Err(fault) if fault.reason == Reason::NotFound => {
                // Such a stream has nothing but what waits.
                let all = wanted.all || facts["config"]["retention"] == "workqueue";
                let config = json!({
                    "durable_name": consumer, "ack_policy": "explicit", "ack_wait": nanos(ACK_WAIT), "filter_subject": filter,
                    "deliver_policy": if all { "all" } else { "new" }, "description": "a trigger of panta",
                });
                let question = json!({ "stream_name": stream, "config": config });
                self.manage(&format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}"), &question).await?;
            }
            Err(fault) => return Err(fault),
        }
        let created = facts["created"].as_str().unwrap_or_default().to_owned();
        Ok(Pull { stream, created, consumer, open: 0 })
    }

    /// The next message. May be given up in between.
    pub(in super::super) async fn next(&mut self) -> Result<Arrived, Fault> {
        loop {
            self.ask_for_more().await?;
            let message = match tokio::time::timeout(SILENCE, self.message()).await {
                Ok(message) => message?,
                // A large message is on its way.
                Err(_) if self.pipe.quiet() < SILENCE => continue,
                Err(_) => {
                    let told = format!("nothing was heard of it for {} s", SILENCE.as_secs());
                    return Err(Fault::new(Reason::Lost, told));
                }
            };
            let Some(pull) = &mut self.pull else { return Err(nothing_wanted()) };
            if !message.subject.starts_with(&self.inbox) && message.reply.is_none() {
                continue;
            }
            match &message.status {
                None => {
                    pull.open = pull.open.saturating_sub(1);
                    return Ok(pull.arrived(message));
                }
                // It is there.
                Some((100, _)) => {}
                Some((409, told)) if told.to_lowercase().contains("deleted") => {
                    return Err(Fault::new(Reason::Lost, format!("its consumer is gone: {told}")));
                }
                // The asking is over: nothing came, or not all.
                Some((404 | 408, _)) => pull.open = 0,
                // It cannot be had just now.
                Some(_) => {
                    pull.open = 0;
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    async fn ask_for_more(&mut self) -> Result<(), Fault> {
        let Some(pull) = &mut self.pull else { return Err(nothing_wanted()) };
        if pull.open > 0 {
            return Ok(());
        }
        let question =
            json!({ "batch": LOT, "expires": nanos(EXPIRES), "idle_heartbeat": nanos(HEARTBEAT) }).to_string();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", pull.stream, pull.consumer);
        let reply = format!("{}.{PULL}", self.inbox);
        self.pipe.send(&wire::publish(&subject, Some(&reply), &[], question.as_bytes())).await?;
        pull.open = LOT;
        Ok(())
    }

    pub(in super::super) async fn acknowledge(&mut self, mark: &Mark) -> Result<(), Fault> {
        self.word(mark, "+ACK").await
    }

    pub(in super::super) async fn give_back(&mut self, mark: &Mark) -> Result<(), Fault> {
        self.word(mark, &format!("-NAK {}", json!({ "delay": nanos(REST) }))).await
    }

    async fn word(&mut self, mark: &Mark, word: &str) -> Result<(), Fault> {
        let Mark::Subject(subject) = mark else { return Ok(()) };
        self.pipe.send(&wire::publish(subject, None, &[], word.as_bytes())).await
    }
}

impl Pull {
    fn arrived(&self, message: Message) -> Arrived {
        let (delivered, sequence) = message.reply.as_deref().and_then(numbers).unwrap_or((1, 0));
        let id = message.header("Nats-Msg-Id").map(str::to_owned);
        let content_type = message.header("Content-Type").map(str::to_owned);
        Arrived {
            key: (sequence > 0).then(|| format!("{}@{}#{sequence}", self.stream, self.created)),
            redelivered: delivered > 1,
            more: vec![("stream", self.stream.as_str().into()), ("sequence", sequence.into())],
            mark: message.reply.map_or(Mark::None, Mark::Subject),
            payload: message.payload,
            subject: message.subject,
            headers: message.headers,
            content_type,
            id,
        }
    }
}

/// How often it was delivered, and its number in the stream, of where the word about it goes:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…`, with two more parts in front where there are domains.
fn numbers(reply: &str) -> Option<(u64, u64)> {
    let parts: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = if parts.len() > 7 { 4 } else { 2 };
    Some((parts.get(at)?.parse().ok()?, parts.get(at + 1)?.parse().ok()?))
}

fn nothing_wanted() -> Fault {
    Fault::new(Reason::Protocol, "nothing is consumed on this connection")
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_number_in_its_stream() {
        assert_eq!(numbers("$JS.ACK.ORD.panta-x.3.17.20.1700000000000000000.4"), Some((3, 17)));
        assert_eq!(numbers("$JS.ACK.hub.acc.ORD.panta-x.1.17.20.1700000000000000000.4.r"), Some((1, 17)));
        assert_eq!((numbers("_INBOX.a"), numbers("$JS.ACK.a.b.c")), (None, None));
    }
}
