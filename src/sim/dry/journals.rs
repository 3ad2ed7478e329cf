//! Journals of a dry run as they grow: what is new in them, in the order in which it happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::timeline::Timeline;
use crate::engine::Error;
use crate::id::RunId;
use crate::journal::{Entry, Kind, Phase, decode_segment};
use crate::store::memory::Memory;
use crate::store::{RunFilter, Store};

/// Entries that are not in the timeline yet, by run, the oldest run first.
type New = BTreeMap<RunId, (Arc<str>, VecDeque<Entry>)>;

#[derive(Default)]
pub(super) struct Journals {
    /// Segments that were read.
    read: BTreeMap<RunId, usize>,
    /// Runs that others wait for, by the place of the wait.
    children: BTreeMap<(RunId, String), RunId>,
}

impl Journals {
    /// Takes what is new into the timeline.
    pub(super) fn read(&mut self, store: &Memory, timeline: &mut Timeline) -> Result<(), Error> {
        let mut new = New::new();
        for run in store.runs(&RunFilter { limit: usize::MAX, ..RunFilter::default() })? {
            let from = self.read.entry(run.id).or_default();
            let segments = store.journal(run.id)?;
            let mut entries = VecDeque::new();
            for segment in segments.iter().skip(*from) {
                entries.extend(decode_segment(segment)?.1);
            }
            *from = segments.len();
            if !entries.is_empty() {
                new.insert(run.id, (run.workflow, entries));
            }
        }
        while let Some(first) = new.keys().next().copied() {
            self.tell(store, timeline, &mut new, first)?;
        }
        Ok(())
    }

    /// What is new of a run; what a run did that it waited for comes before the end of that wait.
    fn tell(&mut self, store: &Memory, timeline: &mut Timeline, new: &mut New, run: RunId) -> Result<(), Error> {
        let Some((workflow, entries)) = new.remove(&run) else { return Ok(()) };
        for entry in entries {
            let place = (run, entry.position.to_string());
            if entry.kind == Kind::Child && entry.phase == Phase::Opened {
                let child = entry.detail.as_ref().and_then(|detail| detail.to_json()["run"].as_str()?.parse().ok());
                self.children.extend(child.map(|child| (place, child)));
                continue;
            }
            if let Some(child) = self.children.get(&place).copied().filter(|_| entry.kind == Kind::Child) {
                self.tell(store, timeline, new, child)?;
            }
            let emitted =
                if entry.kind == Kind::Event && &*entry.name == "event::emit" { emitted(store, &entry)? } else { None };
            timeline.take(run, &workflow, &entry, emitted);
        }
        Ok(())
    }
}

/// Name and payload of the event that an entry emitted.
fn emitted(store: &Memory, entry: &Entry) -> Result<Option<Vec<Value>>, Error> {
    let Some(Ok(id)) = &entry.outcome else { return Ok(None) };
    let id = id.to_json();
    let events = store.events(0, usize::MAX)?;
    let event = events.iter().rev().find(|event| id.as_str() == Some(&*event.id));
    Ok(event.map(|event| vec![Value::from(&*event.name), event.payload.to_json()]))
}
