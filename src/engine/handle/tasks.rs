//! Tasks, signed addresses and progress, as others see them.

use serde_json::{Value, json};

use super::{Error, Handle};
use crate::audit::Actor;
use crate::engine::channels::Channels;
use crate::engine::links::{Entitled, Links};
use crate::engine::people::{Directory, Given, Refusal};
use crate::id::{RunId, TaskId};
use crate::journal::{Entry, Kind, Phase};
use crate::payload::Payload;
use crate::store::{Applied, Change, PROGRESS, Run, TaskFilter};
use crate::task::{Status, Task};

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Faults(faults) => Self::Answer(faults),
            Refusal::Person(why) => Self::MayNotAnswer(why),
        }
    }
}

impl Handle {
    /// One task.
    pub fn task(&self, task: TaskId) -> Result<Task, Error> {
        self.shared.store.task(task)?.ok_or(Error::UnknownTask(task))
    }

    /// Tasks, newest first.
    pub fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, Error> {
        Ok(self.shared.store.tasks(filter)?)
    }

    /// Whether people have answered in a run, or in one of which it is a copy.
    pub fn has_answers(&self, run: RunId) -> Result<bool, Error> {
        let is_answer = |entry: &Entry| entry.kind == Kind::Task && entry.phase == Phase::Closed;
        Ok(self.journal(run)?.iter().any(is_answer))
    }

    /// Answers a task. Of several answers the one that is durable first counts; the others are told who gave it.
    pub async fn answer(&self, task: TaskId, given: &Given, by: &Actor) -> Result<Task, Error> {
        let row = self.task(task)?;
        if row.status != Status::Open {
            return Err(Error::TaskOver(Box::new(row)));
        }
        let at = self.shared.now();
        let given = self.given_from_outside(given);
        let answer = self.people().judge(&row, &given, at)?;
        // The data stays with the task: what people fill in may be personal, and goes with its run.
        let details = json!({ "run": row.run, "choice": given.choice, "by": answer.to_json()["by"] });
        match self.act(by, "task.answer", task, &details, Change::AnswerTask { task, answer, at }).await? {
            Applied::Task { task, fresh: true } => Ok(*task),
            Applied::Task { task, .. } => Err(Error::TaskOver(task)),
            _ => Err(Error::UnknownTask(task)),
        }
    }

    /// A task as the API shows it, with the address of its page for who is entitled to it.
    pub fn task_json(&self, task: &Task, entitled: Entitled<'_>) -> Value {
        let person = match entitled {
            Entitled::Nobody => return task.to_json(None),
            Entitled::Person(person) => Some(person),
            Entitled::Anybody => None,
        };
        let url = self.links().task(task.id, person).map_err(|problem| tracing::warn!("{problem}")).ok();
        task.to_json(url.as_deref())
    }

    /// The people of the config.
    pub fn people(&self) -> &Directory {
        &self.shared.options.people
    }

    /// The channels of the config.
    pub fn channels(&self) -> &Channels {
        &self.shared.options.channels
    }

    /// Signed addresses.
    pub fn links(&self) -> &Links {
        &self.shared.options.links
    }

    /// How far a run has come, as it said itself: `{"value","text"}`.
    pub fn progress(&self, run: RunId) -> Result<Option<Value>, Error> {
        Ok(self.shared.store.state(PROGRESS, &run.to_string())?.as_ref().map(Payload::to_json))
    }

    /// A run as the API shows it.
    pub fn run_json(&self, run: &Run) -> Result<Value, Error> {
        let mut shown = run.to_json();
        shown["progress"] = self.progress(run.id)?.unwrap_or_default();
        shown["paused"] = crate::engine::holds::held_by(&*self.shared.store, run)?;
        Ok(shown)
    }
}
