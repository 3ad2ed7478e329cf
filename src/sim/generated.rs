//! Determinism: scripts by chance, each one run, replayed, run without memory, and resumed from any of its entries.
//!
//! `PANTA_SCRIPTS` is how many, `PANTA_SEED` the first seed. A failure prints the seed and the script.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::effect::http::HttpBody;
use crate::effect::{Failure, HttpReply, Reply, Sent};
use crate::host::session::hash_text;
use crate::journal::encode_segment;

pub(super) mod script;
use script::{Chance, Script, Surroundings, script};

/// How many, unless said otherwise.
const SCRIPTS: u64 = 10_000;
/// Crashes of each script, at places by chance.
const CRASHES: usize = 1;

/// Answers by the address: `/ok/` succeeds, `/fail/` fails for good, `/flaky/` fails for a while, more or less retryably.
fn service(request: &Request, attempt: u32) -> Outcome {
    let Request::Http(http) = request else { return Err(Failure::new("file", "no files here")) };
    let by_chance = hash_text(&http.url);
    if http.url.contains("/fail/") {
        let failure = Failure { sent: Sent::Maybe, ..Failure::new("http", "it says no") };
        return Err(failure.with("status", crate::effect::Field::Int(400)));
    }
    if http.url.contains("/flaky/") && u64::from(attempt) <= by_chance % 4 {
        let sent = if by_chance % 8 < 4 { Sent::No } else { Sent::Maybe };
        return Err(Failure { sent, retryable: true, ..Failure::new("network", "it does not answer") });
    }
    let body = HttpBody::Json(json!({ "url": http.url, "n": by_chance % 100 }).to_string());
    Ok(Reply::Http(HttpReply { status: 200, headers: Vec::new(), body, url: http.url.clone() }))
}

/// What all simulations of a thread share.
struct Bench {
    engine: Rc<rhai::Engine>,
    pool: Rc<StackPool>,
}

impl Bench {
    fn new() -> Self {
        let mut engine = script_engine();
        // Deeper than people nest.
        engine.set_max_expr_depths(128, 128);
        Self { engine: Rc::new(engine), pool: Rc::new(StackPool::new()) }
    }

    fn sim(&self, script: &Script) -> Result<Sim, String> {
        let bundle = Bundle::of_text("w.rhai", &script.text).map_err(|error| format!("{error:?}"))?;
        let (engine, pool) = (Rc::clone(&self.engine), Rc::clone(&self.pool));
        let mut sim = Sim::with(engine, pool, &bundle, Payload::from_text("{\"n\":3}"), service)
            .map_err(|faults| format!("{faults:?}"))?;
        let event = |after, name: &str, key: Option<&str>, payload: &str| SimEvent {
            after: Duration::from_millis(after),
            name: name.into(),
            key: key.map(Into::into),
            payload: Payload::from_text(payload),
        };
        sim.events = vec![
            event(20, "paid", Some("other"), "1"),
            event(40, "paid", Some("k"), "2"),
            event(41, "often", None, "1"),
            event(60, "often", None, "2"),
            event(900, "often", Some("k"), "3"),
            event(2_000, "late", None, "3"),
            event(90_000_000, "late", Some("k"), "4"),
        ];
        let says = |after, title: &str| SimAnswer {
            after: Duration::from_millis(after),
            title: title.to_owned(),
            answer: Payload::from_json(&json!({ "choice": "yes", "data": null, "by": "ann", "at": "then" })),
        };
        sim.answers = vec![says(30, "soon"), says(3_600_000, "tomorrow")];
        // By operations alone: what a slice is must not depend on how fast this machine is.
        sim.slice = Duration::MAX;
        Ok(sim)
    }
}

pub(super) fn listed(entries: &[Entry]) -> String {
    let shown = |e: &Entry| {
        let Entry { started_at, ended_at, due, detail, outcome, .. } = e;
        format!(
            "  {} {:?} {} {} {}..{} due {due:?} #{} {detail:?} {outcome:?}\n",
            e.position,
            e.phase,
            e.kind.name(),
            e.name,
            started_at.since(START).as_millis(),
            ended_at.since(START).as_millis(),
            e.attempt
        )
    };
    entries.iter().map(shown).collect()
}

/// Whether two journals are the same byte for byte; else both, from a little before where they part.
fn same(what: &str, found: &[Entry], expected: &[Entry]) -> Result<(), String> {
    if encode_segment(0, found) == encode_segment(0, expected) {
        return Ok(());
    }
    let first = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let from = first.saturating_sub(4);
    let part = |entries: &[Entry]| listed(&entries[from.min(entries.len())..(first + 4).min(entries.len())]);
    Err(format!("{what}: entry {first} differs\nfound\n{}expected\n{}", part(found), part(expected)))
}

fn holds(bench: &Bench, seed: u64) -> Result<(), String> {
    let script = script(seed, Surroundings::Alone);
    let failed = |problem| format!("seed {seed}: {problem}\nof\n{}", script.text);
    let mut sim = bench.sim(&script).map_err(failed)?;
    let whole = sim.run(Written::default());
    checked(&mut sim, &script, &whole, &mut Chance::new(seed)).map_err(failed)
}

fn checked(sim: &mut Sim, script: &Script, whole: &Report, chance: &mut Chance) -> Result<(), String> {
    let Finish::Ended(end) = &whole.finish else {
        return Err(format!("{:?}\n{}", whole.finish, listed(&whole.written.entries)));
    };
    replays(sim, whole)?;
    sim.evict_always = true;
    let evicted = sim.run(Written::default());
    sim.evict_always = false;
    let ended = |report: &Report| match &report.finish {
        Finish::Ended(end) => Ok(end.clone()),
        other => Err(format!("{other:?}\n{}", listed(&report.written.entries))),
    };
    if ended(&evicted).map_err(|problem| format!("evicted: {problem}"))? != *end && !script.polls {
        return Err(format!("evicted: {:?} is not {end:?}", evicted.finish));
    }
    if !script.polls {
        same("evicted", &evicted.written.entries, &whole.written.entries)?;
    }
    if script.polls {
        replays(sim, &evicted)?;
    }
    for _ in 0..CRASHES {
        let count = chance.below(whole.written.entries.len());
        let resumed = sim.run(whole.written.prefix(count));
        ended(&resumed).map_err(|problem| format!("resumed at {count}: {problem}"))?;
        if !script.polls {
            let (found, expected) = (comparable(&resumed.written.entries), comparable(&whole.written.entries));
            same(&format!("resumed at {count}"), &found, &expected)?;
        }
        replays(sim, &resumed)?;
    }
    Ok(())
}

/// Evaluating a whole journal asks for nothing, appends nothing, and ends the same.
fn replays(sim: &Sim, report: &Report) -> Result<(), String> {
    let again = sim.run(report.written.clone());
    let (Finish::Ended(found), Finish::Ended(expected)) = (&again.finish, &report.finish) else {
        return Err(format!("replayed: {:?}\n{}", again.finish, listed(&report.written.entries)));
    };
    same("replayed", &again.written.entries, &report.written.entries)?;
    if again.asked != 0
        || found.output != expected.output
        || found.status != expected.status
        || found.error != expected.error
    {
        return Err(format!("replayed: asked {}, {found:?} is not {expected:?}", again.asked));
    }
    Ok(())
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn generated_scripts_are_deterministic() {
    let (first, count) = (number("PANTA_SEED", 0), number("PANTA_SCRIPTS", SCRIPTS));
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let bench = Bench::new();
            let seeds =
                std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < first + count));
            seeds.filter_map(|seed| holds(&bench, seed).err()).take(20).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().flat_map(|one| one.join().expect("no panic")).collect()
    });
    let shortest = failures.iter().min_by_key(|failure| failure.len());
    assert!(failures.is_empty(), "{} failures; the shortest:\n{}", failures.len(), shortest.expect("there is one"));
}
