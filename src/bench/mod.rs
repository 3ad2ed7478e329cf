//! What this machine makes of panta, beside what its disk could do: the workloads of `panta bench` and of
//! `cargo bench --bench engine`.
//!
//! Each workload is a file: it does its work in a folder of its own, and returns [`Figure`]s as data. Bars that are a share of
//! the hot path go by the same process: the machine's speed does not count, the ratio does. Nothing here is shown; faces do that.

mod disk;
mod engine;
mod error;
mod fanout;
mod figure;
mod first;
mod growth;
mod hot;
mod http;
mod idle;
mod kill;
mod machine;
mod memory;
mod meter;
mod million;
mod mutating;
mod outside;
mod place;
mod post;
mod reload;
mod replay;
mod single;
mod stage;
mod store;
mod timers;
mod waiting;

pub use error::{Error, Result};
pub use figure::{Bar, Figure, shown};
pub use machine::Machine;
pub use place::{Bench, Sizes};

/// Something to be measured.
pub struct Workload {
    /// How it is chosen.
    pub name: &'static str,
    /// What is done, in a sentence without its full stop.
    pub about: &'static str,
    measure: fn(&Bench) -> Result<Vec<Figure>>,
}

impl Workload {
    /// Does it. Takes seconds, or minutes at full size.
    pub fn measure(&self, bench: &Bench) -> Result<Vec<Figure>> {
        (self.measure)(bench)
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}

/// All of them, in the order in which they are measured.
pub static WORKLOADS: &[Workload] = &[
    disk::WORKLOAD,
    hot::WORKLOAD,
    engine::WORKLOAD,
    growth::WORKLOAD,
    hot::strict::WORKLOAD,
    mutating::WORKLOAD,
    http::WORKLOAD,
    post::WORKLOAD,
    single::WORKLOAD,
    first::WORKLOAD,
    fanout::WORKLOAD,
    replay::WORKLOAD,
    memory::WORKLOAD,
    million::WORKLOAD,
    waiting::WORKLOAD,
    timers::WORKLOAD,
    kill::WORKLOAD,
    store::WORKLOAD,
    idle::WORKLOAD,
    reload::WORKLOAD,
];

#[cfg(test)]
mod tests;
