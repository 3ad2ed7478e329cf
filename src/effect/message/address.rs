//! Addresses of brokers, and the names of what is published to and consumed there.

use std::fmt;

use crate::effect::net::split_host;

/// What a broker speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// NATS, with JetStream.
    Nats,
    /// AMQP 0-9-1, as RabbitMQ speaks it.
    Amqp,
    /// MQTT 5.
    Mqtt,
}

/// Where a broker is: `nats://host`, `amqps://host:5671`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether the connection is by TLS.
    pub tls: bool,
    /// Its name in lower case or its IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Schemes, what each means, and the port where it is not said.
const SCHEMES: [(&str, Protocol, bool, u16); 6] = [
    ("nats", Protocol::Nats, false, 4222),
    ("nats+tls", Protocol::Nats, true, 4222),
    ("amqp", Protocol::Amqp, false, 5672),
    ("amqps", Protocol::Amqp, true, 5671),
    ("mqtt", Protocol::Mqtt, false, 1883),
    ("mqtts", Protocol::Mqtt, true, 8883),
];
const HINT: &str = "hint: `nats://HOST`, `amqp://HOST` or `mqtt://HOST`; by TLS `nats+tls://`, `amqps://`, `mqtts://`";

impl Address {
    /// Reads an address, and what stands behind the host: a subject, a queue, a topic. The error says what is wrong.
    pub fn parse(text: &str) -> Result<(Self, Option<String>), String> {
        let bad = |why: &str| format!("`{}` is no address of a broker: {why}; {HINT}", shown(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no `://`"))?;
        let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
        let (_, protocol, tls, usual) = known.ok_or_else(|| bad(&format!("`{scheme}` is no kind of broker")))?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        if authority.contains('@') {
            let hint = "leave user and password out; `[brokers.NAME]` in `panta.toml` has `user` and `secret`";
            return Err(format!("`{}` names a user; hint: {hint}", shown(text)));
        }
        let (host, port) = split_host(authority).ok_or_else(|| bad("it has no host, or a port that is none"))?;
        let address = Self { protocol: *protocol, tls: *tls, host, port: port.unwrap_or(*usual) };
        Ok((address, path.filter(|path| !path.is_empty()).map(str::to_owned)))
    }

    /// The scheme and the port where it is not said.
    fn scheme(&self) -> (&'static str, u16) {
        let meant = SCHEMES.iter().find(|(_, protocol, tls, _)| (*protocol, *tls) == (self.protocol, self.tls));
        let (name, .., usual) = meant.expect("each protocol has a scheme with TLS and one without");
        (name, *usual)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = self.scheme();
        let is_v6 = self.host.contains(':');
        let host = if is_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{host}")?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// An address without what may be a password.
fn shown(text: &str) -> String {
    match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, host))) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    }
}

impl Protocol {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nats => "NATS",
            Self::Amqp => "AMQP",
            Self::Mqtt => "MQTT",
        }
    }

    /// Whether this build speaks it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Nats => cfg!(feature = "nats"),
            Self::Amqp => cfg!(feature = "amqp"),
            Self::Mqtt => cfg!(feature = "mqtt"),
        }
    }

    /// What the names of this protocol are called.
    fn noun(self) -> &'static str {
        match self {
            Self::Nats => "subject",
            Self::Amqp => "routing key",
            Self::Mqtt => "topic",
        }
    }

    /// Whether something may be published under this name; the error says why not.
    pub fn check_name(self, name: &str) -> Result<(), String> {
        let bad = |why: &str| Err(format!("`{name}` is no {} to publish to: {why}", self.noun()));
        match self {
            _ if name.chars().any(char::is_control) => bad("it has a control character in it"),
            Self::Amqp if name.len() > 255 => bad("it is longer than 255 bytes"),
            Self::Amqp => Ok(()),
            _ if name.is_empty() => bad("it is empty"),
            _ if name.starts_with('$') => bad("what begins with `$` is the broker's own"),
            _ if name.len() > MOST => bad("it is longer than 1024 bytes"),
            Self::Nats if name.contains(char::is_whitespace) => bad("it has a space in it"),
            Self::Nats if name.split('.').any(str::is_empty) => bad("a part between its dots is empty"),
            Self::Nats if name.split('.').any(|part| matches!(part, "*" | ">")) => bad("`*` and `>` are for consumers"),
            Self::Mqtt if name.contains(['+', '#']) => bad("`+` and `#` are for consumers"),
            Self::Nats | Self::Mqtt => Ok(()),
        }
    }

    /// Whether a trigger may consume this; the error says why not.
    pub fn check_filter(self, filter: &str) -> Result<(), String> {
        let noun = if self == Self::Amqp { "queue" } else { self.noun() };
        let bad = |why: &str| Err(format!("`{filter}` is no {noun} to consume: {why}"));
        let ends = |wild: &str, parts: &[&str]| parts.iter().rev().skip(1).all(|part| *part != wild);
        match self {
            _ if filter.is_empty() => {
                Err(format!("the address names no {noun}; hint: write it behind the host, `…/orders`"))
            }
            _ if filter.chars().any(char::is_control) => bad("it has a control character in it"),
            Self::Amqp if filter.len() > 255 => bad("it is longer than 255 bytes"),
            Self::Amqp => Ok(()),
            _ if filter.len() > MOST => bad("it is longer than 1024 bytes"),
            Self::Nats => {
                let parts: Vec<_> = filter.split('.').collect();
                match () {
                    () if filter.contains(char::is_whitespace) => bad("it has a space in it"),
                    () if parts.iter().any(|part| part.is_empty()) => bad("a part between its dots is empty"),
                    () if !ends(">", &parts) => bad("`>` is its last part"),
                    () => Ok(()),
                }
            }
            Self::Mqtt => {
                let parts: Vec<_> = filter.split('/').collect();
                let is_part = |part: &&str| part.len() == 1 || !part.contains(['+', '#']);
                match () {
                    () if !parts.iter().all(is_part) => bad("`+` and `#` stand for whole parts"),
                    () if !ends("#", &parts) => bad("`#` is its last part"),
                    () => Ok(()),
                }
            }
        }
    }
}

/// Bytes of a subject or topic: brokers take some hundreds.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>) {
        let (address, rest) = Address::parse(text).expect("an address");
        (address.to_string(), rest)
    }

    #[test]
    fn an_address_has_a_scheme_a_host_and_what_is_behind_it() {
        assert_eq!(
            read("nats://Broker.Example.com/orders.>"),
            ("nats://broker.example.com".into(), Some("orders.>".into()))
        );
        assert_eq!(read("mqtts://10.0.0.1:1884/a/+/#"), ("mqtts://10.0.0.1:1884".into(), Some("a/+/#".into())));
        assert_eq!(read("amqp://[::1]:5672/"), ("amqp://[::1]".into(), None));
        assert_eq!(Address::parse("amqps://b").expect("one").0.port, 5671);
        for bad in ["b.example.com/x", "http://b", "nats://", "nats://b:x", "nats://b:0/x", "nats:///x", "nats://b c/x"]
        {
            assert!(Address::parse(bad).expect_err(bad).contains("hint: `nats://HOST`"), "{bad}");
        }
    }

    #[test]
    fn a_password_in_it_is_refused_and_not_shown() {
        let said = Address::parse("nats://app:pa$$/word@b/orders").expect_err("refused");
        assert!(said.contains("is no address") && !said.contains("pa$$"), "{said}");
        let said = Address::parse("nats://app:hunter2@b/orders").expect_err("refused");
        assert!(
            said.contains("`[brokers.NAME]`") && said.contains("***@b/orders") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn names_have_no_wildcards_and_filters_have_them_in_place() {
        let fits =
            |protocol: Protocol, name: &str| (protocol.check_name(name).is_ok(), protocol.check_filter(name).is_ok());
        for (name, expected) in [
            ("orders.new", (true, true)),
            ("orders.*", (false, true)),
            ("orders.>", (false, true)),
            (">.a", (false, false)),
            ("a..b", (false, false)),
            ("a b", (false, false)),
            ("", (false, false)),
            ("$JS.API.INFO", (false, true)),
            ("a\nb", (false, false)),
        ] {
            assert_eq!(fits(Protocol::Nats, name), expected, "{name}");
        }
        for (name, expected) in [
            ("a/b", (true, true)),
            ("a/+/c", (false, true)),
            ("a/#", (false, true)),
            ("#/a", (false, false)),
            ("a+", (false, false)),
            ("$SYS/x", (false, true)),
            ("a\0", (false, false)),
            ("", (false, false)),
            ("ü ü", (true, true)),
        ] {
            assert_eq!(fits(Protocol::Mqtt, name), expected, "{name}");
        }
        assert_eq!((fits(Protocol::Amqp, ""), fits(Protocol::Amqp, "a.#")), ((true, false), (true, true)));
        assert_eq!(fits(Protocol::Amqp, &"x".repeat(256)), (false, false));
    }
}
