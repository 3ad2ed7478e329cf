//! A connection to a broker, whatever it speaks.

use super::address::Protocol;
#[cfg(feature = "amqp")]
use super::amqp::Amqp;
use super::brokers::Login;
use super::fault::Fault;
#[cfg(feature = "mqtt")]
use super::mqtt::Mqtt;
#[cfg(feature = "nats")]
use super::nats::Nats;
use super::{Arrived, Mark, MessageReply, Outgoing, Wanted};

/// A connection.
pub(super) enum Connection {
    /// NATS.
    #[cfg(feature = "nats")]
    Nats(Box<Nats>),
    /// AMQP 0-9-1.
    #[cfg(feature = "amqp")]
    Amqp(Box<Amqp>),
    /// MQTT 5.
    #[cfg(feature = "mqtt")]
    Mqtt(Box<Mqtt>),
}

/// The same on each kind of connection; of a build without any there is none.
macro_rules! each {
    ($connection:expr, $inner:ident => $act:expr) => {
        match *$connection {
            #[cfg(feature = "nats")]
            Connection::Nats(ref mut $inner) => $act,
            #[cfg(feature = "amqp")]
            Connection::Amqp(ref mut $inner) => $act,
            #[cfg(feature = "mqtt")]
            Connection::Mqtt(ref mut $inner) => $act,
        }
    };
}

impl Connection {
    /// Connects, to publish or to consume what is wanted.
    pub(super) async fn open(login: &Login, wanted: Option<&Wanted>) -> Result<Self, Fault> {
        match login.broker.address.protocol {
            #[cfg(feature = "nats")]
            Protocol::Nats => Nats::open(login, wanted).await.map(|it| Self::Nats(Box::new(it))),
            #[cfg(feature = "amqp")]
            Protocol::Amqp => Amqp::open(login, wanted).await.map(|it| Self::Amqp(Box::new(it))),
            #[cfg(feature = "mqtt")]
            Protocol::Mqtt => Mqtt::open(login, wanted).await.map(|it| Self::Mqtt(Box::new(it))),
            #[cfg(not(all(feature = "nats", feature = "amqp", feature = "mqtt")))]
            other => {
                let name = format!("{other:?}").to_lowercase();
                Err(Fault::new(
                    super::fault::Reason::Refused,
                    format!("this build cannot talk to it: it is without `{name}`"),
                ))
            }
        }
    }

    /// Publishes a message; the broker has it when this returns.
    pub(super) async fn publish(&mut self, message: &Outgoing) -> Result<MessageReply, Fault> {
        each!(self, it => it.publish(message).await)
    }

    /// Whether it stands, as far as can be seen at once.
    pub(super) async fn is_open(&mut self) -> bool {
        each!(self, it => it.pipe.is_open().await)
    }

    /// Waits for the next message. May be given up in between: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Arrived, Fault> {
        each!(self, it => it.next().await)
    }

    /// Tells the broker that a message need not come again.
    pub(super) async fn acknowledge(&mut self, mark: &Mark) -> Result<(), Fault> {
        each!(self, it => it.acknowledge(mark).await)
    }

    /// Tells the broker that a message is to come again, where it can be told.
    pub(super) async fn give_back(&mut self, mark: &Mark) -> Result<(), Fault> {
        each!(self, it => it.give_back(mark).await)
    }
}
