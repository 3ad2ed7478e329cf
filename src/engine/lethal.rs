//! What is no run, and killed the process while it was evaluated: closures of declarations, trials of the gate, replays.
//!
//! Its deaths are durable, under a hash of its name. After some it is not evaluated any more: a closure three times, for its
//! trigger is paused then; a trial or a replay twice, since it runs beside all else and drags others along. What a file says
//! anew is something else, and after a day it may try again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::json;

use super::closures::Which;
use super::deploy::Deployed;
use super::log::Item;
use super::shared::{Shared, held};
use super::witness::{Evaluated, Standing, Watched};
use crate::id::{RunId, Version};
use crate::payload::Payload;
use crate::store::{Change, Store};
use crate::time::{Clock, Timestamp, parse_time};

/// Where deaths are kept.
const SCOPE: &str = "$deaths";
/// Deaths further apart are not counted together, and the last one is forgotten then.
const MEMORY: Duration = Duration::from_hours(24);
/// Deaths of a closure that are put up with.
const CLOSURE_MOST: u32 = 3;
/// Of a trial or a replay. One less than a run is given: a run that was noted beside each of them is not quarantined for it.
const ASIDE_MOST: u32 = 2;

/// How often the process died of something.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Deaths {
    count: u32,
    at: Timestamp,
    cause: String,
}

impl Deaths {
    fn from_payload(payload: &Payload) -> Option<Self> {
        let kept = payload.to_json();
        let count = u32::try_from(kept["count"].as_u64()?).ok()?;
        let at = parse_time(kept["at"].as_str()?).ok()?;
        Some(Self { count, at, cause: kept["cause"].as_str()?.to_owned() })
    }

    fn to_payload(&self) -> Payload {
        Payload::from_json(&json!({ "count": self.count, "at": self.at, "cause": self.cause }))
    }

    fn counts(&self, now: Timestamp) -> bool {
        now.since(self.at) < MEMORY
    }

    fn said(&self, most: u32) -> String {
        format!("the process died {} of {most} times while it was evaluated ({} in the end)", self.count, self.cause)
    }
}

/// What is known of such deaths.
#[derive(Default)]
pub(super) struct Lethal(Mutex<HashMap<Evaluated, Deaths>>);

/// What a deployed workflow has of the engine that knows it.
#[derive(Clone, Default)]
pub(super) struct Ward(Weak<Shared>);

impl Ward {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.0.upgrade()
    }
}

impl fmt::Debug for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ward")
    }
}

/// Charges one death. Durable when this returns.
pub(super) fn charge(
    store: &dyn Store,
    what: Evaluated,
    cause: &str,
    clock: &dyn Clock,
) -> Result<(), crate::store::Error> {
    let (key, now): (Arc<str>, _) = (what.0.to_string().into(), clock.now());
    let before = store.state(SCOPE, &key)?.and_then(|kept| Deaths::from_payload(&kept));
    let count = before.filter(|before| before.counts(now)).map_or(0, |before| before.count) + 1;
    let deaths = Deaths { count, at: now, cause: cause.to_owned() };
    store.commit(&[Change::SetState { scope: SCOPE.into(), key, value: Some(deaths.to_payload()) }])?;
    Ok(())
}

fn of_closure(workflow: &str, version: &Version, which: &Which) -> Evaluated {
    Evaluated::named(&format!("closure {workflow} {version} {which}"))
}

fn of_trial(workflow: &str, version: &Version) -> Evaluated {
    Evaluated::named(&format!("trial {workflow} {version}"))
}

fn of_replay(run: RunId) -> Evaluated {
    Evaluated::named(&format!("replay {run}"))
}

impl Lethal {
    /// Takes over what the store has; what is too old goes.
    pub(super) fn load(shared: &Shared) {
        let kept = shared.store.states(SCOPE, "").unwrap_or_else(|error| {
            tracing::warn!("what the process died of cannot be read: {error}");
            Vec::new()
        });
        let mut known = held(&shared.lethal.0);
        for (key, kept) in kept {
            let deaths = Deaths::from_payload(&kept).filter(|deaths| deaths.counts(shared.now()));
            if let (Ok(id), Some(deaths)) = (uuid::Uuid::parse_str(&key), deaths) {
                known.insert(Evaluated(id), deaths);
            } else {
                let forget = Change::SetState { scope: SCOPE.into(), key, value: None };
                shared.log.send(Item { changes: vec![forget], done: None });
            }
        }
    }

    fn of(&self, what: Evaluated, now: Timestamp) -> Option<Deaths> {
        held(&self.0).get(&what).filter(|deaths| deaths.counts(now)).cloned()
    }
}

impl Shared {
    /// To be held while a closure is called; an error: it is not called any more.
    pub(super) fn calling(
        &self,
        workflow: &str,
        version: &Version,
        which: &Which,
    ) -> Result<Option<Watched<'_>>, String> {
        if self.options.witness.is_none() {
            return Ok(None);
        }
        let what = of_closure(workflow, version, which);
        let deaths = self.lethal.of(what, self.now());
        match deaths.as_ref().filter(|deaths| deaths.count >= CLOSURE_MOST) {
            Some(deaths) => Err(format!(
                "{}; it is not called for a day, or until the file changes; hint: it takes more stack or memory than there is",
                deaths.said(CLOSURE_MOST)
            )),
            None => Ok(self.watched_beside(what, Standing::of(deaths.map_or(0, |deaths| deaths.count)))),
        }
    }

    /// To be held while recorded runs are tried on a version; an error: that is not done any more.
    pub(super) fn trying(&self, workflow: &str, version: &Version) -> Result<Option<Watched<'_>>, String> {
        let refuse = |said| {
            format!(
                "{said}; recorded runs are not tried on this version for a day; hint: it takes more stack or memory than there is"
            )
        };
        self.aside_of(of_trial(workflow, version)).map_err(refuse)
    }

    /// To be held while a run is evaluated again for somebody who looks; an error: that is not done any more.
    pub(super) fn replaying(&self, run: RunId) -> Result<Option<Watched<'_>>, String> {
        let refuse = |said| {
            format!("{said}; the run is not replayed for a day; hint: `panta show {run}` shows its journal without")
        };
        self.aside_of(of_replay(run)).map_err(refuse)
    }

    fn aside_of(&self, what: Evaluated) -> Result<Option<Watched<'_>>, String> {
        if self.options.witness.is_none() {
            return Ok(None);
        }
        match self.lethal.of(what, self.now()).filter(|deaths| deaths.count >= ASIDE_MOST) {
            Some(deaths) => Err(deaths.said(ASIDE_MOST)),
            None => Ok(self.watched_aside(what)),
        }
    }

    /// What of a workflow's declaration is not called any more: the trigger it belongs to (`None`: the workflow itself), the
    /// option, and why.
    pub(super) fn paused_closures(&self, deployed: &Deployed) -> Vec<(Option<String>, &'static str, String)> {
        let now = self.now();
        let why = |which: &Which| {
            let deaths = self.lethal.of(of_closure(&deployed.name, deployed.version(), which), now)?;
            (deaths.count >= CLOSURE_MOST).then(|| deaths.said(CLOSURE_MOST))
        };
        let of_triggers = deployed.triggers.iter().flat_map(|spec| {
            let options = ["when", "input", "dedupe"].into_iter();
            options.map(|option| (Some(spec.id.clone()), option, Which::Trigger { id: spec.id.clone(), option }))
        });
        let all = of_triggers.chain([(None, "concurrency.key", Which::Concurrency)]);
        all.filter_map(|(id, option, which)| Some((id, option, why(&which)?))).collect()
    }

    /// Says in the log of which closures the process died, once the workflows are known.
    pub(super) fn tell_of_lethal(&self) {
        if held(&self.lethal.0).is_empty() {
            return;
        }
        let all: Vec<_> =
            self.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect();
        for deployed in all {
            for (trigger, option, why) in self.paused_closures(&deployed) {
                let of = trigger.map_or_else(String::new, |id| format!(" of {id}"));
                tracing::error!(
                    workflow = &*deployed.name,
                    "`{option}`{of} is paused: {why}; hint: change it, and save"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;
    use crate::time::SystemClock;

    #[test]
    fn deaths_of_one_thing_are_counted_within_a_day() {
        let (store, what) = (Memory::default(), Evaluated::named("closure"));
        let count = || Deaths::from_payload(&store.state(SCOPE, &what.0.to_string()).unwrap().unwrap()).unwrap().count;
        (0..2).for_each(|_| charge(&store, what, "SIGABRT", &SystemClock).unwrap());
        charge(&store, Evaluated::named("other"), "SIGABRT", &SystemClock).unwrap();
        assert_eq!((count(), what.run()), (2, None));
        let long_ago = Deaths { count: 2, at: SystemClock.now().minus(MEMORY), cause: String::new() };
        let (scope, key) = (SCOPE.into(), what.0.to_string().into());
        store.commit(&[Change::SetState { scope, key, value: Some(long_ago.to_payload()) }]).unwrap();
        charge(&store, what, "SIGABRT", &SystemClock).unwrap();
        assert_eq!(count(), 1);
    }
}
