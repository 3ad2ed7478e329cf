//! How long it takes to find a run's place again from its journal.

use std::time::Duration;

use super::meter::{measured, ms};
use super::{Bench, Error, Figure, Result, Workload};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::sim::{Sim, Written};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload =
    Workload { name: "replay", about: "journals of 10 to 100,000 entries, replayed", measure };

/// Short ones are repeated for so long.
const LEAST: Duration = Duration::from_millis(200);

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let most = bench.count(100_000, 10_000);
    let sizes = std::iter::successors(Some(10), |size| Some(size * 10)).take_while(|size| *size < most);
    sizes.chain([most]).map(of).collect()
}

fn of(entries: usize) -> Result<Figure> {
    let script = format!("fn main() {{ for i in 0..{entries} {{ step(\"s\", || i); }} }}");
    let bundle = Bundle::of_text("w.rhai", &script).expect("the script is ours");
    let sim = Sim::new(&bundle, Payload::unit(), |_, _| unreachable!("the script has no effects"))
        .map_err(|faults| Error::wrong(faults[0].title.clone()))?;
    let written = sim.run(Written::default()).written;
    if written.entries.len() < entries {
        return Err(Error::wrong(format!("a journal has {} entries in place of {entries}", written.entries.len())));
    }
    let copies = |count: usize| (0..count).map(|_| written.clone()).collect::<Vec<_>>();
    let begun = elapsed();
    drop(sim.run(copies(1).remove(0)));
    let once = elapsed().saturating_sub(begun).max(Duration::from_micros(1));
    let times = (LEAST.as_micros() / once.as_micros()).clamp(1, 1_000) as usize;
    let all = copies(times);
    let ((), spent) = measured(|| {
        all.into_iter().for_each(|written| drop(sim.run(written)));
        Ok(())
    })?;
    let what = format!("replay of a journal of {entries} entries");
    let figure = Figure::new(what, ms(spent.wall) / times as f64, "ms").cpu(spent.cpu_us(entries * times));
    Ok(if entries == 100_000 { figure.at_most(1_000.0) } else { figure })
}
