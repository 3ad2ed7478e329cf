//! People, their groups and substitutes, and what that says of a task: whose it is, and who may answer it.
//!
//! A person may answer a task that is theirs by name or group, or that is of somebody for whom they stand in. Who is excepted
//! answers in no way, neither as a substitute nor through one. Where no people are configured, anybody answers, under any
//! name but an excepted one. Owns no state; the config makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::host::schema::{Fault, Schema, Texts};
use crate::payload::Payload;
use crate::task::Task;
use crate::time::Timestamp;

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// Where to write to; also a name by which the person is known.
    pub email: Option<String>,
    /// Groups that they belong to.
    pub groups: Vec<Arc<str>>,
    /// Who may answer in their place.
    pub substitute: Option<Arc<str>>,
}

/// All people, by name. Groups are what people name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Directory {
    /// By name.
    pub people: BTreeMap<Arc<str>, Person>,
}

/// An answer as it was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// One of the choices, or any text where there are none.
    pub choice: Option<String>,
    /// What the form asks for.
    pub data: Value,
    /// Who answers.
    pub by: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// Whether numbers and booleans of the data may be texts.
    pub texts: Texts,
}

/// Why an answer is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It does not fit: every fault.
    Faults(Vec<Fault>),
    /// The person may not answer: why.
    Person(String),
}

impl Directory {
    /// The name of a person, by name or email.
    fn find(&self, who: &str) -> Option<&Arc<str>> {
        let by_email = |person: &Person| person.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(who));
        let found = self.people.get_key_value(who).or_else(|| self.people.iter().find(|(_, person)| by_email(person)));
        found.map(|(name, _)| name)
    }

    /// The people whom a name means: one, or the members of a group.
    fn members(&self, name: &str) -> Vec<&Arc<str>> {
        if let Some(person) = self.find(name) {
            return vec![person];
        }
        let in_group = |person: &Person| person.groups.iter().any(|group| **group == *name);
        self.people.iter().filter(|(_, person)| in_group(person)).map(|(name, _)| name).collect()
    }

    /// Names of people and groups.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.people.keys().chain(self.people.values().flat_map(|person| &person.groups))
    }

    /// Where to write to a person, or to the members of a group: nowhere (an empty list) where none has an email. `None`: it
    /// is neither.
    pub fn addresses(&self, name: &str) -> Option<Vec<String>> {
        let members = self.members(name);
        let emails = members.iter().filter_map(|member| self.people[*member].email.clone()).collect();
        (!members.is_empty()).then_some(emails)
    }

    /// Whether all these people and groups are known; where no people are configured, all are.
    pub fn known(&self, names: &[Arc<str>]) -> Result<(), String> {
        let unknown = |name: &&Arc<str>| !self.people.is_empty() && self.members(name).is_empty();
        let Some(name) = names.iter().find(unknown) else { return Ok(()) };
        let groups = self.people.values().flat_map(|person| &person.groups);
        let all: BTreeSet<_> = self.people.keys().chain(groups).map(|name| &**name).collect();
        let hint = crate::diag::suggest::did_you_mean(name, all.iter().copied())
            .unwrap_or_else(|| format!("known are {}", all.into_iter().collect::<Vec<_>>().join(", ")));
        Err(format!("there is no person or group `{name}` in the config; hint: {hint}"))
    }

    /// Whether somebody must not answer, by a name of their own or of a group.
    fn is_excepted(&self, task: &Task, who: &str) -> bool {
        task.except
            .iter()
            .any(|name| name.eq_ignore_ascii_case(who) || self.members(name).iter().any(|member| ***member == *who))
    }

    /// Those who are to be told of a task of these people and groups; where no people are configured, the names themselves.
    pub fn recipients(&self, task: &Task, to: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut all: Vec<Arc<str>> = Vec::new();
        for name in to {
            let members = self.members(name);
            let members = if self.people.is_empty() { vec![name] } else { members };
            for member in members {
                if !all.contains(member) && !self.is_excepted(task, member) {
                    all.push(Arc::clone(member));
                }
            }
        }
        all
    }

    /// Names under which tasks are somebody's: their own, their groups, and those of whom they stand in for.
    pub fn inbox(&self, who: &str) -> Vec<Arc<str>> {
        let Some(name) = self.find(who) else { return vec![who.into()] };
        let mut names = vec![Arc::clone(name)];
        names.extend(self.people[name].groups.iter().cloned());
        for (other, person) in &self.people {
            if person.substitute.as_ref() == Some(name) {
                names.push(Arc::clone(other));
                names.extend(person.groups.iter().cloned());
            }
        }
        names
    }

    /// The person who answers, under the one name; `None` where nobody says who they are and nobody asks.
    fn person(&self, task: &Task, by: Option<&str>) -> Result<Option<Arc<str>>, Refusal> {
        let Some(by) = by.map(str::trim).filter(|by| !by.is_empty()) else {
            if self.people.is_empty() && task.except.is_empty() {
                return Ok(None);
            }
            return Err(Refusal::Faults(vec![Fault { path: "by".into(), message: "is missing".into() }]));
        };
        if self.is_excepted(task, self.find(by).map_or(by, |name| name)) || self.is_excepted(task, by) {
            return Err(Refusal::Person(format!("`{by}` must not answer this task")));
        }
        if self.people.is_empty() {
            return Ok(Some(by.into()));
        }
        let Some(name) = self.find(by) else {
            return Err(Refusal::Person(
                self.known(&[by.into()]).err().unwrap_or_else(|| format!("`{by}` is a group")),
            ));
        };
        let theirs = |member: &&Arc<str>| {
            *member == name || self.people[*member].substitute.as_ref() == Some(name) && !self.is_excepted(task, member)
        };
        if task.to.is_empty() || task.to.iter().flat_map(|to| self.members(to)).any(|member| theirs(&member)) {
            return Ok(Some(Arc::clone(name)));
        }
        Err(Refusal::Person(format!("`{name}` may not answer this task: it is for {}", self.sentence(&task.to))))
    }

    /// The answer as it is kept: `#{ at, by, choice, data }`, and `note` where one was given; or why it is not taken.
    pub fn judge(&self, task: &Task, given: &Given, at: Timestamp) -> Result<Payload, Refusal> {
        let mut faults = Vec::new();
        let by = match self.person(task, given.by.as_deref()) {
            Ok(by) => by,
            Err(Refusal::Faults(found)) => {
                faults.extend(found);
                None
            }
            Err(refusal) => return Err(refusal),
        };
        let choice = given.choice.as_deref().filter(|choice| !choice.is_empty());
        faults.extend(choice_fault(task, choice));
        let data = data(task, given).unwrap_or_else(|found| {
            faults.extend(found);
            Payload::unit()
        });
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }
        let note = given.note.as_ref().map(|note| format!(r#","note":{}"#, json!(note))).unwrap_or_default();
        let (by, choice) = (json!(by), json!(choice));
        let text = format!(r#"{{"at":{},"by":{by},"choice":{choice},"data":{}{note}}}"#, json!(at), data.text());
        Ok(Payload::from_text(text))
    }

    /// Whom these names mean, in words: `ann, bob (finance)`.
    pub fn sentence(&self, to: &[Arc<str>]) -> String {
        if to.is_empty() {
            return "anybody".to_owned();
        }
        let one = |name: &Arc<str>| match self.members(name).as_slice() {
            [] => name.to_string(),
            [person] if *person == name => name.to_string(),
            members if members.len() <= NAMED => {
                format!("{} ({name})", members.iter().map(|member| &***member).collect::<Vec<_>>().join(", "))
            }
            members => format!("{} people ({name})", members.len()),
        };
        to.iter().map(one).collect::<Vec<_>>().join(" or ")
    }
}

/// So many members of a group are named.
const NAMED: usize = 3;

fn choice_fault(task: &Task, choice: Option<&str>) -> Option<Fault> {
    if task.choices.is_empty() || choice.is_some_and(|choice| task.choices.iter().any(|known| **known == *choice)) {
        return None;
    }
    let all = task.choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ");
    let message = match choice {
        None => format!("is missing; it is one of {all}"),
        Some(choice) => format!("must be one of {all}, not `{choice}`"),
    };
    Some(Fault { path: "choice".into(), message })
}

/// The data as the form has it.
fn data(task: &Task, given: &Given) -> Result<Payload, Vec<Fault>> {
    let Some(form) = &task.form else { return Ok(Payload::from_json(&given.data)) };
    let schema =
        Schema::from_json_schema(&form.to_json()).map_err(|message| vec![Fault { path: "form".into(), message }])?;
    let nothing = json!({});
    let data = if given.data.is_null() { &nothing } else { &given.data };
    schema.accept_with(data, given.texts).map_err(|faults| {
        let below = |path: &str| match path {
            "" => "data".to_owned(),
            path if path.starts_with('[') => format!("data{path}"),
            path => format!("data.{path}"),
        };
        faults.into_iter().map(|fault| Fault { path: below(&fault.path), ..fault }).collect()
    })
}

#[cfg(test)]
mod tests;
