//! What a crash left of files on their way: removed when the next process starts.
//!
//! A write that is tried again clears what was left of it by itself; what was sent from outside (an upload) is never tried again by
//! us. Files are known by their names, and those that are on their way now are known one by one, so that the folders can be
//! looked through while work goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::place::OWN_PREFIX;

/// Hex digits in the name of a temporary file.
const DIGITS: usize = 24;
/// Folders within folders that are looked through: deeper ones are not made by us.
const DEEPEST: usize = 64;

/// Files that this process has on their way.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a temporary file, from the hex digits of a hash.
pub(super) fn name(hash: &str) -> String {
    format!("{OWN_PREFIX}-{}.tmp", &hash[..DIGITS])
}

fn is_ours(name: &str) -> bool {
    let rest = name.strip_prefix(OWN_PREFIX).and_then(|rest| rest.strip_prefix('-'));
    rest.and_then(|rest| rest.strip_suffix(".tmp"))
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// A file that is on its way, until this is dropped.
pub(super) struct Live(PathBuf);

impl Live {
    /// From now on it is. Before it is made.
    pub(super) fn begin(path: &Path) -> Self {
        live().insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        live().remove(&self.0);
    }
}

/// Removes temporary files of ours in a folder, and in those below it, that nobody is writing; how many. Links are not followed.
pub fn sweep(folder: &Path) -> usize {
    // As those that are on their way are known.
    fs::canonicalize(folder).map_or(0, |folder| within(&folder, DEEPEST))
}

fn within(folder: &Path, deepest: usize) -> usize {
    // What cannot be read is not ours to complain about: nothing depends on it.
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && deepest > 0 {
            removed += within(&entry.path(), deepest - 1);
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_ours) {
            removed += usize::from(remove(&entry.path()));
        }
    }
    removed
}

fn remove(path: &Path) -> bool {
    // Held while it is removed: nobody makes it anew in between.
    let live = live();
    !live.contains(path) && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::upload::Upload;

    #[test]
    fn what_a_crash_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let deep = root.join("w/in/box");
        fs::create_dir_all(&deep).unwrap();
        let left = [name(&"0a".repeat(32)), name(&"f".repeat(64))];
        left.iter().for_each(|name| fs::write(deep.join(name), "half").unwrap());
        let others = ["a.tmp", ".panta-x.tmp", ".panta-0123.tmp", ".panta", ".panta-0123456789abcdefABCDEF01.tmp"];
        others.iter().for_each(|name| fs::write(deep.join(name), "whole").unwrap());
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join(&left[0]), "not ours").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("w/link")).unwrap();
        assert_eq!((sweep(&root), sweep(&root)), (2, 0));
        assert_eq!(fs::read_dir(&deep).unwrap().count(), others.len());
        assert!(outside.path().join(&left[0]).exists());
    }

    #[test]
    fn what_is_on_its_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let mut upload = Upload::create(&root, "in/a").unwrap();
        upload.write(b"hello").unwrap();
        assert_eq!((sweep(&root), fs::read_dir(root.join("in")).unwrap().count()), (0, 1));
        upload.finish().unwrap();
        assert_eq!(fs::read(root.join("in/a")).unwrap(), b"hello");
    }
}
