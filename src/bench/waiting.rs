//! Runs that wait for an event each: what they take, and how soon some of them are woken.

use std::path::Path;
use std::time::Duration;

use super::figure::counted;
use super::meter::Meter;
use super::outside::daemon::{Daemon, Site};
use super::outside::{load, wait};
use super::{Bench, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload = Workload {
    name: "waiting",
    about: "100,000 runs that wait for an event each: memory, disk, and 1,000 of them woken",
    measure: |bench| wait(measure(bench)),
};

const WAITING: &str = r#"fn main(key) { wait_for("wake", #{ key: key }) }"#;
/// Of how many the bars tell.
const FULL: usize = 100_000;
/// So many are woken.
const WOKEN: usize = 1_000;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The same, where what is measured is short.
const SHORT: Duration = Duration::from_millis(2);
const MB: f64 = 1e6;

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", WAITING)])?;
    let daemon = site.start(bench).await?;
    let runs = bench.count(FULL, 2_000);
    let (empty, idle) = (size(&site.data())?, daemon.resident());
    let (before, meter) = (daemon.commits().await?, Meter::start(daemon.processes()));
    load::start(&daemon, "w", runs, |n| format!("\"k{n}\"")).await?;
    let name = counted(runs);
    let started = meter.spent();
    let starts = Figure::new(format!("{name} runs started that wait"), started.rate(runs), "runs/s");
    let starts = starts.cpu(started.cpu_us(runs)).commits(daemon.commits().await? - before, runs);
    let motion = Figure::new(format!("{name} runs in motion, memory in all"), daemon.resident() as f64 / MB, "MB");
    while daemon.metric("panta_runs_in_motion", "").await? > 0.0 {
        tokio::time::sleep(PAUSE).await;
    }
    let memory = Figure::new(format!("{name} runs wait, memory in all"), daemon.resident() as f64 / MB, "MB");
    let each = Figure::new(
        "memory of each, beside an idle daemon",
        daemon.resident().saturating_sub(idle) as f64 / runs as f64,
        "bytes",
    );
    let disk = Figure::new("disk of each", size(&site.data())?.saturating_sub(empty) as f64 / runs as f64, "bytes");
    let woken = wake(&daemon, runs).await?;
    let is_full = runs == FULL;
    let held = |figure: Figure, limit| if is_full { figure.at_most(limit) } else { figure };
    Ok(vec![starts, motion, held(memory, 100.0), each, held(disk, 1_024.0), held(woken, 0.2)])
}

/// Wakes some of them, evenly; how long it takes until they have ended.
async fn wake(daemon: &Daemon<'_>, runs: usize) -> Result<Figure> {
    let woken = WOKEN.min(runs);
    let (before, meter) = (daemon.commits().await?, Meter::start(daemon.processes()));
    let event = move |n| format!("{{\"name\":\"wake\",\"key\":\"k{}\"}}", n * runs / woken);
    load::post(daemon, woken, move |n| ("/api/v1/events".to_owned(), event(n))).await?;
    daemon.until_completed(woken, SHORT).await?;
    let spent = meter.spent();
    let what = format!("{} of them woken by events, until they have ended", counted(woken));
    let figure = Figure::new(what, spent.wall.as_secs_f64(), "s").cpu(spent.cpu_us(woken));
    Ok(figure.commits(daemon.commits().await? - before, woken))
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let files = std::fs::read_dir(folder)?.flatten();
    Ok(files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|file| file.len()).sum())
}
