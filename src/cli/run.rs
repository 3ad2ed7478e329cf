//! `panta run`: one script to its end, durably.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, escaped};
use super::envelope::{self, Given};
use super::input::{self, Input};
use super::output::{Exit, Fault, Paint, Stream, diagnostic, json as print_json, note, pretty, program, text};
use super::{Common, fault, follow, scripts};
use crate::config::Config;
use crate::courier::Courier;
use crate::engine::{Deployed, Engine, Handle, Notifier, Options, Reach, Settings, Start};
use crate::id::RunId;
use crate::script::bundle::{Bundle, Folder};
use crate::store::Status;
use crate::store::sqlite::{self, Sqlite};

/// Runs one script to its end in the foreground
#[derive(Args, Debug)]
pub(super) struct Run {
    /// The script
    #[arg(required_unless_present = "resume")]
    file: Option<PathBuf>,
    #[command(flatten)]
    input: Input,
    /// What started it, as a webhook or a file would: JSON or `@file`
    #[arg(long, value_name = "JSON")]
    trigger: Option<String>,
    /// Takes up a run that was left open, on the version that it began with
    #[arg(long, value_name = "RUN", conflicts_with_all = ["fields", "input", "trigger"])]
    resume: Option<RunId>,
}

/// What people are to be told has so long to be delivered; what is not is told by the next process.
const TELLING: Duration = Duration::from_secs(10);

/// What there is to run.
struct Script {
    folder: Folder,
    path: String,
    deployed: Deployed,
}

/// The end of a run, for whoever shows it.
pub(super) struct Finished {
    pub(super) row: Value,
    pub(super) sources: Option<Arc<Bundle>>,
}

impl Run {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let beside = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let config = common.config(if beside.as_os_str().is_empty() { Path::new(".") } else { beside })?;
        let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
        // A run that is resumed has its own version: what the file says today does not matter.
        let file = self.file.as_deref().filter(|_| self.resume.is_none());
        let script = file.map(|file| load(file, &settings)).transpose()?;
        let script = match script {
            None => None,
            Some(script) => match self.given(&config, &script)? {
                Some(given) => Some((script, given)),
                None => return Ok(skipped(common.json)),
            },
        };
        if let Some(client) = common.daemon(&config.data)? {
            return self.on_daemon(&client, common, script).await;
        }
        let finished = self.here(&config, script).await?;
        finished.map_or(Ok(Exit::Waiting), |finished| Ok(show(&finished, common.json)))
    }

    /// In this process. `None`: interrupted, and left open.
    async fn here(&self, config: &Config, script: Option<(Script, Given)>) -> Result<Option<Finished>, Fault> {
        let store = Arc::new(Sqlite::open(&config.data, &sqlite::Options::default())?);
        let (courier, secrets) = (Courier::new(), super::secret::vault(config)?);
        let notifier = Arc::clone(&courier) as Arc<dyn Notifier>;
        let options = Options { reach: Reach::Own, notifier, ..config.engine(Arc::clone(&secrets)) };
        let engine = Engine::start(store, options);
        let handle = engine.handle();
        let telling = courier.start(handle.clone(), config.sender(&secrets), config.outlets.repeat)?;
        let mut follow = follow::Follow::new(&handle);
        let run = self.begin(&handle, script).await?;
        let Some(row) = follow.until_end(run).await? else {
            telling.stop(Duration::ZERO);
            engine.stop();
            note(&format!(
                "\nthe run is left open; hint: `{} run --resume {run}` takes it up where it stands",
                program()
            ));
            return Ok(None);
        };
        let finished = Finished { row: row.to_json(), sources: handle.sources(&row).ok() };
        // It works on a thread of its own: nothing of this one's is waited for.
        telling.stop(TELLING);
        engine.stop();
        Ok(Some(finished))
    }

    async fn begin(&self, handle: &Handle, script: Option<(Script, Given)>) -> Result<RunId, Fault> {
        let mut main = None;
        if let Some((script, given)) = script {
            main = Some((script.deployed.name.to_string(), given));
            handle.deploy(script.deployed);
            scripts::deploy_beside(handle, &script.folder, &script.path);
        }
        if let Some(run) = self.resume {
            let row = handle.run(run)?;
            if row.status.is_final() {
                return Ok(run);
            }
            if matches!(row.status, Status::Paused | Status::Quarantined | Status::Diverged) {
                return Err(Fault::new(Exit::Failed, format!("run {run} is {}", row.status.name())));
            }
            handle.take_up(run)?;
            return Ok(run);
        }
        let (main, Given { input, trigger }) = main.expect("a file is demanded unless a run is resumed");
        let run = RunId::new();
        let start = Start { input, trigger, run: Some(run), ..Start::default() };
        Ok(handle.start(&main, start).await?.run)
    }

    /// Input and trigger; what an envelope makes of the input unless one is given. `None`: `when` starts no run.
    fn given(&self, config: &Config, script: &Script) -> Result<Option<Given>, Fault> {
        let Some(trigger) = &self.trigger else {
            return Ok(Some(Given {
                input: self.input.read_as(&script.deployed.declared["input"])?,
                trigger: Value::Null,
            }));
        };
        let secrets = super::secret::vault(config)?;
        let taken = envelope::take(&script.deployed, &secrets, input::json("--trigger", trigger)?)?;
        match taken {
            Some(given) if !self.input.is_empty() => {
                Ok(Some(Given { input: self.input.read_as(&script.deployed.declared["input"])?, ..given }))
            }
            taken => Ok(taken),
        }
    }

    /// By the daemon that holds the data folder.
    async fn on_daemon(
        &self,
        client: &Client,
        common: &Common,
        script: Option<(Script, Given)>,
    ) -> Result<Exit, Fault> {
        let run = match (self.resume, script) {
            (Some(run), _) => run.to_string(),
            (None, Some((script, given))) => Self::hand_over(client, &script, &given).await?,
            (None, None) => unreachable!("a file is demanded unless a run is resumed"),
        };
        let row = follow::remote(client, &run).await?;
        let Some(row) = row else {
            note(&format!("\nthe run goes on at {}; hint: `{} show {run}`", client.base(), program()));
            return Ok(Exit::Waiting);
        };
        // The last of a chain has its own version.
        let sources = match text(&row, "run").parse() {
            Ok(run) => client.sources(run).await.map(Arc::new),
            Err(_) => None,
        };
        Ok(show(&Finished { row, sources }, common.json))
    }

    async fn hand_over(client: &Client, script: &Script, given: &Given) -> Result<String, Fault> {
        let name = &script.deployed.name;
        let path = format!("/api/v1/workflows/{}", escaped(name));
        let answer = client.send(reqwest::Method::GET, &path, None, &[]).await?;
        if answer.status == 404 {
            return Err(Fault::unreachable(format!(
                "the daemon at {} holds the data folder and has no workflow `{name}`; hint: put the file into its scripts folder, or give another folder with `--data`",
                client.base()
            )));
        }
        let version = text(&answer.body, "version");
        if !version.is_empty() && version != script.deployed.version().to_string() {
            note(&format!("warning: the daemon has another version of `{name}`, and runs that"));
        }
        let started = client.post(&format!("{path}/runs"), &json!({ "input": given.input }), &[]).await?;
        Ok(text(&started, "run").to_owned())
    }
}

/// `when` of the trigger gave `false`.
fn skipped(as_json: bool) -> Exit {
    if as_json {
        print_json(&json!({ "run": null, "status": "skipped", "output": null, "error": null }));
    } else {
        note("no run was started: `when` of the trigger gave `false`");
    }
    Exit::Done
}

fn load(file: &Path, settings: &Arc<dyn Settings>) -> Result<Script, Fault> {
    let (folder, path) = scripts::located(file)?;
    let deployed = scripts::compile(&folder, &path, settings).map_err(Fault::diagnosed)?;
    Ok(Script { folder, path, deployed })
}

/// Shows the end of a run.
pub(super) fn show(finished: &Finished, as_json: bool) -> Exit {
    let row = &finished.row;
    let status = text(row, "status");
    if as_json {
        print_json(&json!({ "run": row["run"], "status": status, "output": row["output"], "error": row["error"] }));
        return Exit::of_status(status);
    }
    if !row["error"].is_null() {
        diagnostic(&fault::diagnose(&row["error"], finished.sources.as_deref()));
    }
    let rollback = match text(row, "rollback") {
        "complete" => ", all of it undone",
        "incomplete" => ", rollback incomplete",
        _ => "",
    };
    note(&format!("{}{rollback}: run {}", Paint::of_status(status).on(Stream::Err, status), text(row, "run")));
    if status == "completed" && !row["output"].is_null() {
        pretty(&row["output"]);
    }
    Exit::of_status(status)
}
