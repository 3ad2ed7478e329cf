//! `panta gate`: what recorded runs make of a script that is not live yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::client::escaped;
use super::output::{Exit, Fault, diagnostic, json as print_json, line};
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
        let config = common.config(folder.root())?;
        let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
        let deployed = super::scripts::compile(&folder, &main, &settings).map_err(Fault::diagnosed)?;
        let workflow = self.workflow.clone().unwrap_or_else(|| deployed.name.to_string());
        let bundle = (*deployed.bundle).clone().named(workflow);
        let report = match &self.against {
            Some(data) => here(&open(data)?, &bundle, &settings)?,
            None => match Access::open(common, &config)? {
                Access::Store(store) => here(&store, &bundle, &settings)?,
                Access::Daemon(client) => there(&client, &bundle).await?,
            },
        };
        Ok(self.tell(&report, common.json))
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

    fn tell(&self, report: &Report, as_json: bool) -> Exit {
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
            line(&format!("no recorded runs of `{}` to try", report.workflow));
        }
        exit
    }
}

fn absolute(root: &Path, file: &Path) -> Option<String> {
    relative(&std::path::absolute(root).ok()?, &std::path::absolute(file).ok()?)
}

fn open(data: &Path) -> Result<Sqlite, Fault> {
    if !data.join("panta.db").is_file() {
        return Err(Fault::usage(format!("there is no `panta.db` in `{}`", data.display())));
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
