//! Many short runs that are started over HTTP: each request is answered when its run is durable.

use std::time::Duration;

use super::meter::Meter;
use super::outside::daemon::Site;
use super::outside::{load, wait};
use super::stage::TEN_STEPS;
use super::{Bench, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "http",
    about: "runs of ten no-op steps, started over HTTP by 64 connections; the CPU is the daemon's",
    measure: |bench| wait(measure(bench)),
};

/// Between two looks whether all have ended.
const PAUSE: Duration = Duration::from_millis(2);
/// What the first requests open and compile is not measured.
const WARM_UP: usize = 256;
/// 90,000 steps a second where the hot path does 430,000.
const SHARE: f64 = 90.0 / 430.0;

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let hot = bench.hot()?;
    let site = Site::new(bench, &[("w", TEN_STEPS)])?;
    let daemon = site.start(bench).await?;
    load::start(&daemon, "w", WARM_UP, |_| "null".to_owned()).await?;
    daemon.until_completed(WARM_UP, PAUSE).await?;
    let runs = bench.count(20_000, 2_000);
    let before = daemon.commits().await?;
    let meter = Meter::start(daemon.processes());
    load::start(&daemon, "w", runs, |_| "null".to_owned()).await?;
    daemon.until_completed(WARM_UP + runs, PAUSE).await?;
    let figure = meter.spent().steps("the daemon, started by 64 connections", runs * 10);
    let figure = figure.commits(daemon.commits().await? - before, runs);
    Ok(vec![figure.share_at_least(SHARE, hot, "hot").cpu_at_most(16.0)])
}
