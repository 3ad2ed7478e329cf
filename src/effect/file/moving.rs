//! Copying, moving and removing, safe to be done twice.
//!
//! Which file is meant is recorded with the intent of a move or removal: a second try must not take another file that
//! has come to stand in its place (an inbox gets a new `order.csv` while the first is on its way).

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};

use serde_json::{Value, json};

use super::place::Spot;
use super::{Earlier, FileReply, Staged, fault, reading, staged};
use crate::effect::Failure;

/// Which file or folder is there before.
pub(super) fn prepare(spot: &Spot, verb: &str) -> Result<Value, Failure> {
    fs::symlink_metadata(&spot.real).map(|facts| identity(&facts)).map_err(|error| fault::io(verb, spot, &error))
}

/// What stays the same when a file is renamed, and differs for another one. A folder's size and time change with what is
/// in it, so they are not asked.
fn identity(facts: &Metadata) -> Value {
    #[cfg(unix)]
    let (device, inode) = {
        use std::os::unix::fs::MetadataExt;
        (facts.dev(), facts.ino())
    };
    #[cfg(not(unix))]
    let (device, inode) = (0_u64, 0_u64);
    if facts.is_dir() {
        return json!({ "device": device, "inode": inode, "folder": true });
    }
    json!({ "device": device, "inode": inode, "size": facts.len(), "modified_ns": modified_ns(facts) })
}

fn modified_ns(facts: &Metadata) -> String {
    let since = facts.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.unwrap_or_default().as_nanos().to_string()
}

fn found(spot: &Spot, verb: &str) -> Result<Option<Value>, Failure> {
    match fs::symlink_metadata(&spot.real) {
        Ok(facts) => Ok(Some(identity(&facts))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault::io(verb, spot, &error)),
    }
}

/// Copies a file with its permissions.
pub(super) fn copy(from: &Spot, to: &Spot, key: &str) -> Result<FileReply, Failure> {
    let (mut source, _) = reading::regular(from, "copied")?;
    let mut copy = Staged::create(to, key)?;
    copy.copy_from(&mut source).map_err(|error| fault::io("copied", from, &error))?;
    copy.finish(None).map(|_| FileReply::Done)
}

/// Moves a file or folder.
pub(super) fn rename(from: &Spot, to: &Spot, earlier: &Earlier) -> Result<FileReply, Failure> {
    if earlier.again && is_moved(from, to, &earlier.undo)? {
        return sync(from, to).map(|()| FileReply::Done).map_err(|error| fault::io("moved", from, &error));
    }
    if found(from, "moved")?.is_none() {
        return Err(fault::io("moved", from, &ErrorKind::NotFound.into()));
    }
    if to.real.is_dir() && !from.real.is_dir() {
        return Err(fault::failure("file", "replaced", to, "it is a folder", "name the file in it"));
    }
    let moved = to.real.parent().map_or(Ok(()), staged::make_folders).and_then(|()| fs::rename(&from.real, &to.real));
    match moved.and_then(|()| sync(from, to)) {
        Ok(()) => Ok(FileReply::Done),
        Err(error) if error.kind() == ErrorKind::CrossesDevices => move_across(from, to, earlier),
        Err(error) => Err(fault::io("moved", from, &error)),
    }
}

/// Whether an earlier try has moved the file that was meant.
fn is_moved(from: &Spot, to: &Spot, meant: &Value) -> Result<bool, Failure> {
    let Some(target) = found(to, "looked at")? else { return Ok(false) };
    let Some(source) = found(from, "looked at")? else { return Ok(true) };
    if target == *meant {
        return Ok(true);
    }
    // Across devices the file at the target is a copy: alike, but another one. While the source is the one that was
    // meant, it is still to be removed.
    let alike = |field: &str| !meant[field].is_null() && target[field] == meant[field];
    Ok(source != *meant && alike("size") && alike("modified_ns"))
}

fn move_across(from: &Spot, to: &Spot, earlier: &Earlier) -> Result<FileReply, Failure> {
    if from.real.is_dir() {
        let hint = "move its files one by one";
        return Err(fault::failure("file", "moved", from, "it is a folder and the target is on another disk", hint));
    }
    copy(from, to, &earlier.key)?;
    fs::remove_file(&from.real)
        .and_then(|()| staged::sync_folder_of(&from.real))
        .map(|()| FileReply::Done)
        .map_err(|error| fault::io("moved", from, &error))
}

fn sync(from: &Spot, to: &Spot) -> io::Result<()> {
    staged::sync_folder_of(&to.real)?;
    if from.real.parent() == to.real.parent() { Ok(()) } else { staged::sync_folder_of(&from.real) }
}

/// Removes a file, a link, or an empty folder.
pub(super) fn remove(spot: &Spot, earlier: &Earlier) -> Result<FileReply, Failure> {
    let failed = |error: io::Error| fault::io("removed", spot, &error);
    match found(spot, "removed")? {
        None if earlier.again => return Ok(FileReply::Done),
        Some(other) if earlier.again && !earlier.undo.is_null() && other != earlier.undo => {
            return Ok(FileReply::Done);
        }
        _ => {}
    }
    let is_folder = fs::symlink_metadata(&spot.real).map_err(failed)?.is_dir();
    let removed = if is_folder { fs::remove_dir(&spot.real) } else { fs::remove_file(&spot.real) };
    removed.and_then(|()| staged::sync_folder_of(&spot.real)).map(|()| FileReply::Done).map_err(failed)
}
