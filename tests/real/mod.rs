//! Connectors against real systems: `cargo test --features real`.
//!
//! `systems.toml` says which there are, and what each needs; README.md, how they are found. One test drives them all, one after the
//! other: two at a time are more than a small machine holds. It tells on stderr, also where tests are captured, what became of each.

mod brokers;
mod databases;
mod drive;
mod kills;
mod left;
mod order_to_cash;
mod ports;
mod program;
mod served;
mod smtp;
mod systems;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use panta::time::elapsed;

use program::Programs;
use systems::System;

/// What became of a system.
enum Outcome {
    /// All that is to be driven held.
    Driven,
    /// It could not be had, and why.
    Skipped(String),
    /// It was there, and something did not hold.
    Failed(String),
}

/// A line of the table.
struct Row {
    system: String,
    version: String,
    outcome: Outcome,
    took: Duration,
}

/// How long all of them may take; what is not begun by then is left out. `PANTA_REAL_MINUTES` for more.
fn bound() -> Duration {
    let minutes = std::env::var("PANTA_REAL_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    Duration::from_mins(minutes.unwrap_or(60))
}

fn since(begun: Duration) -> Duration {
    elapsed().saturating_sub(begun)
}

/// Writes a line past the capturing of tests, for whoever waits.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "real: {line}");
}

#[test]
fn connectors_drive_their_real_systems() {
    let begun = elapsed();
    let programs = Programs::find();
    let mut rows = Vec::new();
    for system in systems::chosen() {
        say(&format!("{} …", system.name));
        let row = if since(begun) > bound() {
            left_out(&system, "the time for all of them was over")
        } else {
            match &programs {
                Ok(programs) => took(&system, programs),
                Err(why) => left_out(&system, why),
            }
        };
        say(&line(&row));
        rows.push(row);
    }
    report(&rows, since(begun));
    let failed: Vec<_> = rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).collect();
    assert!(failed.is_empty(), "these did not hold: {:?}", failed.iter().map(|row| &row.system).collect::<Vec<_>>());
}

fn left_out(system: &System, why: &str) -> Row {
    let outcome = Outcome::Skipped(why.to_owned());
    Row { system: system.name.clone(), version: String::new(), outcome, took: Duration::ZERO }
}

/// Starts a system, drives it, and stops it.
fn took(system: &System, programs: &Programs) -> Row {
    let begun = elapsed();
    let mut version = String::new();
    let outcome = match programs.start(system) {
        Err(why) => Outcome::Skipped(why),
        Ok(running) => {
            version = running.version(system);
            match catch_unwind(AssertUnwindSafe(|| drive::all(system, &running))) {
                Ok(()) => Outcome::Driven,
                Err(panic) => Outcome::Failed(format!("{}{}", message(&*panic), running.keep())),
            }
        }
    };
    Row { system: system.name.clone(), version, outcome, took: since(begun) }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn line(row: &Row) -> String {
    let (word, why) = match &row.outcome {
        Outcome::Driven => ("driven", ""),
        Outcome::Skipped(why) => ("skipped", why.as_str()),
        Outcome::Failed(why) => ("FAILED", why.as_str()),
    };
    let line = format!("{:<24} {:<28} {word:<8} {:>4} s  {why}", row.system, row.version, row.took.as_secs());
    line.trim_end().to_owned()
}

/// The table of all of them.
fn report(rows: &[Row], took: Duration) {
    let count = |is: fn(&Outcome) -> bool| rows.iter().filter(|row| is(&row.outcome)).count();
    let driven = count(|outcome| matches!(outcome, Outcome::Driven));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    say("");
    rows.iter().for_each(|row| say(line(row).lines().next().unwrap_or_default()));
    let failed = rows.len() - driven - skipped;
    say(&format!("{driven} driven, {skipped} skipped, {failed} failed, in {} s", took.as_secs()));
}
