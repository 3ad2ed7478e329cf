//! One run with many branches.

use super::meter::{measured, median, ms};
use super::stage::{Stage, complete};
use super::{Bench, Figure, Result, Workload};

pub(super) const WORKLOAD: Workload =
    Workload { name: "fanout", about: "one run that maps 1,000 no-op steps in parallel", measure };

/// How often; the median counts.
const TIMES: usize = 9;

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let items = bench.count(1_000, 1_000);
    let all = with(bench, &format!("a run of {items} branches, all at once (median)"), items, items)?;
    let usual = with(bench, &format!("a run of {items} branches, 64 at a time (median)"), items, 64)?;
    Ok(vec![all.at_most(30.0), usual])
}

fn with(bench: &Bench, what: &str, items: usize, limit: usize) -> Result<Figure> {
    let script = format!(
        r#"fn main(x) {{
            let items = []; for i in 0..{items} {{ items.push(i); }}
            parallel_map(items, #{{ limit: {limit} }}, |i| step("s", || i)).len()
        }}"#
    );
    let stage = Stage::new(bench, &script)?;
    let (handle, before) = (stage.handle(), stage.commits());
    let mut times = Vec::with_capacity(TIMES);
    let ((), spent) = measured(|| {
        for _ in 0..TIMES {
            let ((), spent) = measured(|| stage.wait(complete(&handle)))?;
            times.push(spent.wall);
        }
        Ok(())
    })?;
    let figure = Figure::new(what, ms(median(times)), "ms").cpu(spent.cpu_us(TIMES * items));
    Ok(figure.commits(stage.commits() - before, TIMES))
}
