//! What a scripts folder holds at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Error;
use crate::script::source::open;

/// The largest script that is read: a thousand times what a person writes.
pub const SOURCE_MAX: u64 = 4 * 1024 * 1024;
/// The code of what the system refused to show.
const UNREADABLE: &str = "E0106";
const DEAD: &str = "it is a link to a file that is not there";
/// How deep folders are read: deeper nesting is a mistake or a trap.
const DEPTH_MAX: usize = 32;

/// A script's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is in the file.
    pub bytes: Arc<[u8]>,
    /// SHA-256 in lower-case hex.
    pub hash: Arc<str>,
}

impl Source {
    /// A content with its hash.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let hash = hex::encode(Sha256::digest(&bytes)).into();
        Self { bytes, hash }
    }
}

/// A path that looks like a script and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Below the folder, with `/` between.
    pub path: String,
    /// Why.
    pub reason: String,
    /// The code of the diagnostic: `E0106` where a good script may be there that could not be read just now.
    pub code: &'static str,
}

/// All scripts of a folder, by path below it with `/` between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The scripts.
    pub files: BTreeMap<String, Source>,
    /// What was left out and should be told.
    pub skipped: Vec<Skipped>,
}

/// Whether a name in the folder is a script's: `*.rhai`, but not what editors leave beside (`.#x.rhai`, `.x.rhai.swp`, `x.rhai~`).
pub fn is_script(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "rhai") && !name.starts_with(['.', '#', '~'])
}

impl Listing {
    /// Reads the folder. Only regular files are opened, so that nothing in it can block; links are followed to files inside
    /// the folder alone. An error means that nothing is known, not that all is gone.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { folder: root.display().to_string(), source };
        let real_root = root.canonicalize().map_err(failed)?;
        let mut listing = Self::default();
        listing.read_folder(&real_root, &real_root, "", 0).map_err(failed)?;
        Ok(listing)
    }

    fn read_folder(&mut self, root: &Path, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.contains(char::is_control)) else {
                self.skip_name(prefix, &name.to_string_lossy());
                continue;
            };
            let (path, at) = (format!("{prefix}{name}"), entry.path());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && is_script(name) {
                self.skip(path, "it is a folder", "E0104");
            } else if kind.is_dir() {
                self.enter(root, &at, &path, depth);
            } else if is_script(name) {
                self.read_file(root, &at, path, kind.is_symlink());
            }
        }
        Ok(())
    }

    fn enter(&mut self, root: &Path, folder: &Path, path: &str, depth: usize) {
        let is_hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        if is_hidden {
            return;
        }
        if depth == DEPTH_MAX {
            self.skip(path.to_owned(), format!("it is more than {DEPTH_MAX} folders deep"), "E0104");
        } else if let Err(error) = self.read_folder(root, folder, &format!("{path}/"), depth + 1)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.skip(format!("{path}/"), error.to_string(), UNREADABLE);
        }
    }

    fn read_file(&mut self, root: &Path, at: &Path, path: String, is_link: bool) {
        match read_source(root, at, is_link) {
            Ok(Ok(source)) => {
                self.files.insert(path, source);
            }
            Ok(Err((reason, code))) => self.skip(path, reason, code),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => self.skip(path, DEAD, "E0107"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.skip(path, error.to_string(), UNREADABLE),
        }
    }

    /// One whose name nobody could type, shown as it can be.
    fn skip_name(&mut self, prefix: &str, name: &str) {
        if is_script(name) {
            let shown = format!("{prefix}{}", name.escape_debug());
            self.skip(shown, "its name has control characters, or is not UTF-8", "E0109");
        }
    }

    fn skip(&mut self, path: String, reason: impl Into<String>, code: &'static str) {
        self.skipped.push(Skipped { path, reason: reason.into(), code });
    }

    /// Whether `path`, though not listed, is there in some way: what was live under that name is not to be taken for removed.
    pub(super) fn may_have(&self, path: &str) -> bool {
        let is_below = |skipped: &Skipped| {
            skipped.code == UNREADABLE && skipped.path.ends_with('/') && path.starts_with(&skipped.path)
        };
        self.skipped.iter().any(|skipped| skipped.path == path || is_below(skipped))
    }
}

/// The content, or why it is not read.
fn read_source(root: &Path, at: &Path, is_link: bool) -> io::Result<Result<Source, (String, &'static str)>> {
    if is_link && !at.canonicalize()?.starts_with(root) {
        return Ok(Err(("it is a link out of the folder".to_owned(), "E0105")));
    }
    let metadata = fs::metadata(at)?;
    if !metadata.is_file() {
        return Ok(Err(("it is not a regular file".to_owned(), "E0104")));
    }
    let mut bytes = Vec::new();
    if metadata.len() <= SOURCE_MAX {
        // One byte beyond the limit tells of a file that grows meanwhile.
        open(at)?.take(SOURCE_MAX + 1).read_to_end(&mut bytes)?;
    }
    if metadata.len().max(bytes.len() as u64) > SOURCE_MAX {
        return Ok(Err((format!("it is larger than {} MiB", SOURCE_MAX / 1024 / 1024), "E0103")));
    }
    Ok(Ok(Source::new(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(root: &Path) -> (Vec<String>, Vec<String>) {
        let listing = Listing::read(root).unwrap();
        let skipped = listing.skipped.into_iter().map(|skipped| format!("{}: {}", skipped.path, skipped.reason));
        (listing.files.into_keys().collect(), skipped.collect())
    }

    #[test]
    fn scripts_are_listed_and_what_editors_leave_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("orders/lib")).unwrap();
        fs::create_dir_all(at(".git")).unwrap();
        let good = ["a.rhai", "orders/b.test.rhai", "orders/lib/c.rhai"];
        for name in good.iter().chain(&[
            ".git/x.rhai",
            ".a.rhai.swp",
            "a.rhai~",
            "#a.rhai#",
            ".#a.rhai",
            "4913",
            ".rhai",
            "a.txt",
        ]) {
            fs::write(at(name), "1").unwrap();
        }
        assert_eq!(listed(folder.path()), (good.map(str::to_owned).to_vec(), vec![]));
    }

    #[test]
    fn what_is_no_regular_file_never_blocks_and_is_told() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let at = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(at("fifo.rhai")).status().unwrap().success());
        fs::create_dir(at("folder.rhai")).unwrap();
        fs::write(at("a.rhai"), "1").unwrap();
        std::os::unix::fs::symlink("a.rhai", at("inside.rhai")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("outside.rhai")).unwrap();
        std::os::unix::fs::symlink("loop.rhai", at("loop.rhai")).unwrap();
        std::os::unix::fs::symlink(".", at("circle")).unwrap();
        fs::File::create(at("large.rhai")).unwrap().set_len(SOURCE_MAX + 1).unwrap();
        let (files, skipped) = listed(folder.path());
        assert_eq!(files, ["a.rhai", "inside.rhai"]);
        let names: Vec<_> = skipped.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["fifo.rhai", "folder.rhai", "large.rhai", "loop.rhai", "outside.rhai"]);
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_not_an_empty_listing() {
        let error = Listing::read(Path::new("/nowhere/scripts")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the scripts folder `/nowhere/scripts`"));
    }
}
