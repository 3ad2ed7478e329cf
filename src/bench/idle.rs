//! A daemon that has nothing to do, and how soon it is there.

use std::time::Duration;

use super::meter::{median, ms, resident, waits};
use super::outside::daemon::{Daemon, Site};
use super::outside::wait;
use super::stage::TEN_STEPS;
use super::{Bench, Figure, Result, Workload};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "idle",
    about: "an idle daemon: its start, its memory, its wake-ups, and the size of the program",
    measure: |bench| wait(measure(bench)),
};

/// How often it is started.
const STARTS: usize = 7;
const MB: f64 = 1e6;

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", TEN_STEPS)])?;
    let first = site.start(bench).await?;
    let new = Figure::new("the very first start, until it is ready", ms(first.ready_after), "ms");
    first.kill();
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let daemon = site.start(bench).await?;
        times.push(daemon.ready_after);
        daemon.kill();
    }
    let start = Figure::new("a start, until it is ready (median)", ms(median(times)), "ms").at_most(50.0);
    let daemon = site.start(bench).await?;
    let wake_ups = wake_ups(bench, &daemon).await;
    let mut all =
        vec![new, start, Figure::new("memory of an idle daemon", daemon.resident() as f64 / MB, "MB").at_most(25.0)];
    let engine = daemon.processes().last().and_then(|pid| resident(*pid));
    all.extend(engine.map(|bytes| Figure::new("memory of its engine alone", bytes as f64 / MB, "MB")));
    all.extend(wake_ups.map(|found| Figure::new("wake-ups of an idle daemon", found, "a second").at_most(1.0)));
    let size = std::fs::metadata(bench.program())?.len() as f64 / MB;
    all.push(Figure::new("the program", size, "MB").at_most(40.0));
    Ok(all)
}

/// Wake-ups of all threads of both processes, a second.
async fn wake_ups(bench: &Bench, daemon: &Daemon<'_>) -> Option<f64> {
    // What a start leaves to be done is over soon.
    let settle = Duration::from_secs(if bench.is_quick() { 1 } else { 15 });
    tokio::time::sleep(settle).await;
    let count = || daemon.processes().into_iter().map(waits).sum::<Option<u64>>();
    let (before, begun) = (count()?, elapsed());
    tokio::time::sleep(settle).await;
    let (after, time) = (count()?, elapsed().saturating_sub(begun));
    Some((after - before) as f64 / time.as_secs_f64())
}
