//! `workflow::continue_as`: one run ends and the next of the same workflow begins, as one chain.
//!
//! The call is recorded with the id of the next run. Clean-ups run, then the engine writes the end of this run and the
//! start of the next in one transaction; what was taken of the mailbox is handed on.

use rhai::Dynamic;
use serde_json::json;

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::session::{self, Session, encode, hash_arguments};
use crate::id::RunId;
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::replay::{Command, Issued};
use crate::script::fiber::{self, Pause};

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "workflow::continue_as",
    params: &["input: any?"],
    returns: "never",
    nature: Nature::Internal,
    errors: &["invalid"],
    doc: "Ends this run, completed, and starts the same workflow anew in its newest version: one chain with one mailbox, for \
          loops without end. Clean-ups run; branches are cancelled. Refused while compensations are registered or locks are \
          held. Whoever waits for the run waits for the last of the chain.",
    example: "workflow::continue_as(#{ page: 2 })",
    call: continue_as,
    ..Function::BASE
}];

/// The run that goes on in place of the one that has called `workflow::continue_as`.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// The next run.
    pub run: RunId,
    /// Its input.
    pub input: Payload,
}

fn continue_as(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let input = encode(call.function.name, &call.arg(0).cloned().unwrap_or_default())?;
    if let Some(tie) = tie(&session) {
        return Err(call.invalid(tie));
    }
    let arguments = hash_arguments(input.text());
    let command = Command { arguments, ..session::command(Kind::Child, call.function.name, call.line()) };
    strand.must_wait.set(false);
    let issued = session.replay.borrow_mut().issue_now(strand.scope.get(), &command).map_err(|d| session.diverge(d))?;
    let run = match issued {
        Issued::Recorded(entry) => {
            session.took(&entry);
            let outcome = entry.outcome.as_ref().expect("a closed entry has an outcome");
            if outcome.is_err() {
                return session::outcome_value(outcome);
            }
            next_of(&entry).ok_or_else(|| call.invalid("the recorded call names no run"))?
        }
        Issued::Pending { position, .. } => {
            session.face();
            let entry = session.entry(&command, position);
            if let Err(error) = session.world.accepts(&session.facts.workflow, &input) {
                return session.close(entry, Err(error));
            }
            let run = session.world.new_run();
            let detail = Some(Payload::from_json(&json!({ "run": run })));
            session.close(Entry { detail, ..entry }, Ok(Payload::unit())).map(drop)?;
            run
        }
        Issued::Later(_) => unreachable!("what is there at once is never recorded for later"),
    };
    session.continuing.replace(Some(Continuation { run, input }));
    loop {
        // The run ends: this strand is dropped where it stands.
        fiber::suspend(Pause::Waiting);
    }
}

fn next_of(entry: &Entry) -> Option<RunId> {
    entry.detail.as_ref()?.to_json()["run"].as_str()?.parse().ok()
}

/// What this run would leave behind.
fn tie(session: &Session) -> Option<&'static str> {
    if session.holds_lock() {
        return Some("a lock is held, which would be given up; hint: leave the body of `lock` first");
    }
    session.frames.borrow().has_compensations().then_some(
        "compensations are registered, which would be lost; hint: leave the `scope` they belong to, or register none",
    )
}
