//! Stores in which more and more runs have ended: how soon a daemon starts over them, and what they cost the next runs.

use std::path::Path;

use super::figure::counted;
use super::meter::measured;
use super::outside::daemon::Site;
use super::outside::wait;
use super::stage::{Stage, TEN_STEPS, complete};
use super::{Bench, Figure, Result, Workload};
use crate::id::RunId;
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Change, End, Rollback, Run, RunFilter, Status, Store as _};
use crate::time::{Clock as _, SystemClock};

pub(super) const WORKLOAD: Workload = Workload {
    name: "store",
    about: "stores with 1,000 to 1,000,000 finished runs (`--size` for more): a start, and the runs after it",
    measure,
};

/// Where the bars are.
const FULL: usize = 10_000_000;
/// Runs that are written in one commit.
const GROUP: usize = 2_000;
/// Runs by which the throughput is measured.
const RUNS: usize = 10_000;

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let most = bench.count(1_000_000, 10_000);
    let site = Site::new(bench, &[("w", TEN_STEPS)])?;
    let model = Model::record(&site.data())?;
    let mut figures = Vec::new();
    let mut empty = None;
    let mut filled = 0;
    let sizes = std::iter::once(0).chain(std::iter::successors(Some(1_000), |size| Some(size * 10)));
    for size in sizes.take_while(|size| *size < most).chain([most]) {
        let spent = fill(&model, &site.data(), size - filled)?;
        filled = size;
        let name = counted(size);
        if let Some(rate) = spent {
            figures.push(Figure::new(format!("filled to {name} finished runs"), rate, "runs/s"));
        }
        let ready = wait(async { Ok(site.start(bench).await?.ready_after) })?.as_secs_f64();
        let start = Figure::new(format!("a start with {name} finished runs"), ready, "s");
        figures.push(if size == FULL { start.at_most(1.0) } else { start });
        let rate = throughput(bench, &site.data(), &name)?;
        let base = *empty.get_or_insert(rate.value);
        figures.push(if size == 0 { rate } else { rate.share_at_least(0.8, base, "an empty store") });
    }
    Ok(figures)
}

fn throughput(bench: &Bench, data: &Path, name: &str) -> Result<Figure> {
    let stage = Stage::over(data, TEN_STEPS, |options| options)?;
    let before = stage.commits();
    let (runs, spent) = measured(|| stage.complete(RUNS.min(bench.count(RUNS, 2_000))))?;
    let figure = spent.steps(format!("the engine, with {name} finished runs"), runs * 10);
    Ok(figure.commits(stage.commits() - before, runs))
}

/// A run that has ended, after which others are made.
struct Model {
    run: Run,
    journal: Vec<Vec<u8>>,
}

impl Model {
    /// Has one made by an engine, in that data folder.
    fn record(data: &Path) -> Result<Self> {
        let stage = Stage::over(data, TEN_STEPS, |options| options)?;
        stage.wait(complete(&stage.handle()))?;
        let store = stage.handle().store().clone();
        let mut all = store.runs(&RunFilter { limit: 1, ..RunFilter::default() })?;
        let run = all.pop().expect("a run has just ended");
        let journal = store.journal(run.id)?;
        Ok(Self { run, journal })
    }

    /// One like it, under an id of its own.
    fn copy(&self) -> Vec<Change> {
        let id = RunId::new();
        let born = Run {
            id,
            status: Status::Running,
            output: None,
            ended_at: None,
            expires_at: None,
            owner: Some("local".into()),
            ..self.run.clone()
        };
        let end = End {
            status: self.run.status,
            output: self.run.output.clone(),
            error: None,
            rollback: Rollback::None,
            at: SystemClock.now(),
            continued_as: None,
            expires_at: self.run.expires_at,
        };
        let append = |segment: &Vec<u8>| Change::Append { run: id, epoch: born.epoch, segment: segment.clone() };
        let mut changes: Vec<_> = self.journal.iter().map(append).collect();
        changes.push(Change::Finish { run: id, epoch: born.epoch, end });
        changes.insert(0, Change::Start { run: Box::new(born), dedupe: None, gate: None });
        changes
    }
}

/// Writes so many more; how many a second.
fn fill(model: &Model, data: &Path, runs: usize) -> Result<Option<f64>> {
    if runs == 0 {
        return Ok(None);
    }
    let store = Sqlite::open(data, &sqlite::Options::default())?;
    let ((), spent) = measured(|| {
        let mut left = runs;
        while left > 0 {
            let group = left.min(GROUP);
            let changes: Vec<_> = (0..group).flat_map(|_| model.copy()).collect();
            store.commit(&changes)?;
            left -= group;
        }
        Ok(())
    })?;
    Ok(Some(spent.rate(runs)))
}
