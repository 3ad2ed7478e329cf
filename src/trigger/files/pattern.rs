//! Patterns over paths, and the scan of the folder that a pattern looks at.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::Seen;
use crate::time::Timestamp;
use crate::trigger::Error;

/// A pattern such as `inbox/*.csv`: `*` and `?` stay within a folder, `**` crosses folders.
#[derive(Debug, Clone)]
pub struct FilePattern {
    text: String,
    base: PathBuf,
    folder: PathBuf,
    recursive: bool,
    hidden: bool,
    matcher: GlobMatcher,
}

impl FilePattern {
    /// Reads a pattern; a relative one is below `workspace`. Whether an absolute one is allowed is the caller's to decide.
    pub fn parse(pattern: &str, workspace: &Path) -> Result<Self, Error> {
        let fault =
            |reason: String, hint: &str| Error::Files { pattern: pattern.to_owned(), reason, hint: hint.to_owned() };
        if pattern.is_empty() || pattern.ends_with('/') {
            return Err(fault("it names no file".to_owned(), "end it with a file, such as `inbox/*.csv`"));
        }
        if pattern.split('/').any(|segment| segment == "..") {
            return Err(fault(
                "it has `..`".to_owned(),
                "write a path below the workflow's folder, or an absolute one",
            ));
        }
        let base = if pattern.starts_with('/') { Path::new("/") } else { workspace };
        let text = pattern.trim_start_matches("./").trim_start_matches('/');
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob = glob.map_err(|error| fault(error.kind().to_string(), "close every `[` and `{`"))?;
        let segments: Vec<&str> = text.split('/').collect();
        let plain =
            segments[..segments.len() - 1].iter().take_while(|segment| !segment.contains(['*', '?', '[', '{', '\\']));
        let folder: PathBuf = plain.clone().fold(base.to_path_buf(), |folder, segment| folder.join(segment));
        Ok(Self {
            recursive: segments.len() > plain.count() + 1 || text.contains("**"),
            hidden: segments.iter().any(|segment| segment.starts_with('.')),
            text: pattern.to_owned(),
            base: base.to_path_buf(),
            folder,
            matcher: glob.compile_matcher(),
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it reaches outside the workflow's folder.
    pub fn is_absolute(&self) -> bool {
        self.text.starts_with('/')
    }

    /// The deepest folder that holds all that can match: the one to watch.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether folders below [`FilePattern::folder`] matter too.
    pub fn is_recursive(&self) -> bool {
        self.recursive
    }

    /// Whether a whole path fits. Names that begin with a dot fit only a pattern that has such a name.
    pub fn matches(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else { return false };
        let is_hidden = below.iter().any(|segment| segment.as_encoded_bytes().starts_with(b"."));
        (self.hidden || !is_hidden) && self.matcher.is_match(below)
    }
}

/// How deep a scan goes: deeper nesting is a mistake or a trap.
const DEPTH_MAX: usize = 32;

/// Lists the regular files that fit, by path. A folder that is not there has none; one that cannot be read is an error,
/// since taking its files for removed would start runs for them again later.
pub fn scan(pattern: &FilePattern) -> io::Result<Vec<Seen>> {
    let mut found = Vec::new();
    let mut folders = vec![(pattern.folder.clone(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            // Not followed: a link to a folder may lead in a circle.
            if entry.file_type()?.is_dir() {
                if pattern.recursive && depth < DEPTH_MAX {
                    folders.push((path, depth + 1));
                }
            } else if pattern.matches(&path) {
                found.extend(look(&path)?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A file as it is now; nothing when it is gone, no regular file, or its name is not Unicode.
pub fn look(path: &Path) -> io::Result<Option<Seen>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let Some(text) = path.to_str().filter(|_| metadata.is_file()) else { return Ok(None) };
    let born = metadata.created().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
    let born = born.map_or_else(String::new, |at| at.as_nanosecond().to_string());
    Ok(Some(Seen {
        path: text.to_owned(),
        identity: format!("{}:{}:{born}", metadata.dev(), metadata.ino()),
        size: metadata.len(),
        modified: Timestamp(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        FilePattern::parse(pattern, Path::new("/w[1]")).unwrap().matches(Path::new(path))
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_cross() {
        assert!(fits("inbox/*.csv", "/w[1]/inbox/a.csv") && fits("./inbox/*.csv", "/w[1]/inbox/a.csv"));
        assert!(!fits("inbox/*.csv", "/w[1]/inbox/b/a.csv") && !fits("inbox/*.csv", "/other/inbox/a.csv"));
        assert!(fits("inbox/**/*.csv", "/w[1]/inbox/a.csv") && fits("inbox/**/*.csv", "/w[1]/inbox/b/c/a.csv"));
        assert!(fits("*.{csv,tsv}", "/w[1]/a.tsv") && fits("/data/?.csv", "/data/a.csv"));
        assert!(!fits("*.csv", "/w[1]/.a.csv") && fits(".*.csv", "/w[1]/.a.csv"));
    }

    #[test]
    fn the_folder_to_watch_is_the_deepest_without_wildcards() {
        let folder = |pattern: &str| {
            let pattern = FilePattern::parse(pattern, Path::new("/w")).unwrap();
            (pattern.folder().to_str().unwrap().to_owned(), pattern.is_recursive())
        };
        assert_eq!(folder("inbox/*.csv"), ("/w/inbox".into(), false));
        assert_eq!(folder("a/*/c/*.csv"), ("/w/a".into(), true));
        assert_eq!(folder("**"), ("/w".into(), true));
        assert_eq!(folder("/data/in/x.csv"), ("/data/in".into(), false));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["", "inbox/", "../x", "a/../../x", "[", "{a"] {
            assert!(FilePattern::parse(pattern, Path::new("/w")).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_scan_lists_regular_files_that_fit() {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        let pattern = FilePattern::parse("inbox/*.csv", folder.path()).unwrap();
        assert_eq!(scan(&pattern).unwrap(), [], "no folder yet");
        fs::create_dir_all(inbox.join("d.csv")).unwrap();
        fs::write(inbox.join("a.csv"), "abc").unwrap();
        fs::write(inbox.join("a.txt"), "").unwrap();
        std::os::unix::fs::symlink("/dev/zero", inbox.join("z.csv")).unwrap();
        std::os::unix::fs::symlink("nowhere", inbox.join("n.csv")).unwrap();
        let found: Vec<_> = scan(&pattern).unwrap().into_iter().map(|seen| (seen.path, seen.size)).collect();
        assert_eq!(found, [(inbox.join("a.csv").to_str().unwrap().to_owned(), 3)]);
    }
}
