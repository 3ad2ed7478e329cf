//! Where it is measured: a folder on the disk that counts, the sizes, and what figures of one process share.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use tempfile::TempDir;

use super::{Error, Result, hot};

/// How often a folder is removed into which something is being written.
const ATTEMPTS: usize = 100;

/// How much is done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sizes {
    /// A tenth of the work or less.
    pub quick: bool,
    /// So many runs, entries or files in place of what a workload does by itself.
    pub size: Option<usize>,
}

/// What workloads work in. Dropping it removes the folder.
pub struct Bench {
    folder: TempDir,
    sizes: Sizes,
    program: PathBuf,
    /// Processes of ours that run.
    children: Mutex<Vec<u32>>,
    hot: Mutex<Option<f64>>,
    strict: Mutex<Option<f64>>,
}

impl Bench {
    /// In a folder of its own, in the data folder; where there is none yet, in the nearest folder above that exists. Daemons
    /// are made of `program`, which is this one.
    pub fn new(data: &Path, sizes: Sizes, program: &Path) -> Result<Self> {
        let data = std::path::absolute(data)?;
        let base = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        let folder = tempfile::Builder::new().prefix(".panta-bench-").tempdir_in(base).map_err(|error| {
            Error::wrong(format!(
                "no folder can be made in `{}`: {error}; hint: name another one with `--data`",
                base.display()
            ))
        })?;
        let (hot, strict, children) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { folder, sizes, program: program.to_owned(), children, hot, strict })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many: as asked for, or these at full size, or those where it is to be quick.
    pub(super) fn count(&self, full: usize, quick: usize) -> usize {
        let usual = if self.sizes.quick { quick } else { full };
        self.sizes.size.unwrap_or(usual).max(1)
    }

    /// Whether it is to be quick.
    pub(super) fn is_quick(&self) -> bool {
        self.sizes.quick
    }

    /// An empty folder below this one, for one workload.
    pub(super) fn scratch(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.folder())?)
    }

    /// Steps a second of the hot path, measured once.
    pub(super) fn hot(&self) -> Result<f64> {
        once(&self.hot, || Ok(hot::measure(self)?.value))
    }

    /// Notes what was measured.
    pub(super) fn note_hot(&self, rate: f64) {
        *held(&self.hot) = Some(rate);
    }

    /// The same where each step waits for the disk.
    pub(super) fn strict(&self) -> Result<f64> {
        once(&self.strict, || Ok(hot::strict::measure(self)?.value))
    }

    /// Notes what was measured.
    pub(super) fn note_strict(&self, rate: f64) {
        *held(&self.strict) = Some(rate);
    }

    /// What daemons are made of.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A process of ours has begun.
    pub(super) fn begun(&self, pid: u32) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// It is over.
    pub(super) fn ended(&self, pid: u32) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != pid);
    }

    /// Ends what was begun and removes all that was written, while a workload may still be at it: for a process that ends now.
    pub fn abandon(&self) {
        for pid in self.children.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            kill(pid);
        }
        // What is being written just now may come behind the removal.
        for _ in 0..ATTEMPTS {
            if std::fs::remove_dir_all(self.folder()).is_ok() {
                return;
            }
        }
    }
}

#[cfg(unix)]
fn kill(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(_pid: u32) {}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn once(known: &Mutex<Option<f64>>, find: impl FnOnce() -> Result<f64>) -> Result<f64> {
    if let Some(rate) = *held(known) {
        return Ok(rate);
    }
    let rate = find()?;
    *held(known) = Some(rate);
    Ok(rate)
}
