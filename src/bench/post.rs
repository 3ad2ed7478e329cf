//! Runs that call a service: ten POSTs each to a server that does nothing.

use std::time::Duration;

use super::meter::Meter;
use super::outside::daemon::Site;
use super::outside::noop::Noop;
use super::outside::{load, wait};
use super::{Bench, Error, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "post",
    about: "runs of ten POSTs to a local server that does nothing; the CPU is the daemon's",
    measure: |bench| wait(measure(bench)),
};

/// Ten POSTs to the address that is the input.
pub(super) const TEN_POSTS: &str = r#"
    workflow(#{ allow: #{ http: ["127.0.0.1"] } });
    fn main(url) { for i in 0..10 { http::post(url, #{ run: run_id(), i: i }); } }"#;

/// Between two looks whether all have ended.
const PAUSE: Duration = Duration::from_millis(10);

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", TEN_POSTS)])?;
    let (noop, runs) = (Noop::start(false)?, bench.count(3_000, 300));
    let daemon = site.start(bench).await?;
    let input = format!("\"{}\"", noop.url());
    let before = daemon.commits().await?;
    let meter = Meter::start(daemon.processes());
    load::start(&daemon, "w", runs, move |_| input.clone()).await?;
    daemon.until_completed(runs, PAUSE).await?;
    let spent = meter.spent();
    if noop.seen().count < runs * 10 {
        return Err(Error::wrong("some requests did not come"));
    }
    let figure = spent.steps("ten POSTs a run, to a server that does nothing", runs * 10);
    let figure = figure.commits(daemon.commits().await? - before, runs);
    let a_cpu_second =
        figure.cpu_us.map(|cpu| Figure::new("the same, a second of the daemon's CPU", 1e6 / cpu, "steps"));
    Ok([Some(figure), a_cpu_second].into_iter().flatten().collect())
}
