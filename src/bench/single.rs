//! One run alone: how long its start, its ten steps and its end take.

use super::meter::{median, ms};
use super::stage::{Stage, TEN_STEPS, complete};
use super::{Bench, Figure, Result, Workload};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "single",
    about: "one run of ten no-op steps alone, from its start to the answer that it has ended",
    measure,
};

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let stage = Stage::new(bench, TEN_STEPS)?;
    let (handle, runs) = (stage.handle(), bench.count(1_000, 200));
    let before = stage.commits();
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = elapsed();
        stage.wait(complete(&handle))?;
        times.push(elapsed().saturating_sub(begun));
    }
    let figure = Figure::new("one run alone, inside the process (median)", ms(median(times)), "ms");
    Ok(vec![figure.commits(stage.commits() - before, runs).at_most(1.0).commits_at_most(2.0)])
}
