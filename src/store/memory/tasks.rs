//! Tasks in memory.

use super::super::{Applied, TaskFilter};
use super::State;
use crate::id::{RunId, TaskId};
use crate::payload::Payload;
use crate::task::{Status, Task};
use crate::time::Timestamp;

impl State {
    pub(super) fn open_task(&mut self, epoch: u64, task: &Task) -> Applied {
        if self.claimed(task.run, epoch).is_none() {
            return Applied::Refused;
        }
        let fresh = !self.tasks.contains_key(&task.id);
        let task = self.tasks.entry(task.id).or_insert_with(|| task.clone());
        Applied::Task { task: Box::new(task.clone()), fresh }
    }

    /// Changes an open task, and makes its run ready where it is over then.
    fn change_task(&mut self, id: TaskId, change: impl FnOnce(&mut Task) -> bool) -> Applied {
        let Some(task) = self.tasks.get_mut(&id) else { return Applied::Refused };
        let fresh = task.status == Status::Open && change(task);
        let task = task.clone();
        if fresh && task.status != Status::Open {
            self.wake(task.run);
        }
        Applied::Task { task: Box::new(task), fresh }
    }

    pub(super) fn answer_task(&mut self, id: TaskId, answer: &Payload, at: Timestamp) -> Applied {
        self.change_task(id, |task| {
            task.answer = Some(answer.clone());
            task.close(Status::Answered, at);
            true
        })
    }

    pub(super) fn close_task(&mut self, id: TaskId, at: Timestamp) -> Applied {
        self.change_task(id, |task| {
            task.close(Status::Cancelled, at);
            true
        })
    }

    pub(super) fn escalate_task(&mut self, id: TaskId, stage: u32) -> Applied {
        self.change_task(id, |task| task.pass(stage))
    }

    pub(super) fn task_is_over(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|task| task.status != Status::Open)
    }

    pub(super) fn close_tasks_of(&mut self, run: RunId, at: Timestamp) {
        for task in self.tasks.values_mut().filter(|task| task.run == run && task.status == Status::Open) {
            task.close(Status::Cancelled, at);
        }
    }

    pub(super) fn tasks_of(&self, filter: &TaskFilter) -> Vec<Task> {
        let fits = |task: &&Task| {
            filter.status.is_none_or(|status| task.status == status)
                && (filter.to.is_empty() || task.to.is_empty() || task.to.iter().any(|name| filter.to.contains(name)))
                && filter.workflow.as_deref().is_none_or(|workflow| *task.workflow == *workflow)
                && filter.run.is_none_or(|run| task.run == run)
                && filter.before.is_none_or(|before| (task.opened_at, task.id) < before)
        };
        let mut found: Vec<_> = self.tasks.values().filter(fits).cloned().collect();
        found.sort_by_key(|task| std::cmp::Reverse((task.opened_at, task.id)));
        found.truncate(filter.limit);
        found
    }
}
