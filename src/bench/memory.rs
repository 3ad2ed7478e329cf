//! Memory of runs that wait, inside the process: as long as they are in motion, and after they have left memory.

use std::time::Duration;

use super::meter::resident;
use super::stage::{Stage, WORKFLOW};
use super::{Bench, Figure, Result, Workload};
use crate::engine::{Options, Start};

pub(super) const WORKLOAD: Workload =
    Workload { name: "memory", about: "memory of a run that waits, in motion and after it has left memory", measure };

const WAITING: &str = r#"fn main(x) { wait_for("never", #{ key: "k" }) }"#;
/// Longer than the starts take.
const EVICT_AFTER: Duration = Duration::from_secs(4);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let runs = bench.count(3_000, 500);
    let own = || resident(std::process::id());
    let base = own();
    let stage = Stage::with(bench, WAITING, |options| Options { evict_after: EVICT_AFTER, ..options })?;
    let handle = stage.handle();
    stage.wait(async {
        for _ in 0..runs {
            handle.start(WORKFLOW, Start::default()).await?;
        }
        Ok::<_, super::Error>(())
    })?;
    let parked = own();
    stage.wait(async {
        while handle.in_motion().0 > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    });
    let evicted = own();
    let each = |what: &str, now: Option<u64>| {
        let grown = now?.saturating_sub(base?);
        Some(Figure::new(format!("{what}, of {runs} runs"), grown as f64 / runs as f64 / 1024.0, "KB"))
    };
    let out = "a run that waits and has left memory (with what the allocator keeps)";
    Ok([each("a run that waits in memory", parked), each(out, evicted)].into_iter().flatten().collect())
}
