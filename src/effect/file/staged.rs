//! Files that appear whole or not at all: written beside their target, synced, renamed over it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::place::Spot;
use super::sweep::{self, Live};
use super::{Contents, FileReply, FileStat, fault, reading};
use crate::effect::Failure;

/// A file on its way to its target. Dropped before [`finish`](Self::finish), it was never there.
pub(in crate::effect) struct Staged {
    file: File,
    temporary: Temporary,
    spot: Spot,
    // Dropped last: until the file is gone, it is on its way.
    _live: Live,
}

/// Removes the file when it is dropped.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // It may be gone; if it cannot be removed, the next try with the same key replaces it.
            let _ = fs::remove_file(path);
        }
    }
}

impl Staged {
    /// Begins a file. Its temporary name is made from `key`, so that a second try clears what a crash left of the first.
    pub(in crate::effect) fn create(spot: &Spot, key: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| fault::io("written", spot, &error);
        if spot.real.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let folder = spot.real.parent().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        make_folders(folder).map_err(failed)?;
        let name =
            Sha256::new().chain_update(key).chain_update([0]).chain_update(spot.real.as_os_str().as_encoded_bytes());
        let temporary = folder.join(sweep::name(&hex::encode(name.finalize())));
        let live = Live::begin(&temporary);
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(failed)?;
        Ok(Self { file, temporary: Temporary(Some(temporary)), spot: spot.clone(), _live: live })
    }

    pub(in crate::effect) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| fault::io("written", &self.spot, &error))
    }

    /// Copies `source` with its permissions and, for a move, its time.
    pub(super) fn copy_from(&mut self, source: &mut File) -> io::Result<()> {
        io::copy(source, &mut self.file)?;
        let facts = source.metadata()?;
        self.file.set_permissions(facts.permissions())?;
        if let Ok(modified) = facts.modified() {
            self.file.set_modified(modified)?;
        }
        Ok(())
    }

    /// Makes it appear, durably.
    pub(in crate::effect) fn finish(mut self, sha256: Option<String>) -> Result<FileStat, Failure> {
        self.publish().map_err(|error| fault::io("written", &self.spot, &error))?;
        Ok(FileStat { sha256, ..reading::stat(&self.spot, false)? })
    }

    fn publish(&mut self) -> io::Result<()> {
        if let Ok(replaced) = fs::metadata(&self.spot.real) {
            self.file.set_permissions(replaced.permissions())?;
        }
        self.file.sync_all()?;
        if let Some(temporary) = &self.temporary.0 {
            fs::rename(temporary, &self.spot.real)?;
        }
        self.temporary.0 = None;
        sync_folder_of(&self.spot.real)
    }
}

/// Makes or replaces a file.
pub(super) fn write(spot: &Spot, contents: &Contents, key: &str) -> Result<FileReply, Failure> {
    let mut staged = Staged::create(spot, key)?;
    staged.write(contents)?;
    staged.finish(None).map(|_| FileReply::Done)
}

/// Makes a folder and says where.
pub(super) fn make_folder(spot: &Spot) -> Result<String, Failure> {
    make_folders(&spot.real).map_err(|error| fault::io("made", spot, &error))?;
    Ok(spot.shown.clone())
}

/// Makes a folder and those above it, durably.
pub(super) fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<_> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(sync_folder_of)
}

/// Makes durable what happened to an entry of a folder.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
