//! An engine in this process, on a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Bench, Error, Result};
use crate::engine::{Engine, Handle, NoSettings, Options, Settings, Start, compile};
use crate::script::bundle::Bundle;
use crate::store::Status;
use crate::store::sqlite::{self, Sqlite};

/// Ten steps that do nothing.
pub(super) const TEN_STEPS: &str = r#"fn main(x) { let t = 0; for i in 0..10 { t += step("s" + i, || i); } t }"#;

/// Runs at a time, where many are measured.
pub(super) const IN_FLIGHT: usize = 64;

/// The name of the workflow.
pub(super) const WORKFLOW: &str = "w";

/// Threads that evaluate: one a core, as the engine has by itself.
pub(super) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(IN_FLIGHT)
}

/// An engine with one workflow, and a runtime for those who start it. Dropping it removes its store.
pub(super) struct Stage {
    engine: Engine,
    runtime: Runtime,
    /// Where it is the stage's own.
    _folder: Option<TempDir>,
}

impl Stage {
    /// With this script.
    pub(super) fn new(bench: &Bench, script: &str) -> Result<Self> {
        Self::with(bench, script, |options| options)
    }

    /// With options of its own.
    pub(super) fn with(bench: &Bench, script: &str, adapt: impl FnOnce(Options) -> Options) -> Result<Self> {
        let folder = bench.scratch()?;
        let stage = Self::over(folder.path(), script, adapt)?;
        Ok(Self { _folder: Some(folder), ..stage })
    }

    /// Over a data folder that is there, and stays.
    pub(super) fn over(data: &Path, script: &str, adapt: impl FnOnce(Options) -> Options) -> Result<Self> {
        let engine = start(data, script, adapt)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { engine, runtime, _folder: None })
    }

    /// The engine.
    pub(super) fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// Does something that waits.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Commits so far.
    pub(super) fn commits(&self) -> u64 {
        self.engine.handle().metrics().commit_seconds.count()
    }

    /// Starts so many runs, [`IN_FLIGHT`] at a time, and waits for the end of each. How many it were: a whole number for
    /// each of those who start.
    pub(super) fn complete(&self, runs: usize) -> Result<usize> {
        let starters = IN_FLIGHT.min(runs);
        let each = runs / starters;
        let local = tokio::task::LocalSet::new();
        let starter = || {
            let handle = self.handle();
            local.spawn_local(async move {
                for _ in 0..each {
                    complete(&handle).await?;
                }
                Ok::<(), Error>(())
            })
        };
        let all: Vec<_> = (0..starters).map(|_| starter()).collect();
        self.runtime.block_on(local.run_until(async {
            for one in all {
                one.await.expect("a starter does not panic")?;
            }
            Ok(each * starters)
        }))
    }
}

/// Starts a run and waits for its end, which must be a good one.
pub(super) async fn complete(handle: &Handle) -> Result<()> {
    let started = handle.start(WORKFLOW, Start::default()).await?;
    let row = handle.ended(started.run).await?;
    if row.status == Status::Completed {
        return Ok(());
    }
    let error = row.error.map(|error| error.text().to_owned()).unwrap_or_default();
    Err(Error::wrong(format!("run {} is {}: {error}", row.id, row.status.name())))
}

fn start(folder: &Path, script: &str, adapt: impl FnOnce(Options) -> Options) -> Result<Engine> {
    let store = Arc::new(Sqlite::open(folder, &sqlite::Options::default())?);
    let options = Options { workers: workers(), evict_after: Duration::from_secs(10), ..Options::new(folder) };
    let engine = Engine::start(store, adapt(options));
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let bundle = Bundle::of_text(&format!("{WORKFLOW}.rhai"), script).expect("the script is ours");
    engine.handle().deploy(compile(bundle, &settings).expect("the script is ours"));
    Ok(engine)
}
