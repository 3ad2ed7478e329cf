//! One run alone: how long its start, its ten steps and its end take.

use super::meter::{median, ms};
use super::outside::daemon::Site;
use super::outside::wait;
use super::stage::{Stage, TEN_STEPS, complete};
use super::{Bench, Error, Figure, Result, Workload};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "single",
    about: "one run of ten no-op steps alone, from its start to the answer that it has ended",
    measure,
};

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let all = [inside(bench)?, wait(over_http(bench))?];
    Ok(all.map(|figure| figure.at_most(1.0).commits_at_most(2.0)).to_vec())
}

pub(super) fn inside(bench: &Bench) -> Result<Figure> {
    let stage = Stage::new(bench, TEN_STEPS)?;
    let (handle, runs) = (stage.handle(), bench.count(1_000, 200));
    // What the start of the engine writes is not the runs'.
    stage.wait(complete(&handle))?;
    let before = stage.commits();
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = elapsed();
        stage.wait(complete(&handle))?;
        times.push(elapsed().saturating_sub(begun));
    }
    let figure = Figure::new("one run alone, inside the process (median)", ms(median(times)), "ms");
    Ok(figure.commits(stage.commits() - before, runs))
}

async fn over_http(bench: &Bench) -> Result<Figure> {
    let site = Site::new(bench, &[("w", TEN_STEPS)])?;
    let daemon = site.start(bench).await?;
    let (mut client, runs) = (daemon.client().await?, bench.count(1_000, 200));
    let before = daemon.commits().await?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = elapsed();
        let answer = client.post("/api/v1/workflows/w/runs?wait=1m", "{}").await?.good()?;
        times.push(elapsed().saturating_sub(begun));
        if answer.json()["status"] != "completed" {
            return Err(Error::wrong(format!("a run did not complete: {}", answer.json())));
        }
    }
    let figure = Figure::new("one run alone, from the request to the answer (median)", ms(median(times)), "ms");
    Ok(figure.commits(daemon.commits().await? - before, runs))
}
