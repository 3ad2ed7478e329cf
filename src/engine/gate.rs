//! A recorded run, tried on another version: would its journal replay there?
//!
//! Every outcome comes from the journal. Nothing is performed, nothing is appended: what the script would do beyond the
//! journal is not evaluated. The reload gate and upgrades stand on it: [`survey`] tries all runs of a workflow and gives a
//! [`Report`].

mod origin;
mod parting;
mod report;
mod survey;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::activation::{Activation, Explain, Progress};
use super::deploy;
use super::semantics::Semantics;
use super::surroundings::Settings;
use crate::effect::{self, Allow};
use crate::host::mailbox::Mailbox;
use crate::host::rules::Rules;
use crate::host::session::{Act, Batch, Facts, Reservation, Reserved, Session, World};
use crate::id::{RunId, Version};
use crate::journal::{Entry, Kind, Outcome, Position};
use crate::payload::Payload;
use crate::replay::Divergence;
use crate::script::bundle::Bundle;
use crate::script::fiber::StackPool;
use crate::script::guard::{Guard, Limits};
use crate::script::program::Prepared;
use crate::script::rewrite;
use crate::store::{End, Run};
use crate::time::{Timestamp, elapsed};

pub(super) use origin::recorder;
pub use parting::{Line, Parting};
pub use report::{Changed, Finished, Group, NoVerdict, Open, Report, State};
pub use survey::{Scope, survey};
pub(super) use survey::{entries, untried};

/// A trial that computes for longer has no verdict: it is done beside the runs that are really there.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Compiled versions that a thread keeps for trials.
const KEPT: usize = 16;

/// What came of a trial.
#[derive(Debug)]
pub enum Verdict {
    /// All that is recorded is what this version does.
    Compatible {
        /// Of a run that has ended: how it would have ended here, where that is something else.
        otherwise: Option<Outcome>,
    },
    /// The version does something else than what is recorded.
    Diverges(Divergence),
    /// There is no telling: the version does not compile, or the trial takes too long.
    Unknown(String),
}

impl Verdict {
    /// The run can go on, on this version.
    pub fn is_compatible(&self) -> bool {
        matches!(self, Self::Compatible { .. })
    }
}

/// Tries a run on another version. `settings` are what its declaration reads; the call takes as long as the script
/// computes, at most some seconds, and no fiber may be running on this thread.
pub fn try_on(run: &Run, journal: Vec<Entry>, bundle: &Bundle, settings: &Arc<dyn Settings>) -> Verdict {
    try_with(run, journal, bundle, settings, &Semantics::current())
}

/// The same under other semantics than those of this release.
pub(super) fn try_with(
    run: &Run,
    journal: Vec<Entry>,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
    semantics: &Semantics,
) -> Verdict {
    match candidate(bundle, settings, semantics) {
        Ok(candidate) => candidate.play(run, journal, PATIENCE),
        Err(problem) => Verdict::Unknown(problem),
    }
}

/// What a trial tells beside its verdict.
pub(super) struct Examined {
    pub(super) verdict: Verdict,
    /// Compensations that ran, and the commands that they undid.
    pub(super) undone: Vec<(Position, Position)>,
    /// Names and tickets of the locks that it holds, or waits for.
    pub(super) locks: Vec<(Arc<str>, Arc<str>)>,
    /// Steps that have begun and not ended.
    pub(super) open: Vec<(Position, Arc<str>)>,
}

/// Tries a run on a version, and looks at where it stands then.
pub(super) fn examine(
    run: &Run,
    journal: Vec<Entry>,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
    semantics: &Semantics,
) -> Examined {
    match candidate(bundle, settings, semantics) {
        Ok(candidate) => candidate.examine(run, journal, PATIENCE),
        Err(problem) => {
            Examined { verdict: Verdict::Unknown(problem), undone: Vec::new(), locks: Vec::new(), open: Vec::new() }
        }
    }
}

/// The same on a version that can be looked into (see [`super::retrace`]): is it still the same?
#[cfg(test)]
pub(super) fn try_rewritten(run: &Run, journal: Vec<Entry>, bundle: &Bundle, settings: &Arc<dyn Settings>) -> Verdict {
    let mut engine = deploy::script_engine();
    super::retrace::install(&mut engine);
    let candidate = Candidate::compile(Rc::new(engine), bundle, settings, rewrite::trace::rewrite_traced);
    candidate.map_or_else(Verdict::Unknown, |candidate| candidate.play(run, journal, PATIENCE))
}

/// A version that runs are tried on.
pub(super) struct Candidate {
    engine: Rc<rhai::Engine>,
    prepared: Prepared,
    explain: Explain,
    allow: Rc<Allow>,
    rules: Rc<Rules>,
    limits: Limits,
    reads_settings: bool,
}

/// What trials of a thread have in common: a script engine, and versions that are compiled for it.
struct Bench {
    semantics: Semantics,
    engine: Rc<rhai::Engine>,
    candidates: Vec<(Version, Rc<Candidate>)>,
}

thread_local! {
    static BENCH: std::cell::RefCell<Option<Bench>> = const { std::cell::RefCell::new(None) };
}

/// Compiles a version, or takes the one of the trial before: many runs are tried on the same. Values of the declaration
/// that were read from settings do not belong to the version, so one that reads any is evaluated anew.
fn candidate(bundle: &Bundle, settings: &Arc<dyn Settings>, semantics: &Semantics) -> Result<Rc<Candidate>, String> {
    BENCH.with_borrow_mut(|bench| {
        if bench.as_ref().is_none_or(|bench| bench.semantics != *semantics) {
            let (semantics, engine) = (semantics.clone(), Rc::new(semantics.engine()));
            *bench = Some(Bench { semantics, engine, candidates: Vec::new() });
        }
        let bench = bench.as_mut().expect("it was just made");
        if let Some((_, known)) = bench.candidates.iter().find(|(version, _)| *version == bundle.version) {
            return Ok(Rc::clone(known));
        }
        let candidate = Rc::new(Candidate::compile(Rc::clone(&bench.engine), bundle, settings, rewrite::rewrite)?);
        if !candidate.reads_settings {
            bench.candidates.truncate(KEPT - 1);
            bench.candidates.insert(0, (bundle.version.clone(), Rc::clone(&candidate)));
        }
        Ok(candidate)
    })
}

impl Candidate {
    /// Compiles a version for an engine of [`deploy::script_engine`]; an error says what is wrong and where.
    pub(super) fn compile(
        engine: Rc<rhai::Engine>,
        bundle: &Bundle,
        settings: &Arc<dyn Settings>,
        rewrite: fn(rhai::AST) -> rhai::AST,
    ) -> Result<Self, String> {
        let told = |faults: Vec<crate::diag::Diagnostic>| {
            faults.first().map_or_else(String::new, |f| format!("{} ({}:{})", f.title, f.place.file, f.place.line))
        };
        let (program, constants, declaration) =
            deploy::declare_with(&engine, bundle, settings, rewrite).map_err(told)?;
        let prepared = program.prepare(&engine, &constants).map_err(|fault| told(vec![fault]))?;
        let rules = Rc::new(Rules::of(&declaration));
        let reads_settings = !declaration.settings.is_empty();
        // As a live run explains it: how a run ends is compared by that.
        let explaining = Rc::clone(&engine);
        let explain: Explain =
            Rc::new(move |error| program.diagnose(&explaining, error, &crate::host::catalog::catalog()));
        let (allow, limits) = (Rc::new(declaration.allow), Limits { cpu: PATIENCE, ..Limits::default() });
        Ok(Self { engine, prepared, explain, allow, rules, limits, reads_settings })
    }

    /// The same within other limits than the defaults.
    pub(super) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Tries a run that has this journal, and computes for so long at most.
    pub(super) fn play(&self, run: &Run, journal: Vec<Entry>, patience: Duration) -> Verdict {
        self.examine(run, journal, patience).verdict
    }

    fn examine(&self, run: &Run, journal: Vec<Entry>, patience: Duration) -> Examined {
        let recorded = journal.iter().find(|entry| entry.kind == Kind::End).and_then(|entry| entry.outcome.clone());
        let now = journal.iter().map(|entry| entry.ended_at).max().unwrap_or(run.created_at);
        let mut activation = self.activation(run, journal, Nothing::default());
        let session = Rc::clone(activation.session());
        let verdict = match drive_within(&mut activation, now, patience) {
            Err(problem) => Verdict::Unknown(problem),
            Ok(Progress::Diverged(divergence)) => Verdict::Diverges(divergence),
            Ok(Progress::Ended(end)) => judge(&session, recorded.as_ref(), Some(&end)),
            Ok(_) => judge(&session, recorded.as_ref(), None),
        };
        let (undone, locks) = (session.undone.take(), session.frames.borrow().locks());
        let open = session.open_steps.take().into_iter().collect();
        Examined { verdict, undone, locks, open }
    }

    /// The run at its beginning, with this journal.
    pub(super) fn activation(&self, run: &Run, journal: Vec<Entry>, world: Nothing) -> Activation {
        let session = self.session(run, journal, world);
        let explain = Rc::clone(&self.explain);
        Activation::new(session, Rc::new(StackPool::new()), self.prepared.clone(), &run.input, explain)
    }

    fn session(&self, run: &Run, journal: Vec<Entry>, world: Nothing) -> Rc<Session> {
        let facts = Facts {
            run: run.id,
            workflow: Arc::clone(&run.workflow),
            version: run.version.clone(),
            accepted_at: run.created_at,
            trigger: run.trigger.clone(),
            mailbox: run.mailbox.as_ref().map(Mailbox::from_payload).unwrap_or_default(),
            rules: Rc::clone(&self.rules),
            forked: super::repair::forked(run),
        };
        let guard = Guard::new(self.limits);
        let (engine, allow) = (Rc::clone(&self.engine), Rc::clone(&self.allow));
        Session::new(facts, journal, guard, engine, Rc::new(world), allow)
    }
}

/// Evaluates until the journal is used up and every strand waits.
pub(super) fn drive(activation: &mut Activation, now: Timestamp) -> Result<Progress, String> {
    drive_within(activation, now, PATIENCE)
}

fn drive_within(activation: &mut Activation, now: Timestamp, patience: Duration) -> Result<Progress, String> {
    let began = elapsed();
    loop {
        match activation.advance(now) {
            Progress::Sliced if elapsed().saturating_sub(began) < patience => {}
            Progress::Sliced => return Err(format!("it computes for more than {} s", patience.as_secs())),
            progress => return Ok(progress),
        }
    }
}

/// The journal was answered from. Whether all of it was asked for, and the end is the same.
fn judge(session: &Session, recorded: Option<&Outcome>, end: Option<&End>) -> Verdict {
    if let Some(divergence) = session.replay.borrow().unasked() {
        return Verdict::Diverges(divergence);
    }
    let ended = end.map(|end| end.error.clone().map_or_else(|| Ok(end.output.clone().unwrap_or_default()), Err));
    let otherwise = ended.filter(|ended| recorded.is_some_and(|recorded| !is_same(recorded, ended)));
    Verdict::Compatible { otherwise }
}

/// Errors are told apart by kind and message: lines move with every edit.
fn is_same(recorded: &Outcome, ended: &Outcome) -> bool {
    let told = |error: &Payload| {
        let error = error.to_json();
        (error["kind"].clone(), error["message"].clone())
    };
    match (recorded, ended) {
        (Ok(a), Ok(b)) => a == b,
        (Err(a), Err(b)) => told(a) == told(b),
        _ => false,
    }
}

/// Surroundings that do nothing: new outcomes are not recorded, so nobody sees what these answer.
#[derive(Default)]
pub(super) struct Nothing {
    /// Effects that are asked for say which call they come from.
    pub(super) watches_calls: bool,
}

impl World for Nothing {
    fn prepare(&self, _: &effect::Request) -> Result<Option<String>, effect::Failure> {
        Ok(None)
    }

    fn config(&self, _: &str) -> Option<Payload> {
        None
    }

    fn state(&self, _: &str) -> Result<(Option<Payload>, u64), String> {
        Ok((None, 0))
    }

    fn set_state(&self, _: &str, _: Option<u64>, _: Option<Payload>, flush: &mut dyn FnMut()) -> bool {
        flush();
        true
    }

    fn reserve(&self, wanted: &Reservation<'_>, record: &mut Reserved<'_>) -> Result<(), String> {
        record(None, Act::Rate { name: wanted.name.into(), value: Payload::unit() });
        Ok(())
    }

    fn may_skip(&self, _: &str) -> bool {
        false
    }

    fn append(&self, _: Batch) {}

    fn accepts(&self, _: &str, _: &Payload) -> Result<(), Payload> {
        Ok(())
    }

    fn status(&self, _: RunId) -> Result<Option<&'static str>, String> {
        Ok(None)
    }

    fn begun(&self, _: &str, _: &Position, _: u32) {}

    fn known_people(&self, _: &[Arc<str>]) -> Result<(), String> {
        Ok(())
    }

    fn event_url(&self, _: &str, _: Option<&str>, _: Option<Timestamp>) -> Result<String, String> {
        Ok(String::new())
    }

    fn new_run(&self) -> RunId {
        RunId::new()
    }

    fn is_frozen(&self) -> bool {
        true
    }

    fn watches_calls(&self) -> bool {
        self.watches_calls
    }
}
