//! AMQP 0-9-1, as RabbitMQ speaks it: a message is published when the broker confirms it and some queue has it, and consumed from a
//! queue that is there.

mod frame;

use std::time::Duration;

use self::frame::{Bytes, Frame, Method, Properties, flags, table, wrong};
use super::brokers::Login;
use super::fault::{Fault, Reason};
use super::pipe::{self, Pipe, greeted};
use super::{Arrived, Mark, MessageReply, Outgoing, Wanted};

/// Seconds between signs of life; a pool lets its own connections go before.
const HEARTBEAT: u16 = 60;
/// How often a consumer says that it is there, and after which silence the broker is gone.
const BEAT: Duration = Duration::from_secs(25);
const SILENCE: Duration = Duration::from_secs(125);
/// The largest frame, where the broker has no bound: what RabbitMQ has.
const FRAME: u32 = 128 << 10;
/// Messages that are on their way to a consumer, unacknowledged.
const LOT: u16 = 16;
/// The one channel.
const CHANNEL: u16 = 1;

/// A connection with one channel.
pub(super) struct Amqp {
    pub(super) pipe: Pipe,
    /// The largest frame.
    most: usize,
    /// Messages that were published.
    published: u64,
    /// A message that is on its way to us.
    coming: Option<Coming>,
}

/// A message of which a part has come.
struct Coming {
    arrived: Arrived,
    /// Its length, once that is known.
    length: Option<u64>,
    /// It came back, as no queue is there for it.
    returned: Option<String>,
}

/// What the broker says, as far as it matters here.
enum Said {
    /// A method.
    Method(u16, u16, Vec<u8>),
    /// A message for a consumer.
    Message(Box<Arrived>),
    /// A message came back, for this reason.
    Returned(String),
}

impl Amqp {
    pub(super) async fn open(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        greeted(Self::greet(login, wanted)).await
    }

    async fn greet(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        let pipe = Pipe::to(login).await?;
        let mut amqp = Self { pipe, most: FRAME as usize, published: 0, coming: None };
        amqp.pipe.send(b"AMQP\0\0\x09\x01").await?;
        amqp.awaited(10, 10).await?;
        // Where nobody is named, RabbitMQ has its guest.
        let user = login.broker.user.as_deref().unwrap_or("guest");
        let password = login.password.as_deref().unwrap_or(if login.broker.user.is_none() { "guest" } else { "" });
        let able =
            flags(&["publisher_confirms", "basic.nack", "consumer_cancel_notify", "authentication_failure_close"]);
        let us = table(&[("capabilities", &able)], &[("product", "panta"), ("version", env!("CARGO_PKG_VERSION"))]);
        let said = format!("\0{user}\0{password}");
        let start = Method::new(10, 11).long(&us).short("PLAIN").long(said.as_bytes()).short("en_US");
        amqp.pipe.send(&start.on(0)).await?;
        amqp.tune().await?;
        amqp.pipe.send(&Method::new(10, 40).short(&login.broker.vhost).raw(&[0, 0]).on(0)).await?;
        amqp.awaited(10, 41).await?;
        amqp.call(Method::new(20, 10).short(""), 20, 11).await?;
        match wanted {
            None => amqp.call(Method::new(85, 10).raw(&[0]), 85, 11).await?,
            Some(wanted) => amqp.consume(wanted).await?,
        }
        Ok(amqp)
    }

    async fn tune(&mut self) -> Result<(), Fault> {
        let limits = self.awaited(10, 30).await?;
        let mut limits = Bytes(&limits);
        let (_channels, most, _heartbeat) = (limits.u16()?, limits.u32()?, limits.u16()?);
        let most = if most == 0 { FRAME } else { most.min(FRAME) };
        self.most = most as usize;
        let tuned =
            Method::new(10, 31).raw(&1_u16.to_be_bytes()).raw(&most.to_be_bytes()).raw(&HEARTBEAT.to_be_bytes());
        self.pipe.send(&tuned.on(0)).await
    }

    async fn consume(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let quality = Method::new(60, 10).raw(&0_u32.to_be_bytes()).raw(&LOT.to_be_bytes()).raw(&[0]);
        self.call(quality, 60, 11).await?;
        let tag = &wanted.name[..wanted.name.len().min(255)];
        let consume = Method::new(60, 20).raw(&[0, 0]).short(&wanted.filter).short(tag).raw(&[0]).long(&[]);
        self.call(consume, 60, 21).await
    }

    /// Sends a method on the channel, and waits for the one that answers it.
    async fn call(&mut self, method: Method, class: u16, number: u16) -> Result<(), Fault> {
        self.pipe.send(&method.on(CHANNEL)).await?;
        self.awaited(class, number).await.map(drop)
    }

    /// The arguments of the method that has to come next.
    async fn awaited(&mut self, class: u16, number: u16) -> Result<Vec<u8>, Fault> {
        loop {
            match self.said().await? {
                Said::Method(found_class, found, arguments) if (found_class, found) == (class, number) => {
                    return Ok(arguments);
                }
                // The broker is low on something; it says when it is not.
                Said::Method(10, 60 | 61, _) => {}
                Said::Method(found_class, found, _) => {
                    return Err(wrong(&format!("the method {found_class}.{found} instead of {class}.{number}")));
                }
                Said::Message(_) | Said::Returned(_) => return Err(wrong("a message that nobody wants")),
            }
        }
    }

    /// The next thing that is said. May be given up in between.
    async fn said(&mut self) -> Result<Said, Fault> {
        loop {
            let Some((frame, length)) = frame::frame(self.pipe.input())? else {
                self.pipe.more().await?;
                continue;
            };
            self.pipe.take(length);
            match frame {
                Frame::Heartbeat => {}
                Frame::Method(10, 50, arguments) | Frame::Method(20, 40, arguments) => return Err(closed(&arguments)?),
                Frame::Method(60, 60, arguments) => self.coming = Some(Coming::delivered(&arguments)?),
                Frame::Method(60, 50, arguments) => self.coming = Some(Coming::returned(&arguments)?),
                Frame::Method(60, 30, _) => return Err(Fault::new(Reason::Lost, "the queue is gone")),
                Frame::Method(class, number, arguments) => return Ok(Said::Method(class, number, arguments)),
                Frame::Header(length, properties) => self.coming()?.describe(length, properties)?,
                Frame::Body(part) => self.coming()?.add(&part)?,
            }
            if let Some(coming) = self.coming.take_if(|coming| coming.is_whole()) {
                return Ok(match coming.returned {
                    Some(why) => Said::Returned(why),
                    None => Said::Message(Box::new(coming.arrived)),
                });
            }
        }
    }

    fn coming(&mut self) -> Result<&mut Coming, Fault> {
        self.coming.as_mut().ok_or_else(|| wrong("a part of no message"))
    }

    pub(super) async fn publish(&mut self, message: &Outgoing) -> Result<MessageReply, Fault> {
        // It comes back where no queue gets it.
        let mandatory = 1;
        let publish =
            Method::new(60, 40).raw(&[0, 0]).short(&message.exchange).short(&message.subject).raw(&[mandatory]);
        let properties = Properties {
            content_type: Some(message.content_type.clone()),
            headers: message.headers.clone(),
            message_id: Some(message.id.clone()),
        };
        let mut bytes = publish.on(CHANNEL);
        bytes.extend(frame::message(CHANNEL, &properties, &message.payload, self.most));
        self.published += 1;
        self.pipe.send(&bytes).await?;
        let mut came_back = None;
        loop {
            match self.said().await? {
                Said::Returned(why) => came_back = Some(why),
                Said::Method(60, number @ (80 | 120), arguments) if Bytes(&arguments).u64()? == self.published => {
                    return match (number, came_back) {
                        (80, None) => Ok(MessageReply { id: message.id.clone(), ..MessageReply::default() }),
                        (_, Some(why)) => Err(unroutable(message, &why)),
                        (_, None) => Err(Fault::new(Reason::Unavailable, "it could not keep the message")),
                    };
                }
                Said::Method(10, 60, why) => {
                    let why = Bytes(&why).short()?;
                    return Err(Fault::new(Reason::Lost, format!("it takes no messages just now: {why}")));
                }
                _ => {}
            }
        }
    }

    /// The next message. May be given up in between.
    pub(super) async fn next(&mut self) -> Result<Arrived, Fault> {
        loop {
            match tokio::time::timeout(BEAT, self.said()).await {
                Ok(said) => {
                    if let Said::Message(arrived) = said? {
                        return Ok(*arrived);
                    }
                }
                Err(_) if self.pipe.quiet() > SILENCE => {
                    let told = format!("nothing was heard of it for {} s", SILENCE.as_secs());
                    return Err(Fault::new(Reason::Lost, told));
                }
                Err(_) => self.pipe.send(&frame::HEARTBEAT).await?,
            }
        }
    }

    pub(super) async fn acknowledge(&mut self, mark: &Mark) -> Result<(), Fault> {
        let Mark::Number(number) = mark else { return Ok(()) };
        self.pipe.send(&Method::new(60, 80).raw(&number.to_be_bytes()).raw(&[0]).on(CHANNEL)).await
    }

    pub(super) async fn give_back(&mut self, mark: &Mark) -> Result<(), Fault> {
        let Mark::Number(number) = mark else { return Ok(()) };
        let requeue = 0b10;
        self.pipe.send(&Method::new(60, 120).raw(&number.to_be_bytes()).raw(&[requeue]).on(CHANNEL)).await
    }
}

impl Coming {
    /// `basic.deliver`.
    fn delivered(arguments: &[u8]) -> Result<Self, Fault> {
        let mut bytes = Bytes(arguments);
        let _consumer = bytes.short()?;
        let (number, again) = (bytes.u64()?, bytes.u8()? & 1 == 1);
        let (exchange, subject) = (bytes.short()?, bytes.short()?);
        let arrived = Arrived {
            subject,
            redelivered: again,
            more: vec![("exchange", exchange.into())],
            mark: Mark::Number(number),
            ..Arrived::default()
        };
        Ok(Self { arrived, length: None, returned: None })
    }

    /// `basic.return`.
    fn returned(arguments: &[u8]) -> Result<Self, Fault> {
        let mut bytes = Bytes(arguments);
        let (code, told) = (bytes.u16()?, bytes.short()?);
        Ok(Self { arrived: Arrived::default(), length: None, returned: Some(format!("{told} ({code})")) })
    }

    fn describe(&mut self, length: u64, properties: Properties) -> Result<(), Fault> {
        if length > pipe::MOST as u64 {
            return Err(wrong("a message of more than 64 MiB"));
        }
        self.length = Some(length);
        self.arrived.content_type = properties.content_type.filter(|kind| !kind.is_empty());
        self.arrived.headers = properties.headers;
        self.arrived.id = properties.message_id.filter(|id| !id.is_empty());
        self.arrived.key = self.arrived.id.clone();
        Ok(())
    }

    fn add(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.arrived.payload.extend_from_slice(part);
        let fits = self.length.is_some_and(|length| self.arrived.payload.len() as u64 <= length);
        if fits { Ok(()) } else { Err(wrong("a part that belongs to no message")) }
    }

    fn is_whole(&self) -> bool {
        self.length == Some(self.arrived.payload.len() as u64)
    }
}

fn unroutable(message: &Outgoing, why: &str) -> Fault {
    let told = if message.exchange.is_empty() {
        format!("there is no queue `{}`: {why}", message.subject)
    } else {
        format!("no queue is bound to the exchange `{}` for `{}`: {why}", message.exchange, message.subject)
    };
    Fault::new(Reason::Unroutable, told)
}

/// The broker ended the connection or the channel: `connection.close`, `channel.close`.
fn closed(arguments: &[u8]) -> Result<Fault, Fault> {
    let mut bytes = Bytes(arguments);
    let (code, told) = (bytes.u16()?, bytes.short()?);
    let reason = match code {
        403 if told.contains("Login") || told.contains("login") => Reason::Auth,
        403 | 530 => Reason::Permission,
        404 => Reason::NotFound,
        311 => Reason::TooLarge,
        _ => Reason::Lost,
    };
    Ok(Fault::new(reason, format!("{told} ({code})")))
}
