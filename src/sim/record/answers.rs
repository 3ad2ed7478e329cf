//! What the calls of recorded runs were answered, by their places.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rhai::{Dynamic, Map};

use crate::engine::recording::Recording;
use crate::host::session::Called;
use crate::journal::{Entry, Kind, Outcome, Phase};
use crate::script::literal::{WHOLE, literal, quoted};
use crate::script::value;
use crate::sim::book::Hung;
use crate::sim::raised;

/// A run of the recording, by its number; the position; the attempt.
type Spot = (usize, String, u32);

/// Fields of an error that say where it was thrown: the test finds them anew.
const PLACE: &[&str] = &["step", "attempt", "line", "column", "file", "calls"];

/// An answer, for the rehearsal and as the text of a test.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: Dynamic,
    pub(super) text: String,
}

/// All answers, and those that were given so far.
pub(super) struct Answers {
    recorded: BTreeMap<Spot, Outcome>,
    /// By function, in the order of the calls.
    pub(super) given: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Answers {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut recorded = BTreeMap::new();
        for (number, run) in recording.0.iter().enumerate() {
            for entry in run.journal.iter().filter(|entry| entry.kind == Kind::Effect) {
                recorded.extend(
                    outcome(entry).map(|(attempt, outcome)| ((number, entry.position.to_string(), attempt), outcome)),
                );
            }
        }
        Self { recorded, given: RefCell::default() }
    }

    /// The answer to a call of a run; one that never came where nothing is recorded.
    pub(super) fn to(&self, run: usize, position: &str, called: &Called) -> Dynamic {
        let outcome = self.recorded.get(&(run, position.to_owned(), called.attempt));
        let given = outcome.map_or_else(hung, given);
        self.given.borrow_mut().entry(called.function.to_string()).or_default().push(given.text);
        given.value
    }
}

/// What an entry says of an attempt.
fn outcome(entry: &Entry) -> Option<(u32, Outcome)> {
    match (entry.phase, &entry.outcome, &entry.detail) {
        (Phase::Closed, Some(Err(error)), _) => {
            // It was the last attempt: a request that may have been sent is not sent again.
            let mut map = value::decode(error).try_cast::<Map>().unwrap_or_default();
            if map.get("kind").is_some_and(|kind| kind.to_string() == "network") {
                map.insert("sent".into(), true.into());
            }
            Some((entry.attempt, Err(value::encode(&map.into()).unwrap_or_else(|_| error.clone()))))
        }
        (Phase::Closed, Some(outcome), _) => Some((entry.attempt, outcome.clone())),
        // The attempt before failed.
        (Phase::Opened, _, Some(error)) if entry.due.is_some() && entry.attempt > 1 => {
            Some((entry.attempt - 1, Err(error.clone())))
        }
        _ => None,
    }
}

fn hung() -> Given {
    Given { value: Dynamic::from(Hung), text: "test::hang()".to_owned() }
}

fn given(outcome: &Outcome) -> Given {
    match outcome {
        Ok(payload) => {
            let value = value::decode(payload);
            let text = literal(&value, WHOLE);
            Given { value, text }
        }
        Err(payload) => {
            let mut fields = value::decode(payload).try_cast::<Map>().unwrap_or_default();
            let kind = fields.remove("kind").map(|kind| kind.to_string()).unwrap_or_default();
            fields.retain(|key, _| !PLACE.contains(&key.as_str()));
            let text = format!("test::error({}, {})", quoted(&kind), literal(&fields.clone().into(), WHOLE));
            Given { value: Dynamic::from(raised::error(&kind, fields)), text }
        }
    }
}
