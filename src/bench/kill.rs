//! A daemon that is killed in the middle of its work: how soon another one has done the rest, and what is done twice.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::figure::counted;
use super::outside::daemon::{Daemon, Site};
use super::outside::noop::{Noop, Times};
use super::outside::{load, wait};
use super::post::TEN_POSTS;
use super::{Bench, Error, Figure, Result, Workload};
use crate::id::RunId;
use crate::journal::{Kind, Phase, decode_segment};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{RunFilter, Store as _};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "kill",
    about: "`kill -9` of a daemon with 10,000 runs in flight, ten POSTs each: until the rest is done, and what is done twice",
    measure: |bench| wait(measure(bench)),
};

/// Of how many the bars tell.
const FULL: usize = 10_000;
/// Between two looks whether all have ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A POST: of which run, and its place there.
type Post = (RunId, u32);

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let runs = bench.count(FULL, 500);
    let unhurt = unhurt(bench, runs).await?;
    let (site, noop) = (Site::new(bench, &[("w", TEN_POSTS)])?, Noop::start(true)?);
    let daemon = started(bench, &site, &noop, runs).await?;
    daemon.kill();
    noop.seen().is_marked = true;
    let left = left(bench, &site.data())?;
    let begun = elapsed();
    let daemon = site.start(bench).await?;
    daemon.until_completed(runs, PAUSE).await?;
    let took = elapsed().saturating_sub(begun).as_secs_f64();
    let again = again(&noop.seen().bodies, &left.durable, runs)?;
    let is_full = runs == FULL;
    let what = format!("after `kill -9` with {} runs in flight, until it is ready", counted(left.open));
    let ready = Figure::new(what, daemon.ready_after.as_secs_f64(), "s");
    let rest = Figure::new("until all have completed", took, "s").times_at_most(1.5, unhurt, "without a kill");
    let twice = Figure::new("POSTs that were made twice", again.twice as f64, "POSTs").at_most(left.open as f64);
    let wrong = Figure::new("of them, with a durable record", again.recorded as f64, "POSTs").at_most(0.0);
    let unhurt = Figure::new("the rest of the same work without a kill", unhurt, "s");
    Ok(vec![unhurt, if is_full { ready.at_most(1.0) } else { ready }, rest, twice, wrong])
}

/// Starts all of them; returns when the last one is accepted.
async fn started<'a>(bench: &'a Bench, site: &Site, noop: &Noop, runs: usize) -> Result<Daemon<'a>> {
    let daemon = site.start(bench).await?;
    let input = format!("\"{}\"", noop.url());
    load::start(&daemon, "w", runs, move |_| input.clone()).await?;
    Ok(daemon)
}

/// Seconds that the rest takes once all are accepted, where nobody is killed.
async fn unhurt(bench: &Bench, runs: usize) -> Result<f64> {
    let (site, noop) = (Site::new(bench, &[("w", TEN_POSTS)])?, Noop::start(true)?);
    let daemon = started(bench, &site, &noop, runs).await?;
    let begun = elapsed();
    daemon.until_completed(runs, PAUSE).await?;
    Ok(elapsed().saturating_sub(begun).as_secs_f64())
}

/// What a daemon left behind.
struct Left {
    /// Runs that have not ended.
    open: usize,
    /// POSTs whose outcome is recorded.
    durable: HashSet<Post>,
}

/// Looks into a copy, so that the next daemon finds what the one before left.
fn left(bench: &Bench, data: &Path) -> Result<Left> {
    let copy = bench.scratch()?;
    for file in ["panta.db", "panta.db-wal"] {
        std::fs::copy(data.join(file), copy.path().join(file))?;
    }
    let store = Sqlite::open(copy.path(), &sqlite::Options::default())?;
    let runs = store.runs(&RunFilter { limit: usize::MAX, ..RunFilter::default() })?;
    let open = runs.iter().filter(|run| !run.status.is_final()).count();
    let mut durable = HashSet::new();
    for run in runs {
        for segment in store.journal(run.id)? {
            let (_, entries) = decode_segment(&segment).map_err(|error| Error::wrong(error.to_string()))?;
            let done = entries.iter().filter(|entry| entry.kind == Kind::Effect && entry.phase == Phase::Closed);
            durable.extend(done.map(|entry| (run.id, entry.position.ordinal)));
        }
    }
    Ok(Left { open, durable })
}

/// What was done more than once.
struct Again {
    twice: usize,
    /// Of these: once more although its outcome was recorded.
    recorded: usize,
}

fn again(bodies: &HashMap<Box<[u8]>, Times>, durable: &HashSet<Post>, runs: usize) -> Result<Again> {
    if bodies.len() != runs * 10 {
        return Err(Error::wrong(format!("{} POSTs were made in place of {}", bodies.len(), runs * 10)));
    }
    let mut again = Again { twice: 0, recorded: 0 };
    #[expect(clippy::iter_over_hash_type, reason = "sums have no order")]
    for (body, times) in bodies {
        let post = post(body).ok_or_else(|| Error::wrong("a POST says nothing of its run"))?;
        again.twice += times.all.saturating_sub(1) as usize;
        again.recorded += usize::from(times.later > 0 && durable.contains(&post));
    }
    Ok(again)
}

fn post(body: &[u8]) -> Option<Post> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some((body["run"].as_str()?.parse().ok()?, u32::try_from(body["i"].as_u64()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_again_behind_its_record_is_told_from_what_was_in_flight() {
        let run = RunId::new();
        let body = |i: u32| format!("{{\"i\":{i},\"run\":\"{run}\"}}").into_bytes().into_boxed_slice();
        let times = |all, later| Times { all, later };
        let mut bodies: HashMap<_, _> = (0..10).map(|i| (body(i), times(1, 0))).collect();
        bodies.insert(body(8), times(2, 1));
        bodies.insert(body(9), times(3, 2));
        let again = again(&bodies, &HashSet::from([(run, 7), (run, 8)]), 1).expect("it is whole");
        assert_eq!((again.twice, again.recorded), (3, 1));
    }
}
