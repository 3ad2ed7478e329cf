//! `panta unlock`: takes a lock from a run that will not give it up; and who stands in line, for `panta why`.

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::audit::act;
use super::client::escaped;
use super::output::{Exit, Fault, json as print_json, line};
use crate::engine::{line_to_json, named};
use crate::id::RunId;
use crate::store::{Applied, Change, SlotState, Store};

/// Frees a lock that a quarantined run holds
#[derive(Args, Debug)]
pub(super) struct Unlock {
    /// The lock, or a full name that `panta why` shows, such as `workflow:orders/invoice`
    name: String,
    /// Also takes it from a run that goes on by itself, which then is not alone any more
    #[arg(long)]
    force: bool,
}

impl Unlock {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let answer = access.unlock(&self.name, self.force).await?;
        if common.json {
            print_json(&answer);
            return Ok(Exit::Done);
        }
        for (field, what) in [("taken_from", "taken from"), ("given_to", "given to")] {
            for run in answer[field].as_array().into_iter().flatten().filter_map(Value::as_str) {
                line(&format!("{what} run {run}"));
            }
        }
        Ok(Exit::Done)
    }
}

impl Access {
    /// Takes a lock from the runs that hold it: `{ taken_from, given_to }`.
    async fn unlock(&self, name: &str, is_forced: bool) -> Result<Value, Fault> {
        let store = match self {
            Self::Daemon(client) => {
                let path = format!("/api/v1/locks/{}/unlock", escaped(name));
                return client.post(&path, &json!({ "force": is_forced }), &[]).await;
            }
            Self::Store(store) => store,
        };
        // No engine runs here, so no run goes on meanwhile; those that would when one starts keep what they hold.
        let slots = named(&**store, name)?;
        let mut held = slots.iter().filter(|slot| slot.state == SlotState::Held).peekable();
        let Some(first) = held.peek().map(|slot| slot.name.clone()) else {
            return Err(Fault::usage(format!("nobody holds the lock `{name}`; hint: `panta why RUN` names it")));
        };
        let held: Vec<_> = held.collect();
        for slot in &held {
            if !is_forced && store.run(slot.run)?.is_some_and(|row| row.status.is_live()) {
                let text = format!("run {} goes on when a daemon starts; hint: cancel it, or give `--force`", slot.run);
                return Err(Fault::new(Exit::Failed, text));
            }
        }
        let details = json!({ "taken_from": held.iter().map(|slot| slot.run).collect::<Vec<_>>(), "force": is_forced });
        let applied = act(store, "lock.unlock", &first, &details, Change::FreeSlots { name: first.clone() })?;
        let Applied::Freed { holders, woken } = applied else { return Ok(json!({})) };
        Ok(json!({ "name": name, "taken_from": holders, "given_to": woken }))
    }

    /// The lines in which a run holds or waits.
    async fn locks(&self, run: RunId) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Daemon(client) => {
                let answer = client.get(&format!("/api/v1/runs/{run}/locks")).await?;
                Ok(answer["locks"].as_array().cloned().unwrap_or_default())
            }
            Self::Store(store) => {
                let mut lines = Vec::new();
                for slot in store.slots_of(run)? {
                    let line = line_to_json(&store.slots(&slot.name)?);
                    lines.push(json!({ "name": &*slot.name, "ticket": &*slot.ticket, "slots": line }));
                }
                Ok(lines)
            }
        }
    }

    /// Of each line in which a run waits: who holds the slots, and its place. And whom to look at.
    pub(super) async fn places(&self, run: RunId) -> Result<(Vec<String>, Vec<String>), Fault> {
        let (mut reasons, mut holders) = (Vec::new(), Vec::new());
        for found in self.locks(run).await? {
            let slots = found["slots"].as_array().cloned().unwrap_or_default();
            let own = slots.iter().find(|slot| slot["run"] == json!(run) && slot["ticket"] == found["ticket"]);
            let Some(place) = own.and_then(|slot| slot["place"].as_i64()).filter(|place| *place > 0) else { continue };
            let name = found["name"].as_str().unwrap_or_default();
            let held = slots.iter().filter(|slot| slot["state"] == "held");
            let held: Vec<_> = held.filter_map(|slot| slot["run"].as_str().map(str::to_owned)).collect();
            let by = if held.is_empty() { "nobody".to_owned() } else { format!("run {}", held.join(", run ")) };
            reasons.push(format!("`{}` is held by {by}; this run is number {place} in line", shown(name)));
            holders.extend(held);
        }
        holders.sort();
        holders.dedup();
        Ok((reasons, holders))
    }
}

/// The name as a person would write it.
fn shown(name: &str) -> &str {
    name.strip_prefix("lock:").unwrap_or(name)
}
