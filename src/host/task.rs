//! `task::ask`: a question to a person, and the durable wait for the answer.
//!
//! The task opens in the commit of the entry that begins the wait, under an id that comes from the run and the position, so
//! that no replay opens a second one; an attempt of a step has a position of its own, and so a task of its own. Who may
//! answer, and that an answer fits the form, is checked where answers come in, not here.

use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, Map};
use serde_json::json;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options};
use super::schema::Schema;
use super::session::{self, Act, Answer, Session, What, encode_error, hash_arguments, hash_text};
use super::waiting::{self, Begun};
use crate::id::TaskId;
use crate::journal::{Entry, Kind, Position};
use crate::payload::Payload;
use crate::replay::Command;
use crate::task::{Escalation, Plan, Status, Task};
use crate::time::Timestamp;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "task::ask",
    params: &["task: map"],
    options: OPTIONS,
    returns: "map?",
    nature: Nature::Internal,
    errors: &["not_found"],
    doc: "Opens a task for a person, exactly once, and waits for the answer: `#{ choice, data, by, at }`, or `()` when the task is due \
          and no escalation is left. The first answer wins.",
    example: "task::ask(#{ title: \"Pay invoice R1?\", to: \"finance\", choices: [\"approve\", \"reject\"], due: \"2d\" })",
    call: ask,
    ..Function::BASE
}];

const OPTIONS: &[Choice] = &[
    Choice { name: "title", kind: "string", doc: "what is asked, on one line" },
    Choice { name: "text", kind: "string?", doc: "what one needs to know" },
    Choice {
        name: "to",
        kind: "string or list?",
        doc: "people and groups of the config whose task it is; anybody's without it",
    },
    Choice {
        name: "except",
        kind: "string or list?",
        doc: "people and groups who must not answer, as substitutes neither",
    },
    Choice { name: "form", kind: "map?", doc: "a schema, as of `input`: what `data` of the answer must look like" },
    Choice { name: "choices", kind: "list?", doc: "texts, one of which `choice` of the answer must be" },
    Choice { name: "due", kind: "duration or time?", doc: "when the task ends" },
    Choice { name: "remind", kind: "duration?", doc: "so long before it is due, it is told again" },
    Choice {
        name: "escalate",
        kind: "list?",
        doc: "`#{ after, to }`, counted from the opening: from then on it is also their task, and the whole time runs once more",
    },
];

/// Bytes of a title and of a text: they are shown on one line, and in a message.
const TITLE_MAX: usize = 500;
const TEXT_MAX: usize = 64 * 1024;

/// What a call asks for, checked.
struct Asked {
    title: Arc<str>,
    text: Arc<str>,
    to: Vec<Arc<str>>,
    except: Vec<Arc<str>>,
    form: Option<Payload>,
    choices: Vec<Arc<str>>,
    plan: Plan,
}

fn ask(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let options = call.options(0)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let asked = Asked::read(call, &options, session.time_of_next(&strand))?;
    let typed_by = format!("{:?}\n{:?}", asked.form, asked.choices);
    let command = Command {
        arguments: hash_arguments(&typed_by),
        ..session::command(Kind::Task, Arc::clone(&asked.title), call.line())
    };
    let (position, opened) = match waiting::issue(&session, &strand, &command)? {
        Begun::Closed(entry) => return waiting::recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    // The times of a task count from its opening, whenever it is looked at.
    let began = opened.as_ref().map_or(session.now.get(), |entry| entry.started_at);
    let asked = Asked::read(call, &options, began)?;
    let id = id_at(&session, &position);
    let task = asked.task(&session, id, began);
    let entry = match opened {
        Some(opened) => opened,
        None => match open(&session, &command, position, &task) {
            Ok(entry) => entry,
            Err(refused) => {
                let (entry, error) = *refused;
                return session.close(entry, Err(error));
            }
        },
    };
    let what = What::Task { task: Box::new(task) };
    let Answer::Task(answer) = session.wait(&strand, command.line, what) else {
        unreachable!("a task is answered by an answer")
    };
    session.close(entry, Ok(answer.unwrap_or_default()))
}

/// Begins the wait, and opens the task in the same commit; or the error that there is nobody to ask.
fn open(
    session: &Rc<Session>,
    command: &Command,
    position: Position,
    task: &Task,
) -> Result<Entry, Box<(Entry, Payload)>> {
    let detail = json!({ "task": task.id, "to": task.to, "choices": task.choices });
    let last = task.moments.last().map(|moment| moment.at);
    let entry = Entry { detail: Some(Payload::from_json(&detail)), due: last, ..session.entry(command, position) };
    if let Err(problem) = session.world.known_people(&task.everybody()) {
        let fail = Fail::error("not_found", format!("`task::ask`: {problem}"));
        return Err(Box::new((entry, encode_error(&fail.into_map()))));
    }
    session.replay.borrow_mut().append(entry.clone());
    session.acts.borrow_mut().push(Act::OpenTask(Box::new(task.clone())));
    Ok(entry)
}

/// The task that a beginning opened.
pub(crate) fn opened_by(entry: &Entry) -> Option<TaskId> {
    let is_task = entry.kind == Kind::Task;
    entry.detail.as_ref().filter(|_| is_task)?.to_json()["task"].as_str()?.parse().ok()
}

/// The identity of what is asked at a position of this run.
fn id_at(session: &Session, position: &Position) -> TaskId {
    let again = match session.replay.borrow().scopes.redone(position) {
        0 => String::new(),
        n => format!("~{n}"),
    };
    let half = |n: u8| u128::from(hash_text(&format!("{}/{position}{again}/task/{n}", session.facts.run)));
    TaskId(uuid::Builder::from_custom_bytes((half(1) << 64 | half(2)).to_be_bytes()).into_uuid())
}

impl Asked {
    fn read(call: &Call<'_>, options: &Options, now: Timestamp) -> Result<Self, Fail> {
        let title = options.text("title")?.filter(|title| !title.trim().is_empty());
        let title = title.ok_or_else(|| call.invalid("needs the option `title`; hint: `#{ title: \"Pay R1?\" }`"))?;
        let text = options.text("text")?.unwrap_or_default();
        for (name, value, most) in [("title", &title, TITLE_MAX), ("text", &text, TEXT_MAX)] {
            if value.len() > most {
                return Err(call.invalid(format!("option `{name}` is longer than {most} bytes")));
            }
        }
        Ok(Self {
            title: title.into(),
            text: text.into(),
            to: names(call, "to", options.get("to"))?,
            except: names(call, "except", options.get("except"))?,
            form: form(call, options)?,
            choices: names(call, "choices", options.get("choices").filter(|given| given.is_array()))
                .and_then(|choices| checked(call, options, choices))?,
            plan: plan(call, options, now)?,
        })
    }

    fn task(self, session: &Session, id: TaskId, opened_at: Timestamp) -> Task {
        Task {
            id,
            run: session.facts.run,
            workflow: Arc::clone(&session.facts.workflow),
            title: self.title,
            text: self.text,
            to: self.to,
            except: self.except,
            form: self.form,
            choices: self.choices,
            opened_at,
            due: self.plan.due,
            moments: self.plan.moments(opened_at),
            stage: 0,
            status: Status::Open,
            answer: None,
            ended_at: None,
        }
    }
}

fn checked(call: &Call<'_>, options: &Options, choices: Vec<Arc<str>>) -> Result<Vec<Arc<str>>, Fail> {
    if options.get("choices").is_some() && choices.is_empty() {
        return Err(call.invalid("option `choices` is a list of texts; hint: `choices: [\"approve\", \"reject\"]`"));
    }
    Ok(choices)
}

/// A text, or a list of texts; each once.
fn names(call: &Call<'_>, option: &str, given: Option<&Dynamic>) -> Result<Vec<Arc<str>>, Fail> {
    let list = match given {
        None => return Ok(Vec::new()),
        Some(given) => given.clone().into_array().unwrap_or_else(|_| vec![given.clone()]),
    };
    let mut names: Vec<Arc<str>> = Vec::with_capacity(list.len());
    for name in list {
        let text = name.is_string().then(|| name.to_string()).filter(|text| !text.trim().is_empty());
        let Some(text) = text else {
            let found = super::function::type_of(&name);
            return Err(call.invalid(format!("option `{option}` takes texts that are not empty, not {found}")));
        };
        if !names.iter().any(|known| **known == *text) {
            names.push(text.into());
        }
    }
    Ok(names)
}

fn form(call: &Call<'_>, options: &Options) -> Result<Option<Payload>, Fail> {
    let Some(given) = options.get("form") else { return Ok(None) };
    if !given.is_map() {
        let found = super::function::type_of(given);
        return Err(
            call.invalid(format!("option `form` is a map of fields such as `#{{ note: \"string?\" }}`, not {found}"))
        );
    }
    let schema = Schema::from_dynamic(given).map_err(|problem| call.invalid(format!("option `form`: {problem}")))?;
    Ok(Some(Payload::from_json(&schema.to_json_schema())))
}

fn plan(call: &Call<'_>, options: &Options, now: Timestamp) -> Result<Plan, Fail> {
    let (due, remind) = (options.due("due", now)?, options.duration("remind")?);
    if remind.is_some() && due.is_none() {
        return Err(call.invalid("option `remind` counts back from `due`, which is not given"));
    }
    let escalate = options.list("escalate")?.unwrap_or_default();
    let escalate = escalate.into_iter().map(|given| escalation(call, given, now)).collect::<Result<_, _>>()?;
    Ok(Plan { due, remind, escalate })
}

fn escalation(call: &Call<'_>, given: Dynamic, now: Timestamp) -> Result<Escalation, Fail> {
    let wrong = || call.invalid("option `escalate` takes maps such as `#{ after: \"2d\", to: \"cfo\" }`");
    let map = given.try_cast::<Map>().ok_or_else(wrong)?;
    let options = Options::checked(map, "task::ask", &["after", "to"])?;
    let at = options.due("after", now)?.ok_or_else(wrong)?;
    let to = names(call, "to", options.get("to"))?;
    if to.is_empty() { Err(wrong()) } else { Ok(Escalation { at, to }) }
}
