//! What a scripts folder holds at one moment.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Error;
use crate::script::source::open;
use crate::time::{Clock as _, SystemClock, Timestamp};

/// The largest script that is read: a thousand times what a person writes.
pub const SOURCE_MAX: u64 = 4 * 1024 * 1024;
/// The code of what the system refused to show.
const UNREADABLE: &str = "E0106";
const DEAD: &str = "it is a link to a file that is not there";
/// How deep folders are read: deeper nesting is a mistake or a trap.
pub(super) const DEPTH_MAX: usize = 32;

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

/// By what the system tells a file from others, and one state of it from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    length: u64,
    /// When its content was changed, and when anything about it was: seconds and nanoseconds.
    changed: [i64; 4],
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let changed = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        Self { file: (metadata.dev(), metadata.ino()), length: metadata.len(), changed }
    }

    /// Whether the file changed so long ago that a further change gets another stamp. Clocks of file systems are coarse, and may
    /// be another machine's.
    pub(super) fn is_old(self, now: Timestamp) -> bool {
        let [_, _, seconds, _] = self.changed;
        now.0 / 1_000 - seconds >= COARSE_S
    }
}

/// A content, and the state that its file had before it was read.
pub(super) type Seen = (Stamp, Source);
/// Why a file is not read, and the code of the diagnostic.
pub(super) type Refusal = (String, &'static str);

/// Seconds within which two changes of a file may look like one: file systems count in 2 s at worst.
const COARSE_S: i64 = 3;

/// Reads a folder again and again: what has not changed since is not read once more.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) known: HashMap<String, Seen>,
    /// Among what looks like scripts are links.
    pub(super) has_links: bool,
}

impl Reader {
    /// What the folder holds now; see [`Listing::read`].
    pub(super) fn read(&mut self, root: &Path) -> Result<Listing, Error> {
        let failed = |source| Error::Read { folder: root.display().to_string(), source };
        let real_root = root.canonicalize().map_err(failed)?;
        let known = std::mem::take(&mut self.known);
        let mut reading = Reading {
            root: &real_root,
            now: SystemClock.now(),
            known,
            seen: HashMap::new(),
            has_links: false,
            listing: Listing::default(),
        };
        let read = reading.read_folder(&real_root, "", 0);
        (self.known, self.has_links) = (reading.seen, reading.has_links);
        read.map(|()| reading.listing).map_err(failed)
    }
}

/// A folder that is being read.
struct Reading<'a> {
    root: &'a Path,
    now: Timestamp,
    /// From the time before.
    known: HashMap<String, Seen>,
    /// For the next time.
    seen: HashMap<String, Seen>,
    has_links: bool,
    listing: Listing,
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
        Reader::default().read(root)
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

/// Whether a link leads to a folder outside of `root`.
fn leads_out(root: &Path, link: &Path) -> bool {
    link.canonicalize().is_ok_and(|to| to.is_dir() && !to.starts_with(root))
}

impl Reading<'_> {
    fn read_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
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
                self.listing.skip(path, "it is a folder", "E0104");
            } else if kind.is_dir() {
                self.enter(&at, &path, depth);
            } else if is_script(name) {
                self.read_file(&at, path, kind.is_symlink());
            } else if kind.is_symlink() && leads_out(self.root, &at) {
                let reason = "it is a link to a folder outside: copy the folder here, for what is in it is not seen";
                self.listing.skip(format!("{path}/"), reason, "E0105");
            }
        }
        Ok(())
    }

    fn enter(&mut self, folder: &Path, path: &str, depth: usize) {
        let is_hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        if is_hidden {
            return;
        }
        if depth == DEPTH_MAX {
            self.listing.skip(path.to_owned(), format!("it is more than {DEPTH_MAX} folders deep"), "E0104");
        } else if let Err(error) = self.read_folder(folder, &format!("{path}/"), depth + 1)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.listing.skip(format!("{path}/"), error.to_string(), UNREADABLE);
        }
    }

    fn read_file(&mut self, at: &Path, path: String, is_link: bool) {
        self.has_links |= is_link;
        let listing = &mut self.listing;
        let known = self.known.remove(&path);
        match read_source(self.root, at, is_link, known) {
            Ok(Ok((stamp, source))) => {
                if stamp.is_old(self.now) {
                    self.seen.insert(path.clone(), (stamp, source.clone()));
                }
                listing.files.insert(path, source);
            }
            Ok(Err((reason, code))) => listing.skip(path, reason, code),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => listing.skip(path, DEAD, "E0107"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => listing.skip(path, error.to_string(), UNREADABLE),
        }
    }

    /// One whose name nobody could type, shown as it can be.
    fn skip_name(&mut self, prefix: &str, name: &str) {
        if is_script(name) {
            let shown = format!("{prefix}{}", name.escape_debug());
            self.listing.skip(shown, "its name has control characters, or is not UTF-8", "E0109");
        }
    }
}

/// The content and the state that the file had before it was read, or why it is not. What is known of that state is not read again.
pub(super) fn read_source(
    root: &Path,
    at: &Path,
    is_link: bool,
    known: Option<Seen>,
) -> io::Result<Result<Seen, Refusal>> {
    if is_link && !at.canonicalize()?.starts_with(root) {
        return Ok(Err(("it is a link out of the folder".to_owned(), "E0105")));
    }
    let metadata = fs::metadata(at)?;
    if !metadata.is_file() {
        return Ok(Err(("it is not a regular file".to_owned(), "E0104")));
    }
    let stamp = Stamp::of(&metadata);
    if let Some(known) = known.filter(|(before, _)| *before == stamp) {
        return Ok(Ok(known));
    }
    let mut bytes = Vec::new();
    if metadata.len() <= SOURCE_MAX {
        // One byte beyond the limit tells of a file that grows meanwhile.
        open(at)?.take(SOURCE_MAX + 1).read_to_end(&mut bytes)?;
    }
    if metadata.len().max(bytes.len() as u64) > SOURCE_MAX {
        return Ok(Err((format!("it is larger than {} MiB", SOURCE_MAX / 1024 / 1024), "E0103")));
    }
    Ok(Ok((stamp, Source::new(bytes))))
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
        std::os::unix::fs::symlink(std::env::temp_dir(), at("std")).unwrap();
        fs::File::create(at("large.rhai")).unwrap().set_len(SOURCE_MAX + 1).unwrap();
        let (files, skipped) = listed(folder.path());
        assert_eq!(files, ["a.rhai", "inside.rhai"]);
        let names: Vec<_> = skipped.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["fifo.rhai", "folder.rhai", "large.rhai", "loop.rhai", "outside.rhai", "std/"]);
    }

    /// Gives a file the times of long ago, as far as one may.
    fn age(path: &Path) -> Stamp {
        Stamp { changed: [0; 4], ..Stamp::of(&fs::metadata(path).unwrap()) }
    }

    #[test]
    fn what_has_not_changed_is_read_once_and_what_changed_just_now_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        fs::write(&file, "1").unwrap();
        let (before, known) = (Stamp::of(&fs::metadata(&file).unwrap()), Source::new(*b"known"));
        let read = |stamp| read_source(folder.path(), &file, false, Some((stamp, known.clone()))).unwrap().unwrap().1;
        assert_eq!((read(before), &*read(age(&file)).bytes), (known.clone(), &b"1"[..]));
        let now = SystemClock.now();
        assert!(!before.is_old(now) && age(&file).is_old(now) && !before.is_old(Timestamp(0)));
    }

    #[test]
    fn a_reader_sees_saves_of_the_same_length() {
        let (folder, mut reader) = (tempfile::tempdir().unwrap(), Reader::default());
        let content = |reader: &mut Reader| reader.read(folder.path()).unwrap().files["a.rhai"].bytes.clone();
        for text in ["1", "2", "3"] {
            fs::write(folder.path().join("a.rhai"), text).unwrap();
            assert_eq!((&*content(&mut reader), &*content(&mut reader)), (text.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_not_an_empty_listing() {
        let error = Listing::read(Path::new("/nowhere/scripts")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the scripts folder `/nowhere/scripts`"));
    }
}
