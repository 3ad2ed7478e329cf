//! Where runs are looked at: a daemon's API, or the store of a data folder that nobody holds. Both answer the same JSON.

use reqwest::Method;
use serde_json::{Value, json};

use super::Common;
use super::audit::act;
use super::client::{Client, escaped};
use super::output::{Exit, Fault, text};
use super::tasks::Wanted;
use crate::config::Config;
use crate::engine::Error;
use crate::engine::people::Given;
use crate::engine::recording::{Recorded, Recording};
use crate::engine::retrace::{self, retrace};
use crate::host::schema::Texts;
use crate::id::{RunId, TaskId};
use crate::journal::{Entry, History};
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Applied, Change, Event, PROGRESS, Run, RunFilter, Status, Store, TaskFilter};
use crate::task::{self, Task};
use crate::time::{Clock, SystemClock, Timestamp};

/// Events read at once from the store.
const EVENTS: usize = 1_000;

/// Where to look.
pub(super) enum Access {
    /// A daemon.
    Daemon(Client),
    /// The store itself.
    Store(Box<Sqlite>),
}

impl Access {
    /// The daemon that was named or that holds the data folder, else the store in it.
    pub(super) fn open(common: &Common, config: &Config) -> Result<Self, Fault> {
        if let Some(client) = common.daemon(&config.data)? {
            return Ok(Self::Daemon(client));
        }
        Ok(Self::Store(Box::new(Sqlite::open(&config.data, &sqlite::Options::default())?)))
    }

    /// The daemon, for what needs one.
    pub(super) fn daemon(self) -> Result<Client, Fault> {
        match self {
            Self::Daemon(client) => Ok(client),
            Self::Store(_) => Err(Fault::unreachable(
                "no daemon holds the data folder; hint: start one with `panta daemon`, or run one script with `panta run FILE`",
            )),
        }
    }

    /// Runs, newest first.
    pub(super) async fn runs(&self, filter: &RunFilter) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Store(store) => store.runs(filter)?.iter().map(|run| with_progress(store, run)).collect(),
            Self::Daemon(client) => {
                let mut query = Vec::new();
                query.extend(filter.workflow.as_deref().map(|name| format!("workflow={}", escaped(name))));
                query.extend(filter.since.map(|since| format!("since={}", escaped(&since.to_string()))));
                let statuses: Vec<_> = filter.statuses.iter().map(|status| status.name()).collect();
                query.extend((!statuses.is_empty()).then(|| format!("status={}", statuses.join(","))));
                let before = filter.before.map(|before| before.to_string());
                client.pages_from("/api/v1/runs", &query, before, "runs", filter.limit).await
            }
        }
    }

    /// One run.
    pub(super) async fn run(&self, run: RunId) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => with_progress(store, &row(store, run)?),
            Self::Daemon(client) => client.get(&format!("/api/v1/runs/{run}")).await,
        }
    }

    /// All of its journal.
    pub(super) async fn journal(&self, run: RunId) -> Result<Vec<Value>, Fault> {
        let (mut pages, mut all) = (self.pages(run, None), Vec::new());
        while let Some(page) = pages.next().await? {
            all.extend(page);
        }
        Ok(all)
    }

    /// The run, evaluated again from its journal: see [`retrace`].
    pub(super) async fn replay(&self, run: RunId, until: Option<&str>) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => {
                let row = row(store, run)?;
                let bundle = bundle(store, &row)?;
                retrace(&row, entries(store, run)?, &bundle, until).map_err(|error| match error {
                    retrace::Error::UnknownStep(_) => Fault::usage(error.to_string()),
                    retrace::Error::Broken(_) => Fault::new(Exit::Failed, error.to_string()),
                })
            }
            Self::Daemon(client) => {
                let until = until.map(|until| format!("?until={}", escaped(until))).unwrap_or_default();
                client.get(&format!("/api/v1/runs/{run}/replay{until}")).await
            }
        }
    }

    /// The run with all that a test can be written from.
    pub(super) async fn recording(&self, run: RunId) -> Result<Recording, Fault> {
        let found = match self {
            Self::Store(store) => Recording::gather(run, |id| match store.run(id)? {
                Some(row) => {
                    let bundle = bundle(store, &row)?;
                    Ok::<_, Fault>(Some(Recorded::new(row, entries(store, id)?, bundle)))
                }
                None if id == run => row(store, run).map(|_| None),
                None => Ok(None),
            })?,
            Self::Daemon(client) => Recording::from_json(&client.get(&format!("/api/v1/runs/{run}/recording")).await?),
        };
        found.ok_or_else(|| Fault::unreachable("the daemon's answer cannot be read; hint: is it of another release?"))
    }

    /// The sources that a run is pinned to, where they can be had.
    pub(super) async fn sources(&self, run: RunId) -> Option<Bundle> {
        match self {
            Self::Daemon(client) => client.sources(run).await,
            Self::Store(store) => {
                let row = store.run(run).ok()??;
                Bundle::from_stored(&store.bundle(&row.version).ok()??).ok()
            }
        }
    }

    /// Events of that name since then, as far as they can be read.
    pub(super) async fn events(&self, name: &str, since: Timestamp) -> Result<Vec<Value>, Fault> {
        let fits = |event: &Value| {
            let at = event["received_at"].as_str().and_then(Timestamp::from_text);
            event["name"] == name && at.is_some_and(|at| at >= since)
        };
        let all = match self {
            Self::Daemon(client) => client.pages_from("/api/v1/events", &[], None, "events", usize::MAX).await?,
            Self::Store(store) => stored_events(store)?,
        };
        Ok(all.into_iter().filter(fits).collect())
    }

    /// Emits an event: what the daemon answers; where there is none, it is kept for the next one.
    pub(super) async fn emit(&self, event: &Value, run: Option<RunId>) -> Result<Value, Fault> {
        match self {
            Self::Daemon(client) => {
                let path = run.map_or("/api/v1/events".to_owned(), |run| format!("/api/v1/runs/{run}/events"));
                client.send(Method::POST, &path, Some(event), &[]).await?.success()
            }
            Self::Store(store) => keep(store, event, run),
        }
    }
}

/// An answer to a task, as it was given.
pub(super) struct Said {
    pub(super) choice: Option<String>,
    pub(super) data: Value,
    pub(super) by: Option<String>,
    pub(super) note: Option<String>,
}

impl Access {
    /// Tasks, newest first.
    pub(super) async fn tasks(&self, config: &Config, wanted: &Wanted) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Store(store) => {
                let filter = TaskFilter {
                    status: wanted.status,
                    to: wanted.to.as_deref().map(|who| config.people.inbox(who)).unwrap_or_default(),
                    workflow: wanted.workflow.clone(),
                    run: wanted.run,
                    limit: wanted.limit,
                    before: None,
                };
                Ok(store.tasks(&filter)?.iter().map(|task| shown(config, task)).collect())
            }
            Self::Daemon(client) => {
                let mut query = Vec::new();
                query.extend(wanted.to.as_deref().map(|who| format!("to={}", escaped(who))));
                query.extend(wanted.status.map(|status| format!("status={}", status.name())));
                query.extend(wanted.workflow.as_deref().map(|name| format!("workflow={}", escaped(name))));
                query.extend(wanted.run.map(|run| format!("run={run}")));
                client.pages_from("/api/v1/tasks", &query, None, "tasks", wanted.limit).await
            }
        }
    }

    /// One task.
    pub(super) async fn task(&self, config: &Config, task: TaskId) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => Ok(shown(config, &store.task(task)?.ok_or(Error::UnknownTask(task))?)),
            Self::Daemon(client) => client.get(&format!("/api/v1/tasks/{task}")).await,
        }
    }

    /// Answers a task; the task as it is then.
    pub(super) async fn answer(&self, config: &Config, task: TaskId, said: &Said) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => kept_answer(store, config, task, said),
            Self::Daemon(client) => {
                let body = json!({ "choice": said.choice, "data": said.data, "by": said.by, "note": said.note });
                let path = format!("/api/v1/tasks/{task}/answer");
                let answer = client.send(Method::POST, &path, Some(&body), &[]).await?;
                match answer.status {
                    // The person, not the one at the keyboard.
                    403 => Err(Fault::usage(text(&answer.body, "detail"))),
                    _ => answer.success(),
                }
            }
        }
    }
}

/// A task as the API shows it.
fn shown(config: &Config, task: &Task) -> Value {
    task.to_json(config.links(&config.listen).task(task.id, None).ok().as_deref())
}

/// Answers where no daemon runs: the run finds it when it is taken up.
fn kept_answer(store: &Sqlite, config: &Config, task: TaskId, said: &Said) -> Result<Value, Fault> {
    let row = store.task(task)?.ok_or(Error::UnknownTask(task))?;
    if row.status != task::Status::Open {
        return Err(Error::TaskOver(Box::new(row)).into());
    }
    let Said { choice, data, by, note } = said;
    let (choice, data, by, note) = (choice.clone(), data.clone(), by.clone(), note.clone());
    let given = Given { choice, data, by, note, texts: Texts::Strict };
    let at = SystemClock.now();
    let answer = config.people.judge(&row, &given, at).map_err(Error::from)?;
    let details = json!({ "run": row.run, "choice": said.choice, "by": answer.to_json()["by"] });
    match act(store, "task.answer", &task.to_string(), &details, Change::AnswerTask { task, answer, at })? {
        Applied::Task { task, fresh: true } => Ok(shown(config, &task)),
        Applied::Task { task, .. } => Err(Error::TaskOver(task).into()),
        _ => Err(Error::UnknownTask(task).into()),
    }
}

/// As long as an event id counts: the same as of a running engine.
const REPEATS: std::time::Duration = std::time::Duration::from_hours(7 * 24);

fn keep(store: &Sqlite, event: &Value, run: Option<RunId>) -> Result<Value, Fault> {
    let now = SystemClock.now();
    let name = event["name"].as_str().unwrap_or_default();
    crate::pattern::validate_name(name).map_err(|error| Fault::usage(format!("{error}; hint: {}", error.hint)))?;
    let id = event["id"].as_str().map_or_else(|| RunId::new().to_string(), str::to_owned);
    let event = Event {
        seq: 0,
        id: id.as_str().into(),
        name: name.into(),
        key: event["key"].as_str().map(Into::into),
        payload: Payload::from_json(&event["payload"]),
        run,
        at: now,
    };
    let applied = store.commit(&[Change::Emit { event, dedupe_until: now.plus(REPEATS), gather: Vec::new() }])?;
    let (fresh, woken) = match applied.into_iter().next() {
        Some(Applied::Emitted { fresh, woken, .. }) => (fresh, woken),
        _ => (false, Vec::new()),
    };
    Ok(json!({ "event": id, "started": [], "delivered_to": woken, "repeated": !fresh }))
}

/// A run as the API shows it.
fn with_progress(store: &Sqlite, run: &Run) -> Result<Value, Fault> {
    let mut shown = run.to_json();
    shown["progress"] = store.state(PROGRESS, &run.id.to_string())?.as_ref().map(Payload::to_json).unwrap_or_default();
    shown["paused"] = crate::engine::held_by(store, run)?;
    Ok(shown)
}

fn row(store: &Sqlite, run: RunId) -> Result<Run, Fault> {
    store.run(run)?.ok_or_else(|| Fault::usage(format!("there is no run {run}; hint: `panta runs` lists them")))
}

fn entries(store: &Sqlite, run: RunId) -> Result<Vec<Entry>, Fault> {
    let history = History::read(store.journal(run)?).map_err(|error| Fault::unreachable(error.to_string()))?;
    Ok(history.into_entries())
}

/// The version that a run is pinned to.
fn bundle(store: &Sqlite, run: &Run) -> Result<Bundle, Fault> {
    let stored = store.bundle(&run.version)?;
    let bundle = stored.and_then(|bytes| Bundle::from_stored(&bytes).ok());
    bundle.ok_or_else(|| Fault::unreachable(format!("the store does not have version {} of the run", run.version)))
}

fn stored_events(store: &Sqlite) -> Result<Vec<Value>, Fault> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = store.events(after, EVENTS)?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.seq;
        all.extend(page.iter().map(|event| {
            json!({ "event": &*event.id, "name": &*event.name, "key": event.key.as_deref(), "received_at": event.at })
        }));
    }
}

/// Status names given on the command line.
pub(super) fn statuses(given: &[String]) -> Result<Vec<Status>, Fault> {
    let one = |name: &str| {
        Status::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Status::ALL.iter().map(|status| status.name()).collect();
            Fault::usage(format!("`{name}` is no status; hint: one of {}", known.join(", ")))
        })
    };
    given.iter().flat_map(|list| list.split(',')).map(|name| one(name.trim())).collect()
}
