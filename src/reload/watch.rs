//! Says that the scripts folder may have changed: by the system's notices, and by the clock where those are missing.
//!
//! A thread owns the system's watcher. It also watches the folder above, so that a folder that is replaced (a link that is
//! turned, a move, a mount) is watched anew. Notices can be lost: hence a whole scan every so often, whatever happens.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use notify::event::{CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Error;
use super::folder::is_script;
use crate::time::elapsed;

/// How long the watcher gathers and how often all is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Notices within this time of the first are one event.
    pub debounce: Duration,
    /// Every so often the whole folder is to be read, for notices that never came.
    pub poll: Duration,
    /// The same where there are no notices at all (no watches left, a network file system).
    pub poll_alone: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(20),
            poll: Duration::from_secs(30),
            poll_alone: Duration::from_millis(500),
        }
    }
}

/// Something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// At these paths: scripts, or folders that may hold some.
    Changed {
        /// Sorted, each once.
        paths: Vec<PathBuf>,
    },
    /// Anywhere: read the whole folder.
    Rescan,
    /// There are no notices, for this reason: the folder is read every [`Options::poll_alone`] until there are.
    Degraded {
        /// Why.
        reason: String,
    },
    /// Nothing has changed: whoever waits is to look up, see [`Watch::caller`].
    Called,
}

/// Makes whoever waits for events look up.
#[derive(Debug, Clone)]
pub struct Caller(Sender<Event>);

impl Caller {
    /// Does so; where nobody waits any more, nothing.
    pub fn call(&self) {
        let _ = self.0.send(Event::Called);
    }
}

/// What the thread waits for.
enum Message {
    Notice(notify::Result<notify::Event>),
    Stop,
}

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<Message>,
    events: Sender<Event>,
}

impl Watch {
    /// Starts watching. What changes after this returns is reported.
    pub fn start(root: &Path, options: Options) -> Result<(Self, Receiver<Event>), Error> {
        let (messages, inbox) = mpsc::channel();
        let (events, outbox) = mpsc::channel();
        let root = std::path::absolute(root).map_err(Error::Start)?;
        let (stop, calls) = (messages.clone(), events.clone());
        let mut watcher = Watcher { root, options, messages, events, notices: None, identity: None };
        watcher.renew();
        thread::Builder::new()
            .name("scripts-watch".to_owned())
            .spawn(move || watcher.run(&inbox))
            .map_err(Error::Start)?;
        Ok((Self { stop, events: calls }, outbox))
    }

    /// What makes whoever takes the events look up.
    pub fn caller(&self) -> Caller {
        Caller(self.events.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread may have ended already, when nobody listened any more.
        let _ = self.stop.send(Message::Stop);
    }
}

/// Nobody listens to the events any more.
struct Unheard;

struct Watcher {
    root: PathBuf,
    options: Options,
    messages: Sender<Message>,
    events: Sender<Event>,
    /// The system's watcher; `None`: there are no notices.
    notices: Option<RecommendedWatcher>,
    /// Which folder is watched: device and inode.
    identity: Option<(u64, u64)>,
}

impl Watcher {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let poll = if self.notices.is_some() { self.options.poll } else { self.options.poll_alone };
            let heard = match inbox.recv_timeout(poll) {
                Ok(Message::Notice(first)) => match self.gather(first, inbox) {
                    Some(Ok(notices)) => self.noticed(&notices),
                    Some(Err(_)) => self.look_again(),
                    None => return,
                },
                Err(RecvTimeoutError::Timeout) => self.look_again(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            };
            if heard.is_err() {
                return;
            }
        }
    }

    /// The notices that come soon after the first, or what went wrong with one; `None`: it is to end.
    fn gather(
        &self,
        first: notify::Result<notify::Event>,
        inbox: &Receiver<Message>,
    ) -> Option<notify::Result<Vec<notify::Event>>> {
        let mut notices = vec![first];
        let end = elapsed() + self.options.debounce;
        loop {
            match inbox.recv_timeout(end.saturating_sub(elapsed())) {
                Ok(Message::Notice(next)) => notices.push(next),
                Err(RecvTimeoutError::Timeout) => return Some(notices.into_iter().collect()),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn noticed(&mut self, notices: &[notify::Event]) -> Result<(), Unheard> {
        if notices.iter().any(|notice| notice.need_rescan() || self.concerns_root(notice)) {
            return self.look_again();
        }
        let wanted = notices.iter().flat_map(|notice| {
            notice.paths.iter().filter(|path| path.starts_with(&self.root) && may_hold_scripts(path, notice.kind))
        });
        let mut paths: Vec<PathBuf> = wanted.cloned().collect();
        paths.sort();
        paths.dedup();
        if paths.is_empty() { Ok(()) } else { self.tell(Event::Changed { paths }) }
    }

    fn concerns_root(&self, notice: &notify::Event) -> bool {
        let kind =
            matches!(notice.kind, EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        kind && notice.paths.contains(&self.root)
    }

    /// Sees to it that the folder that now has the name is watched, and asks for a whole scan.
    fn look_again(&mut self) -> Result<(), Unheard> {
        if self.notices.is_none() || identity(&self.root) != self.identity {
            self.renew();
        }
        self.tell(Event::Rescan)
    }

    /// Watches anew. Without notices, what is told is why; the clock goes on.
    fn renew(&mut self) {
        let had_notices = self.notices.take().is_some();
        let was_watched = self.identity;
        self.identity = identity(&self.root);
        match self.watcher() {
            Ok(watcher) => self.notices = Some(watcher),
            Err(error) if had_notices || was_watched != self.identity || was_watched.is_none() => {
                // Whether anybody listens shows at the next event.
                let _ = self.tell(Event::Degraded { reason: error.to_string() });
            }
            Err(_) => {}
        }
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let messages = self.messages.clone();
        let mut watcher = notify::recommended_watcher(move |notice: notify::Result<notify::Event>| {
            // Reading a file is a notice, too, and each look reads some: they wake nobody.
            if notice.as_ref().map_or(true, |notice| notice.need_rescan() || matters(notice.kind)) {
                // The thread has ended when nobody takes them.
                let _ = messages.send(Message::Notice(notice));
            }
        })?;
        if let Some(above) = self.root.parent() {
            // Only for noticing that the folder is replaced; the clock notices too.
            let _ = watcher.watch(above, RecursiveMode::NonRecursive);
        }
        watcher.watch(&self.root, RecursiveMode::Recursive)?;
        Ok(watcher)
    }

    fn tell(&self, event: Event) -> Result<(), Unheard> {
        self.events.send(event).map_err(|_| Unheard)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Reading a file is reported too, and must not lead to reading it again.
fn matters(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_))
}

/// Whether a notice at this path may be about scripts: one itself, or a folder that came, went or was renamed.
fn may_hold_scripts(path: &Path, kind: EventKind) -> bool {
    let Some(name) = path.file_name().map(OsStr::to_string_lossy) else { return false };
    let is_folder = matches!(kind, EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder));
    // Where the system says that it is a file, a name alone makes it no folder.
    let is_file = matches!(
        kind,
        EventKind::Create(CreateKind::File)
            | EventKind::Remove(RemoveKind::File)
            | EventKind::Modify(ModifyKind::Data(_))
    );
    let is_other = is_folder || !is_file && (path.extension().is_none() || path.is_dir());
    is_script(&name) || !name.starts_with('.') && is_other
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// No test waits longer for what must come.
    const BOUND: Duration = Duration::from_secs(10);

    struct Folder {
        root: PathBuf,
        _above: tempfile::TempDir,
        _watch: Watch,
        events: Receiver<Event>,
    }

    impl Folder {
        fn watched(options: Options) -> Self {
            let above = tempfile::tempdir().unwrap();
            let root = above.path().canonicalize().unwrap().join("scripts");
            fs::create_dir(&root).unwrap();
            let (watch, events) = Watch::start(&root, options).unwrap();
            Self { root, _above: above, _watch: watch, events }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.join(name)
        }

        /// Waits for an event about this name.
        fn sees(&self, name: &str) -> Event {
            let wanted = self.at(name);
            loop {
                match self.events.recv_timeout(BOUND).expect("an event in time") {
                    Event::Changed { paths } if paths.contains(&wanted) => return Event::Changed { paths },
                    other => assert!(!matches!(other, Event::Degraded { .. }), "{other:?}"),
                }
            }
        }
    }

    fn quick() -> Options {
        Options { debounce: Duration::from_millis(20), ..Options::default() }
    }

    #[test]
    fn a_write_a_rename_over_and_a_removal_are_seen() {
        let folder = Folder::watched(quick());
        fs::write(folder.at("a.rhai"), "1").unwrap();
        folder.sees("a.rhai");
        fs::write(folder.at(".a.rhai.tmp"), "2").unwrap();
        fs::rename(folder.at(".a.rhai.tmp"), folder.at("a.rhai")).unwrap();
        folder.sees("a.rhai");
        fs::remove_file(folder.at("a.rhai")).unwrap();
        folder.sees("a.rhai");
    }

    #[test]
    fn a_folder_made_later_is_watched_too() {
        let folder = Folder::watched(quick());
        fs::create_dir_all(folder.at("orders/lib")).unwrap();
        folder.sees("orders");
        fs::write(folder.at("orders/lib/b.rhai"), "1").unwrap();
        folder.sees("orders/lib/b.rhai");
    }

    #[test]
    fn editors_leftovers_and_reading_are_not_reported() {
        let folder = Folder::watched(quick());
        fs::write(folder.at("a.rhai"), "1").unwrap();
        folder.sees("a.rhai");
        fs::read(folder.at("a.rhai")).unwrap();
        for name in [".a.rhai.swp", "a.rhai~", "notes.txt", ".#a.rhai", "4913"] {
            fs::write(folder.at(name), "x").unwrap();
        }
        fs::write(folder.at("b.rhai"), "1").unwrap();
        assert_eq!(folder.sees("b.rhai"), Event::Changed { paths: vec![folder.at("b.rhai")] });
    }

    #[test]
    fn a_folder_that_is_replaced_is_watched_anew() {
        let folder = Folder::watched(quick());
        fs::rename(&folder.root, folder.root.with_extension("old")).unwrap();
        fs::create_dir(&folder.root).unwrap();
        assert_eq!(folder.events.recv_timeout(BOUND), Ok(Event::Rescan));
        fs::write(folder.at("c.rhai"), "1").unwrap();
        folder.sees("c.rhai");
    }

    #[test]
    fn the_clock_asks_for_a_scan_without_any_notice() {
        let folder = Folder::watched(Options { poll: Duration::from_millis(20), ..quick() });
        assert_eq!(folder.events.recv_timeout(BOUND), Ok(Event::Rescan));
    }

    #[test]
    fn a_folder_that_is_not_there_is_found_when_it_comes() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().canonicalize().unwrap().join("scripts");
        let options = Options { poll_alone: Duration::from_millis(20), ..quick() };
        let (_watch, events) = Watch::start(&root, options).unwrap();
        assert!(matches!(events.recv_timeout(BOUND), Ok(Event::Degraded { .. })));
        fs::create_dir(&root).unwrap();
        let mut written = 0;
        while !matches!(events.recv_timeout(BOUND).unwrap(), Event::Changed { .. }) {
            written += 1;
            fs::write(root.join("a.rhai"), written.to_string()).unwrap();
        }
    }

    #[test]
    fn dropping_the_watch_ends_it() {
        let folder = Folder::watched(quick());
        let Folder { _watch: watch, events, .. } = folder;
        drop(watch);
        while events.recv_timeout(BOUND).is_ok() {}
        assert_eq!(events.recv_timeout(BOUND), Err(RecvTimeoutError::Disconnected));
    }
}
