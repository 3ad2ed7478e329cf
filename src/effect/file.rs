//! Files, in the workflow's own folder and where `allow.files` says.
//!
//! Every act may be done twice: after a crash nobody knows whether the first time happened, wholly or in part.
//! Writes and copies are atomic, appends are cut back to where they began, moves and removals know the file they meant.
//!
//! All of it runs on the runtime's blocking threads: a change of thread costs tens of µs, an `fsync` milliseconds, and a
//! network file system may hang for minutes, in which a worker would stall with all its runs.

mod append;
mod fault;
mod inflow;
mod list;
mod moving;
mod place;
mod reading;
mod staged;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Attempt, Failure, Kind};
use crate::time::Timestamp;

pub(super) use inflow::Inflow;
pub(super) use place::{Place, Spot, check_allowed_glob};
pub use reading::knows_encoding;
pub(super) use staged::Staged;
pub use sweep::sweep;

/// What is written. Shared, as it may be big and crosses threads.
pub type Contents = Arc<[u8]>;

/// An act on files. Paths are relative to the workflow's folder, or absolute where `allow.files` covers them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileRequest {
    /// The text of a file, which must be UTF-8 where nothing else is said.
    Read {
        /// Which file.
        path: String,
        /// What its text is written in, by a label that [`knows_encoding`]; `None`: UTF-8.
        encoding: Option<String>,
        /// The largest size; `None`: [`Limits::file_bytes`](super::Limits::file_bytes).
        max_bytes: Option<u64>,
    },
    /// The bytes of a file.
    ReadBlob {
        /// Which file.
        path: String,
        /// The largest size; `None`: [`Limits::file_bytes`](super::Limits::file_bytes).
        max_bytes: Option<u64>,
    },
    /// Makes a file, or replaces it, atomically. Missing folders are made.
    Write {
        /// Which file.
        path: String,
        /// All of it.
        contents: Contents,
    },
    /// Adds to the end of a file, which is made when missing.
    Append {
        /// Which file.
        path: String,
        /// What is added.
        contents: Contents,
    },
    /// Copies a file, atomically; one at the target is replaced.
    Copy {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// Moves a file or folder; a file at the target is replaced.
    Move {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// Removes a file, or an empty folder.
    Remove {
        /// Which.
        path: String,
    },
    /// The paths of the files that match, sorted. A plain folder stands for what is directly in it.
    List {
        /// `*` and `?` within a name, `**` across folders, `{a,b}`, `[a-z]`.
        glob: String,
    },
    /// Whether there is a file or folder.
    Exists {
        /// Where.
        path: String,
    },
    /// Facts about a file or folder.
    Stat {
        /// Which.
        path: String,
        /// With the SHA-256 of a file's contents.
        hash: bool,
    },
    /// A reference to a file as it is now, for streaming it elsewhere: as `Stat` with the hash.
    Open {
        /// Which file.
        path: String,
    },
    /// Makes a folder for one run, gone with [`Performer::remove_temp`](super::Performer::remove_temp).
    Temp {
        /// The run's id.
        run: String,
    },
}

/// What a file function returns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileReply {
    /// Nothing: it is done.
    Done,
    /// Text of a file.
    Text(String),
    /// Bytes of a file.
    Blob(Vec<u8>),
    /// Yes or no.
    Flag(bool),
    /// Paths.
    List(Vec<String>),
    /// One path.
    Path(String),
    /// Facts about a file.
    Stat(FileStat),
}

/// Facts about a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileStat {
    /// The path as it was given.
    pub path: String,
    /// The last part of it.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// When its contents last changed.
    pub modified: Timestamp,
    /// Of its contents, in hexadecimal, where it was asked for.
    pub sha256: Option<String>,
    /// Whether it is a folder.
    pub is_folder: bool,
}

impl FileRequest {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Read { .. }
            | Self::ReadBlob { .. }
            | Self::List { .. }
            | Self::Exists { .. }
            | Self::Stat { .. }
            | Self::Open { .. } => Kind::Reading,
            Self::Write { .. }
            | Self::Append { .. }
            | Self::Copy { .. }
            | Self::Move { .. }
            | Self::Remove { .. }
            | Self::Temp { .. } => Kind::Mutating,
        }
    }

    /// What scripts call it, behind `file::`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::ReadBlob { .. } => "read_blob",
            Self::Write { .. } => "write",
            Self::Append { .. } => "append",
            Self::Copy { .. } => "copy",
            Self::Move { .. } => "move",
            Self::Remove { .. } => "remove",
            Self::List { .. } => "list",
            Self::Exists { .. } => "exists",
            Self::Stat { .. } => "stat",
            Self::Open { .. } => "open",
            Self::Temp { .. } => "temp",
        }
    }

    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Read { path, max_bytes, encoding: None } => json!(["read", path, max_bytes]),
            Self::Read { path, max_bytes, encoding } => json!(["read", path, max_bytes, encoding]),
            Self::ReadBlob { path, max_bytes } => json!(["read_blob", path, max_bytes]),
            Self::Write { path, contents } => json!(["write", path, digest(contents)]),
            Self::Append { path, contents } => json!(["append", path, digest(contents)]),
            Self::Copy { from, to } => json!(["copy", from, to]),
            Self::Move { from, to } => json!(["move", from, to]),
            Self::Remove { path } => json!(["remove", path]),
            Self::List { glob } => json!(["list", glob]),
            Self::Exists { path } => json!(["exists", path]),
            Self::Stat { path, hash } => json!(["stat", path, hash]),
            Self::Open { path } => json!(["open", path]),
            Self::Temp { run } => json!(["temp", run]),
        }
    }
}

/// Size and SHA-256 of contents, in place of them.
pub(super) fn digest(contents: &[u8]) -> String {
    let mut digits = [0; 64];
    hex::encode_to_slice(Sha256::digest(contents), &mut digits).expect("two digits a byte");
    let digits = std::str::from_utf8(&digits).expect("digits are ASCII");
    format!("{} bytes sha256:{digits}", contents.len())
}

/// The contents of a file, by its path. Blocks.
pub(super) fn bytes(path: &str, place: &Place, most: u64) -> Result<Vec<u8>, Failure> {
    reading::bytes(&place.target(path)?, most)
}

/// Runs file work on a blocking thread.
/// A file that is sent, and its size.
pub(super) fn open_regular(spot: &Spot) -> Result<(std::fs::File, u64), Failure> {
    let (file, facts) = reading::regular(spot, "sent")?;
    Ok((file, facts.len()))
}

pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let error = match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => return outcome,
        Err(error) => error,
    };
    if error.is_panic() {
        std::panic::resume_unwind(error.into_panic());
    }
    let message = "the file work was given up, the worker is going down; hint: it is redone by itself";
    Err(Failure::new("file", message).retryable().maybe_sent())
}

/// What a second try needs to know of the state before the first.
pub(super) fn prepare(request: &FileRequest, place: &Place) -> Result<Option<String>, Failure> {
    let undo = match request {
        FileRequest::Append { path, .. } => append::prepare(&place.target(path)?)?,
        FileRequest::Move { from, to } => {
            place.entry(to)?;
            moving::prepare(&place.entry(from)?, "moved")?
        }
        FileRequest::Remove { path } => moving::prepare(&place.entry(path)?, "removed")?,
        FileRequest::Write { path, .. } => return place.target(path).map(|_| None),
        _ => return Ok(None),
    };
    Ok(Some(undo.to_string()))
}

/// Performs an act on files.
pub(super) async fn perform(request: &FileRequest, attempt: &Attempt<'_>, place: Place) -> Result<FileReply, Failure> {
    let earlier = Earlier {
        key: attempt.idempotency_key.to_owned(),
        undo: attempt.undo.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        again: attempt.again,
    };
    let kind = request.kind();
    let request = request.clone();
    let outcome = off_thread(move || act(&request, &earlier, &place)).await;
    outcome.map_err(|failure| {
        // What failed halfway may have changed something.
        if kind == Kind::Mutating && failure.kind == "file" { failure.maybe_sent() } else { failure }
    })
}

/// What is known of earlier tries.
struct Earlier {
    key: String,
    undo: Value,
    again: bool,
}

fn act(request: &FileRequest, earlier: &Earlier, place: &Place) -> Result<FileReply, Failure> {
    let limit = |max_bytes: &Option<u64>| max_bytes.unwrap_or(place.limits().file_bytes);
    match request {
        FileRequest::Read { path, max_bytes, encoding } => {
            let spot = place.target(path)?;
            reading::text(&spot, limit(max_bytes), encoding.as_deref()).map(FileReply::Text)
        }
        FileRequest::ReadBlob { path, max_bytes } => {
            reading::bytes(&place.target(path)?, limit(max_bytes)).map(FileReply::Blob)
        }
        FileRequest::Write { path, contents } => staged::write(&place.target(path)?, contents, &earlier.key),
        FileRequest::Append { path, contents } => append::append(&place.target(path)?, contents, earlier),
        FileRequest::Copy { from, to } => moving::copy(&place.target(from)?, &place.target(to)?, &earlier.key),
        FileRequest::Move { from, to } => moving::rename(&place.entry(from)?, &place.entry(to)?, earlier),
        FileRequest::Remove { path } => moving::remove(&place.entry(path)?, earlier),
        FileRequest::List { glob } => list::list(place, glob).map(FileReply::List),
        FileRequest::Exists { path } => reading::exists(&place.target(path)?).map(FileReply::Flag),
        FileRequest::Stat { path, hash } => reading::stat(&place.target(path)?, *hash).map(FileReply::Stat),
        FileRequest::Open { path } => reading::open(&place.target(path)?).map(FileReply::Stat),
        FileRequest::Temp { run } => staged::make_folder(&place.temp(run)?).map(FileReply::Path),
    }
}

/// Makes a folder where there is none. Blocks.
pub(super) fn make_folder(spot: &Spot) -> Result<(), Failure> {
    staged::make_folder(spot).map(drop)
}

/// Removes a run's temporary folder with all that is in it.
pub(super) fn remove_temp(run: &str, place: &Place) -> Result<(), Failure> {
    let spot = place.temp(run)?;
    match std::fs::remove_dir_all(&spot.real) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(fault::io("removed", &spot, &error)),
        _ => Ok(()),
    }
}
