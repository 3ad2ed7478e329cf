//! What NATS says, line by line, and what is said to it. Pure.

use crate::effect::message::fault::{Fault, Reason};
use crate::effect::message::pipe::MOST;

/// A line of the protocol is no longer than this, but for `INFO`, which names a cluster's servers.
const LINE: usize = 64 << 10;
const VERSION: &str = "NATS/1.0";
/// Headers of one message that are kept: millions of empty ones would take many times the message's memory.
const MOST_HEADERS: usize = 1_000;

/// Something that the server says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    /// What the server is, as JSON.
    Info(String),
    /// A message.
    Message(Message),
    Ping,
    Pong,
    Ok,
    /// An error, in its words.
    Error(String),
}

/// A message.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Message {
    pub(super) subject: String,
    /// Where an answer goes.
    pub(super) reply: Option<String>,
    /// In place of a payload: `503`, with its description.
    pub(super) status: Option<(u16, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Vec<u8>,
}

impl Message {
    /// The value of a header, whatever its capitals.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn wrong(what: &str) -> Fault {
    Fault::new(Reason::Protocol, format!("what came is not NATS: {what}"))
}

/// The first thing in the input, and how many bytes it takes. `None`: more has to come.
pub(super) fn said(input: &[u8]) -> Result<Option<(Said, usize)>, Fault> {
    let Some(end) = input.iter().take(LINE).position(|byte| *byte == b'\n') else {
        return if input.len() >= LINE { Err(wrong("a line without an end")) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&input[..end]).map_err(|_| wrong("a line that is no text"))?.trim_end();
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let (after, rest) = (end + 1, rest.trim());
    let plain = |said| Ok(Some((said, after)));
    match verb.to_ascii_uppercase().as_str() {
        "INFO" => plain(Said::Info(rest.to_owned())),
        "PING" => plain(Said::Ping),
        "PONG" => plain(Said::Pong),
        "+OK" => plain(Said::Ok),
        "-ERR" => plain(Said::Error(rest.trim_matches('\'').to_owned())),
        "MSG" | "HMSG" => message(rest, verb.len() == 4, &input[after..])
            .map(|found| found.map(|(message, length)| (Said::Message(message), after + length))),
        other => Err(wrong(&format!("`{}`", other.chars().take(20).collect::<String>()))),
    }
}

/// `<subject> <sid> [reply] [#headers] <#all>`, and what follows.
fn message(line: &str, has_headers: bool, body: &[u8]) -> Result<Option<(Message, usize)>, Fault> {
    let mut parts: Vec<&str> = line.split_ascii_whitespace().collect();
    let count = |text: Option<&str>| {
        text.and_then(|text| text.parse::<usize>().ok()).filter(|n| *n <= MOST).ok_or_else(|| wrong("a bad length"))
    };
    let all = count(parts.pop())?;
    let head = if has_headers { count(parts.pop())? } else { 0 };
    let (subject, reply) = match parts.as_slice() {
        [subject, _] => (*subject, None),
        [subject, _, reply] => (*subject, Some((*reply).to_owned())),
        _ => return Err(wrong("a message without a subject")),
    };
    if head > all {
        return Err(wrong("a bad length"));
    }
    if body.len() < all + 2 {
        return Ok(None);
    }
    if &body[all..all + 2] != b"\r\n" {
        return Err(wrong("a message without an end"));
    }
    let (status, headers) = if has_headers { headers(&body[..head])? } else { (None, Vec::new()) };
    let message = Message { subject: subject.to_owned(), reply, status, headers, payload: body[head..all].to_vec() };
    Ok(Some((message, all + 2)))
}

type Headers = (Option<(u16, String)>, Vec<(String, String)>);

fn headers(block: &[u8]) -> Result<Headers, Fault> {
    let text = String::from_utf8_lossy(block);
    let mut lines = text.split("\r\n");
    let first = lines.next().and_then(|line| line.strip_prefix(VERSION)).ok_or_else(|| wrong("bad headers"))?.trim();
    let (code, told) = first.split_once(' ').unwrap_or((first, ""));
    let status = code.parse().ok().map(|code| (code, told.trim().to_owned()));
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Ok((status, lines.filter_map(pair).take(MOST_HEADERS).collect()))
}

/// What publishes a message.
pub(super) fn publish(subject: &str, reply: Option<&str>, headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    let mut bytes = if headers.is_empty() {
        format!("PUB {subject}{reply} {}\r\n", payload.len()).into_bytes()
    } else {
        let mut head = format!("{VERSION}\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("\r\n");
        format!("HPUB {subject}{reply} {} {}\r\n{head}", head.len(), head.len() + payload.len()).into_bytes()
    };
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_when_it_is_whole() {
        let text = b"MSG orders.new 1 _INBOX.a 5\r\nhello\r\nPING\r\n";
        let message = Message {
            subject: "orders.new".into(),
            reply: Some("_INBOX.a".into()),
            payload: b"hello".into(),
            ..Message::default()
        };
        assert_eq!(said(text), Ok(Some((Said::Message(message), 36))));
        assert_eq!(said(&text[36..]), Ok(Some((Said::Ping, 6))));
        for cut in 0..36 {
            assert_eq!(said(&text[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(
            said(b"-ERR 'Authorization Violation'\r\n").unwrap().unwrap().0,
            Said::Error("Authorization Violation".into())
        );
    }

    #[test]
    fn headers_and_states_are_read() {
        let Said::Message(message) =
            said(b"HMSG a 1 30 32\r\nNATS/1.0\r\nNats-Msg-Id: x:1\r\n\r\nhi\r\n").unwrap().unwrap().0
        else {
            panic!()
        };
        assert_eq!((message.header("nats-msg-id"), &*message.payload), (Some("x:1"), &b"hi"[..]));
        let Said::Message(message) =
            said(b"HMSG a 1 28 28\r\nNATS/1.0 503 No Messages\r\n\r\n\r\n").unwrap().unwrap().0
        else {
            panic!()
        };
        assert_eq!(message.status, Some((503, "No Messages".into())));
    }

    #[test]
    fn what_is_no_nats_is_an_error_and_no_panic() {
        for bad in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG a\r\n",
            "MSG a 1 x\r\n",
            "MSG a 1 99999999999\r\n",
            "HMSG a 1 9 2\r\nhi\r\n",
            "MSG a 1 1\r\nabc",
            "HMSG a 1 2 2\r\nhi\r\n",
        ] {
            assert_eq!(said(bad.as_bytes()).map_err(|fault| fault.reason), Err(Reason::Protocol), "{bad}");
        }
        assert!(said(&vec![b'x'; LINE]).is_err() && said(b"\xff\n").is_err());
    }

    #[test]
    fn what_is_published_can_be_read() {
        assert_eq!(publish("a.b", None, &[], b"hi"), b"PUB a.b 2\r\nhi\r\n");
        let sent = String::from_utf8(publish("a", Some("r"), &[("Nats-Msg-Id", "1")], b"hi")).unwrap();
        assert_eq!(sent, "HPUB a r 28 30\r\nNATS/1.0\r\nNats-Msg-Id: 1\r\n\r\nhi\r\n");
    }
}
