//! The scripts folder as a stream of settled changes: watch, listing and snapshot put together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Error;
use super::folder::{Reader, Skipped};
use super::snapshot::{Change, Snapshot};
use super::spot::name_of;
use super::watch::{Caller, Event, Options, Watch};
use crate::time::elapsed;

/// A watched scripts folder. Its calls block: it belongs on a thread of its own.
#[derive(Debug)]
pub struct Scripts {
    root: PathBuf,
    /// The same from `/` on, as it is in notices.
    noticed: PathBuf,
    snapshot: Snapshot,
    skipped: Vec<Skipped>,
    reader: Reader,
    events: Receiver<Event>,
    /// Somebody called while the folder was read.
    is_called: bool,
    watch: Watch,
}

/// Where to look.
#[derive(Debug)]
enum Scope {
    /// At these scripts.
    Some(BTreeSet<String>),
    /// At the whole folder.
    All,
}

impl Default for Scope {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

/// What came of a look at the folder.
#[derive(Debug, Default)]
pub struct Update {
    /// What has settled, by path.
    pub changes: Vec<Change>,
    /// What is skipped now, if that is other than before.
    pub skipped: Option<Vec<Skipped>>,
    /// What the operator should know: the folder cannot be watched, or not be read (what is live stays).
    pub problem: Option<String>,
}

impl Scripts {
    /// Starts watching and reads the folder; what is in it is live at once.
    pub fn open(root: &Path, options: Options) -> Result<(Self, Update), Error> {
        // Watched before it is read, so that no change falls in between.
        let (watch, events) = Watch::start(root, options)?;
        let noticed = std::path::absolute(root).map_err(Error::Start)?;
        let mut reader = Reader::default();
        let listing = reader.read(root)?;
        let mut snapshot = Snapshot::default();
        let skipped = listing.skipped.clone();
        let changes = snapshot.replace(listing, elapsed());
        let update = Update { changes, skipped: Some(skipped.clone()), problem: None };
        let root = root.to_owned();
        Ok((Self { root, noticed, snapshot, skipped, reader, events, is_called: false, watch }, update))
    }

    /// What ends a [`Scripts::wait`] early.
    pub fn caller(&self) -> Caller {
        self.watch.caller()
    }

    /// What is live.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Waits until there is something to tell, or somebody calls; at most for `within`.
    pub fn wait(&mut self, within: Duration) -> Update {
        let end = elapsed() + within;
        loop {
            let until = self.snapshot.next_check().map_or(end, |due| due.min(end));
            let mut scope = Scope::default();
            let mut update = match self.events.recv_timeout(until.saturating_sub(elapsed())) {
                Ok(Event::Degraded { reason }) => {
                    scope = Scope::All;
                    Update { problem: Some(reason), ..Update::default() }
                }
                Ok(Event::Changed { paths }) => {
                    self.widen(&mut scope, &paths);
                    Update::default()
                }
                Ok(Event::Rescan) => {
                    scope = Scope::All;
                    Update::default()
                }
                Err(RecvTimeoutError::Timeout) if elapsed() < end || self.snapshot.next_check().is_some() => {
                    Update::default()
                }
                Ok(Event::Called) | Err(RecvTimeoutError::Timeout) => return Update::default(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Update { problem: Some("the folder is no longer watched".to_owned()), ..Update::default() };
                }
            };
            self.look(scope, &mut update);
            if std::mem::take(&mut self.is_called)
                || !update.changes.is_empty()
                || update.skipped.is_some()
                || update.problem.is_some()
                || elapsed() >= end
            {
                return update;
            }
        }
    }

    /// Reads the folder now, although nothing was noticed: all of it, also what looks as if it had not changed.
    pub fn reread(&mut self) -> Update {
        self.reader = Reader::default();
        let mut update = Update::default();
        self.look(Scope::All, &mut update);
        update
    }

    /// All that was seen is live, or was given up: nothing waits until it has stopped changing.
    pub fn is_settled(&self) -> bool {
        self.snapshot.next_check().is_none()
    }

    /// Adds what was noticed: scripts alone, or all where it is something else.
    fn widen(&self, scope: &mut Scope, paths: &[PathBuf]) {
        let name = |path: &PathBuf| {
            let is_skipped = |name: &String| self.skipped.iter().any(|skipped| skipped.path == *name);
            name_of(&self.noticed, path).filter(|name| !is_skipped(name))
        };
        match (&mut *scope, paths.iter().map(name).collect::<Option<BTreeSet<_>>>()) {
            (Scope::Some(names), Some(more)) => names.extend(more),
            _ => *scope = Scope::All,
        }
    }

    fn look(&mut self, mut scope: Scope, update: &mut Update) {
        // Of several notices one look is enough; why there are none is kept.
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Degraded { reason } => (scope, update.problem) = (Scope::All, Some(reason)),
                Event::Called => self.is_called = true,
                Event::Changed { paths } => self.widen(&mut scope, &paths),
                Event::Rescan => scope = Scope::All,
            }
        }
        let is_done = match scope {
            Scope::Some(names) => self.look_at(names),
            Scope::All => false,
        };
        if !is_done {
            self.look_at_all(update);
        }
        update.changes = self.snapshot.settled(elapsed());
    }

    /// Looks at these scripts and at what is settling; false where that cannot tell.
    fn look_at(&mut self, mut names: BTreeSet<String>) -> bool {
        names.extend(self.snapshot.settling().cloned());
        let Some(spots) = self.reader.spots(&self.root, &names) else { return false };
        self.snapshot.observe_some(spots, elapsed());
        true
    }

    fn look_at_all(&mut self, update: &mut Update) {
        match self.reader.read(&self.root) {
            Ok(listing) => {
                if listing.skipped != self.skipped {
                    self.skipped.clone_from(&listing.skipped);
                    update.skipped = Some(self.skipped.clone());
                }
                self.snapshot.observe(listing, elapsed());
            }
            Err(error) => {
                self.snapshot.forget_pending();
                update.problem = Some(error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::reload::SETTLE;

    const BOUND: Duration = Duration::from_secs(10);

    fn opened(files: &[(&str, &str)]) -> (tempfile::TempDir, Scripts) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (scripts, update) = Scripts::open(folder.path(), Options::default()).unwrap();
        assert_eq!(update.changes.len(), files.len());
        (folder, scripts)
    }

    /// The changes that come next, each as its path and content.
    fn next(scripts: &mut Scripts, within: Duration) -> Vec<(String, String)> {
        let content = |scripts: &Scripts, path: &str| {
            scripts
                .snapshot()
                .live()
                .get(path)
                .map_or_else(|| "-".to_owned(), |s| String::from_utf8_lossy(&s.bytes).into_owned())
        };
        let changes = scripts.wait(within).changes;
        changes.iter().map(|change| (change.path().to_owned(), content(scripts, change.path()))).collect()
    }

    fn one(path: &str, content: &str) -> Vec<(String, String)> {
        vec![(path.to_owned(), content.to_owned())]
    }

    #[test]
    fn a_saved_edit_is_live_in_under_a_second() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        fs::write(folder.path().join("a.rhai"), "2").unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("a.rhai", "2"));
        // By what it waits for, not by the clock of a busy machine.
        assert!(Options::default().debounce + SETTLE <= Duration::from_millis(500));
    }

    #[test]
    fn a_save_in_two_parts_is_loaded_once_and_complete() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        let mut file = fs::File::create(folder.path().join("a.rhai")).unwrap();
        file.write_all(b"let x = 1;").unwrap();
        assert_eq!(next(&mut scripts, Duration::from_millis(100)), []);
        file.write_all(b" x + 1").unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("a.rhai", "let x = 1; x + 1"));
        assert_eq!(next(&mut scripts, Duration::from_millis(200)), []);
    }

    #[test]
    fn the_ways_of_editors_end_in_one_change() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        let at = |name: &str| folder.path().join(name);
        fs::rename(at("a.rhai"), at("a.rhai~")).unwrap();
        fs::write(at("4913"), "").unwrap();
        fs::remove_file(at("4913")).unwrap();
        fs::write(at("a.rhai"), "").unwrap();
        fs::write(at("a.rhai"), "2").unwrap();
        fs::remove_file(at("a.rhai~")).unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("a.rhai", "2"));
        fs::remove_file(at("a.rhai")).unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("a.rhai", "-"));
    }

    #[test]
    fn a_save_looks_at_what_was_noticed_alone() {
        let elsewhere = tempfile::tempdir().unwrap();
        let (folder, mut scripts) = opened(&[("a.rhai", "1"), ("b.rhai", "1")]);
        fs::hard_link(folder.path().join("b.rhai"), elsewhere.path().join("b")).unwrap();
        // Nobody tells of it: the notices are of the other name's folder.
        fs::write(elsewhere.path().join("b"), "2").unwrap();
        fs::write(folder.path().join("a.rhai"), "2").unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("a.rhai", "2"));
        assert!(scripts.is_settled());
        scripts.reread();
        assert_eq!(next(&mut scripts, BOUND), one("b.rhai", "2"), "a look at all finds it");
    }

    #[test]
    fn what_a_link_leads_to_is_seen_under_both_names() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        std::os::unix::fs::symlink("a.rhai", folder.path().join("b.rhai")).unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("b.rhai", "1"));
        fs::write(folder.path().join("a.rhai"), "2").unwrap();
        assert_eq!(next(&mut scripts, BOUND), [one("a.rhai", "2"), one("b.rhai", "2")].concat());
    }

    #[test]
    fn a_folder_that_is_renamed_takes_its_scripts_along() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("new")).unwrap();
        fs::write(at("new/b.rhai"), "1").unwrap();
        assert_eq!(next(&mut scripts, BOUND), one("new/b.rhai", "1"));
        fs::rename(at("new"), at("old")).unwrap();
        assert_eq!(next(&mut scripts, BOUND), [one("new/b.rhai", "-"), one("old/b.rhai", "1")].concat());
    }

    #[test]
    fn many_files_at_once_are_each_reported_once() {
        let (folder, mut scripts) = opened(&[]);
        for n in 0..200 {
            fs::write(folder.path().join(format!("w{n}.rhai")), n.to_string()).unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 200 {
            let changes = next(&mut scripts, BOUND);
            assert!(!changes.is_empty(), "{} of 200", seen.len());
            seen.extend(changes.into_iter().map(|(path, _)| path));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn a_folder_that_is_moved_away_leaves_all_live_until_it_is_back() {
        let (folder, mut scripts) = opened(&[("a.rhai", "1")]);
        let away = folder.path().with_extension("away");
        fs::rename(folder.path(), &away).unwrap();
        assert!(scripts.wait(BOUND).problem.is_some());
        assert_eq!(scripts.snapshot().live().len(), 1);
        fs::write(away.join("a.rhai"), "2").unwrap();
        fs::rename(&away, folder.path()).unwrap();
        let changes = std::iter::repeat_with(|| next(&mut scripts, BOUND)).find(|changes| !changes.is_empty());
        assert_eq!(changes, Some(one("a.rhai", "2")));
    }
}
