//! Scripts by chance, repaired by chance: anything to any step at any time, with a crash at any write.
//!
//! `PANTA_REPAIRED` is how many, `PANTA_SEED` the first seed. A failure prints the seed, the script and what was done to it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::lab::{Lab, Plan, Scripts, entries};
use super::told;
use crate::engine::{Action, Retry, Tools};
use crate::id::RunId;
use crate::sim::generated::script::{Chance, Script, Surroundings, script};
use crate::store::Status;
use crate::store::memory::Fault;

/// How many, unless said otherwise: some seconds.
const SCRIPTS: u64 = 120;
/// Crashes of each, at writes by chance.
const CRASHES: usize = 3;
/// Repairs of each.
const REPAIRS: usize = 4;

/// What generated scripts start.
const OTHER: &str = r#"fn main(input) { let r = http::post("http://s.example/ok/other", 1).status;
    sleep("5ms"); if input.n % 5 == 4 { throw "odd" } r }"#;

/// Something that happens, by the number of the run among all.
#[derive(Clone, Debug)]
enum Happening {
    Passes(Duration),
    Emitted(&'static str, Option<&'static str>),
    Answered,
    Up,
    Repaired(usize, Action),
}

impl Happening {
    fn happen(&self, lab: &mut Lab<'_>) {
        match self {
            Self::Passes(time) => lab.advance(*time),
            Self::Emitted(name, key) => lab.emit(name, *key),
            Self::Answered => drop(lab.answer()),
            Self::Up => lab.service.is_up.set(true),
            // Whether it can be done depends on where the run stands, which is the same in each telling.
            Self::Repaired(run, action) => {
                if let Some(run) = lab.runs().get(*run).map(|run| run.id) {
                    drop(lab.repair(run, action));
                }
            }
        }
    }
}

/// What may happen next, as the run stands.
fn next(lab: &Lab<'_>, chance: &mut Chance) -> Happening {
    match chance.below(8) {
        0 => Happening::Emitted(chance.pick(&["paid", "often", "late"]), chance.pick(&[None, Some("k")])),
        1 => Happening::Answered,
        2 => Happening::Up,
        3 | 4 => Happening::Passes(Duration::from_millis(chance.pick(&[0, 3, 10, 60, 1_000, 100_000]))),
        _ => {
            let runs = lab.runs();
            let number = if chance.percent(80) { 0 } else { chance.below(runs.len()) };
            Happening::Repaired(number, action(lab, runs[number].id, chance))
        }
    }
}

fn action(lab: &Lab<'_>, run: RunId, chance: &mut Chance) -> Action {
    let entries = entries(lab, run);
    let step = |chance: &mut Chance| match entries.len() {
        0 => "0".to_owned(),
        count => entries[chance.below(count)].0.to_string(),
    };
    // The last that has begun is what is most likely left out.
    let last = |chance: &mut Chance| match entries.last() {
        Some((n, _)) if chance.percent(60) => n.to_string(),
        _ => step(chance),
    };
    let again = |from| Action::Retry(Retry { from, confirmed: true, ..Retry::default() });
    if lab.run(run).status.is_final() {
        return match chance.below(6) {
            0 | 1 => again(None),
            2 => Action::Fork { at: step(chance), set: Some(json!(3)) },
            3 => Action::SetResult { step: last(chance), value: json!([7]) },
            _ => again(Some(step(chance))),
        };
    }
    match chance.below(7) {
        // One that is asked to end goes on to undo what it did, whether it is held or not.
        0 if lab.run(run).cancel.is_none() => Action::Pause,
        1 => Action::Cancel,
        2 => Action::Skip { step: last(chance) },
        3 | 4 => Action::SetResult { step: last(chance), value: json!({ "set": 1 }) },
        5 => Action::Fork { at: step(chance), set: None },
        _ => again(None),
    }
}

/// Until all have ended.
fn finish(lab: &mut Lab<'_>) {
    lab.service.is_up.set(true);
    for _ in 0..4 {
        let held = |status| matches!(status, Status::Paused | Status::Quarantined | Status::Diverged);
        let runs: Vec<_> = lab.runs().iter().filter(|run| held(run.status)).map(|run| run.id).collect();
        for run in runs {
            drop(lab.repair(run, &Action::Resume));
        }
        for name in ["paid", "late", "never", "often"] {
            lab.emit(name, Some("k"));
        }
        lab.advance(Duration::from_hours(24 * 20));
    }
}

fn holds(tools: &Tools, seed: u64) -> Result<(), String> {
    let script = script(seed, Surroundings::Engine);
    let happened = RefCell::new(Vec::new());
    checked(tools, seed, &script, &happened).map_err(|problem| {
        let mut all = String::new();
        for one in happened.borrow().iter() {
            let _ = writeln!(all, "  {one:?}");
        }
        format!("seed {seed}: {problem}\nof\n{}\n{all}", script.text)
    })
}

fn checked(tools: &Tools, seed: u64, script: &Script, happened: &RefCell<Vec<Happening>>) -> Result<(), String> {
    // Some are nested deeper than people may nest.
    let Ok(scripts) = Scripts::with(tools.clone(), &[("w", &script.text), ("other", OTHER)]) else { return Ok(()) };
    let choose = |lab: &mut Lab<'_>| {
        let mut chance = Chance::new(seed ^ 0x7ea1);
        lab.start("w", &json!({ "n": 3 }));
        let mut repairs = 0;
        for _ in 0..REPAIRS * 4 {
            let one = next(lab, &mut chance);
            happened.borrow_mut().push(one.clone());
            one.happen(lab);
            repairs += usize::from(matches!(one, Happening::Repaired(..)));
            if repairs == REPAIRS {
                break;
            }
        }
        finish(lab);
    };
    let (expected, writes) = told(&scripts, Plan::default(), &choose)?;
    let all = happened.borrow().clone();
    let again = |lab: &mut Lab<'_>| {
        lab.start("w", &json!({ "n": 3 }));
        all.iter().for_each(|one| one.happen(lab));
        finish(lab);
    };
    let mut chance = Chance::new(seed ^ 0xdead);
    for _ in 0..CRASHES {
        let at = 1 + chance.below(usize::try_from(writes).expect("few").max(1)) as u64;
        let plan = Plan { crash: Some((at, chance.pick(&[Fault::Lost, Fault::Kept]))), evict: false };
        let (found, _) = told(&scripts, plan, &again)?;
        // In which order comes what comes at the same moment is not said before it is recorded.
        let is_single = ["parallel", "race"].iter().all(|word| !script.text.contains(word));
        let is_same = if is_single { found == expected } else { found.has_ended() || !expected.has_ended() };
        if !is_same {
            return Err(format!("{plan}, of {writes}\nfound {found:#?}\nexpected {expected:#?}"));
        }
    }
    Ok(())
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn generated_scripts_are_repaired_by_chance() {
    let (first, count) = (number("PANTA_SEED", 0), number("PANTA_REPAIRED", SCRIPTS));
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let tools = Tools::new();
            let seeds =
                std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < first + count));
            seeds.filter_map(|seed| holds(&tools, seed).err()).take(20).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().flat_map(|one| one.join().expect("no panic")).collect()
    });
    let shortest = failures.iter().min_by_key(|failure| failure.len());
    assert!(failures.is_empty(), "{} failures; the shortest:\n{}", failures.len(), shortest.expect("there is one"));
}
