//! Which call issued a command that is recorded: a journal keeps its line, and the version that it is of has the sources.
//!
//! The version that recorded is evaluated on its own journal, in which that one command is made another: it stops there, and
//! says by which call.

use std::sync::Arc;
use std::time::Duration;

use super::{Candidate, Verdict, candidate};
use crate::engine::programs;
use crate::engine::semantics::Semantics;
use crate::journal::Entry;
use crate::replay::{Divergence, Site};
use crate::script::bundle::Bundle;
use crate::store::Run;

/// The name of no command: names of functions, steps and events are printable.
const NOBODY: &str = "\u{0}";

/// The call that issued what is recorded where a run diverges. `None`: it does not matter, since the version has one file,
/// or there is no telling. Takes as long as the script computes, `patience` at most; no fiber may be running on this thread.
pub(in crate::engine) fn recorder(
    run: &Run,
    mut journal: Vec<Entry>,
    bundle: &Bundle,
    divergence: &Divergence,
    semantics: &Semantics,
    patience: Duration,
) -> Option<Site> {
    let at = divergence.recorded_at.as_ref()?;
    if bundle.sources.len() < 2 {
        return None;
    }
    let of_it = journal.iter_mut().filter(|entry| entry.position == *at);
    of_it.for_each(|entry| entry.name = Arc::from(NOBODY));
    let candidate: std::rc::Rc<Candidate> = candidate(bundle, &programs::fixed(&run.settings), semantics).ok()?;
    match candidate.play(run, journal, patience) {
        Verdict::Diverges(found) if found.position == *at => found.attempted_by.map(|site| *site),
        _ => None,
    }
}
