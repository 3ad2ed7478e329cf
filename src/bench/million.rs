//! A run without an end: whether it takes more memory the longer it goes.

use std::cell::Cell;
use std::time::Duration;

use super::figure::counted;
use super::meter::Meter;
use super::outside::client::Client;
use super::outside::daemon::{Daemon, Site};
use super::outside::wait;
use super::{Bench, Error, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "million",
    about: "a run of a million steps, by `workflow::continue_as` after each thousand: memory before and after",
    measure: |bench| wait(measure(bench)),
};

const LOOP: &str = r#"
    fn main(links) {
        for i in 0..1000 { step("s", || i); }
        if links > 1 { workflow::continue_as(links - 1); }
    }"#;
/// Steps of a link.
const LINK: usize = 1_000;
/// After so many links all that is kept for a while is there.
const WARM_UP: usize = 20;
/// Between two looks at the memory.
const PAUSE: Duration = Duration::from_millis(20);
const MB: f64 = 1e6;

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", LOOP)])?;
    let daemon = site.start(bench).await?;
    let mut client = daemon.client().await?;
    chain(&mut client, WARM_UP).await?;
    let (before, most) = (daemon.resident(), Cell::new(0));
    let links = bench.count(1_000, 50);
    let (commits, meter) = (daemon.commits().await?, Meter::start(daemon.processes()));
    tokio::select! {
        done = chain(&mut client, links) => done?,
        () = watch(&daemon, &most) => {}
    }
    let steps = links * LINK;
    let figure = meter.spent().steps(format!("one run of {} steps, by `continue_as`", counted(steps)), steps);
    let figure = figure.commits(daemon.commits().await? - commits, 1);
    let grown = |bytes: u64| bytes.saturating_sub(before) as f64 / MB;
    let during = Figure::new("memory that it took at most, beside a run of 20,000", grown(most.get()), "MB");
    let after = Figure::new("memory that it left", grown(daemon.resident()), "MB");
    Ok(vec![figure, during, after])
}

/// Starts a chain of so many links and waits for its end.
async fn chain(client: &mut Client, links: usize) -> Result<()> {
    let answer = client.post("/api/v1/workflows/w/runs?wait=5m", &format!("{{\"input\":{links}}}")).await?.good()?;
    match answer.json()["status"].as_str() {
        Some("completed") => Ok(()),
        status => Err(Error::wrong(format!("the run is {}", status.unwrap_or("not over after five minutes")))),
    }
}

async fn watch(daemon: &Daemon<'_>, most: &Cell<u64>) {
    loop {
        most.set(most.get().max(daemon.resident()));
        tokio::time::sleep(PAUSE).await;
    }
}
