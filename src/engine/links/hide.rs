//! Signed addresses in what is shown: who has one needs no token, so it is shown to those alone who may do what it does.

use std::borrow::Cow;

use super::{Links, Purpose};

/// What stands in the place of an address.
const HIDDEN: &str = "***";
/// Characters of the shortest address: the id of a task and a signature.
const SHORTEST: usize = 64;

/// Which addresses are hidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hides {
    /// Those of tasks.
    pub tasks: bool,
    /// Those of events.
    pub events: bool,
}

impl Links {
    /// The text without what is signed in its addresses, wherever they stand in it: as they are, in JSON, in other addresses.
    /// Only what this node has signed is taken for an address.
    pub fn hidden<'t>(&self, text: &'t str, hides: Hides) -> Cow<'t, str> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let (bytes, mut out, mut kept, mut at) = (text.as_bytes(), String::new(), 0, 0);
        while at < bytes.len() {
            let length = bytes[at..].iter().take_while(|byte| is_part(**byte)).count();
            let before = at.checked_sub(1).map(|before| bytes[before]);
            if length >= SHORTEST
                && let Some(start) = self.signed(&text[at..at + length], before, hides)
            {
                out.push_str(&text[kept..at + start]);
                out.push_str(HIDDEN);
                kept = at + length;
            }
            at += length.max(1);
        }
        if kept == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[kept..]);
        Cow::Owned(out)
    }

    /// Where something signed begins that ends with this; `before` is what stands before it.
    fn signed(&self, part: &str, before: Option<u8>, hides: Hides) -> Option<usize> {
        // What is left of an escape looks like a part of it: `%2F`, `\n`, `\u002f`.
        let starts: &[usize] = match before {
            Some(b'%') => &[0, 2],
            Some(b'\\') => &[0, 1, 5],
            _ => &[0],
        };
        let is_signed = |from: &&usize| {
            let token = &part[**from..];
            hides.tasks && self.verify(Purpose::Task, token).is_some()
                || hides.events && self.verify(Purpose::Event, token).is_some()
        };
        starts.iter().find(is_signed).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventLink;
    use super::*;
    use crate::id::TaskId;

    const ALL: Hides = Hides { tasks: true, events: true };

    fn links() -> (Links, String, String) {
        let links = Links::with_key("https://x", [7; 32]);
        let task = links.task(TaskId(uuid::Uuid::from_u128(7)), None).expect("a key");
        let event = EventLink { name: "paid".into(), key: Some("Z/1".into()), expires: None };
        let event = links.event(&event).expect("a key");
        (links, task, event)
    }

    #[test]
    fn addresses_are_hidden_wherever_they_stand() {
        let (links, task, event) = links();
        let written = event.replace(':', "%3A").replace('/', "%2F");
        let token = event.rsplit('/').next().expect("a token");
        let text = format!("{{\"a\":\"{task}?x=1\",\"b\":\"{written}\",\"c\":\"\\n{token}\\u002f{token}\"}} {token}");
        let expected = r#"{"a":"https://x/t/***?x=1","b":"https%3A%2F%2Fx%2Fe%2F***","c":"\n***\u002f***"} ***"#;
        assert_eq!(links.hidden(&text, ALL), expected);
    }

    #[test]
    fn only_what_is_meant_and_signed_here_is_hidden() {
        let (links, task, event) = links();
        let text = format!("{task} {event}");
        assert_eq!(links.hidden(&text, Hides { tasks: true, events: false }), format!("https://x/t/*** {event}"));
        assert_eq!(links.hidden(&text, Hides { tasks: false, events: true }), format!("{task} https://x/e/***"));
        let other = Links::with_key("https://x", [8; 32]);
        assert!(matches!(other.hidden(&text, ALL), Cow::Borrowed(_)));
        let long = format!("ä{}", "A".repeat(9_999));
        assert!(matches!(links.hidden(&long, ALL), Cow::Borrowed(_)));
    }
}
