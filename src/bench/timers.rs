//! Many timers that are due in one second, and whether the daemon answers meanwhile.

use std::cell::Cell;
use std::time::Duration;

use super::figure::counted;
use super::meter::{Meter, ms};
use super::outside::daemon::{Daemon, Site};
use super::outside::{load, wait};
use super::{Bench, Error, Figure, Result, Workload};
use crate::time::{Clock as _, SystemClock, Timestamp, elapsed};

pub(super) const WORKLOAD: Workload = Workload {
    name: "timers",
    about: "100,000 timers due in one second: until all are done, and how soon `/healthz` answers meanwhile",
    measure: |bench| wait(measure(bench)),
};

const SLEEPING: &str = "fn main(at) { sleep_until(at) }";
/// Of how many the bars tell.
const FULL: usize = 100_000;
/// Starts a second, at least: a machine that does less cannot be measured so.
const SLOWEST: usize = 1_500;
/// By then runs that wait have left memory.
const SETTLED: Duration = Duration::from_secs(14);
/// Between two looks whether all are done.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two questions whether it is well.
const BEAT: Duration = Duration::from_millis(5);

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", SLEEPING)])?;
    let daemon = site.start(bench).await?;
    let runs = bench.count(FULL, 2_000);
    let begun = SystemClock.now();
    let due = begun.plus(SETTLED + Duration::from_secs((runs / SLOWEST) as u64));
    // Over one second, evenly.
    let at = move |n: usize| format!("\"{}\"", Timestamp(due.0 + (n * 1_000 / runs) as i64));
    load::start(&daemon, "w", runs, at).await?;
    let left = due.since(SystemClock.now());
    if left.is_zero() {
        return Err(Error::wrong(format!("{runs} runs could not be started before their timers were due")));
    }
    let before = daemon.commits().await?;
    tokio::time::sleep(left).await;
    let meter = Meter::start(daemon.processes());
    let slowest = Cell::new(Duration::ZERO);
    tokio::select! {
        done = daemon.until_completed(runs, PAUSE) => done?,
        never = beat(&daemon, &slowest) => never?,
    }
    let spent = meter.spent();
    let name = counted(runs);
    let done =
        Figure::new(format!("{name} timers due in one second, until all are done"), spent.wall.as_secs_f64(), "s");
    let done = done.cpu(spent.cpu_us(runs)).commits(daemon.commits().await? - before, runs);
    let health = Figure::new("the slowest answer of `/healthz` meanwhile", ms(slowest.get()), "ms");
    let held = |figure: Figure, limit| if runs == FULL { figure.at_most(limit) } else { figure };
    Ok(vec![held(done, 20.0), held(health, 100.0)])
}

/// Asks again and again whether it is well; ends only where it does not answer.
async fn beat(daemon: &Daemon<'_>, slowest: &Cell<Duration>) -> Result<()> {
    let mut client = daemon.client().await?;
    loop {
        let begun = elapsed();
        client.get("/healthz").await?.good()?;
        slowest.set(slowest.get().max(elapsed().saturating_sub(begun)));
        tokio::time::sleep(BEAT).await;
    }
}
