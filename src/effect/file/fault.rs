//! Errors of the file system, in terms of [`Failure`].

use std::io::{Error, ErrorKind};

use super::place::Spot;
use crate::effect::{Failure, Field};

/// `verb` is what could not be done, as in "cannot be `read`".
pub(super) fn io(verb: &str, spot: &Spot, error: &Error) -> Failure {
    let (kind, why, hint, retryable) = match error.kind() {
        ErrorKind::NotFound => {
            ("not_found", "it does not exist".to_owned(), "check the path, or ask `file::exists` first", false)
        }
        ErrorKind::PermissionDenied => {
            ("file", "permission is denied".to_owned(), "give the user that runs `panta` access to it", false)
        }
        ErrorKind::IsADirectory => ("file", "it is a folder".to_owned(), "name a file in it", false),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            ("file", "a part of the path is a file".to_owned(), "use other names for folders", false)
        }
        ErrorKind::DirectoryNotEmpty => {
            ("file", "the folder is not empty".to_owned(), "remove the files in it first", false)
        }
        ErrorKind::InvalidFilename => ("invalid", "its name is not possible here".to_owned(), "shorten it", false),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ("file", "no space is left".to_owned(), "free space on that disk", true)
        }
        _ => ("file", error.to_string(), "look at the disk and its mount", true),
    };
    let failure = failure(kind, verb, spot, &why, hint);
    if retryable { failure.retryable() } else { failure }
}

/// A failure at `spot`.
pub(super) fn failure(kind: &'static str, verb: &str, spot: &Spot, why: &str, hint: &str) -> Failure {
    let message = format!("`{}` cannot be {verb}: {why}; hint: {hint}", spot.shown);
    Failure::new(kind, message).with("path", Field::Text(spot.shown.clone()))
}
