//! `panta gate`: what recorded runs make of a script that is not live yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::client::escaped;
use super::known;
use super::output::{Exit, Fault, diagnostic, json as print_json, line, note};
use crate::config::Config;
use crate::diag::{Diagnostic, Place};
use crate::engine::gate::{Report, Scope, survey};
use crate::engine::{Semantics, Settings};
use crate::script::bundle::{Bundle, Folder, Kind, classify, relative};
use crate::store::sqlite::{self, Sqlite};

/// Tries open and finished runs on a script before it goes live; fails where an open run would diverge
#[derive(Args, Debug)]
pub(super) struct Gate {
    /// The script
    file: PathBuf,
    /// A data folder with the runs, such as a restored backup; without it, the one that is configured
    #[arg(long, value_name = "DATA")]
    against: Option<PathBuf>,
    /// The workflow whose runs are tried; the one that the file is, unless said otherwise
    #[arg(long)]
    workflow: Option<String>,
    /// Fails also where a finished run would take another course or end otherwise
    #[arg(long)]
    strict: bool,
}

impl Gate {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let (folder, main) = self.located()?;
        let config = configured(common, folder.root())?;
        let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
        let deployed = super::scripts::compile(&folder, &main, &settings).map_err(Fault::diagnosed)?;
        let workflow = self.workflow.clone().unwrap_or_else(|| deployed.name.to_string());
        let bundle = (*deployed.bundle).clone().named(workflow);
        let (access, asked) = self.recorded(common, &config)?;
        self.is_meant(&access, &bundle.workflow, &asked).await?;
        let report = match &access {
            Access::Store(store) => here(store, &bundle, &settings)?,
            Access::Daemon(client) => there(client, &bundle).await?,
        };
        Ok(self.tell(&report, &asked, common.json))
    }

    /// Where the runs are, and how that is spoken of. A data folder without a store is none: to say that nothing diverges
    /// there would let everything pass.
    fn recorded(&self, common: &Common, config: &Config) -> Result<(Access, String), Fault> {
        let client = if self.against.is_some() { None } else { common.daemon(&config.data)? };
        if let Some(client) = client {
            let asked = format!("the daemon at {}", client.base());
            return Ok((Access::Daemon(client), asked));
        }
        let data = self.against.as_ref().unwrap_or(&config.data);
        Ok((Access::Store(Box::new(open(data)?)), format!("`{}`", data.display())))
    }

    /// A workflow that was named is there. One that is named after its file may be new, but is not where another has the
    /// same name in a folder: `workflows/invoice` and `invoice`.
    async fn is_meant(&self, access: &Access, workflow: &str, asked: &str) -> Result<(), Fault> {
        if self.workflow.is_some() {
            return known::workflow(access, workflow).await;
        }
        let names = known::names(access).await?;
        if names.contains(workflow) || known::has_runs(access, workflow).await? {
            return Ok(());
        }
        let stem = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        match names.iter().find(|name| stem(name) == stem(workflow)) {
            None => Ok(()),
            Some(like) => Err(Fault::usage(format!(
                "{asked} has no workflow `{workflow}`; hint: if the file is `{like}`, say `--workflow {like}`"
            ))),
        }
    }

    /// The scripts folder and the path there: what lies in `scripts` is named from there.
    fn located(&self) -> Result<(Folder, String), Fault> {
        let scripts = super::default_scripts();
        if self.file.is_file()
            && let Some(path) = relative(&scripts, &self.file).or_else(|| absolute(&scripts, &self.file))
            && matches!(classify(&path), Kind::Workflow(_))
        {
            return Ok((Folder::new(scripts), path));
        }
        super::scripts::located(&self.file)
    }

    fn tell(&self, report: &Report, asked: &str, as_json: bool) -> Exit {
        let finished = report.finished;
        let is_changed = finished.changed + finished.diverging > 0;
        let exit = if report.is_passed() && !(self.strict && is_changed) { Exit::Done } else { Exit::Failed };
        if as_json {
            print_json(&json!(report));
            return exit;
        }
        report.divergences.iter().for_each(|group| diagnostic(&group.diagnostic()));
        report.lines().iter().for_each(|text| line(text));
        if report.is_empty() {
            line(&format!("no recorded runs of `{}` to try in {asked}", report.workflow));
        } else {
            note(&format!("tried on the runs in {asked}"));
        }
        exit
    }
}

/// The configuration of the scripts folder that the file lies in; where it has none, that of the working directory: a candidate
/// may lie anywhere.
fn configured(common: &Common, root: &Path) -> Result<Config, Fault> {
    let own = common.config(root)?;
    let is_beside = own.file.as_ref().is_some_and(|file| {
        let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
        root.canonicalize().ok().is_some_and(|root| folder.is_some_and(|folder| root.starts_with(folder)))
    });
    if is_beside || common.config.is_some() { Ok(own) } else { common.config(&super::default_scripts()) }
}

fn absolute(root: &Path, file: &Path) -> Option<String> {
    relative(&std::path::absolute(root).ok()?, &std::path::absolute(file).ok()?)
}

fn open(data: &Path) -> Result<Sqlite, Fault> {
    if !data.join("panta.db").is_file() {
        return Err(Fault::usage(format!(
            "there is no store with recorded runs in `{}`; hint: name one with `--data`, `--against`, `--server`, or the config with \
             `--config`",
            data.display()
        )));
    }
    Ok(Sqlite::open(data, &sqlite::Options::default())?)
}

/// On a thread of its own: scripts are evaluated there, and none may be around.
fn here(store: &Sqlite, bundle: &Bundle, settings: &Arc<dyn Settings>) -> Result<Report, Fault> {
    let attempt = || survey(store, bundle, settings, &Semantics::current(), Scope::default(), &mut |_| true);
    std::thread::scope(|scope| scope.spawn(attempt).join())
        .map_err(|_| Fault::unreachable("internal error; hint: this is a bug of `panta`, please report it"))
}

async fn there(client: &super::client::Client, bundle: &Bundle) -> Result<Report, Fault> {
    let path = format!("/api/v1/workflows/{}/gate", escaped(&bundle.workflow));
    let sources: Value = serde_json::from_slice(&bundle.to_stored()).unwrap_or_default();
    let answer = client.send(Method::POST, &path, Some(&sources), &[]).await?;
    if answer.status == 422 {
        return Err(Fault::diagnosed(told(&answer.body["diagnostics"])));
    }
    serde_json::from_value(answer.success()?)
        .map_err(|_| Fault::unreachable("the daemon's answer cannot be read; hint: is it of another release?"))
}

/// Diagnostics as a daemon tells them: what this machine compiles, its configuration may not.
fn told(diagnostics: &Value) -> Vec<Diagnostic> {
    let number = |value: &Value, field: &str| value[field].as_u64().map_or(0, |n| n as usize);
    let one = |value: &Value| {
        let place = Place {
            file: value["file"].as_str().unwrap_or_default().to_owned(),
            line: number(value, "line"),
            column: number(value, "column"),
            width: number(value, "width"),
            source: value["source"].as_str().unwrap_or_default().to_owned(),
        };
        let title = value["title"].as_str().unwrap_or("the daemon cannot use the script");
        let hint = value["hint"].as_str().map(str::to_owned);
        Diagnostic::new(value["code"].as_str().unwrap_or("E0501"), title, place).maybe_hint(hint)
    };
    diagnostics.as_array().into_iter().flatten().map(one).collect()
}
