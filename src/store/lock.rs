//! The lock on a data folder: one process holds it, and the others learn who.
//!
//! The kernel's lock on `panta.lock` decides, and ends with the process; what the file says is only for people and for
//! commands that look for the daemon. The folder may be named in any way: the lock sits on the file, not on its path.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::time::{Clock, SystemClock, Timestamp};

const FILE: &str = "panta.lock";
/// How the argument begins by which a daemon's parent tells the process that holds the folder where it finds it.
pub const PARENT: &str = "--engine";

/// Who holds a data folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The command line.
    pub command: String,
    /// Where its API listens.
    pub listen: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Holder {
    /// This process.
    pub fn this_process(listen: Option<String>) -> Self {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        // What a parent adds means nothing to people.
        let words: Vec<_> = words.filter(|word| !word.starts_with(PARENT)).collect();
        Self { pid: std::process::id(), command: words.join(" "), listen, since: SystemClock.now() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`", self.pid, self.command)?;
        if let Some(listen) = &self.listen {
            write!(f, ", listening on {listen}")?;
        }
        write!(f, ") since {}", self.since)
    }
}

/// A data folder that this process holds, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the folder, which must exist, or tells who has it.
    pub fn acquire(folder: &Path, holder: &Holder) -> Result<Self> {
        let path = folder.join(FILE);
        let file = options().open(&path).map_err(|error| failed(&path, &error))?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read(folder).map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
                return Err(Error::Held { folder: folder.display().to_string(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
        }
        let lock = Self { path, file };
        lock.announce(holder)?;
        Ok(lock)
    }

    /// Says who holds it, once more is known (the address that it listens on).
    pub fn announce(&self, holder: &Holder) -> Result<()> {
        let text = serde_json::to_vec(holder).expect("a holder is plain data");
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .map_err(|error| failed(&self.path, &error))
    }
}

/// Tries more than once: somebody who looks for the holder has the lock for a moment.
fn try_lock(file: &File) -> std::result::Result<(), TryLockError> {
    for _ in 0..100 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            other => return other,
        }
    }
    file.try_lock()
}

/// Who holds the folder now, if anybody.
pub fn holder(folder: &Path) -> Option<Holder> {
    let file = File::open(folder.join(FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(folder),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn read(folder: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("`{}`: {error}", path.display()))
}
