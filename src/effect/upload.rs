//! A file that comes from outside piece by piece, into a workflow's own folder: there whole and durable, or not at all.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::file::{Place, Staged};
use super::{Failure, Limits};

/// A file on its way. Dropped before [`finish`](Self::finish), it was never there. All of it blocks.
pub struct Upload {
    staged: Staged,
    hash: Sha256,
    size: u64,
    path: String,
    real: PathBuf,
}

/// A file that is there.
#[derive(Debug)]
pub struct Uploaded {
    /// Relative to the workflow's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
    real: PathBuf,
}

impl Upload {
    /// Begins the file `path`, which leads to somewhere in `folder`, or is refused.
    pub fn create(folder: &Path, path: &str) -> Result<Self, Failure> {
        let spot = Place::new(folder, &[], Limits::default()).target(path)?;
        let (staged, real) = (Staged::create(&spot, path)?, spot.real);
        Ok(Self { staged, hash: Sha256::new(), size: 0, path: path.to_owned(), real })
    }

    /// Takes the next piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.hash.update(piece);
        self.size += piece.len() as u64;
        self.staged.write(piece)
    }

    /// Makes it appear, durably.
    pub fn finish(self) -> Result<Uploaded, Failure> {
        let sha256 = hex::encode(self.hash.finalize());
        self.staged.finish(None)?;
        Ok(Uploaded { path: self.path, size: self.size, sha256, real: self.real })
    }
}

impl Uploaded {
    /// Removes it: nothing refers to it.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.real) {
            tracing::warn!("`{}`, which nothing refers to, cannot be removed: {error}", self.real.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_once_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let mut upload = Upload::create(folder.path(), "in/a").unwrap();
        upload.write(b"hel").unwrap();
        upload.write(b"lo").unwrap();
        assert!(!folder.path().join("in/a").exists());
        let there = upload.finish().unwrap();
        assert_eq!((there.size, there.sha256.as_str()), (5, hex::encode(Sha256::digest("hello")).as_str()));
        assert_eq!(std::fs::read(folder.path().join("in/a")).unwrap(), b"hello");
        there.remove();
        assert_eq!(std::fs::read_dir(folder.path().join("in")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_given_up_or_leads_elsewhere_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        Upload::create(folder.path(), "in/a").unwrap().write(b"x").unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("in")).unwrap().count(), 0);
        std::os::unix::fs::symlink("/tmp", folder.path().join("out")).unwrap();
        for path in ["../a", "/tmp/a", "out/a"] {
            assert!(Upload::create(folder.path(), path).is_err(), "{path}");
        }
    }
}
