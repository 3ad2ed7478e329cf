//! Packets of MQTT 5, as bytes. Pure.

use crate::effect::message::fault::{Fault, Reason};
use crate::effect::message::pipe::MOST;

/// A packet that came.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Packet {
    /// Whether the broker knew us, and what it says.
    Connected { session: bool, code: u8, told: Told },
    /// A message.
    Published(Published),
    /// It has a message.
    Acknowledged { id: u16, code: u8, told: Told },
    /// It took subscriptions, or not.
    Subscribed { id: u16, codes: Vec<u8>, told: Told },
    /// It is there.
    Pong,
    /// It ends the connection.
    Ended { code: u8, told: Told },
}

/// What stands among the properties of a packet.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Told {
    /// In words.
    pub(super) reason: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) pairs: Vec<(String, String)>,
    /// The largest packet that it takes.
    pub(super) most: Option<u32>,
    /// The level of assurance that it has, where that is not all.
    pub(super) qos: Option<u8>,
    /// Whether it keeps messages for later.
    pub(super) retains: Option<bool>,
    /// Seconds after which a silent connection is over.
    pub(super) keep_alive: Option<u16>,
}

/// A message.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Published {
    pub(super) topic: String,
    /// Where it is to be acknowledged.
    pub(super) id: Option<u16>,
    pub(super) again: bool,
    pub(super) retain: bool,
    pub(super) told: Told,
    pub(super) payload: Vec<u8>,
}

fn wrong(what: &str) -> Fault {
    Fault::new(Reason::Protocol, format!("what came is not MQTT 5: {what}"))
}

/// The first packet of the input, and how many bytes it takes. `None`: more has to come.
pub(super) fn packet(input: &[u8]) -> Result<Option<(Packet, usize)>, Fault> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let Some((length, digits)) = varint(rest)? else { return Ok(None) };
    if length > MOST {
        return Err(wrong("a packet of more than 64 MiB"));
    }
    let Some(body) = rest.get(digits..digits + length) else { return Ok(None) };
    let packet = read(first, &mut Bytes(body))?;
    Ok(Some((packet, 1 + digits + length)))
}

/// A number of one to four bytes, and how many they are.
fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, Fault> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(wrong("a bad length")) }
}

fn read(first: u8, body: &mut Bytes<'_>) -> Result<Packet, Fault> {
    Ok(match first >> 4 {
        2 => {
            let (flags, code) = (body.u8()?, body.u8()?);
            Packet::Connected { session: flags & 1 == 1, code, told: body.told()? }
        }
        3 => {
            let topic = body.text()?;
            let id = if first & 0b110 == 0 { None } else { Some(body.u16()?) };
            let told = body.told()?;
            let (again, retain) = (first & 0b1000 != 0, first & 1 == 1);
            Packet::Published(Published { topic, id, again, retain, told, payload: body.0.to_vec() })
        }
        4 => {
            let id = body.u16()?;
            let code = if body.0.is_empty() { 0 } else { body.u8()? };
            Packet::Acknowledged { id, code, told: body.told()? }
        }
        9 => {
            let (id, told) = (body.u16()?, body.told()?);
            Packet::Subscribed { id, codes: body.0.to_vec(), told }
        }
        13 => Packet::Pong,
        14 => {
            let code = if body.0.is_empty() { 0 } else { body.u8()? };
            Packet::Ended { code, told: body.told()? }
        }
        other => return Err(wrong(&format!("a packet of kind {other}"))),
    })
}

/// What is left of a packet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn many(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(|| wrong("a packet that is too short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.many(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok((u32::from(self.u16()?) << 16) | u32::from(self.u16()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.u16()?;
        self.many(usize::from(count))
    }

    fn text(&mut self) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn varint(&mut self) -> Result<usize, Fault> {
        let (value, count) = varint(self.0)?.ok_or_else(|| wrong("a packet that is too short"))?;
        self.many(count)?;
        Ok(value)
    }

    /// The properties; none where the packet ends before them.
    fn told(&mut self) -> Result<Told, Fault> {
        let mut told = Told::default();
        if self.0.is_empty() {
            return Ok(told);
        }
        let length = self.varint()?;
        let mut all = Bytes(self.many(length)?);
        while !all.0.is_empty() {
            match all.varint()? {
                0x03 => told.content_type = Some(all.text()?),
                0x13 => told.keep_alive = Some(all.u16()?),
                0x1f => told.reason = Some(all.text()?),
                0x24 => told.qos = Some(all.u8()?),
                0x25 => told.retains = Some(all.u8()? != 0),
                0x26 => {
                    let pair = (all.text()?, all.text()?);
                    if told.pairs.len() < MOST_PAIRS {
                        told.pairs.push(pair);
                    }
                }
                0x27 => told.most = Some(all.u32()?),
                // Others, of which nothing follows here: passed over by their lengths.
                0x01 | 0x17 | 0x19 | 0x28 | 0x29 | 0x2a => drop(all.u8()?),
                0x21..=0x23 => drop(all.u16()?),
                0x02 | 0x11 | 0x18 => drop(all.u32()?),
                0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c => drop(all.bytes()?),
                0x0b => drop(all.varint()?),
                other => return Err(wrong(&format!("a property of kind {other}"))),
            }
        }
        Ok(told)
    }
}

/// Who connects.
pub(super) struct Hello<'a> {
    /// The name; empty: the broker gives one.
    pub(super) name: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    /// Seconds of silence after which the connection is over.
    pub(super) keep_alive: u16,
    /// Seconds for which the broker keeps what it knows of us; 0: it begins anew.
    pub(super) kept: u32,
    /// Messages that may be on their way to us, unacknowledged.
    pub(super) lot: u16,
}

pub(super) fn connect(hello: &Hello<'_>) -> Vec<u8> {
    let flags = (u8::from(hello.user.is_some()) << 7)
        | (u8::from(hello.password.is_some()) << 6)
        | (u8::from(hello.kept == 0) << 1);
    let mut body = text("MQTT");
    body.extend([5, flags]);
    body.extend(hello.keep_alive.to_be_bytes());
    let mut properties = vec![0x11];
    properties.extend(hello.kept.to_be_bytes());
    properties.push(0x21);
    properties.extend(hello.lot.to_be_bytes());
    body.extend(with_length(&properties));
    for part in [Some(hello.name), hello.user, hello.password].into_iter().flatten() {
        body.extend(text(part));
    }
    framed(0x10, &body)
}

/// A message with its assurance that it came (QoS 1).
pub(super) fn publish(topic: &str, id: u16, retain: bool, told: &Told, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(id.to_be_bytes());
    let mut properties = Vec::new();
    if let Some(kind) = &told.content_type {
        properties.push(0x03);
        properties.extend(text(kind));
    }
    for (name, value) in &told.pairs {
        properties.push(0x26);
        properties.extend(text(name));
        properties.extend(text(value));
    }
    body.extend(with_length(&properties));
    body.extend_from_slice(payload);
    framed(0x32 | u8::from(retain), &body)
}

/// What is kept by the broker comes when the subscription is new, and not at each connection.
pub(super) fn subscribe(id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.push(0);
    body.extend(text(filter));
    body.push(0b01_0001);
    framed(0x82, &body)
}

pub(super) fn acknowledge(id: u16) -> Vec<u8> {
    framed(0x40, &id.to_be_bytes())
}

/// User properties of one packet that are kept: millions of empty ones would take many times the packet's memory.
const MOST_PAIRS: usize = 1_000;

pub(super) const PING: [u8; 2] = [0xc0, 0];

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], with_length(body).as_slice()].concat()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(body.len() + 4), body.len());
    loop {
        let more = u8::from(rest > 0x7f) << 7;
        bytes.push((rest & 0x7f) as u8 | more);
        rest >>= 7;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A code of refusal, in words.
pub(super) fn meaning(code: u8) -> &'static str {
    match code {
        0x10 => "nobody has subscribed to the topic",
        0x01 | 0x84 => "it does not speak MQTT 5",
        0x85 => "it does not like the client's name",
        0x04 | 0x86 => "user or password are not right",
        0x05 | 0x87 => "the user may not do this",
        0x03 | 0x88 => "it is not available",
        0x89 => "it is busy",
        0x8a => "the client is banned",
        0x8b => "it is shutting down",
        0x8d => "nothing was heard of us for too long",
        0x8e => "another client has taken over this one's name",
        0x8f => "the filter is none that it takes",
        0x90 => "the topic is none that it takes",
        0x93 => "too many messages are on their way",
        0x95 => "the message is too large",
        0x97 => "the quota is used up",
        0x98 => "somebody has ended the connection",
        0x99 => "the payload is not what it says",
        0x9a => "it keeps no messages for later",
        0x9b => "it has not this level of assurance",
        _ => "it refuses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(bytes: &[u8]) -> Packet {
        let (packet, length) = packet(bytes).expect("a packet").expect("whole");
        assert_eq!(length, bytes.len());
        packet
    }

    #[test]
    fn what_is_published_is_read_when_it_is_whole() {
        let told = Told {
            content_type: Some("application/json".into()),
            pairs: vec![("id".into(), "ü".into())],
            ..Told::default()
        };
        let payload = vec![b'x'; 300];
        let bytes = publish("a/b", 7, true, &told, &payload);
        let expected = Published { topic: "a/b".into(), id: Some(7), again: false, retain: true, told, payload };
        assert_eq!(there(&bytes), Packet::Published(expected));
        for cut in 0..bytes.len() {
            assert_eq!(packet(&bytes[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn answers_are_read() {
        let refused = [0x20, 8, 0, 0x87, 5, 0x1f, 0, 2, b'n', b'o'];
        assert_eq!(
            there(&refused),
            Packet::Connected {
                session: false,
                code: 0x87,
                told: Told { reason: Some("no".into()), ..Told::default() }
            }
        );
        assert_eq!(there(&[0x40, 2, 0, 7]), Packet::Acknowledged { id: 7, code: 0, told: Told::default() });
        assert_eq!(there(&[0x90, 4, 0, 1, 0, 1]), Packet::Subscribed { id: 1, codes: vec![1], told: Told::default() });
        assert_eq!(
            (there(&[0xd0, 0]), there(&[0xe0, 1, 0x8b])),
            (Packet::Pong, Packet::Ended { code: 0x8b, told: Told::default() })
        );
        let limits = [0x20, 13, 1, 0, 10, 0x27, 0, 1, 0, 0, 0x24, 1, 0x13, 0, 30];
        let told = Told { most: Some(65536), qos: Some(1), keep_alive: Some(30), ..Told::default() };
        assert_eq!(there(&limits), Packet::Connected { session: true, code: 0, told });
    }

    #[test]
    fn what_is_no_mqtt_is_an_error_and_no_panic() {
        for bad in [
            &[0x20, 0xff, 0xff, 0xff, 0xff][..],
            &[0x20, 1, 0],
            &[0x30, 2, 0, 9],
            &[0x70, 0],
            &[0x20, 4, 0, 0, 1, 0x7f],
            b"HTTP/1.1 400",
        ] {
            let read = packet(bad);
            assert!(
                matches!(&read, Err(fault) if fault.reason == Reason::Protocol) || read == Ok(None),
                "{bad:?}: {read:?}"
            );
        }
        assert!(packet(&[0x20, 1, 0]).is_err() && packet(&[0x70, 0]).is_err());
    }

    #[test]
    fn who_connects_is_said() {
        let hello = Hello { name: "p", user: Some("u"), password: Some("w"), keep_alive: 60, kept: 0, lot: 16 };
        let expected = [
            0x10, 27, 0, 4, b'M', b'Q', b'T', b'T', 5, 0xc2, 0, 60, 8, 0x11, 0, 0, 0, 0, 0x21, 0, 16, 0, 1, b'p', 0, 1,
            b'u', 0, 1, b'w',
        ];
        assert_eq!(connect(&hello)[2..], expected[2..]);
        assert_eq!(connect(&hello).len(), expected.len());
    }
}
