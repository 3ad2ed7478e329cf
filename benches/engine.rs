//! What the engine does on this machine, beside what its parts could do. Ratios within one run count; the machine's speed
//! does not.
//!
//! `cargo bench --bench engine` measures inside the process; `-- quick` takes a tenth of the work, and names of workloads
//! choose what is measured (`-- hot engine quick`). `panta bench` measures the same, and the daemon besides.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;

use panta::bench::{Bench, Figure, Sizes, Workload};

/// What is measured where nothing is chosen.
const USUAL: [&str; 4] = ["hot", "engine", "replay", "memory"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let (quick, chosen): (Vec<&str>, Vec<&str>) = words.iter().map(String::as_str).partition(|word| *word == "quick");
    let chosen = if chosen.is_empty() { USUAL.to_vec() } else { chosen };
    let sizes = Sizes { quick: !quick.is_empty(), size: None };
    let bench = Bench::new(&std::env::temp_dir(), sizes, Path::new(env!("CARGO_BIN_EXE_panta"))).expect("a folder");
    for name in chosen {
        let workload = Workload::named(name).unwrap_or_else(|| panic!("there is no workload `{name}`"));
        workload.measure(&bench).unwrap_or_else(|error| panic!("{name}: {error}")).iter().for_each(print);
    }
}

fn print(figure: &Figure) {
    let Figure { what, value, unit, cpu_us, commits, bars } = figure;
    let cpu = cpu_us.map(|cpu| format!("{cpu:>8.2} µs CPU a step")).unwrap_or_default();
    let commits = commits.map(|commits| format!("{commits:>9.3} commits a run")).unwrap_or_default();
    let verdict = |met| if met { "met" } else { "missed" };
    let bars: Vec<_> = bars.iter().map(|bar| format!("{} ({})", bar.text, verdict(bar.met))).collect();
    println!("{what:<56} {value:>12.2} {unit:<7} {cpu:<21} {commits:<23} {}", bars.join("; "));
}
