//! Looking at files.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};

use encoding_rs::Encoding;
use sha2::{Digest, Sha256};

use super::place::Spot;
use super::{FileStat, fault};
use crate::effect::Failure;
use crate::time::Timestamp;

pub(super) fn bytes(spot: &Spot, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    let (file, facts) = regular(spot, "read")?;
    let too_large = || {
        let why = format!("it has more than {max_bytes} bytes");
        fault::failure("limit", "read", spot, &why, "raise `max_bytes`, or pass it on with `file::open`")
    };
    if facts.len() > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(facts.len() as usize);
    // It may grow while it is read.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| fault::io("read", spot, &error))?;
    if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) }
}

/// Whether texts of this encoding can be read: one of the labels that browsers know, such as `windows-1252` or `latin1`.
pub fn knows_encoding(label: &str) -> bool {
    Encoding::for_label(label.as_bytes()).is_some()
}

pub(super) fn text(spot: &Spot, max_bytes: u64, encoding: Option<&str>) -> Result<String, Failure> {
    let bytes = bytes(spot, max_bytes)?;
    if let Some(label) = encoding {
        return decoded(spot, &bytes, label);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let why = format!("it is no UTF-8 text (byte {at} does not fit)");
        let hint = "say what it is, such as `#{ encoding: \"windows-1252\" }`, or use `file::read_blob`";
        fault::failure("invalid", "read as text", spot, &why, hint)
    })
}

fn decoded(spot: &Spot, bytes: &[u8], label: &str) -> Result<String, Failure> {
    let failed = |why: &str| fault::failure("invalid", "read as text", spot, why, "try another `encoding`");
    let encoding =
        Encoding::for_label(label.as_bytes()).ok_or_else(|| failed(&format!("`{label}` is no known encoding")))?;
    let (text, _, has_faults) = encoding.decode(bytes);
    if has_faults { Err(failed(&format!("it is no text in `{label}`"))) } else { Ok(text.into_owned()) }
}

pub(super) fn exists(spot: &Spot) -> Result<bool, Failure> {
    match fs::metadata(&spot.real) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(fault::io("looked at", spot, &error)),
    }
}

pub(super) fn stat(spot: &Spot, hash: bool) -> Result<FileStat, Failure> {
    let facts = fs::metadata(&spot.real).map_err(|error| fault::io("looked at", spot, &error))?;
    let sha256 = if hash && facts.is_file() { Some(sha256(spot)?) } else { None };
    Ok(describe(spot, &facts, sha256))
}

pub(super) fn open(spot: &Spot) -> Result<FileStat, Failure> {
    let (_, facts) = regular(spot, "opened")?;
    Ok(describe(spot, &facts, Some(sha256(spot)?)))
}

fn describe(spot: &Spot, facts: &Metadata, sha256: Option<String>) -> FileStat {
    let name = spot.shown.trim_end_matches('/');
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name).to_owned();
    let is_folder = facts.is_dir();
    let size = if is_folder { 0 } else { facts.len() };
    FileStat { path: spot.shown.clone(), name, size, modified: modified(facts), sha256, is_folder }
}

fn modified(facts: &Metadata) -> Timestamp {
    let time = facts.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    Timestamp(time.map_or(0, jiff::Timestamp::as_millisecond))
}

fn sha256(spot: &Spot) -> Result<String, Failure> {
    let failed = |error: io::Error| fault::io("read", spot, &error);
    let (mut file, _) = regular(spot, "read")?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Opens what is a file in the narrow sense: opening a pipe waits for its other end, and a device may have no end.
pub(super) fn regular(spot: &Spot, verb: &str) -> Result<(File, Metadata), Failure> {
    let failed = |error: io::Error| fault::io(verb, spot, &error);
    let facts = fs::metadata(&spot.real).map_err(failed)?;
    if facts.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    if !facts.is_file() {
        return Err(fault::failure("file", verb, spot, "it is a device or a pipe", "name a regular file"));
    }
    let file = File::open(&spot.real).map_err(failed)?;
    Ok((file, facts))
}
