//! What people are told of their tasks: the one place that says it.

use std::sync::Arc;

use super::notification::{About, Notification, TaskOf};
use super::shared::Shared;
use crate::task::{Event, Task};

/// What those are told whose task it is, each with an address that answers as them: when it has opened, and when the moment of
/// this stage has happened.
pub(super) fn announcements(shared: &Shared, task: &Task, stage: Option<u32>) -> Vec<Notification> {
    let happened = match stage {
        None => None,
        Some(stage) => match task.moments.get(stage as usize) {
            Some(moment) => Some(&moment.event),
            None => return Vec::new(),
        },
    };
    let (prefix, to) = match happened {
        None => ("", &task.to),
        Some(Event::Remind) => ("reminder: ", &task.to),
        Some(Event::Escalate { to, .. }) => ("escalated: ", to),
        Some(Event::Expire) => return Vec::new(),
    };
    let people = &shared.options.people;
    let stage = stage.map_or_else(|| "open".to_owned(), |stage| stage.to_string());
    let announcement = |(number, name): (usize, Arc<str>)| Notification {
        id: format!("{}.{stage}.{number}", task.id).into(),
        workflow: Arc::clone(&task.workflow),
        run: task.run,
        about: About::Task,
        title: format!("{prefix}{}", task.title),
        text: text(task),
        at: shared.now(),
        task: Some(TaskOf { task: task.id, person: people.people.contains_key(&name).then(|| Arc::clone(&name)) }),
        count: 1,
        channel: name,
    };
    people.recipients(task, to).into_iter().enumerate().map(announcement).collect()
}

fn text(task: &Task) -> String {
    let due = task.due.map(|due| format!("due {due}"));
    let parts = [Some(task.text.to_string()).filter(|text| !text.is_empty()), due];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}
