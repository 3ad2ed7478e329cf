//! Which brokers a workflow may talk to.

use super::Brokers;
use super::address::Address;
use crate::effect::Failure;
use crate::effect::allow::allow_line;
use crate::effect::net::HostPattern;

/// The brokers that a workflow may talk to.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum MayTalk {
    /// None.
    #[default]
    None,
    /// All that the configuration names.
    Configured,
    /// These.
    These(Vec<Entry>),
}

/// One entry of `allow.message`.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    text: String,
    meant: Meant,
}

#[derive(Clone, PartialEq, Debug)]
enum Meant {
    /// `nats://host:port`; without a port the usual one.
    Address(Address),
    /// `host`, `*.host`, `host:port`; what is a plain word may be the name of a broker, too.
    Host(HostPattern),
    /// A name that is no host's: `our_broker`.
    Name,
}

impl Entry {
    /// Reads `nats://host`, `host`, `host:port` or the name of a broker; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let meant = if text.contains("://") {
            match Address::parse(text)? {
                (address, None) => Meant::Address(address),
                (address, Some(_)) => {
                    return Err(format!("`{text}` names more than a broker; hint: write `{address}`"));
                }
            }
        } else if text == "*" {
            return Err("`*` names no broker; hint: `message: true` is for all of the configuration".to_owned());
        } else {
            match HostPattern::parse(text) {
                Ok(pattern) => Meant::Host(pattern),
                Err(_) if is_name(text) => Meant::Name,
                Err(why) => return Err(why),
            }
        };
        Ok(Self { text: text.to_owned(), meant })
    }

    /// Whether it means this broker. Without those of the configuration, a name may mean any.
    fn covers(&self, address: &Address, brokers: Option<&Brokers>) -> bool {
        let is_named = || match brokers {
            Some(brokers) => brokers.name_of(address) == Some(self.text.as_str()),
            None => true,
        };
        match &self.meant {
            Meant::Address(meant) => meant == address,
            Meant::Host(pattern) => pattern.matches(&address.host, address.port) || (is_name(&self.text) && is_named()),
            Meant::Name => is_named(),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

impl MayTalk {
    /// Those of a list; the error names the entry that is none.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| Entry::parse(text)).collect::<Result<_, _>>().map(Self::These)
    }

    /// The same and those of another.
    pub fn join(&mut self, other: Self) {
        *self = match (std::mem::take(self), other) {
            (Self::None, any) | (any, Self::None) => any,
            (Self::These(mut entries), Self::These(more)) => {
                entries.extend(more);
                Self::These(entries)
            }
            (Self::Configured, _) | (_, Self::Configured) => Self::Configured,
        };
    }

    /// Whether this broker may be talked to. Where the configuration is not at hand, what depends on it is taken as right.
    pub fn covers(&self, address: &Address, brokers: Option<&Brokers>) -> bool {
        match self {
            Self::None => false,
            Self::Configured => brokers.is_none_or(|brokers| brokers.name_of(address).is_some()),
            Self::These(entries) => entries.iter().any(|entry| entry.covers(address, brokers)),
        }
    }

    /// What to write so that this broker may be talked to.
    pub fn line(&self, address: &Address) -> String {
        let entries = if let Self::These(entries) = self { entries.as_slice() } else { &[] };
        allow_line("message", entries.iter().map(|entry| entry.text.clone()), &address.to_string())
    }
}

/// Fails with the line to add where a broker may not be talked to.
pub(super) fn admit(address: &Address, allow: &MayTalk, brokers: Option<&Brokers>) -> Result<(), Failure> {
    if allow.covers(address, brokers) {
        return Ok(());
    }
    let line = allow.line(address);
    let why = match allow {
        MayTalk::Configured => "the configuration names no such broker".to_owned(),
        _ => "it is not among the brokers of this workflow".to_owned(),
    };
    Err(Failure::denied(format!(
        "no messages may go to `{address}`: {why}; hint: add `{line}` to `workflow(#{{ … }})`"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::brokers::testing;
    use super::*;

    fn may(entries: &[&str], url: &str) -> bool {
        let texts: Vec<_> = entries.iter().map(|&text| text.to_owned()).collect();
        let brokers = testing::brokers("events", "nats://10.0.0.1:4222");
        let (address, _) = Address::parse(url).expect("an address");
        MayTalk::parse(&texts).expect("entries").covers(&address, Some(&brokers))
    }

    #[test]
    fn an_entry_names_a_broker_a_host_or_an_address() {
        assert!(
            may(&["nats://b.example.com"], "nats://b.example.com/x") && may(&["*.example.com"], "mqtt://b.example.com")
        );
        assert!(may(&["127.0.0.1:4222"], "nats://127.0.0.1") && may(&["events"], "nats://10.0.0.1"));
        assert!(may(&["our_broker", "b"], "nats://b") && !may(&["our_broker"], "nats://b"));
        for (entry, url) in [
            ("nats://b.example.com", "nats+tls://b.example.com"),
            ("nats://b.example.com", "nats://b.example.com:5222"),
            ("events", "nats://10.0.0.2"),
            ("b.example.com:4222", "mqtt://b.example.com"),
        ] {
            assert!(!may(&[entry], url), "{entry} {url}");
        }
        for bad in ["*", "nats://b/orders", "nats://a:b@c", "a/b", ""] {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_which_line_to_add() {
        let (address, _) = Address::parse("mqtt://127.0.0.1:1884/x").expect("an address");
        let said = admit(&address, &MayTalk::parse(&["a".to_owned()]).expect("entries"), None).err();
        assert_eq!(said, None, "without the configuration, a name may be meant");
        let brokers = testing::brokers("events", "nats://10.0.0.1:4222");
        for (allow, line) in [
            (MayTalk::None, r#"add `allow: #{ message: ["mqtt://127.0.0.1:1884"] }`"#),
            (MayTalk::Configured, "the configuration names no such broker"),
            (
                MayTalk::parse(&["a".to_owned()]).expect("entries"),
                r#"`allow: #{ message: ["a", "mqtt://127.0.0.1:1884"] }`"#,
            ),
        ] {
            let said = admit(&address, &allow, Some(&brokers)).expect_err("refused");
            assert!(said.kind == "denied" && said.message.contains(line), "{}", said.message);
        }
    }

    #[test]
    fn what_a_module_needs_is_joined() {
        let mut may = MayTalk::None;
        may.join(MayTalk::parse(&["a".to_owned()]).expect("entries"));
        may.join(MayTalk::parse(&["b".to_owned()]).expect("entries"));
        assert!(matches!(&may, MayTalk::These(entries) if entries.len() == 2));
        may.join(MayTalk::Configured);
        assert_eq!(may, MayTalk::Configured);
    }
}
