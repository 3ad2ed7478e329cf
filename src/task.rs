//! A question to a person, as data: what it asks, whom, until when, and what becomes of it by itself.
//!
//! A task is open until it is answered, its time is over, or nobody waits for it any more. What happens to an open task
//! by itself (reminders, escalations, its end) is planned when it opens, as [`Moment`]s in order; [`Task::stage`] counts
//! those that have happened. Knows no store, no people and no clock.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::{RunId, TaskId};
use crate::payload::Payload;
use crate::time::Timestamp;

/// Where a task stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It can be answered.
    Open,
    /// It was answered.
    Answered,
    /// Its time was over before anybody answered.
    Expired,
    /// Nobody waits for it any more: its run ended, a branch lost, a timeout was over.
    Cancelled,
}

impl Status {
    /// All, in the order of their numbers in the store.
    pub const ALL: [Self; 4] = [Self::Open, Self::Answered, Self::Expired, Self::Cancelled];

    /// The name that commands, the API and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// What happens to an open task by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Those who can answer are told again.
    Remind,
    /// From now on it is these people's task, too, and it is due later.
    Escalate {
        /// People and groups.
        to: Vec<Arc<str>>,
        /// The new end; `None`: it has none.
        due: Option<Timestamp>,
    },
    /// Its time is over.
    Expire,
}

/// When something happens to an open task by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// A task.
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// Its identity.
    pub id: TaskId,
    /// The run that waits for the answer.
    pub run: RunId,
    /// Its workflow.
    pub workflow: Arc<str>,
    /// One line.
    pub title: Arc<str>,
    /// Some lines; may be empty.
    pub text: Arc<str>,
    /// People and groups whose task it is; empty: anybody's.
    pub to: Vec<Arc<str>>,
    /// People and groups who must not answer, in whatever way.
    pub except: Vec<Arc<str>>,
    /// The JSON Schema of the answer's data.
    pub form: Option<Payload>,
    /// The answer's choice is one of these; empty: any text, or none.
    pub choices: Vec<Arc<str>>,
    /// When it opened.
    pub opened_at: Timestamp,
    /// Until when it is to be answered, as things stand.
    pub due: Option<Timestamp>,
    /// What happens by itself, in order.
    pub moments: Vec<Moment>,
    /// How many of the moments have happened.
    pub stage: u32,
    /// Where it stands.
    pub status: Status,
    /// `#{ choice, data, by, at }`, once answered; `note` where one was given.
    pub answer: Option<Payload>,
    /// When it was answered or closed.
    pub ended_at: Option<Timestamp>,
}

/// An escalation as asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Escalation {
    /// When.
    pub at: Timestamp,
    /// Whose task it is from then on, too.
    pub to: Vec<Arc<str>>,
}

/// When a task is due, and what leads to that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The first end.
    pub due: Option<Timestamp>,
    /// So long before each end, those who can answer are reminded.
    pub remind: Option<Duration>,
    /// In any order.
    pub escalate: Vec<Escalation>,
}

impl Plan {
    /// What happens by itself to a task that opens then. Each escalation gives the task its whole time once more, from the
    /// escalation on, but never less than it had; before each end there is a reminder, where there is time for one; the last
    /// end is the end of the task.
    pub fn moments(mut self, opened_at: Timestamp) -> Vec<Moment> {
        self.escalate.sort_by_key(|escalation| escalation.at);
        let whole = self.due.map(|due| due.since(opened_at));
        let (mut from, mut due) = (opened_at, self.due);
        let mut moments = Vec::new();
        for Escalation { at, to } in self.escalate {
            moments.extend(reminder(self.remind, due, from, at));
            let later = whole.map(|whole| at.plus(whole));
            (from, due) = (at, due.max(later));
            moments.push(Moment { at, event: Event::Escalate { to, due } });
        }
        if let Some(due) = due {
            moments.extend(reminder(self.remind, Some(due), from, due));
            moments.push(Moment { at: due, event: Event::Expire });
        }
        moments
    }
}

/// The reminder before an end, if it falls between two times.
fn reminder(remind: Option<Duration>, due: Option<Timestamp>, from: Timestamp, until: Timestamp) -> Option<Moment> {
    let before = i64::try_from(remind?.as_millis()).unwrap_or(i64::MAX);
    let at = Timestamp(due?.0.saturating_sub(before));
    (at > from && at < until).then_some(Moment { at, event: Event::Remind })
}

impl Task {
    /// The next thing that happens to it by itself.
    pub fn next(&self) -> Option<&Moment> {
        self.moments.get(self.stage as usize).filter(|_| self.status == Status::Open)
    }

    /// The moment of a stage happens, where it is the next one; whether it did. The end closes the task.
    pub fn pass(&mut self, stage: u32) -> bool {
        if self.stage != stage {
            return false;
        }
        let Some(Moment { at, event }) = self.next().cloned() else { return false };
        self.stage += 1;
        match event {
            Event::Remind => {}
            Event::Escalate { to, due } => {
                for name in to {
                    if !self.to.is_empty() && !self.to.contains(&name) {
                        self.to.push(name);
                    }
                }
                self.due = due;
            }
            Event::Expire => self.close(Status::Expired, at),
        }
        true
    }

    /// All whose task it is or may become.
    pub fn everybody(&self) -> Vec<Arc<str>> {
        let later = self.moments.iter().filter_map(|moment| match &moment.event {
            Event::Escalate { to, .. } => Some(to),
            _ => None,
        });
        self.to.iter().chain(later.flatten()).cloned().collect()
    }

    /// It is over.
    pub fn close(&mut self, status: Status, at: Timestamp) {
        self.status = status;
        self.ended_at = Some(at);
    }

    /// The task as the API shows it; `url` is where a person can answer it.
    pub fn to_json(&self, url: Option<&str>) -> Value {
        let names = |names: &[Arc<str>]| names.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>();
        json!({
            "task": self.id, "run": self.run, "workflow": &*self.workflow, "title": &*self.title, "text": &*self.text,
            "to": names(&self.to), "except": names(&self.except),
            "form": self.form.as_ref().map(Payload::to_json), "choices": names(&self.choices), "due": self.due,
            "status": self.status, "url": url, "answer": self.answer.as_ref().map(Payload::to_json),
            "opened_at": self.opened_at, "ended_at": self.ended_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn plan(due: i64, remind: u64, escalate: &[i64]) -> Vec<(i64, char)> {
        let hours = |n: i64| Timestamp(n * HOUR);
        let plan = Plan {
            due: (due > 0).then(|| hours(due)),
            remind: (remind > 0).then(|| Duration::from_hours(remind)),
            escalate: escalate.iter().map(|at| Escalation { at: hours(*at), to: vec!["cfo".into()] }).collect(),
        };
        let mark = |event: &Event| match event {
            Event::Remind => 'r',
            Event::Escalate { .. } => 'e',
            Event::Expire => 'x',
        };
        plan.moments(Timestamp(0)).iter().map(|moment| (moment.at.0 / HOUR, mark(&moment.event))).collect()
    }

    #[test]
    fn each_escalation_gives_the_whole_time_again() {
        assert_eq!(plan(0, 0, &[]), []);
        assert_eq!(plan(48, 0, &[]), [(48, 'x')]);
        assert_eq!(plan(48, 24, &[48]), [(24, 'r'), (48, 'e'), (72, 'r'), (96, 'x')]);
        assert_eq!(plan(48, 0, &[72, 24]), [(24, 'e'), (72, 'e'), (120, 'x')]);
        assert_eq!(plan(48, 60, &[72]), [(72, 'e'), (120, 'x')]);
        assert_eq!(plan(0, 0, &[5]), [(5, 'e')]);
    }
}
