//! What a start has to pass: `concurrency` and `rate` of a declaration, as the store takes them.

use rhai::Map;
use serde_json::json;

use super::closures::{self, Which};
use super::deploy::Deployed;
use crate::host::declare::Declaration;
use crate::host::rate::interval_us;
use crate::payload::Payload;
use crate::script::value;
use crate::store::{Change, Dedupe, Gate, OnConflict, RateWish, Run, SlotWish};

/// Bytes of a key: it is a key in the store, not data.
const LONGEST: usize = 512;

/// What a declaration says of runs side by side and one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateSpec {
    concurrency: Option<Concurrency>,
    interval_us: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Concurrency {
    has_key: bool,
    limit: u32,
    on_conflict: Conflict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conflict {
    Queue,
    Skip,
    CancelRunning,
}

impl GateSpec {
    /// What was declared; it was checked there.
    pub(super) fn from_declared(declaration: &Declaration) -> Self {
        let interval_us = declaration.rate.as_deref().and_then(interval_us);
        Self { concurrency: declaration.concurrency.as_ref().map(Concurrency::from_declared), interval_us }
    }

    /// Whether a start may be dropped.
    pub(super) fn may_skip(&self) -> bool {
        self.concurrency.as_ref().is_some_and(|concurrency| concurrency.on_conflict == Conflict::Skip)
    }

    /// What a start with this accepted input has to pass. An error is the closure's `key`: what is wrong with it.
    pub(super) fn of(&self, deployed: &Deployed, input: &Payload) -> Result<Option<Box<Gate>>, String> {
        if self.concurrency.is_none() && self.interval_us.is_none() {
            return Ok(None);
        }
        let name = format!("workflow:{}", deployed.name);
        let rate = self.interval_us.map(|interval_us| RateWish { name: name.as_str().into(), interval_us });
        let slot = self.concurrency.as_ref().map(|concurrency| concurrency.wish(deployed, input, &name)).transpose()?;
        Ok(Some(Box::new(Gate { slot, rate })))
    }
}

/// The start of a run for which nobody waits. None, and said in the log, where the closure `key` does not say for what.
pub(super) fn start(deployed: &Deployed, run: Run, dedupe: Option<Dedupe>) -> Option<Change> {
    match deployed.gate.of(deployed, &run.input) {
        Ok(gate) => Some(Change::Start { run: Box::new(run), dedupe, gate }),
        Err(problem) => {
            tracing::warn!("workflow `{}` was not started: {problem}", deployed.name);
            None
        }
    }
}

impl Concurrency {
    fn from_declared(map: &Map) -> Self {
        let text = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
        let limit = map.get("limit").and_then(|limit| limit.as_int().ok()).unwrap_or(1);
        let on_conflict = match text("on_conflict").as_str() {
            "skip" => Conflict::Skip,
            "cancel_running" => Conflict::CancelRunning,
            _ => Conflict::Queue,
        };
        let has_key = map.get("key").is_some_and(|key| !key.is_unit());
        Self { has_key, limit: u32::try_from(limit).unwrap_or(u32::MAX), on_conflict }
    }

    fn wish(&self, deployed: &Deployed, input: &Payload, name: &str) -> Result<SlotWish, String> {
        let name = if self.has_key { format!("{name}:{}", key(deployed, input)?) } else { name.to_owned() };
        let on_conflict = match self.on_conflict {
            Conflict::Queue => OnConflict::Queue,
            Conflict::Skip => OnConflict::Skip,
            Conflict::CancelRunning => {
                let message = format!("a newer run of `{}` takes its place", deployed.name);
                OnConflict::Cancel(Payload::from_json(&json!({ "kind": "cancelled", "message": message })))
            }
        };
        Ok(SlotWish { name: name.into(), limit: self.limit, on_conflict })
    }
}

/// The key of an input, as text: what is no text is JSON.
fn key(deployed: &Deployed, input: &Payload) -> Result<String, String> {
    let told = |problem: String| format!("`concurrency.key` of workflow `{}`: {problem}", deployed.name);
    let found = closures::call(deployed, Which::Concurrency, vec![value::decode(input)]).map_err(told)?;
    let key = if found.is_string() {
        found.to_string()
    } else {
        value::encode(&found).map_err(|error| told(error.to_string()))?.text().to_owned()
    };
    if key.len() > LONGEST {
        return Err(told(format!("a key has at most {LONGEST} bytes, this one has {}", key.len())));
    }
    Ok(key)
}
