//! The stored form of entries.
//!
//! A *segment* holds consecutive entries of one run: `version (1) · compression · body`, the body being
//! `number of the first entry · count · entries`. Numbers are LEB128 varints (signed ones in zigzag), texts are
//! preceded by their length. A body of more than 4 KiB is compressed (LZ4 block with its size in front).
//! A reader refuses a version that it does not know; version 1 stays readable for ever. Version 2 is version 1 with what
//! repairs brought: their entries, and outcomes that are given again. A segment is of version 2 only where it holds such.

use std::sync::Arc;

use super::{Entry, Kind, Phase, Position, Segment, Sub};
use crate::payload::Payload;
use crate::time::Timestamp;

const VERSION: u8 = 1;
const REPAIRED: u8 = 2;
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// Below this, compressing costs more than it saves: most segments are a few hundred bytes.
const COMPRESS_FROM: usize = 4 * 1024;

const CLOSED: u8 = 1;
const OK: u8 = 2;
const ERR: u8 = 4;
const DUE: u8 = 8;
const DETAIL: u8 = 16;
const ARGUMENTS: u8 = 32;
const GIVEN: u8 = 64;

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Written by a later release.
    #[error(
        "the journal has format {0}, this release reads formats up to {REPAIRED}; hint: run it with a newer `panta`"
    )]
    Version(u8),
    /// Cut off or overwritten.
    #[error("the journal is damaged at byte {0}; hint: restore a backup, or cancel the run")]
    Damaged(usize),
    /// Something is missing, or is there twice.
    #[error("the journal has entry {found} where entry {expected} belongs; hint: restore a backup")]
    Gap {
        /// The number that a segment begins with.
        found: usize,
        /// How many entries there are before it.
        expected: usize,
    },
}

/// Writes consecutive entries, the first being entry `first` of its run.
pub fn encode_segment(first: usize, entries: &[Entry]) -> Vec<u8> {
    let is_repaired = |entry: &Entry| entry.kind == Kind::Repair || entry.phase == Phase::Given;
    let version = if entries.iter().any(is_repaired) { REPAIRED } else { VERSION };
    let mut body = Vec::with_capacity(64 * entries.len() + 16);
    body.extend([version, PLAIN]);
    put_number(&mut body, first as u64);
    put_number(&mut body, entries.len() as u64);
    for entry in entries {
        put_entry(&mut body, entry);
    }
    if body.len() < COMPRESS_FROM {
        return body;
    }
    let mut compressed = vec![version, LZ4];
    compressed.extend(lz4_flex::compress_prepend_size(&body[2..]));
    compressed
}

/// Whether a segment may hold repairs, or what they give again, by its first byte. All of a journal that has one is needed to
/// know what counts of it.
pub fn may_be_repaired(format: u8) -> bool {
    format >= REPAIRED
}

/// Reads a segment: the number of its first entry, and its entries.
pub fn decode_segment(bytes: &[u8]) -> Result<(usize, Vec<Entry>), Error> {
    match bytes {
        [VERSION | REPAIRED, PLAIN, body @ ..] => decode_body(body),
        [VERSION | REPAIRED, LZ4, body @ ..] => {
            decode_body(&lz4_flex::decompress_size_prepended(body).map_err(|_| Error::Damaged(2))?)
        }
        [VERSION | REPAIRED, ..] | [] => Err(Error::Damaged(0)),
        [version, ..] => Err(Error::Version(*version)),
    }
}

fn decode_body(body: &[u8]) -> Result<(usize, Vec<Entry>), Error> {
    let mut reader = Reader { bytes: body, at: 0 };
    let first = reader.number()? as usize;
    let count = reader.number()? as usize;
    let entries = (0..count).map(|_| reader.entry()).collect::<Result<_, _>>()?;
    if reader.at == body.len() { Ok((first, entries)) } else { Err(Error::Damaged(reader.at)) }
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let mut flags = 0;
    flags |= match entry.phase {
        Phase::Opened => 0,
        Phase::Closed => CLOSED,
        Phase::Given => GIVEN,
    };
    flags |= if entry.due.is_some() { DUE } else { 0 };
    flags |= if entry.detail.is_some() { DETAIL } else { 0 };
    flags |= if entry.arguments == 0 { 0 } else { ARGUMENTS };
    flags |= match &entry.outcome {
        Some(Ok(_)) => OK,
        Some(Err(_)) => ERR,
        None => 0,
    };
    out.extend([entry.kind as u8, flags]);
    put_position(out, &entry.position);
    put_text(out, &entry.name);
    put_number(out, u64::from(entry.line));
    put_number(out, u64::from(entry.attempt));
    put_signed(out, entry.started_at.0);
    put_signed(out, entry.ended_at.0 - entry.started_at.0);
    if entry.arguments != 0 {
        out.extend(entry.arguments.to_le_bytes());
    }
    if let Some(due) = entry.due {
        put_signed(out, due.0);
    }
    if let Some(detail) = &entry.detail {
        put_text(out, detail.text());
    }
    if let Some(Ok(value) | Err(value)) = &entry.outcome {
        put_text(out, value.text());
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    put_number(out, position.scope.len() as u64);
    for segment in &position.scope {
        put_number(out, u64::from(segment.ordinal));
        let (tag, n) = match segment.sub {
            Sub::Attempt(n) => (0, n),
            Sub::Branch(n) => (1, n),
        };
        put_number(out, u64::from(n) << 1 | tag);
    }
    put_number(out, u64::from(position.ordinal));
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count).ok_or(Error::Damaged(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(Error::Damaged(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Damaged(self.at))
    }

    fn small(&mut self) -> Result<u32, Error> {
        let at = self.at;
        u32::try_from(self.number()?).map_err(|_| Error::Damaged(at))
    }

    fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let length = self.number()? as usize;
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Damaged(at))
    }

    fn position(&mut self) -> Result<Position, Error> {
        let depth = self.number()? as usize;
        let scope = (0..depth)
            .map(|_| {
                let ordinal = self.small()?;
                let at = self.at;
                let sub = self.number()?;
                let n = u32::try_from(sub >> 1).map_err(|_| Error::Damaged(at))?;
                Ok(Segment { ordinal, sub: if sub & 1 == 0 { Sub::Attempt(n) } else { Sub::Branch(n) } })
            })
            .collect::<Result<_, _>>()?;
        Ok(Position { scope, ordinal: self.small()? })
    }

    fn entry(&mut self) -> Result<Entry, Error> {
        let at = self.at;
        let kind = *Kind::ALL.get(usize::from(self.byte()?)).ok_or(Error::Damaged(at))?;
        let flags = self.byte()?;
        let has = |flag| flags & flag != 0;
        let position = self.position()?;
        let name = Arc::from(self.text()?);
        let (line, attempt) = (self.small()?, self.small()?);
        let started_at = self.signed()?;
        let ended_at = started_at.wrapping_add(self.signed()?);
        let arguments =
            if has(ARGUMENTS) { u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")) } else { 0 };
        let due = has(DUE).then(|| self.signed().map(Timestamp)).transpose()?;
        let detail = has(DETAIL).then(|| self.text().map(Payload::from_text)).transpose()?;
        let outcome = match (has(OK), has(ERR)) {
            (true, _) => Some(Ok(Payload::from_text(self.text()?))),
            (_, true) => Some(Err(Payload::from_text(self.text()?))),
            _ => None,
        };
        Ok(Entry {
            kind,
            phase: match (has(CLOSED), has(GIVEN)) {
                (true, _) => Phase::Closed,
                (_, true) => Phase::Given,
                _ => Phase::Opened,
            },
            position,
            name,
            line,
            attempt,
            arguments,
            started_at: Timestamp(started_at),
            ended_at: Timestamp(ended_at),
            due,
            detail,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let mut opened =
            Entry::opened(Kind::Timer, "4.1.0".parse().expect("position"), "sleep".into(), Timestamp(1_000));
        opened.due = Some(Timestamp(-5));
        opened.detail = Some(Payload::from_text(r#"{"a":1}"#));
        let mut closed =
            Entry::opened(Kind::Effect, "3#2.0".parse().expect("position"), "http::get".into(), Timestamp(7));
        closed.phase = Phase::Closed;
        closed.arguments = u64::MAX;
        closed.outcome = Some(Ok(Payload::from_text("\"ok\"")));
        let failed = Entry { outcome: Some(Err(Payload::unit())), line: 70_000, attempt: 300, ..closed.clone() };
        vec![opened, closed, failed]
    }

    #[test]
    fn entries_come_back() {
        assert_eq!(decode_segment(&encode_segment(17, &entries())), Ok((17, entries())));
    }

    #[test]
    fn big_segments_are_compressed_and_come_back() {
        let many: Vec<_> = entries().into_iter().cycle().take(3_000).collect();
        let bytes = encode_segment(0, &many);
        assert_eq!((bytes[1], bytes.len() < 30_000), (LZ4, true));
        assert_eq!(decode_segment(&bytes), Ok((0, many)));
    }

    #[test]
    fn every_cut_and_a_later_version_are_refused() {
        let bytes = encode_segment(0, &entries());
        for end in 0..bytes.len() {
            assert!(matches!(decode_segment(&bytes[..end]), Err(Error::Damaged(_))), "cut at {end}");
        }
        assert_eq!(decode_segment(&[9, 0, 0]), Err(Error::Version(9)));
    }

    #[test]
    fn what_only_later_releases_read_says_so_to_earlier_ones() {
        let given = Entry { phase: Phase::Given, ..entries().remove(1) };
        let repair = Entry { kind: Kind::Repair, ..entries().remove(1) };
        for later in [vec![given], vec![repair]] {
            let bytes = encode_segment(3, &later);
            // The first byte is all that the first release looks at before it says that it needs a newer one.
            assert_eq!((bytes[0], decode_segment(&bytes)), (2, Ok((3, later))));
        }
        assert_eq!(encode_segment(0, &entries())[0], 1);
    }
}
