//! The hot path where every step waits for the disk: what mutating steps are held against.

use std::sync::mpsc::{Receiver, Sender};

use rhai::Dynamic;

use super::{Row, Script, record, with};
use crate::bench::stage::{IN_FLIGHT, workers};
use crate::bench::{Bench, Figure, Result, Workload};
use crate::script::fiber::{Fiber, Turn};

pub(in crate::bench) const WORKLOAD: Workload = Workload {
    name: "strict",
    about: "the hot path where every step waits for the disk",
    measure: |bench| {
        let figure = measure(bench)?;
        bench.note_strict(figure.value);
        Ok(vec![figure])
    },
};

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Figure> {
    with(bench, "hot path alone (each step waits for the disk)", bench.count(10_000, 1_000), evaluate)
}

/// A run, and where it waits for the disk.
struct Slot {
    fiber: Option<Fiber<std::result::Result<Dynamic, Box<rhai::EvalAltResult>>>>,
    run: i64,
}

fn evaluate(worker: usize, runs: usize, to_log: &Sender<Row>, acked: &Receiver<usize>) {
    let (script, workers) = (Script::new(), workers());
    let (mut started, mut finished) = (0, 0);
    let mut slots: Vec<Slot> = (0..(IN_FLIGHT / workers).max(1)).map(|_| Slot { fiber: None, run: 0 }).collect();
    let mut ready: Vec<usize> = (0..slots.len()).collect();
    while finished < runs {
        while let Some(at) = ready.pop() {
            let slot = &mut slots[at];
            if slot.fiber.is_none() {
                if started == runs {
                    continue;
                }
                *slot = Slot { fiber: Some(script.fiber()), run: (started * workers + worker) as i64 };
                started += 1;
            }
            let (body, ends) = advance(slot);
            if to_log.send(Row { run: slot.run, body, ends, worker, slot: at }).is_err() {
                return;
            }
        }
        let Ok(first) = acked.recv() else { return };
        for at in std::iter::once(first).chain(acked.try_iter()) {
            finished += usize::from(slots[at].fiber.is_none());
            ready.push(at);
        }
    }
}

/// Goes on to the next step, or to the end; what is to be durable, and whether it is the end.
fn advance(slot: &mut Slot) -> (Vec<u8>, bool) {
    let mut body = Vec::with_capacity(64);
    match slot.fiber.as_mut().expect("a run that goes on has a fiber").resume() {
        Turn::Paused(_) => {
            record(&mut body);
            (body, false)
        }
        Turn::Finished(result) => {
            assert_eq!(result.expect("the script has no error").as_int(), Ok(45));
            slot.fiber = None;
            (body, true)
        }
    }
}
