//! Where the strands of a run stand while it is evaluated again, and what their variables hold.
//!
//! A script is evaluated twice: the first time only places are kept, which costs next to nothing; when it is known where it
//! all ends, the second time copies the variables of those few places.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, EvalContext};

use crate::host::session;
use crate::script::memory;
use crate::script::rewrite::trace::{BODY, HERE, OPERATIONS, Site};

/// A place that evaluation came to: the strand, and how many it had come to before. The same in each evaluation.
pub(super) type Spot = (u64, u64);

/// One function that is being evaluated.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) function: Rc<str>,
    pub(super) file: Rc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) spot: Spot,
}

/// One strand.
#[derive(Default)]
struct Trail {
    /// Places so far.
    count: u64,
    /// When it last came to one.
    moved: u64,
    /// The functions that it is in, the outermost first.
    chain: Vec<At>,
    /// The chain when it had failed or ended, and when: as long as it has not gone on since.
    over: Option<(u64, Vec<At>)>,
    failing: bool,
}

/// What is noted of an evaluation.
#[derive(Default)]
pub(in crate::engine) struct Trails {
    strands: RefCell<BTreeMap<u64, Trail>>,
    clock: Cell<u64>,
    wanted: BTreeSet<Spot>,
    captured: RefCell<BTreeMap<Spot, Vec<(String, Dynamic)>>>,
}

impl Trails {
    /// Notes that also copy the variables at these places.
    pub(super) fn capturing(wanted: BTreeSet<Spot>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The functions that a strand is in, the outermost first.
    pub(super) fn chain(&self, strand: u64) -> Vec<At> {
        self.strands.borrow().get(&strand).map(|trail| trail.chain.clone()).unwrap_or_default()
    }

    /// Those that a strand was in when it failed or ended.
    pub(super) fn last(&self, strand: u64) -> Vec<At> {
        let strands = self.strands.borrow();
        let over = strands.get(&strand).and_then(|trail| trail.over.as_ref());
        over.map_or_else(|| self.chain(strand), |(_, chain)| chain.clone())
    }

    /// Strands that failed after another one had last gone on: what made it fail.
    pub(super) fn failed_since(&self, strand: u64) -> Vec<u64> {
        let strands = self.strands.borrow();
        let moved = strands.get(&strand).map_or(0, |trail| trail.moved);
        let failed = |trail: &Trail| trail.failing && trail.over.as_ref().is_some_and(|(at, _)| *at > moved);
        strands.iter().filter(|(id, trail)| **id != strand && failed(trail)).map(|(id, _)| *id).collect()
    }

    /// The variables at a place, in the order in which they were made.
    pub(super) fn variables(&self, spot: Spot) -> Vec<(String, Dynamic)> {
        self.captured.borrow().get(&spot).cloned().unwrap_or_default()
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// Evaluation has come to a place of a strand.
    fn come(&self, strand: u64, site: &Site, context: &EvalContext<'_, '_, '_, '_, '_, '_>) {
        let now = self.tick();
        let mut strands = self.strands.borrow_mut();
        let trail = strands.entry(strand).or_default();
        trail.count += 1;
        (trail.moved, trail.over, trail.failing) = (now, None, false);
        let spot = (strand, trail.count);
        let (line, column) = (site.line, site.column);
        if let (None, Some(last)) = (&site.function, trail.chain.last_mut()) {
            (last.line, last.column, last.spot) = (line, column, spot);
        } else {
            let function = site.function.as_deref().unwrap_or("script").into();
            let file = context.global_runtime_state().source().unwrap_or_default().into();
            trail.chain.push(At { function, file, line, column, spot });
        }
        if self.wanted.contains(&spot) {
            self.captured.borrow_mut().insert(spot, variables(context));
        }
    }

    /// A function is over.
    fn left(&self, strand: u64, failed: bool) {
        let now = self.tick();
        let mut strands = self.strands.borrow_mut();
        let Some(trail) = strands.get_mut(&strand) else { return };
        // Of an error, the innermost function has been noted already.
        if trail.over.is_none() && (failed || trail.chain.len() == 1) {
            (trail.over, trail.failing) = (Some((now, trail.chain.clone())), failed);
        }
        trail.chain.pop();
    }
}

/// In the order in which they were made, of each name the newest; hidden ones are left out.
fn variables(context: &EvalContext<'_, '_, '_, '_, '_, '_>) -> Vec<(String, Dynamic)> {
    let mut found: Vec<(String, Dynamic)> = Vec::new();
    // The newest come first.
    for (name, _, value) in context.scope().iter_raw() {
        let is_hidden = name.starts_with('\0') || name.contains('$');
        if !is_hidden && !found.iter().any(|(known, _)| known == name) {
            found.push((name.to_owned(), value.clone()));
        }
    }
    found.reverse();
    found
}

fn strand() -> Option<u64> {
    let (session, strand) = session::current()?;
    session.guard.uncount(OPERATIONS);
    Some(strand.id.0)
}

/// Makes the nodes known to a script engine that is used for nothing else.
#[expect(clippy::needless_pass_by_value, reason = "both nodes keep it")]
pub(super) fn install(engine: &mut rhai::Engine, trails: Rc<RefCell<Rc<Trails>>>) {
    let notes = Rc::clone(&trails);
    let here = move |context: &mut EvalContext<'_, '_, '_, '_, '_, '_>, _: &[rhai::Expression<'_>], state: &Dynamic| {
        if let (Some(strand), Some(site)) = (strand(), state.read_lock::<Site>()) {
            memory::uncounted(|| notes.borrow().come(strand, &site, context));
        }
        Ok(Dynamic::UNIT)
    };
    engine.register_custom_syntax_handler(HERE, false, here).expect("a node that leaves the scope as it is");
    let notes = Rc::clone(&trails);
    let body =
        move |context: &mut EvalContext<'_, '_, '_, '_, '_, '_>, inputs: &[rhai::Expression<'_>], state: &Dynamic| {
            let strand = strand();
            if let (Some(strand), Some(site)) = (strand, state.read_lock::<Site>()) {
                memory::uncounted(|| notes.borrow().come(strand, &site, context));
            }
            let result = context.eval_expression_tree(&inputs[0]);
            if let Some(strand) = strand {
                let failed = result.as_ref().is_err_and(|error| !matches!(**error, EvalAltResult::Return(..)));
                memory::uncounted(|| notes.borrow().left(strand, failed));
            }
            result
        };
    engine.register_custom_syntax_handler(BODY, false, body).expect("a node that leaves the scope as it is");
}
