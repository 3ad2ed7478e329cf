//! Several segments of a run in one row.
//!
//! `version (1) · the largest first byte of a segment · how many (2, little endian) · LZ4 block with its size in front`; in the
//! block, for each segment: its number less that of the one before it, its length (both LEB128 varints), its bytes.
//! A reader refuses a version that it does not know.

use rusqlite::Result;
use rusqlite::types::Type;

const VERSION: u8 = 1;
/// Bytes in front of the block: what tells the way along a journal enough.
pub(super) const HEAD: usize = 4;

/// A segment, by its number.
pub(super) type Segment = (i64, Vec<u8>);

/// At most 65,535 segments, in the order of their numbers.
pub(super) fn pack(segments: &[Segment]) -> Vec<u8> {
    let mut block = Vec::with_capacity(segments.iter().map(|(_, body)| body.len() + 4).sum());
    let (mut before, mut format) = (0, 0);
    for (id, body) in segments {
        put(&mut block, (id - before).cast_unsigned());
        put(&mut block, body.len() as u64);
        block.extend(body);
        before = *id;
        format = format.max(body.first().copied().unwrap_or_default());
    }
    let count = u16::try_from(segments.len()).expect("a piece has fewer segments");
    let mut packed = vec![VERSION, format];
    packed.extend(count.to_le_bytes());
    packed.extend(lz4_flex::compress_prepend_size(&block));
    packed
}

/// What a row holds, from the first segment on.
pub(super) fn segments(id: i64, body: Vec<u8>, is_packed: bool) -> Result<Vec<Segment>> {
    if !is_packed {
        return Ok(vec![(id, body)]);
    }
    let (_, count) = head(&body)?;
    let block = lz4_flex::decompress_size_prepended(&body[HEAD..]).map_err(|error| damaged(Box::new(error)))?;
    let mut rest = block.as_slice();
    let mut found = Vec::with_capacity(count);
    let mut number = 0;
    for _ in 0..count {
        number += take(&mut rest).ok_or_else(cut_off)?.cast_signed();
        let length = take(&mut rest).and_then(|length| usize::try_from(length).ok()).ok_or_else(cut_off)?;
        let (body, behind) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        found.push((number, body.to_vec()));
        rest = behind;
    }
    if rest.is_empty() && number == id { Ok(found) } else { Err(cut_off()) }
}

/// The largest first byte of the segments, and how many they are.
pub(super) fn head(body: &[u8]) -> Result<(u8, usize)> {
    match body {
        [VERSION, format, low, high, ..] => Ok((*format, usize::from(u16::from_le_bytes([*low, *high])))),
        [VERSION, ..] | [] => Err(cut_off()),
        [version, ..] => Err(damaged(format!("segments are packed in format {version}, which is not known").into())),
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn cut_off() -> rusqlite::Error {
    damaged("segments that are packed are cut off or overwritten".into())
}

fn damaged(why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Segment> {
        [(3, "\u{1}first"), (4, ""), (900, "\u{2}third"), (70_000, "\u{1}last")]
            .map(|(id, body)| (id, body.as_bytes().to_vec()))
            .to_vec()
    }

    #[test]
    fn segments_come_back_with_their_numbers() {
        let packed = pack(&some());
        assert_eq!(head(&packed), Ok((2, 4)));
        assert_eq!(segments(70_000, packed, true), Ok(some()));
        assert_eq!(segments(7, b"one".to_vec(), false), Ok(vec![(7, b"one".to_vec())]));
    }

    #[test]
    fn what_is_cut_off_another_ones_or_of_a_later_format_is_refused() {
        let packed = pack(&some());
        for end in 0..packed.len() {
            segments(70_000, packed[..end].to_vec(), true).expect_err("it is cut off");
        }
        segments(70_001, packed.clone(), true).expect_err("it is another one's");
        let later = [&[VERSION + 1], &packed[1..]].concat();
        let problem = segments(70_000, later, true).expect_err("it is not known");
        assert!(crate::store::Error::from(problem).to_string().contains("format 2"));
    }
}
