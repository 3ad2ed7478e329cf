//! Which contents of the folder are live, which are settling, and what changed.
//!
//! A content counts once it has looked the same for [`SETTLE`]: editors truncate, rename and write in parts, and each save
//! is to be loaded once, complete. Touching a file is nothing; neither is a change that is taken back in time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::folder::{Listing, Source};
use super::spot::Spots;

/// How long a content must look the same. Longer than the pause within a save in two parts (300 ms and what a busy machine
/// adds); with the watcher's 20 ms before it still well below a second.
pub const SETTLE: Duration = Duration::from_millis(400);

/// What happened to a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added {
        /// Below the folder, with `/` between.
        path: String,
        /// Its content.
        source: Source,
    },
    /// It has another content.
    Changed {
        /// Below the folder, with `/` between.
        path: String,
        /// Its content.
        source: Source,
    },
    /// It is gone.
    Removed {
        /// Below the folder, with `/` between.
        path: String,
    },
}

impl Change {
    /// The script's path.
    pub fn path(&self) -> &str {
        match self {
            Self::Added { path, .. } | Self::Changed { path, .. } | Self::Removed { path } => path,
        }
    }
}

/// What a path may become, and since when it looks like that; no source when it is gone.
#[derive(Debug, Clone)]
struct Pending {
    source: Option<Source>,
    since: Duration,
}

/// The scripts that are live, and what is settling.
#[derive(Debug, Default)]
pub struct Snapshot {
    live: BTreeMap<String, Source>,
    pending: BTreeMap<String, Pending>,
    since: BTreeMap<String, Duration>,
}

impl Snapshot {
    /// What is live.
    pub fn live(&self) -> &BTreeMap<String, Source> {
        &self.live
    }

    /// Takes a listing as it is, without waiting: at the start, or when all files were handed over at once.
    pub fn replace(&mut self, listing: Listing, now: Duration) -> Vec<Change> {
        self.observe(listing, now);
        self.publish(|_| true)
    }

    /// Takes in a listing, read at `now` (time that passed, not the wall clock). What could not be read stays as it is.
    pub fn observe(&mut self, listing: Listing, now: Duration) {
        let known: Vec<String> = self.live.keys().chain(self.pending.keys()).cloned().collect();
        for path in known {
            if !listing.files.contains_key(&path) && !listing.may_have(&path) {
                self.look(path, None, now);
            }
        }
        for (path, source) in listing.files {
            self.look(path, Some(source), now);
        }
    }

    /// Takes in what is at some paths alone; the others stay as they are.
    pub(super) fn observe_some(&mut self, spots: Spots, now: Duration) {
        for (path, source) in spots {
            self.look(path, source, now);
        }
    }

    /// What is settling, by path.
    pub(super) fn settling(&self) -> impl Iterator<Item = &String> {
        self.pending.keys()
    }

    fn look(&mut self, path: String, source: Option<Source>, now: Duration) {
        if self.live.get(&path) == source.as_ref() {
            self.pending.remove(&path);
        } else if self.pending.get(&path).is_none_or(|pending| pending.source != source) {
            self.pending.insert(path, Pending { source, since: now });
        }
    }

    /// What has settled at `now`, by path; it is live from here on. Observe the folder first, so that nothing older is taken.
    pub fn settled(&mut self, now: Duration) -> Vec<Change> {
        self.publish(|pending| now.saturating_sub(pending.since) >= SETTLE)
    }

    fn publish(&mut self, is_settled: impl Fn(&Pending) -> bool) -> Vec<Change> {
        let settled: Vec<_> = self.pending.extract_if(.., |_, pending| is_settled(pending)).collect();
        settled.into_iter().filter_map(|(path, pending)| self.apply(path, pending)).collect()
    }

    fn apply(&mut self, path: String, pending: Pending) -> Option<Change> {
        let Some(source) = pending.source else {
            self.since.remove(&path);
            return self.live.remove(&path).map(|_| Change::Removed { path });
        };
        self.since.insert(path.clone(), pending.since);
        Some(match self.live.insert(path.clone(), source.clone()) {
            None => Change::Added { path, source },
            Some(_) => Change::Changed { path, source },
        })
    }

    /// Drops what is settling: the folder cannot be read, so that nobody knows what it became.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// When to observe and ask [`Snapshot::settled`] again even if nothing is reported; nothing when nothing is settling.
    pub fn next_check(&self) -> Option<Duration> {
        self.pending.values().map(|pending| pending.since + SETTLE).min()
    }

    /// Whether something about the script is not live yet.
    pub fn is_settling(&self, path: &str) -> bool {
        self.pending.contains_key(path)
    }

    /// Since when the script has looked as it does now, live or settling.
    pub fn stable_since(&self, path: &str) -> Option<Duration> {
        self.pending.get(path).map(|pending| pending.since).or_else(|| self.since.get(path).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot that looks at listings at given milliseconds.
    #[derive(Default)]
    struct Looks(Snapshot);

    impl Looks {
        /// What is reported after a look at a folder with these files.
        fn at(&mut self, ms: u64, files: &[(&str, &str)]) -> Vec<String> {
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), Source::new(text.as_bytes()))).collect();
            let now = Duration::from_millis(ms);
            self.0.observe(Listing { files, skipped: vec![] }, now);
            self.0.settled(now).iter().map(shown).collect()
        }
    }

    fn shown(change: &Change) -> String {
        match change {
            Change::Added { path, source } => format!("+{path} {}", String::from_utf8_lossy(&source.bytes)),
            Change::Changed { path, source } => format!("~{path} {}", String::from_utf8_lossy(&source.bytes)),
            Change::Removed { path } => format!("-{path}"),
        }
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn added_changed_and_removed_once_each_after_they_settled() {
        let mut looks = Looks::default();
        assert_eq!(looks.at(0, &[("a", "1"), ("b", "1")]), NONE);
        assert_eq!(looks.0.next_check(), Some(SETTLE));
        assert_eq!(looks.at(400, &[("a", "1"), ("b", "1")]), ["+a 1", "+b 1"]);
        assert_eq!(looks.at(500, &[("a", "2")]), NONE);
        assert_eq!(looks.at(900, &[("a", "2")]), ["~a 2", "-b"]);
        assert_eq!((looks.at(2000, &[("a", "2")]), looks.0.next_check()), (vec![], None));
        assert_eq!(looks.0.stable_since("a"), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_save_in_two_parts_is_loaded_once_and_complete() {
        let mut looks = Looks::default();
        looks.0.replace(
            Listing { files: [("a".to_owned(), Source::new(*b"old"))].into(), skipped: vec![] },
            Duration::ZERO,
        );
        assert_eq!(looks.at(100, &[("a", "")]), NONE, "truncated");
        assert_eq!(looks.at(200, &[("a", "ha")]), NONE);
        assert_eq!(looks.at(500, &[("a", "half")]), NONE);
        assert_eq!(looks.at(899, &[("a", "half")]), NONE);
        assert_eq!(looks.at(900, &[("a", "half")]), ["~a half"]);
    }

    #[test]
    fn a_rename_over_a_touch_and_a_change_taken_back_are_no_removal() {
        let mut looks = Looks::default();
        looks.at(0, &[("a", "1")]);
        looks.at(400, &[("a", "1")]);
        assert_eq!(looks.at(500, &[]), NONE);
        assert_eq!(looks.at(600, &[("a", "2")]), NONE);
        assert_eq!(looks.at(700, &[("a", "1")]), NONE);
        assert_eq!((looks.at(5000, &[("a", "1")]), looks.0.next_check()), (vec![], None));
    }

    #[test]
    fn a_new_file_that_vanishes_before_it_settles_is_never_reported() {
        let mut looks = Looks::default();
        assert_eq!((looks.at(0, &[("a", "1")]), looks.at(100, &[]), looks.at(5000, &[])), (vec![], vec![], vec![]));
        assert_eq!(looks.0.next_check(), None);
    }

    #[test]
    fn what_cannot_be_read_just_now_stays_live() {
        let mut looks = Looks::default();
        looks.at(0, &[("a/x", "1"), ("b", "1")]);
        looks.at(400, &[("a/x", "1"), ("b", "1")]);
        let skipped = |path: &str| super::super::Skipped { path: path.into(), reason: "denied".into(), code: "E0106" };
        looks.0.observe(
            Listing { files: BTreeMap::new(), skipped: vec![skipped("a/"), skipped("b")] },
            Duration::from_secs(1),
        );
        assert_eq!((looks.0.settled(Duration::from_secs(9)), looks.0.live().len()), (vec![], 2));
    }
}
