//! Repairs wherever the process dies: stories that are told once as they should go, and then again with a crash before and
//! after each write.

mod generated;
mod lab;
mod service;
mod stories;

use lab::{Lab, Outcome, Plan, Scripts};

use crate::store::memory::Fault;

/// Tells a story; what came of it, and after how many writes.
fn told(scripts: &Scripts, plan: Plan, story: &dyn Fn(&mut Lab<'_>)) -> Result<(Outcome, u64), String> {
    let mut lab = Lab::new(scripts, plan);
    let whole = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&mut lab)));
    if let Err(panic) = whole {
        let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        return Err(format!("{plan}: {said}\n{:#?}", lab.outcome()));
    }
    match lab.faults() {
        faults if faults.is_empty() => Ok((lab.outcome(), lab.writes())),
        faults => Err(format!("{plan}: {faults:#?}\n{:#?}", lab.outcome())),
    }
}

/// All that can go wrong with a story of so many writes.
fn plans(writes: u64) -> impl Iterator<Item = Plan> {
    let crashes = (1..=writes).flat_map(|n| [(n, Fault::Lost), (n, Fault::Kept)]);
    let crashes = crashes.map(|crash| Plan { crash: Some(crash), evict: false });
    std::iter::once(Plan { crash: None, evict: true }).chain(crashes)
}

/// Tells a story with a crash at each write; the end must be that of the story without one.
fn everywhere(scripts: &[(&str, &str)], story: impl Fn(&mut Lab<'_>)) {
    let scripts = Scripts::new(scripts);
    let (expected, writes) = told(&scripts, Plan::default(), &story).unwrap_or_else(|problem| panic!("{problem}"));
    for plan in plans(writes) {
        let found = told(&scripts, plan, &story).map(|(found, _)| found);
        let found = found.unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(found, expected, "{plan}, of {writes}");
    }
}
