//! `trigger::file`: which files of a folder have arrived and stopped growing.
//!
//! [`Arrivals`] owns what was seen and what was started for; scans come in, files to hash and versions that are due go
//! out. Reading folders and hashing is the caller's, the clock too: [`scan`] is there for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

mod pattern;

pub use pattern::{FilePattern, look, scan};

/// A file as one scan saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The whole path, with `/` between.
    pub path: String,
    /// What tells this file from another one that had the path before: device, inode and time of birth.
    pub identity: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

/// A version of a file for which a run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The whole path.
    pub path: String,
    /// As in [`Seen`].
    pub identity: String,
    /// In bytes.
    pub size: u64,
    /// Of the content, in lower-case hex.
    pub sha256: String,
    /// When it was last written. Not part of what makes a version: it only spares hashing what is known.
    pub modified: Timestamp,
}

impl Version {
    /// The same for the same version: the key of its run, so that a crash between start and [`Arrivals::fired`] starts no second one.
    pub fn key(&self) -> String {
        format!("{}|{}|{}|{}", self.path, self.identity, self.size, self.sha256)
    }
}

/// The option `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    /// A file that appears or changes.
    #[default]
    Any,
    /// A file that appears.
    Create,
    /// A file that changes.
    Change,
}

impl On {
    /// Reads the option: `"any"`, `"create"` or `"change"`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "any" => Some(Self::Any),
            "create" => Some(Self::Create),
            "change" => Some(Self::Change),
            _ => None,
        }
    }
}

/// Where a file is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It looks the same since.
    Settling { since: Duration },
    /// Its hash was asked for.
    Hashing,
    /// Nothing is to be done until it changes.
    Done,
}

/// The files of one trigger, over time.
#[derive(Debug)]
pub struct Arrivals {
    settle: Duration,
    on: On,
    files: BTreeMap<String, (Seen, Stage)>,
    fired: BTreeMap<String, Version>,
}

impl Arrivals {
    /// `fired` is what [`Arrivals::fired`] said when the daemon stopped: what it does not hold came meanwhile.
    pub fn new(settle: Duration, on: On, fired: Vec<Version>) -> Self {
        let fired = fired.into_iter().map(|version| (version.path.clone(), version)).collect();
        Self { settle, on, files: BTreeMap::new(), fired }
    }

    /// The latest version of each file that is there, to be kept in the store.
    pub fn fired(&self) -> impl Iterator<Item = &Version> {
        self.fired.values()
    }

    /// Takes in a whole scan at `now` (time that passed, not the wall clock) and returns which files are to be hashed:
    /// they have looked the same for the settle time. A scan that failed is not to be handed in: what is not in it is gone.
    pub fn scanned(&mut self, seen: Vec<Seen>, now: Duration) -> Vec<Seen> {
        let seen: BTreeMap<String, Seen> = seen.into_iter().map(|seen| (seen.path.clone(), seen)).collect();
        self.files.retain(|path, _| seen.contains_key(path));
        self.fired.retain(|path, _| seen.contains_key(path));
        let mut settled = Vec::new();
        for (path, seen) in seen {
            let stage = self.stage(&seen, now);
            if stage == Stage::Hashing && !self.files.get(&path).is_some_and(|(_, stage)| *stage == Stage::Hashing) {
                settled.push(seen.clone());
            }
            self.files.insert(path, (seen, stage));
        }
        settled
    }

    fn stage(&self, seen: &Seen, now: Duration) -> Stage {
        match self.files.get(&seen.path) {
            Some((before, Stage::Settling { since }))
                if before == seen && now.saturating_sub(*since) >= self.settle =>
            {
                Stage::Hashing
            }
            Some((before, stage)) if before == seen => *stage,
            None if self.fired.get(&seen.path).is_some_and(|version| looks_like(version, seen)) => Stage::Done,
            _ => Stage::Settling { since: now },
        }
    }

    /// Takes in a hash. `before` is what [`Arrivals::scanned`] returned, `after` the file as it is after it was read; no
    /// hash when it could not be read. Returns the version if a run is due for it: exactly once.
    pub fn hashed(
        &mut self,
        before: &Seen,
        sha256: Option<&str>,
        after: Option<&Seen>,
        now: Duration,
    ) -> Option<Version> {
        let (current, stage) = self.files.get_mut(&before.path)?;
        let Some(sha256) = sha256.filter(|_| after == Some(before) && current == before) else {
            *stage = Stage::Settling { since: now };
            return None;
        };
        *stage = Stage::Done;
        let version = Version {
            path: before.path.clone(),
            identity: before.identity.clone(),
            size: before.size,
            sha256: sha256.to_owned(),
            modified: before.modified,
        };
        let previous = self.fired.insert(version.path.clone(), version.clone());
        let wanted = match (&previous, self.on) {
            (Some(previous), _) if previous.key() == version.key() => false,
            (None, On::Change) | (Some(_), On::Create) => false,
            _ => true,
        };
        wanted.then_some(version)
    }

    /// When a scan is worth while even if nothing is reported: something settles then.
    pub fn next_check(&self) -> Option<Duration> {
        let due = |(_, stage): &(Seen, Stage)| match stage {
            Stage::Settling { since } => Some(*since + self.settle),
            Stage::Hashing | Stage::Done => None,
        };
        self.files.values().filter_map(due).min()
    }
}

fn looks_like(version: &Version, seen: &Seen) -> bool {
    version.identity == seen.identity && version.size == seen.size && version.modified == seen.modified
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one file, driven through scans a second apart.
    struct Inbox {
        arrivals: Arrivals,
        seconds: u64,
        fired: Vec<String>,
    }

    impl Inbox {
        fn new(on: On, fired: Vec<Version>) -> Self {
            Self { arrivals: Arrivals::new(Duration::from_secs(2), on, fired), seconds: 0, fired: Vec::new() }
        }

        /// One scan; the content's hash is its text.
        fn scan(&mut self, files: &[Seen], content: &str) -> usize {
            self.seconds += 1;
            let now = Duration::from_secs(self.seconds);
            let settled = self.arrivals.scanned(files.to_vec(), now);
            for seen in &settled {
                let due = self.arrivals.hashed(seen, Some(content), Some(seen), now);
                self.fired.extend(due.map(|version| version.sha256));
            }
            settled.len()
        }

        fn scans(&mut self, count: usize, file: &Seen, content: &str) -> &mut Self {
            for _ in 0..count {
                self.scan(std::slice::from_ref(file), content);
            }
            self
        }

        fn stopped(&self) -> Vec<Version> {
            self.arrivals.fired().cloned().collect()
        }
    }

    fn file(identity: &str, size: u64, modified: i64) -> Seen {
        Seen { path: "/in/a.csv".into(), identity: identity.into(), size, modified: Timestamp(modified) }
    }

    #[test]
    fn a_file_is_due_once_when_it_has_stopped_growing() {
        let mut inbox = Inbox::new(On::Any, vec![]);
        for size in 1..5 {
            inbox.scan(&[file("i", size, size as i64)], "part");
        }
        assert_eq!(inbox.fired, [""; 0]);
        assert_eq!(inbox.arrivals.next_check(), Some(Duration::from_secs(6)));
        inbox.scans(10, &file("i", 4, 4), "whole");
        assert_eq!(inbox.fired, ["whole"]);
        assert_eq!(inbox.arrivals.next_check(), None);
    }

    #[test]
    fn a_touch_is_nothing_and_a_change_or_another_file_is() {
        let mut inbox = Inbox::new(On::Any, vec![]);
        inbox.scans(4, &file("i", 4, 1), "one").scans(4, &file("i", 4, 2), "one");
        assert_eq!(inbox.fired, ["one"]);
        inbox.scans(4, &file("i", 4, 3), "two").scans(4, &file("j", 4, 3), "two");
        assert_eq!(inbox.fired, ["one", "two", "two"]);
    }

    #[test]
    fn a_file_that_was_taken_away_may_come_again() {
        let mut inbox = Inbox::new(On::Any, vec![]);
        inbox.scans(4, &file("i", 4, 1), "one").scan(&[], "");
        inbox.scans(4, &file("i", 4, 1), "one");
        assert_eq!(inbox.fired, ["one", "one"]);
    }

    #[test]
    fn what_came_while_the_daemon_was_down_is_due_and_what_was_there_is_not() {
        let mut before = Inbox::new(On::Any, vec![]);
        before.scans(4, &file("i", 4, 1), "one");
        let mut same = Inbox::new(On::Any, before.stopped());
        assert_eq!((0..5).map(|_| same.scan(&[file("i", 4, 1)], "one")).sum::<usize>(), 0, "known: not even hashed");
        let mut touched = Inbox::new(On::Any, before.stopped());
        assert_eq!(touched.scans(5, &file("i", 4, 2), "one").fired, [""; 0]);
        let mut changed = Inbox::new(On::Any, before.stopped());
        assert_eq!(changed.scans(5, &file("i", 4, 2), "two").fired, ["two"]);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_settles_again() {
        let mut arrivals = Arrivals::new(Duration::from_secs(2), On::Any, vec![]);
        let (at, seen, grown) = (Duration::from_secs, file("i", 4, 1), file("i", 5, 2));
        arrivals.scanned(vec![seen.clone()], at(0));
        assert_eq!(arrivals.scanned(vec![seen.clone()], at(2)), std::slice::from_ref(&seen));
        assert_eq!(arrivals.scanned(vec![seen.clone()], at(3)), [], "asked for once");
        assert_eq!(arrivals.hashed(&seen, Some("half"), Some(&grown), at(3)), None);
        assert_eq!(arrivals.scanned(vec![grown.clone()], at(4)), []);
        assert_eq!(arrivals.scanned(vec![grown.clone()], at(6)), std::slice::from_ref(&grown));
        assert_eq!(arrivals.hashed(&grown, None, None, at(6)), None, "unreadable: tried again");
        assert_eq!(arrivals.scanned(vec![grown.clone()], at(8)), [grown]);
    }

    #[test]
    fn on_says_whether_appearing_or_changing_counts() {
        let run = |on| {
            let mut inbox = Inbox::new(on, vec![]);
            inbox.scans(4, &file("i", 4, 1), "one").scans(4, &file("i", 4, 2), "two").fired.clone()
        };
        assert_eq!(run(On::Create), ["one"]);
        assert_eq!(run(On::Change), ["two"]);
    }
}
