//! Lists of files.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::PathBuf;

use globset::GlobMatcher;

use super::place::{OWN_PREFIX, Place, pattern, split_glob};
use super::{Spot, fault};
use crate::effect::Failure;

/// Folders below folders that `**` enters: deeper ones are a loop of mounts.
const MAX_DEPTH: usize = 64;

/// The files that match `glob`, sorted. Links to files that may be touched count as files, links to folders are not
/// entered; names that are no UTF-8 cannot be said in a script and are left out, as are our own temporary files.
pub(super) fn list(place: &Place, glob: &str) -> Result<Vec<String>, Failure> {
    let (base, rest) = split_glob(glob);
    let root = place.list_root(base)?;
    let prefix = if base.is_empty() || base.ends_with('/') { base.to_owned() } else { format!("{base}/") };
    let rest = if rest.is_empty() {
        match fs::metadata(&root.real) {
            Ok(facts) if facts.is_dir() => "*",
            Ok(_) => return place.target(base).map(|spot| vec![spot.shown]),
            Err(_) => return Ok(Vec::new()),
        }
    } else {
        rest
    };
    let matcher = pattern(rest).map_err(|error| {
        Failure::invalid(format!("`{glob}` is no glob: {error}; hint: `*.csv`, `**/*.csv` and `{{a,b}}.csv` are some"))
    })?;
    let depth = if rest.contains("**") { MAX_DEPTH } else { rest.split('/').count() };
    let mut walk = Walk { place, matcher, prefix, found: Vec::new(), seen: 0 };
    walk.folder(root.real, "", depth)?;
    walk.found.sort();
    Ok(walk.found)
}

struct Walk<'a> {
    place: &'a Place,
    matcher: GlobMatcher,
    prefix: String,
    found: Vec<String>,
    seen: usize,
}

impl Walk<'_> {
    fn folder(&mut self, real: PathBuf, below: &str, depth: usize) -> Result<(), Failure> {
        let spot = Spot { shown: format!("{}{below}", self.prefix), real };
        let entries = match fs::read_dir(&spot.real) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(fault::io("listed", &spot, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| fault::io("listed", &spot, &error))?;
            self.entry(&entry, below, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, below: &str, depth: usize) -> Result<(), Failure> {
        self.seen += 1;
        let max = self.place.limits().listed_files;
        if self.found.len() >= max || self.seen > 8 * max {
            let message = format!("the list has more than {max} files, or the folders too many others");
            return Err(Failure::limit(format!("{message}; hint: use a narrower glob")));
        }
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { return Ok(()) };
        if name.starts_with(OWN_PREFIX) {
            return Ok(());
        }
        let path = format!("{below}{name}");
        if kind.is_dir() {
            return if depth > 1 { self.folder(entry.path(), &format!("{path}/"), depth - 1) } else { Ok(()) };
        }
        if !self.matcher.is_match(&path) {
            return Ok(());
        }
        let shown = format!("{}{path}", self.prefix);
        let counts = if kind.is_symlink() {
            self.place.target(&shown).is_ok_and(|spot| spot.real.is_file())
        } else {
            kind.is_file() && self.place.permits(&entry.path())
        };
        if counts {
            self.found.push(shown);
        }
        Ok(())
    }
}
