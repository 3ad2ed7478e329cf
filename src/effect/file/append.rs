//! Appending, once even when it is done twice.
//!
//! The length before is recorded with the intent. A second try finds behind that length nothing, a part of what it
//! appends, all of it, or what others appended meanwhile. Only the first three may be cut back: what others wrote is not
//! ours to remove.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use serde_json::{Value, json};

use super::place::Spot;
use super::{Contents, Earlier, FileReply, fault, staged};
use crate::effect::Failure;

/// How long the file is before.
pub(super) fn prepare(spot: &Spot) -> Result<Value, Failure> {
    match fs::metadata(&spot.real) {
        Ok(facts) => Ok(json!({ "length": facts.len() })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(json!({ "length": 0 })),
        Err(error) => Err(fault::io("appended to", spot, &error)),
    }
}

pub(super) fn append(spot: &Spot, contents: &Contents, earlier: &Earlier) -> Result<FileReply, Failure> {
    let start = earlier.undo["length"].as_u64().filter(|_| earlier.again);
    if fs::metadata(&spot.real).is_ok_and(|facts| !facts.is_file() && !facts.is_dir()) {
        return Err(fault::failure("file", "appended to", spot, "it is a device or a pipe", "name a regular file"));
    }
    append_from(spot, contents, start).map(|()| FileReply::Done).map_err(|error| fault::io("appended to", spot, &error))
}

fn append_from(spot: &Spot, contents: &[u8], start: Option<u64>) -> io::Result<()> {
    let is_new = !spot.real.exists();
    if let Some(folder) = spot.real.parent() {
        staged::make_folders(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(&spot.real)?;
    let done = match start {
        Some(start) => recover(&mut file, start, contents)?,
        None => false,
    };
    if !done {
        let length = file.metadata()?.len();
        if let Err(error) = file.write_all(contents) {
            // The next try would cut it back as well; but there may be none.
            let _ = file.set_len(length);
            return Err(error);
        }
    }
    file.sync_all()?;
    if is_new { staged::sync_folder_of(&spot.real) } else { Ok(()) }
}

/// Brings the file back to where an earlier try began, or finds that it is done.
fn recover(file: &mut File, start: u64, contents: &[u8]) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(tail) = length.checked_sub(start).filter(|tail| *tail > 0) else { return Ok(false) };
    let whole = contents.len() as u64;
    if tail <= whole && has(file, start, &contents[..tail as usize], Torn::Allowed)? {
        file.set_len(start)?;
        return Ok(false);
    }
    Ok(tail >= whole
        && (has(file, start, contents, Torn::Refused)? || has(file, length - whole, contents, Torn::Refused)?))
}

/// After a power failure, parts that never reached the disk read as zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Torn {
    Allowed,
    Refused,
}

fn has(file: &mut File, at: u64, expected: &[u8], torn: Torn) -> io::Result<bool> {
    file.seek(SeekFrom::Start(at))?;
    let mut buffer = vec![0; expected.len().min(256 << 10)];
    for chunk in expected.chunks(buffer.len().max(1)) {
        let found = &mut buffer[..chunk.len()];
        file.read_exact(found)?;
        let same = |(found, wanted): (&u8, &u8)| found == wanted || torn == Torn::Allowed && *found == 0;
        if !found.iter().zip(chunk).all(same) {
            return Ok(false);
        }
    }
    Ok(true)
}
