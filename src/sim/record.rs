//! `panta record`: a finished run, written as a test.
//!
//! The run is *rehearsed* first: the engine of tests evaluates it in virtual time, each call is answered with what the
//! journal has at its place, and what came from outside (events, answers of people, time) comes in the order of the journal.
//! What was done then, and which answers were given in which order, is what the test says; so it passes as it is written.

mod answers;
mod rehearsal;
mod write;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::broken::Broken;
use super::site::{Folder, Site};
use crate::engine::Tools;
use crate::engine::recording::{Recorded, Recording};
use crate::journal::Repair;
use crate::script::bundle::Stdlib;
use rehearsal::{Rehearsal, Setting};

/// Why no test can be written from a run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// It has not ended.
    #[error(
        "the run has not ended (it is `{0}`), so there is no test to write yet; hint: `panta why RUN` says what it waits for"
    )]
    Open(&'static str),
    /// It would not go as it went.
    #[error("the run cannot be written as a test: {0}")]
    Cannot(String),
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        let hint = broken.hint.map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        let text = broken.text.map(|text| format!(" ({text})")).unwrap_or_default();
        Self::Cannot(format!("{}{text}{hint}", broken.title))
    }
}

/// The text of the test file. It holds no secret: words stand in their place.
pub fn record(recording: &Recording, stdlib: Stdlib) -> Result<String, Error> {
    let run = &recording.0[0];
    if !run.status.is_final() {
        return Err(Error::Open(run.status.name()));
    }
    if run.continued_as.is_some() {
        let hint = "record the last run of the chain, which `panta runs` shows";
        return Err(Error::Cannot(format!("it goes on as another run (`workflow::continue_as`); hint: {hint}")));
    }
    if let Some(done) = recording.0.iter().find_map(set_by_hand) {
        let hint = "record a run that went by itself, or write the test by hand with `t.mock_step(name, value)`";
        return Err(Error::Cannot(format!("the outcome of a step was set by hand (`{done}`); hint: {hint}")));
    }
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for recorded in recording.0.iter().rev() {
        sources.extend(recorded.bundle.sources.iter().map(|(path, source)| (path.clone(), source.text.to_string())));
    }
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib });
    let site = Rc::new(Site::new(folder, Tools::new()));
    let mut setting = Setting::of(recording);
    // What was kept before is not in the journal: it is found by what came of it.
    let first = Rehearsal::play(recording, &site, &setting)?;
    let rehearsal = match first.kept(recording) {
        kept if kept.is_empty() => first,
        kept => {
            setting.state = kept;
            Rehearsal::play(recording, &site, &setting)?
        }
    };
    rehearsal.check(run)?;
    Ok(write::test(run, &setting, &rehearsal))
}

/// The repair that gave a step of a run its outcome: no test could come to it.
fn set_by_hand(recorded: &Recorded) -> Option<&'static str> {
    let mut repairs = recorded.journal.iter().filter_map(Repair::from_entry);
    repairs.find(|repair| repair.result.is_some()).map(|repair| repair.done.name())
}

#[cfg(test)]
mod tests;
