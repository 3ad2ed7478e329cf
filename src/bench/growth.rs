//! How the cost of a run grows with how many there are at once.

use std::time::Duration;

use super::figure::counted;
use super::meter::Meter;
use super::stage::{Stage, TEN_STEPS, complete};
use super::{Bench, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload =
    Workload { name: "growth", about: "1 to 100,000 runs of ten no-op steps, all started at once", measure };

/// Few runs are repeated for so long, and so often.
const LEAST: Duration = Duration::from_millis(500);
const FEWEST: usize = 100;

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let most = bench.count(100_000, 10_000);
    let sizes = std::iter::successors(Some(1), |size| Some(size * 10)).take_while(|size| *size < most);
    sizes.chain([most]).map(|size| of(bench, size)).collect()
}

fn of(bench: &Bench, size: usize) -> Result<Figure> {
    let stage = Stage::new(bench, TEN_STEPS)?;
    let (before, meter) = (stage.commits(), Meter::start(vec![std::process::id()]));
    let mut runs = 0;
    while runs < FEWEST || meter.spent().wall < LEAST {
        all_at_once(&stage, size)?;
        runs += size;
    }
    let what = if size == 1 { "one run at a time".to_owned() } else { format!("{} runs at once", counted(size)) };
    let figure = meter.spent().steps(what, runs * 10);
    Ok(figure.commits(stage.commits() - before, runs))
}

fn all_at_once(stage: &Stage, runs: usize) -> Result<()> {
    let local = tokio::task::LocalSet::new();
    let one = || {
        let handle = stage.handle();
        local.spawn_local(async move { complete(&handle).await })
    };
    let all: Vec<_> = (0..runs).map(|_| one()).collect();
    stage.wait(local.run_until(async {
        for run in all {
            run.await.expect("a starter does not panic")?;
        }
        Ok(())
    }))
}
