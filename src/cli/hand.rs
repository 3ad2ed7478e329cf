//! Where runs are acted on: a daemon, or, where none runs, an engine of this process over the store, in which nothing goes on.

use std::io::IsTerminal as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Common;
use super::client::{Client, escaped};
use super::output::{Exit, Fault, text};
use crate::config::Config;
use crate::engine::{Action, Chosen, Deed, Engine, Error, Options, Reach, Retry};
use crate::id::RunId;
use crate::store::Status;
use crate::store::sqlite::{self, Sqlite};
use crate::time::Timestamp;

/// Who acts.
pub(super) enum Hand {
    /// A daemon.
    Daemon(Client),
    /// This process.
    Here(Box<Engine>),
}

/// What came of an act on one run.
pub(super) enum Came {
    /// It is done.
    Done(Value),
    /// These steps would be done again that were undone: it has to be confirmed.
    Confirm(Vec<String>),
}

impl Hand {
    /// The daemon that was named or that holds the data folder, else this process.
    pub(super) fn open(common: &Common, config: &Config) -> Result<Self, Fault> {
        if let Some(client) = common.daemon(&config.data)? {
            return Ok(Self::Daemon(client));
        }
        let store = Arc::new(Sqlite::open(&config.data, &sqlite::Options::default())?);
        let options = Options { reach: Reach::Own, workers: 1, ..config.engine(super::secret::vault(config)?) };
        Ok(Self::Here(Box::new(Engine::start(store, options))))
    }

    /// Whether runs go on by themselves.
    pub(super) fn is_daemon(&self) -> bool {
        matches!(self, Self::Daemon(_))
    }

    /// A workflow that is there or has runs; else a fault that names one like it.
    pub(super) async fn knows(&self, workflow: &str) -> Result<(), Fault> {
        match self {
            Self::Daemon(client) => {
                super::known::workflow(&super::access::Access::Daemon(client.clone()), workflow).await
            }
            Self::Here(engine) => {
                let counts = engine.handle().counts()?;
                if counts.iter().any(|(name, ..)| **name == *workflow) {
                    return Ok(());
                }
                let near = crate::diag::suggest::did_you_mean(workflow, counts.iter().map(|(name, ..)| &**name));
                let hint = near.unwrap_or_else(|| "`panta runs` shows those that have run".to_owned());
                Err(Fault::usage(format!("there is no workflow `{workflow}`; hint: {hint}")))
            }
        }
    }

    /// Acts on one run: the same body as of the API.
    pub(super) async fn one(&self, run: RunId, verb: &str, body: &Value) -> Result<Came, Fault> {
        match self {
            Self::Daemon(client) => {
                let path = format!("/api/v1/runs/{run}/{verb}");
                let answer = client.send(reqwest::Method::POST, &path, Some(body), &[]).await?;
                match answer.body["confirm"].as_array().filter(|_| answer.status == 409) {
                    Some(steps) => Ok(Came::Confirm(steps.iter().filter_map(Value::as_str).map(Into::into).collect())),
                    None => answer.success().map(Came::Done),
                }
            }
            Self::Here(engine) => match engine.handle().carry_out(run, &action(verb, body), &deed(body)).await {
                Ok(answer) => Ok(Came::Done(answer)),
                Err(Error::Confirm { steps, .. }) => Ok(Came::Confirm(steps)),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Acts on all runs that are meant: the same body as of the API.
    pub(super) async fn many(&self, verb: &str, body: &Value) -> Result<Value, Fault> {
        match self {
            Self::Daemon(client) => client.post(&format!("/api/v1/runs/{verb}"), body, &[]).await,
            Self::Here(engine) => {
                let (handle, action) = (engine.handle(), action(verb, body));
                let names = text(body, "status").split(',').filter(|name| !name.is_empty());
                let chosen = Chosen {
                    workflow: body["workflow"].as_str().map(Into::into),
                    statuses: names.filter_map(Status::from_name).collect(),
                    since: body["since"].as_str().and_then(Timestamp::from_text),
                };
                let found = handle.chosen(&chosen, &action)?;
                if body["dry_run"] == true {
                    return Ok(json!({ "matched": found.len(), "done": [], "refused": [] }));
                }
                Ok(handle.carry_out_on(&found, &action, &deed(body)).await?)
            }
        }
    }

    /// Holds a workflow, or everything; or lets it go. Whether that changed anything.
    pub(super) async fn hold(&self, workflow: Option<&str>, verb: &str, body: &Value) -> Result<Value, Fault> {
        match self {
            Self::Daemon(client) => {
                let path = workflow.map_or_else(
                    || format!("/api/v1/{verb}"),
                    |name| format!("/api/v1/workflows/{}/{verb}", escaped(name)),
                );
                client.post(&path, body, &[]).await
            }
            Self::Here(engine) => {
                let (handle, is_pause) = (engine.handle(), verb == "pause");
                let changed = if is_pause {
                    handle.hold(workflow, &deed(body)).await?
                } else {
                    handle.let_go(workflow, &deed(body)).await?
                };
                Ok(json!({ "workflow": workflow, "paused": is_pause, "changed": changed }))
            }
        }
    }
}

fn deed(body: &Value) -> Deed {
    Deed { by: super::audit::actor(), reason: body["reason"].as_str().map(Into::into) }
}

fn action(verb: &str, body: &Value) -> Action {
    let field = |name: &str| text(body, name).to_owned();
    match verb {
        "cancel" => Action::Cancel,
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "skip" => Action::Skip { step: field("step") },
        "set-result" => Action::SetResult { step: field("step"), value: body["value"].clone() },
        "fork" => Action::Fork { at: field("at"), set: body.get("set").cloned() },
        _ => Action::Retry(Retry {
            from: body["from"].as_str().map(Into::into),
            upgrade: body["upgrade"] == true,
            confirmed: body["confirm"] == true,
        }),
    }
}

/// Asks a question with yes or no, where somebody is there to answer.
pub(super) fn confirm(question: &str) -> Result<bool, Fault> {
    if !std::io::stdin().is_terminal() {
        let why = "nobody is there to be asked, since stdin is no terminal";
        return Err(Fault::new(Exit::Usage, format!("{why}: {question}? hint: `--yes` does it without asking")));
    }
    super::output::draw(&format!("{question}? [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
