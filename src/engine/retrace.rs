//! A run, evaluated again from its journal to see what its variables hold: `panta replay`.
//!
//! It is evaluated on the version that it is pinned to, with the settings that it was accepted with, and with every outcome
//! from the journal: nothing is performed and nothing appended ([`super::gate`] does the same to try other versions). To
//! stand before an entry, the journal is cut there: the script then waits for what the entry says.

mod trail;
pub(super) mod until;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::activation::{Activation, Progress};
use super::gate::{self, Candidate, Nothing};
use super::{deploy, programs};
use crate::host::branches;
use crate::host::session::{Ask, StrandId, What};
use crate::journal::{Entry, Kind};
use crate::script::bundle::Bundle;
use crate::script::literal::{kind, literal};
use crate::script::rewrite::trace::rewrite_traced;
use crate::store::Run;
use crate::time::Timestamp;
use trail::{At, Trails};

/// Bytes of a value's text at most: what is longer is folded.
const FOLDED: usize = 4_000;

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The journal has no such step: what it has.
    #[error("{0}")]
    UnknownStep(String),
    /// The version cannot be evaluated, or it takes too long.
    #[error("the run cannot be evaluated: {0}")]
    Broken(String),
}

/// Evaluates a run again and shows where it stands: at its end, where it waits now, or (`until`) where that step is about to
/// return. Takes as long as the script computes, at most some seconds; no fiber may be running on this thread.
///
/// The answer: `{"run","workflow","version","status","until","at","stands","divergence","error","strands"}`. `until` is the
/// entry, `at` the time as the run sees it, `stands` one of `waiting` `returning` `ended` `diverged`; each of `strands` has
/// `waits_for` (words, or null) and `frames`, the innermost first, with `function`, `file`, `line`, `column`, `source` (the
/// line's text) and `variables`: `name`, `type`, `value` (Rhai text, folded; secrets masked).
pub fn retrace(run: &Run, journal: Vec<Entry>, bundle: &Bundle, until: Option<&str>) -> Result<Value, Error> {
    let cut = match until {
        Some(text) => until::resolve(text, &journal)?,
        None => journal.iter().position(|entry| entry.kind == Kind::Cancel),
    };
    let target = cut.map(|n| (n, journal[n].clone()));
    let journal = match cut {
        Some(n) => journal.into_iter().take(n).collect(),
        None => journal,
    };
    let tracer = Tracer::new(run, bundle)?;
    let (first, spots) = tracer.stand(run, &journal, &target, Trails::default())?;
    drop(first);
    let wanted = spots.iter().flat_map(|standing| &standing.chain).map(|at| at.spot).collect();
    let (stop, standing) = tracer.stand(run, &journal, &target, Trails::capturing(wanted))?;
    let trails = Rc::clone(&tracer.trails.borrow());
    let strands: Vec<_> = standing.iter().map(|standing| standing.to_json(&trails, bundle)).collect();
    let until = target.as_ref().map(|(n, entry)| {
        json!({
            "n": n, "kind": entry.shown_kind(), "name": &*entry.name, "position": entry.position.to_string(),
            "line": entry.line,
        })
    });
    Ok(json!({
        "run": run.id, "workflow": &*run.workflow, "version": run.version, "status": run.status.name(),
        "until": until, "at": stop.at, "stands": stop.stands, "divergence": stop.divergence,
        "error": run.error.as_ref().map(crate::payload::Payload::to_json), "strands": strands,
    }))
}

/// How an evaluation came to its stop.
struct Stop {
    at: Timestamp,
    stands: &'static str,
    divergence: Option<String>,
    /// Held until what it left has been read.
    _activation: Activation,
}

/// A strand where all stops.
struct Standing {
    chain: Vec<At>,
    waits_for: Option<String>,
}

type Target = Option<(usize, Entry)>;

/// The version of a run, compiled so that it can be looked into.
struct Tracer {
    candidate: Candidate,
    trails: Rc<RefCell<Rc<Trails>>>,
}

/// Makes a script engine one that can be looked into; what is noted is in the result.
pub(super) fn install(engine: &mut rhai::Engine) -> Rc<RefCell<Rc<Trails>>> {
    let trails = Rc::new(RefCell::new(Rc::new(Trails::default())));
    trail::install(engine, Rc::clone(&trails));
    trails
}

impl Tracer {
    fn new(run: &Run, bundle: &Bundle) -> Result<Self, Error> {
        let mut engine = deploy::script_engine();
        let trails = install(&mut engine);
        let settings = programs::fixed(&run.settings);
        let candidate =
            Candidate::compile(Rc::new(engine), bundle, &settings, rewrite_traced).map_err(Error::Broken)?;
        Ok(Self { candidate, trails })
    }

    /// Evaluates the journal; where the strands stand then.
    fn stand(
        &self,
        run: &Run,
        journal: &[Entry],
        target: &Target,
        trails: Trails,
    ) -> Result<(Stop, Vec<Standing>), Error> {
        let trails = Rc::new(trails);
        *self.trails.borrow_mut() = Rc::clone(&trails);
        let now = journal.iter().map(|entry| entry.ended_at).max().unwrap_or(run.created_at);
        let mut activation = self.candidate.activation(run, journal.to_vec(), Nothing { watches_calls: true });
        let progress = gate::drive(&mut activation, now).map_err(Error::Broken)?;
        let (stands, divergence) = match &progress {
            Progress::Diverged(divergence) => ("diverged", Some(divergence.to_string())),
            Progress::Ended(_) => ("ended", None),
            _ if target.is_some() => ("returning", None),
            _ => ("waiting", None),
        };
        let standing = match &progress {
            Progress::Ended(_) | Progress::Diverged(_) => ended(&trails),
            _ => waiting(&mut activation, &trails, target.as_ref().map(|(_, entry)| entry)),
        };
        let at = activation.session().now.get();
        Ok((Stop { at, stands, divergence, _activation: activation }, standing))
    }
}

/// The run's own strand where it ended, and the branches that made it fail.
fn ended(trails: &Trails) -> Vec<Standing> {
    let root = 0;
    let all = std::iter::once(root).chain(trails.failed_since(root));
    let standing = all.map(|strand| Standing { chain: trails.last(strand), waits_for: None });
    standing.filter(|standing| !standing.chain.is_empty()).collect()
}

fn waiting(activation: &mut Activation, trails: &Trails, target: Option<&Entry>) -> Vec<Standing> {
    let asks: BTreeMap<StrandId, Ask> = activation.take_asks().into_iter().map(|ask| (ask.strand, ask)).collect();
    let session = Rc::clone(activation.session());
    let standing = activation.standing().into_iter().map(|id| {
        let is_joining = branches::is_joining(&session, id);
        let waits_for = match asks.get(&id) {
            Some(ask) => Some(sentence(ask)),
            None if is_joining => Some("its branches".to_owned()),
            None => target.map(|entry| format!("`{}` to return", entry.name)),
        };
        Standing { chain: trails.chain(id.0), waits_for }
    });
    standing.filter(|standing| !standing.chain.is_empty()).collect()
}

/// What a strand waits for, in words.
fn sentence(ask: &Ask) -> String {
    let what = match &ask.what {
        What::Effect { called: Some(called), .. } | What::Stand { called } => {
            format!("the answer of `{}`", called.function)
        }
        What::Effect { .. } => "the answer of a service".to_owned(),
        What::Until { due, retry_of: Some(error) } => format!("the next attempt at {due}, after: {error}"),
        What::Until { due, .. } => format!("the time {due}"),
        What::Event { name, key, .. } => {
            let key = key.as_ref().map(|key| format!(" with key `{key}`")).unwrap_or_default();
            format!("the event `{name}`{key}")
        }
        What::Child { run, workflow, .. } => format!("the end of run {run} (`{workflow}`)"),
        What::Lock { name, .. } => format!("the lock `{name}`"),
        What::Task { task } => format!("the answer to the task `{}`", task.title),
        What::Start { start } => format!("the start of `{}`", start.workflow),
    };
    let step = ask.step.as_ref().map(|step| format!(" in step `{step}`")).unwrap_or_default();
    format!("{}{step} (line {})", crate::script::secret::mask(&what), ask.line)
}

impl Standing {
    fn to_json(&self, trails: &Trails, bundle: &Bundle) -> Value {
        let frames: Vec<_> = self.chain.iter().rev().map(|at| frame(at, trails, bundle)).collect();
        json!({ "waits_for": self.waits_for, "frames": frames })
    }
}

fn frame(at: &At, trails: &Trails, bundle: &Bundle) -> Value {
    let variables = trails.variables(at.spot);
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| json!({ "name": name, "type": kind(value), "value": literal(value, FOLDED) }))
        .collect();
    let source = bundle.sources.get(&*at.file).and_then(|source| source.line(at.line)).unwrap_or_default();
    json!({
        "function": &*at.function, "file": &*at.file, "line": at.line, "column": at.column, "source": source,
        "variables": variables,
    })
}
