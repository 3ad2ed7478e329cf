//! The engine as it is: many short runs, started inside the process.

use super::meter::measured;
use super::stage::{IN_FLIGHT, Stage, TEN_STEPS};
use super::{Bench, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload =
    Workload { name: "engine", about: "64 runs in flight, ten no-op steps each, started inside the process", measure };

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let hot = bench.hot()?;
    let stage = Stage::new(bench, TEN_STEPS)?;
    let before = stage.commits();
    let (runs, spent) = measured(|| stage.complete(bench.count(40_000, 4_000)))?;
    let figure = spent.steps(format!("the engine, {IN_FLIGHT} runs in flight"), runs * 10);
    let figure = figure.commits(stage.commits() - before, runs);
    Ok(vec![figure.share_at_least(0.5, hot, "hot").cpu_at_most(6.0)])
}
