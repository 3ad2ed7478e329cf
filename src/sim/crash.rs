//! `crash_everywhere`: the test so far, again and again, each time with a process that dies somewhere else.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::book;
use super::broken::{Broken, CRASH, Res};
use super::case::{Case, Plan};
use super::stage::{Slot, Stage, Take};
use crate::payload::Payload;
use crate::store::memory::Fault;

/// What must be the same wherever the process dies.
#[derive(PartialEq, Eq)]
struct Outcome {
    /// Workflow, status, output and error of each run, in the order of their starts.
    runs: Vec<[String; 4]>,
    /// Calls that change the outside, and how many of each.
    changes: BTreeMap<String, usize>,
    /// Calls that only look: there may be more of them after a crash.
    looks: BTreeMap<String, usize>,
}

impl Outcome {
    fn of(case: &Case) -> Result<Self, Broken> {
        let text =
            |payload: &Option<Payload>| payload.as_ref().map_or_else(|| "()".to_owned(), |p| p.text().to_owned());
        let runs = case.runs(None)?.into_iter().rev();
        let runs = runs
            .map(|run| [run.workflow.to_string(), run.status.name().to_owned(), text(&run.output), text(&run.error)]);
        let runs = runs.collect();
        let (mut changes, mut looks) = (BTreeMap::new(), BTreeMap::new());
        // Polls are not recorded: how many there are is not promised.
        for answered in case.book.calls().iter().filter(|answered| answered.called.position.is_some()) {
            let call = format!("{} {}", answered.called.function, book::arguments(&answered.called));
            let calls = if answered.called.is_reading { &mut looks } else { &mut changes };
            *calls.entry(call).or_default() += 1;
        }
        Ok(Self { runs, changes, looks })
    }

    /// The first thing that is another, in words.
    fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let names = ["workflow", "status", "output", "error"];
        if self.runs.len() != other.runs.len() {
            return Some(("the number of runs".into(), self.runs.len().to_string(), other.runs.len().to_string()));
        }
        for (mine, theirs) in self.runs.iter().zip(&other.runs) {
            if let Some(at) = (0..names.len()).find(|at| mine[*at] != theirs[*at]) {
                let what = format!("the {} of `{}`", names[at], mine[0]);
                return Some((what, mine[at].clone(), theirs[at].clone()));
            }
        }
        let count = |calls: &BTreeMap<String, usize>, call: &String| calls.get(call).copied().unwrap_or(0);
        let counts = |mine, theirs, call: &String| (call.clone(), count(mine, call), count(theirs, call));
        let changed = self.changes.keys().chain(other.changes.keys());
        let mut changed = changed.map(|call| counts(&self.changes, &other.changes, call));
        let mut looked = self.looks.keys().map(|call| counts(&self.looks, &other.looks, call));
        let (call, mine, theirs) = changed
            .find(|(_, mine, theirs)| mine != theirs)
            .or_else(|| looked.find(|(_, mine, theirs)| theirs < mine))?;
        Some(("what was called".into(), format!("{mine} × {call}"), format!("{theirs} × {call}")))
    }
}

/// Runs the test up to this call with a crash at each commit, before and after the write, and once with every run leaving
/// memory whenever it waits. Returns how many times the test was run; in such a run, ends it.
pub(super) fn everywhere(slot: &Slot, stage: &Rc<Stage>, case: &Rc<Case>) -> Res<i64> {
    let take = {
        let mut take = stage.taking.borrow_mut();
        take.crashes += 1;
        take.clone()
    };
    if let Some(until) = take.until {
        if take.crashes == until {
            stage.reached.set(true);
            return Err(Broken::new(CRASH, "the test ends here").into());
        }
        return Ok(0);
    }
    let Some(number) = take.cases.iter().position(|known| Rc::ptr_eq(known, case)) else { return Ok(0) };
    let expected = Outcome::of(case)?;
    let all = case.commits();
    let mut plans = vec![(Plan { evict: true, crash: None }, "with every run leaving memory when it waits".to_owned())];
    for n in 1..=all {
        for (fault, when) in [(Fault::Lost, "before"), (Fault::Kept, "after")] {
            let words = format!("when the process dies {when} write {n} of {all}");
            plans.push((Plan { evict: false, crash: Some((n, fault)) }, words));
        }
    }
    let times = plans.len() as i64;
    for (plan, words) in plans {
        again(slot, stage, &take, number, plan)
            .and_then(|found| compare(&expected, &found))
            .map_err(|broken| Broken { title: format!("{words}: {}", broken.title), code: CRASH, ..broken })?;
    }
    Ok(times)
}

/// The test once more, with this plan for its workflow.
fn again(slot: &Slot, stage: &Rc<Stage>, take: &Take, number: usize, plan: Plan) -> Result<Rc<Case>, Broken> {
    let again = Take {
        plan: Some((number, plan)),
        until: Some(take.crashes),
        ..Take { test: take.test.clone(), ..Take::default() }
    };
    stage.reached.set(false);
    let (result, cases) = stage.evaluate_with_cases(slot, again);
    let Err(error) = result else {
        return Err(Broken::new(CRASH, "the test does not come to this call again"));
    };
    if !stage.reached.get() {
        let diagnostic = stage.diagnose(&error);
        let text = diagnostic.text.as_deref().map(str::to_owned);
        let at = format!("{} (line {})", diagnostic.title, diagnostic.place.line);
        return Err(Broken { text, ..Broken::new(CRASH, at) });
    }
    cases.into_iter().nth(number).ok_or_else(|| Broken::new(CRASH, "the test makes another workflow"))
}

fn compare(expected: &Outcome, case: &Rc<Case>) -> Result<(), Broken> {
    if let Some(call) = case.book.repeated.borrow().first() {
        let title = format!("{call} was performed again although its outcome was recorded");
        return Err(Broken::new(CRASH, title));
    }
    match expected.difference(&Outcome::of(case)?) {
        None => Ok(()),
        Some((what, expected, found)) => {
            let broken = Broken::new(CRASH, format!("{what} is another"));
            Err(broken.text(format!("expected: {expected}\n  actual: {found}")))
        }
    }
}
