//! Frames and methods of AMQP 0-9-1, as bytes. Pure.

use serde_json::{Map, Value};

use super::FRAME;
use crate::effect::message::fault::{Fault, Reason};

/// What ends a frame.
const END: u8 = 0xce;
/// Tables within tables: more are none that anybody wrote.
const DEEPEST: usize = 16;

/// A frame that came.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Frame {
    /// A method: its class, its number, its arguments.
    Method(u16, u16, Vec<u8>),
    /// How long the message is that follows, and what is beside it.
    Header(u64, Properties),
    /// A part of a message.
    Body(Vec<u8>),
    Heartbeat,
}

/// What stands beside a message.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Properties {
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) message_id: Option<String>,
}

pub(super) fn wrong(what: &str) -> Fault {
    Fault::new(Reason::Protocol, format!("what came is not AMQP 0-9-1: {what}"))
}

/// The first frame of the input, and how many bytes it takes. `None`: more has to come.
pub(super) fn frame(input: &[u8]) -> Result<Option<(Frame, usize)>, Fault> {
    let Some(head) = input.first_chunk::<7>() else { return Ok(None) };
    if head.starts_with(b"AMQP") {
        return Err(wrong("the broker wants another version"));
    }
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if length > FRAME as usize {
        return Err(wrong("a frame larger than it was told that it may be"));
    }
    let Some(body) = input.get(7..7 + length) else { return Ok(None) };
    let Some(end) = input.get(7 + length) else { return Ok(None) };
    if *end != END {
        return Err(wrong("a frame without an end"));
    }
    let mut bytes = Bytes(body);
    let frame = match head[0] {
        1 => Frame::Method(bytes.u16()?, bytes.u16()?, bytes.0.to_vec()),
        2 => header(&mut bytes)?,
        3 => Frame::Body(body.to_vec()),
        8 => Frame::Heartbeat,
        other => return Err(wrong(&format!("a frame of kind {other}"))),
    };
    Ok(Some((frame, 8 + length)))
}

fn header(bytes: &mut Bytes<'_>) -> Result<Frame, Fault> {
    let (_class, _weight) = (bytes.u16()?, bytes.u16()?);
    let (size, flags) = (bytes.u64()?, bytes.u16()?);
    let has = |bit: u16| flags & (1 << bit) != 0;
    let mut properties = Properties::default();
    if has(15) {
        properties.content_type = Some(bytes.short()?);
    }
    if has(14) {
        bytes.short()?;
    }
    if has(13) {
        properties.headers = bytes.table(0)?.into_iter().map(|(name, value)| (name, plain(value))).collect();
    }
    // Whether it is kept, its priority; then what it answers, where an answer goes, when it is too old.
    for bit in [12, 11] {
        if has(bit) {
            bytes.u8()?;
        }
    }
    for bit in [10, 9, 8] {
        if has(bit) {
            bytes.short()?;
        }
    }
    if has(7) {
        properties.message_id = Some(bytes.short()?);
    }
    Ok(Frame::Header(size, properties))
}

/// A value of a header as text.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// What is left of a frame.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    fn many(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(|| wrong("a frame that is too short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.many(N)?;
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.fixed::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// A text of at most 255 bytes.
    pub(super) fn short(&mut self) -> Result<String, Fault> {
        let count = usize::from(self.u8()?);
        Ok(String::from_utf8_lossy(self.many(count)?).into_owned())
    }

    fn long(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.u32()? as usize;
        self.many(count)
    }

    pub(super) fn table(&mut self, depth: usize) -> Result<Map<String, Value>, Fault> {
        if depth > DEEPEST {
            return Err(wrong("tables within tables"));
        }
        let mut inner = Bytes(self.long()?);
        let mut table = Map::new();
        while !inner.0.is_empty() {
            let name = inner.short()?;
            table.insert(name, inner.value(depth + 1)?);
        }
        Ok(table)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        use base64::Engine as _;

        Ok(match self.u8()? {
            b't' => (self.u8()? != 0).into(),
            b'b' => i8::from_be_bytes(self.fixed()?).into(),
            b'B' => self.u8()?.into(),
            b's' | b'U' => i16::from_be_bytes(self.fixed()?).into(),
            b'u' => self.u16()?.into(),
            b'I' => i32::from_be_bytes(self.fixed()?).into(),
            b'i' => self.u32()?.into(),
            b'l' | b'L' => i64::from_be_bytes(self.fixed()?).into(),
            b'T' => self.u64()?.into(),
            b'f' => f32::from_be_bytes(self.fixed()?).into(),
            b'd' => f64::from_be_bytes(self.fixed()?).into(),
            b'D' => {
                let (scale, digits) = (self.u8()?, i32::from_be_bytes(self.fixed()?));
                format!("{digits}e-{scale}").into()
            }
            b'S' => String::from_utf8_lossy(self.long()?).into(),
            b'x' => base64::engine::general_purpose::STANDARD.encode(self.long()?).into(),
            b'F' => self.table(depth)?.into(),
            b'A' => {
                if depth > DEEPEST {
                    return Err(wrong("lists within lists"));
                }
                let mut inner = Bytes(self.long()?);
                let mut list = Vec::new();
                while !inner.0.is_empty() {
                    list.push(inner.value(depth + 1)?);
                }
                list.into()
            }
            b'V' => Value::Null,
            other => return Err(wrong(&format!("a value of kind {other}"))),
        })
    }
}

/// A method that is sent: its arguments are added one after the other.
pub(super) struct Method(Vec<u8>);

impl Method {
    pub(super) fn new(class: u16, number: u16) -> Self {
        Self([class.to_be_bytes(), number.to_be_bytes()].concat())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn short(self, text: &str) -> Self {
        let length = text.len().min(255);
        self.raw(&[length as u8]).raw(&text.as_bytes()[..length])
    }

    pub(super) fn long(self, bytes: &[u8]) -> Self {
        self.raw(&(bytes.len() as u32).to_be_bytes()).raw(bytes)
    }

    pub(super) fn on(self, channel: u16) -> Vec<u8> {
        framed(1, channel, &self.0)
    }
}

/// The flag `true` under each of these names.
pub(super) fn flags(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| Method(Vec::new()).short(name).raw(b"t\x01").0).collect()
}

/// A table under a name, and texts under others.
pub(super) fn table(tables: &[(&str, &[u8])], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Method(Vec::new());
    for (name, inner) in tables {
        bytes = bytes.short(name).raw(b"F").long(inner);
    }
    for (name, text) in texts {
        bytes = bytes.short(name).raw(b"S").long(text.as_bytes());
    }
    bytes.0
}

/// A message: what is beside it, and its parts, none larger than the broker takes.
pub(super) fn message(channel: u16, properties: &Properties, payload: &[u8], most: usize) -> Vec<u8> {
    // Content type, headers, kept on disk, id.
    let flags: u16 = (1 << 15) | (1 << 13) | (1 << 12) | (1 << 7);
    let headers: Vec<_> = properties.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let head = Method::new(60, 0)
        .raw(&(payload.len() as u64).to_be_bytes())
        .raw(&flags.to_be_bytes())
        .short(properties.content_type.as_deref().unwrap_or_default())
        .long(&table(&[], &headers))
        .raw(&[2])
        .short(properties.message_id.as_deref().unwrap_or_default());
    let mut bytes = framed(2, channel, &head.0);
    for part in payload.chunks(most.saturating_sub(8).max(1)) {
        bytes.extend(framed(3, channel, part));
    }
    bytes
}

pub(super) const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, END];

fn framed(kind: u8, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes.push(END);
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some((found, length)) = frame(bytes).expect("frames") {
            frames.push(found);
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn a_message_is_sent_in_parts_that_can_be_read() {
        let properties = Properties {
            content_type: Some("text/plain".into()),
            headers: vec![("a".into(), "ü".into())],
            message_id: Some("m1".into()),
        };
        let frames = all(&message(1, &properties, b"hello", 10));
        let parts: Vec<_> =
            frames[1..].iter().map(|part| if let Frame::Body(part) = part { part.clone() } else { panic!() }).collect();
        assert_eq!((&frames[0], parts.concat(), parts.len()), (&Frame::Header(5, properties), b"hello".to_vec(), 3));
        assert_eq!(all(&message(1, &Properties::default(), b"", 10)).len(), 1);
    }

    #[test]
    fn a_frame_is_read_when_it_is_whole() {
        let bytes = Method::new(60, 80).raw(&7_u64.to_be_bytes()).raw(&[0]).on(1);
        assert_eq!(all(&bytes), [Frame::Method(60, 80, vec![0, 0, 0, 0, 0, 0, 0, 7, 0])]);
        for cut in 0..bytes.len() {
            assert_eq!(frame(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(all(&HEARTBEAT), [Frame::Heartbeat]);
    }

    #[test]
    fn tables_have_values_of_every_kind() {
        let texts: &[&[u8]] = &[
            b"\x01at\x01",
            b"\x01bI\xff\xff\xff\xff",
            b"\x01cS\0\0\0\x02hi",
            b"\x01dF\0\0\0\x04\x01xB\x07",
            b"\x01eA\0\0\0\x03B\x01V",
            b"\x01fD\x02\0\0\x04\xd2",
            b"\x01gl\0\0\0\0\0\0\0\x01",
            b"\x01hx\0\0\0\x01\xff",
            b"\x01iT\0\0\0\0\0\0\0\x05",
        ];
        let bytes = Method(Vec::new()).long(&texts.concat()).0;
        let table = Bytes(&bytes).table(0).expect("a table");
        let expected = json!({ "a": true, "b": -1, "c": "hi", "d": { "x": 7 }, "e": [1, null], "f": "1234e-2", "g": 1, "h": "/w==", "i": 5 });
        assert_eq!(Value::from(table), expected);
    }

    #[test]
    fn what_is_no_amqp_is_an_error_and_no_panic() {
        let deep = (0..100).fold(Vec::new(), |inner: Vec<u8>, _| table(&[("a", &inner)], &[]));
        assert!(Bytes(&Method(Vec::new()).long(&deep).0).table(0).is_err());
        for bad in [
            &b"AMQP\0\0\x09\x01"[..],
            &[9, 0, 0, 0, 0, 0, 0, END],
            &[1, 0, 0, 0, 0, 0, 1, 0, END],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(frame(bad).map_err(|fault| fault.reason), Err(Reason::Protocol), "{bad:?}");
        }
        assert!(Bytes(&[0, 0, 0, 3, 1, b'a', b'?']).table(0).is_err() && Bytes(&[0, 0, 0, 9]).table(0).is_err());
    }
}
