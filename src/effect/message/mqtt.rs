//! MQTT 5: a message is published when the broker has it (QoS 1), and consumed in a session that the broker keeps.
//!
//! Version 5 alone: the one before says yes to a message that its user may not publish, and has no place for an id.

mod packet;

use std::collections::VecDeque;
use std::time::Duration;

use self::packet::{Hello, Packet, Published, Told, meaning};
use super::brokers::Login;
use super::fault::{Fault, Reason};
use super::pipe::{Pipe, greeted};
use super::{Arrived, Mark, MessageReply, Outgoing, Wanted};

/// Seconds of silence after which a connection is over; a pool lets its own go before.
const KEEP_ALIVE: u16 = 60;
/// How often a consumer says that it is there, and after which silence the broker is gone.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(50);
/// Seconds for which the broker keeps messages for a trigger that is away: a month, where it allows that.
const KEPT: u32 = 30 * 24 * 60 * 60;
/// Messages that may be on their way, unacknowledged.
const LOT: u16 = 16;
/// The user property with the id of a message.
const ID: &str = "message-id";

/// A connection.
pub(super) struct Mqtt {
    pub(super) pipe: Pipe,
    /// The number of the last packet that is to be acknowledged.
    last: u16,
    /// What the broker said of itself.
    told: Told,
    /// Messages that came before the subscription was confirmed.
    early: VecDeque<Published>,
}

impl Mqtt {
    pub(super) async fn open(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        greeted(Self::greet(login, wanted)).await
    }

    async fn greet(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        let pipe = Pipe::to(login).await?;
        let mut mqtt = Self { pipe, last: 0, told: Told::default(), early: VecDeque::new() };
        let hello = Hello {
            name: wanted.map_or("", |wanted| &wanted.name),
            user: login.broker.user.as_deref(),
            password: login.password.as_deref(),
            keep_alive: KEEP_ALIVE,
            kept: if wanted.is_some() { KEPT } else { 0 },
            lot: LOT,
        };
        mqtt.pipe.send(&packet::connect(&hello)).await?;
        match mqtt.packet().await? {
            Packet::Connected { code: 0, told, .. } => mqtt.told = told,
            // Brokers say so of a wrong password, too.
            Packet::Connected { code: 0x87, told, .. } => return Err(refused(0x86, &told)),
            Packet::Connected { code, told, .. } => return Err(refused(code, &told)),
            _ => return Err(Fault::new(Reason::Protocol, "it does not greet as MQTT does")),
        }
        if let Some(wanted) = wanted {
            mqtt.subscribe(wanted).await?;
        }
        Ok(mqtt)
    }

    /// The messages that the session has waiting may come before the answer.
    async fn subscribe(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let id = self.number();
        self.pipe.send(&packet::subscribe(id, &wanted.filter)).await?;
        loop {
            match self.packet().await? {
                Packet::Subscribed { id: known, codes, told } if known == id => {
                    if let Some(code) = codes.into_iter().find(|code| *code >= 0x80) {
                        return Err(refused(code, &told));
                    }
                    return Ok(());
                }
                // What was announced: so many without our word.
                Packet::Published(_) if self.early.len() >= usize::from(LOT) => {
                    return Err(Fault::new(Reason::Protocol, "it sends more than it was told that it may"));
                }
                Packet::Published(message) => self.early.push_back(message),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> u16 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.last
    }

    /// The next packet. May be given up in between.
    async fn packet(&mut self) -> Result<Packet, Fault> {
        loop {
            if let Some((packet, length)) = packet::packet(self.pipe.input())? {
                self.pipe.take(length);
                return match packet {
                    Packet::Ended { code, told } => {
                        let fault = refused(code, &told);
                        Err(Fault { reason: Reason::Lost, ..fault })
                    }
                    other => Ok(other),
                };
            }
            self.pipe.more().await?;
        }
    }

    pub(super) async fn publish(&mut self, message: &Outgoing) -> Result<MessageReply, Fault> {
        if message.retain && self.told.retains == Some(false) {
            return Err(refused(0x9a, &Told::default()));
        }
        if self.told.qos == Some(0) {
            return Err(Fault::new(Reason::Refused, "it acknowledges no messages (QoS 1)"));
        }
        let mut pairs = vec![(ID.to_owned(), message.id.clone())];
        pairs.extend(message.headers.iter().cloned());
        let told = Told { content_type: Some(message.content_type.clone()), pairs, ..Told::default() };
        let id = self.number();
        let bytes = packet::publish(&message.subject, id, message.retain, &told, &message.payload);
        if let Some(most) = self.told.most.filter(|most| bytes.len() > *most as usize) {
            let told = format!("the message has {} bytes with its headers, and it takes {most}", bytes.len());
            return Err(Fault::new(Reason::TooLarge, told));
        }
        self.pipe.send(&bytes).await?;
        loop {
            match self.packet().await? {
                // 0x10: nobody has subscribed. It was taken all the same.
                Packet::Acknowledged { id: known, code: 0 | 0x10, .. } if known == id => break,
                Packet::Acknowledged { id: known, code, told } if known == id => return Err(refused(code, &told)),
                _ => {}
            }
        }
        Ok(MessageReply { id: message.id.clone(), ..MessageReply::default() })
    }

    /// The next message. May be given up in between.
    pub(super) async fn next(&mut self) -> Result<Arrived, Fault> {
        loop {
            if let Some(message) = self.early.pop_front() {
                return Ok(arrived(message));
            }
            match tokio::time::timeout(self.rhythm(), self.packet()).await {
                Ok(packet) => {
                    if let Packet::Published(message) = packet? {
                        return Ok(arrived(message));
                    }
                }
                Err(_) if self.pipe.quiet() > SILENCE => {
                    let told = format!("nothing was heard of it for {} s", SILENCE.as_secs());
                    return Err(Fault::new(Reason::Lost, told));
                }
                Err(_) => self.pipe.send(&packet::PING).await?,
            }
        }
    }

    /// How often we say that we are there: the broker may want to hear it sooner.
    fn rhythm(&self) -> Duration {
        let wanted = self.told.keep_alive.filter(|seconds| *seconds > 0);
        wanted.map_or(PING, |seconds| PING.min(Duration::from_secs(u64::from(seconds)) / 2))
    }

    pub(super) async fn acknowledge(&mut self, mark: &Mark) -> Result<(), Fault> {
        match mark {
            Mark::Number(id) => self.pipe.send(&packet::acknowledge(*id as u16)).await,
            _ => Ok(()),
        }
    }

    /// MQTT has no word for it: what is not acknowledged comes again with the next connection.
    #[expect(clippy::unused_async, reason = "others have something to say")]
    pub(super) async fn give_back(&mut self, _: &Mark) -> Result<(), Fault> {
        Ok(())
    }
}

fn arrived(message: Published) -> Arrived {
    let id = message.told.pairs.iter().find(|(name, id)| name == ID && !id.is_empty()).map(|(_, id)| id.clone());
    Arrived {
        // A number of MQTT is taken again at once: only what the sender says tells a message from others.
        key: id.clone(),
        payload: message.payload,
        content_type: message.told.content_type,
        subject: message.topic,
        headers: message.told.pairs,
        id,
        redelivered: message.again,
        more: vec![("retained", message.retain.into())],
        mark: message.id.map_or(Mark::None, |id| Mark::Number(id.into())),
    }
}

fn refused(code: u8, told: &Told) -> Fault {
    let reason = match code {
        0x04 | 0x86 | 0x8a | 0x8c => Reason::Auth,
        0x05 | 0x87 => Reason::Permission,
        0x03 | 0x88 | 0x89 | 0x8b | 0x93 | 0x97 => Reason::Unavailable,
        0x95 => Reason::TooLarge,
        _ => Reason::Refused,
    };
    let words = told.reason.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    Fault::new(reason, format!("{}{words} (0x{code:02x})", meaning(code)))
}
