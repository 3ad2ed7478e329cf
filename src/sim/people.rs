//! Tasks of a test: what is open, and answers.

use std::cell::Cell;

use rhai::{Dynamic, Map};

use super::broken::{Broken, MISUSE};
use super::case::{Case, Did, json, store_broke};
use crate::engine::people::Given;
use crate::engine::{Error, Notification, Notifier};
use crate::host::schema::Texts;
use crate::payload::Payload;
use crate::script::value;
use crate::store::{Store, TaskFilter};
use crate::task::{Status, Task};

/// Tells nobody: people are no part of a test.
pub(super) struct Nobody;

impl Notifier for Nobody {
    fn notify(&self, _: Notification) {}
}

impl Case {
    /// Open tasks, the oldest first.
    pub(super) fn tasks(&self) -> Did<Vec<Task>> {
        let filter = TaskFilter { status: Some(Status::Open), limit: usize::MAX, ..TaskFilter::default() };
        let mut tasks = Store::tasks(&*self.store, &filter).map_err(|error| store_broke(&error))?;
        tasks.reverse();
        Ok(tasks)
    }

    /// Answers the open task of this number, from 0: `#{ choice, data, by, note }`.
    pub(super) fn answer(&self, index: i64, answer: &Map) -> Did<()> {
        let tasks = self.tasks()?;
        let task = usize::try_from(index).ok().and_then(|index| tasks.get(index)).ok_or_else(|| {
            let open = match tasks.len() {
                0 => "no task is open".to_owned(),
                1 => "one task is open".to_owned(),
                n => format!("{n} tasks are open"),
            };
            Broken::new(MISUSE, format!("there is no task {index}: {open}")).hint("`t.tasks()` lists them, from 0")
        })?;
        let known = ["choice", "data", "by", "note"];
        if let Some(unknown) = answer.keys().find(|key| !known.contains(&key.as_str())) {
            let broken = Broken::new(MISUSE, format!("an answer has no `{unknown}`"));
            return Err(broken.hint("it is `#{ choice, data, by, note }`"));
        }
        let text = |key: &str| answer.get(key).filter(|value| !value.is_unit()).map(ToString::to_string);
        let data = json("answer", &answer.get("data").cloned().unwrap_or(Dynamic::UNIT))?;
        let given = Given { choice: text("choice"), data, by: text("by"), note: text("note"), texts: Texts::Strict };
        let tries = Cell::new(0);
        let id = task.id;
        let done = self.act(|engine| {
            tries.set(tries.get() + 1);
            let handle = engine.handle().clone();
            match engine.call(async { handle.answer(id, &given, &crate::audit::Actor::LOCAL).await }) {
                // Taken before the process died.
                Err(Error::TaskOver(..)) if tries.get() > 1 => Ok(()),
                done => done.map(drop),
            }
        })?;
        done.map_err(|error| Self::refused(&error))
    }
}

/// A task as a test sees it: as the API shows it.
pub(super) fn shown(task: &Task) -> Dynamic {
    value::decode(&Payload::from_json(&task.to_json(None)))
}
