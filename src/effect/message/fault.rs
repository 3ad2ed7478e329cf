//! What goes wrong between a broker and us, in the terms of scripts.

use std::time::Duration;

use super::address::Address;
use crate::effect::{Failure, Field, Sent};

/// What went wrong, for all brokers alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// No connection came to be.
    Unreachable,
    /// The connection broke, or the broker ended it.
    Lost,
    /// User and password are not right.
    Auth,
    /// The user may not do this.
    Permission,
    /// Nothing is there that would get the message: no stream, no queue.
    Unroutable,
    /// What is to be consumed is not there.
    NotFound,
    /// The broker takes nothing just now.
    Unavailable,
    /// More than the broker takes.
    TooLarge,
    /// The broker said no.
    Refused,
    /// What came makes no sense.
    Protocol,
}

impl Reason {
    /// As scripts see it.
    fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::Unroutable => "unroutable",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "see whether it runs, and whether address, port and TLS (`nats+tls`, `amqps`, `mqtts`) are right"
            }
            Self::Lost => "it is connected to again by itself",
            Self::Auth => "check `user` and `secret` in `[brokers]` of `panta.toml`",
            Self::Permission => "grant it to the user of the broker, or use another one",
            Self::Unroutable => {
                "make what is to keep it first: a stream that covers the subject, a queue that is bound"
            }
            Self::NotFound => "make it on the broker first",
            Self::Unavailable => "the broker takes no more just now: give the step a `retry`",
            Self::TooLarge => "put it into a file or a bucket, and publish where it is",
            Self::Refused => "the message is the broker's own",
            Self::Protocol => "see whether what listens there is a broker of this kind",
        }
    }
}

/// An error between a broker and us.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// What happened, in the broker's words where it has some.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Whether the connection can be used no more.
    pub(super) fn breaks_off(&self) -> bool {
        !matches!(self.reason, Reason::Unroutable | Reason::Unavailable | Reason::Refused)
    }

    /// The same before anything was published: the connection that breaks never was one.
    pub(super) fn while_connecting(self) -> Self {
        match self.reason {
            Reason::Lost => Self { reason: Reason::Unreachable, ..self },
            _ => self,
        }
    }

    /// As the failure of what was asked of this broker.
    pub(super) fn of(self, address: &Address) -> Failure {
        let Self { reason, message } = self;
        let kind = match reason {
            Reason::Unreachable | Reason::Lost => "network",
            Reason::TooLarge => "limit",
            _ => "message",
        };
        let retryable = matches!(reason, Reason::Unreachable | Reason::Lost | Reason::Unavailable);
        let sent = if matches!(reason, Reason::Lost | Reason::Protocol) { Sent::Maybe } else { Sent::No };
        let what = match reason {
            Reason::Unreachable => "cannot be reached: ",
            Reason::Lost => "was lost: ",
            _ => "",
        };
        let told = format!("broker `{address}`: {what}{message}; hint: {}", reason.hint());
        named(Failure { retryable, sent, ..Failure::new(kind, told) }, address, reason.name())
    }
}

fn named(failure: Failure, address: &Address, reason: &str) -> Failure {
    let text = |value: String| Field::Text(value);
    failure.with("broker", text(address.to_string())).with("reason", text(reason.to_owned()))
}

/// Its time is over.
pub(super) fn timed_out(address: &Address, time: Duration) -> Failure {
    let shown = time.as_millis();
    let hint = "it may have taken the message all the same; give it more with `timeout`";
    let failure =
        Failure::new("timeout", format!("broker `{address}`: not acknowledged within {shown} ms; hint: {hint}"));
    named(failure.retryable().maybe_sent(), address, "timeout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_whether_anything_was_sent_and_whether_it_may_go_well_later() {
        let (address, _) = Address::parse("nats://b.example.com").expect("an address");
        let of = |reason| {
            let failure = Fault::new(reason, "no").of(&address);
            (failure.kind, failure.retryable, failure.sent)
        };
        assert_eq!(of(Reason::Unreachable), ("network", true, Sent::No));
        assert_eq!(of(Reason::Lost), ("network", true, Sent::Maybe));
        assert_eq!(of(Reason::Unroutable), ("message", false, Sent::No));
        assert_eq!(of(Reason::Unavailable), ("message", true, Sent::No));
        assert_eq!(Fault::new(Reason::Lost, "no").while_connecting().of(&address).sent, Sent::No);
        let said = Fault::new(Reason::Auth, "user not known").of(&address);
        assert!(
            said.message.starts_with("broker `nats://b.example.com`: user not known; hint: check `user`"),
            "{}",
            said.message
        );
        assert_eq!(said.field("reason"), Some(&Field::Text("auth".to_owned())));
    }
}
