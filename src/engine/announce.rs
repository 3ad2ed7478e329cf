//! Telling people of their tasks: the one place that does.

use std::sync::Arc;

use super::shared::Shared;
use super::surroundings::{About, Notification};
use crate::task::{Event, Task};

/// Tells those whose task it is, each with an address that answers as them: when it has opened, and when a moment of it has
/// happened.
pub(super) fn announce(shared: &Shared, task: &Task, happened: Option<&Event>) {
    let (prefix, to) = match happened {
        None => ("", &task.to),
        Some(Event::Remind) => ("reminder: ", &task.to),
        Some(Event::Escalate { to, .. }) => ("escalated: ", to),
        Some(Event::Expire) => return,
    };
    let people = &shared.options.people;
    for name in people.recipients(task, to) {
        let person = people.people.contains_key(&name).then_some(&*name);
        shared.options.notifier.notify(Notification {
            channel: Arc::clone(&name),
            workflow: Arc::clone(&task.workflow),
            run: task.run,
            about: About::Task,
            title: format!("{prefix}{}", task.title),
            text: text(shared, task, person),
        });
    }
}

fn text(shared: &Shared, task: &Task, person: Option<&str>) -> String {
    let due = task.due.map(|due| format!("due {due}"));
    let url = shared.options.links.task(task.id, person).map_err(|problem| tracing::warn!("{problem}")).ok();
    let parts = [Some(task.text.to_string()).filter(|text| !text.is_empty()), due, url];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}
