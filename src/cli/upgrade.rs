//! `panta upgrade`: moves open runs to the live version of their workflow.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::client::{Client, escaped};
use super::output::{Exit, Fault, diagnostic, json as print_json, line, note, short, text};
use crate::engine::gate::Parting;
use crate::id::RunId;
use crate::store::Status;

/// Rows of a page.
const PAGE: usize = 500;

/// Moves runs to the live version of their workflow, where their journals replay there
#[derive(Args, Debug)]
pub(super) struct Upgrade {
    /// The runs
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    runs: Vec<RunId>,
    /// All open runs that are on another version
    #[arg(long)]
    all: bool,
    /// Only runs of this workflow
    #[arg(long, requires = "all", value_name = "W")]
    workflow: Option<String>,
    /// Tells what would happen
    #[arg(long)]
    dry_run: bool,
    /// Moves also runs that do not fit; they stop as `diverged`
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
}

/// How many came to what.
#[derive(Default)]
struct Counts {
    moved: usize,
    held: usize,
    refused: usize,
}

impl Upgrade {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        let mut counts = Counts::default();
        let mut exit = Exit::Done;
        let runs = if self.all { self.open_runs(&client).await? } else { self.runs.clone() };
        for run in &runs {
            match self.one(&client, common, *run, &mut counts).await {
                Ok(true) => {}
                Ok(false) => exit = Exit::Failed,
                // Others are moved all the same.
                Err(fault) if runs.len() > 1 && fault.exit != Exit::Unreachable => {
                    fault.show();
                    exit = fault.exit;
                }
                Err(fault) => return Err(fault),
            }
        }
        if self.all && !common.json {
            let Counts { moved, held, refused } = counts;
            let verb = if self.dry_run { "would move" } else { "moved" };
            let held = if held > 0 { format!(", {held} diverged") } else { String::new() };
            line(&format!("{moved} {verb}{held}, {refused} do not fit"));
        }
        Ok(exit)
    }

    /// Open runs on other versions than the live ones.
    async fn open_runs(&self, client: &Client) -> Result<Vec<RunId>, Fault> {
        let answer = client.get("/api/v1/workflows").await?;
        let live = |name: &str| {
            let mut all = answer["workflows"].as_array().into_iter().flatten();
            all.find(|workflow| text(workflow, "name") == name).map(|workflow| text(workflow, "version"))
        };
        let statuses: Vec<_> = Status::ALL.iter().filter(|status| !status.is_final()).map(|s| s.name()).collect();
        let mut query = format!("/api/v1/runs?limit={PAGE}&status={}", statuses.join(","));
        if let Some(workflow) = &self.workflow {
            query.push_str(&format!("&workflow={}", escaped(workflow)));
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("{query}{cursor}")).await?;
            let rows = page["runs"].as_array().into_iter().flatten();
            let is_behind = |row: &&Value| {
                live(text(row, "workflow")).is_some_and(|live| live != text(row, "version"))
                    || (text(row, "status") == "diverged" && live(text(row, "workflow")).is_some())
            };
            found.extend(rows.filter(is_behind).filter_map(|row| text(row, "run").parse::<RunId>().ok()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(found),
            }
        }
    }

    /// Whether it did, or would do, as was wanted.
    async fn one(&self, client: &Client, common: &Common, run: RunId, counts: &mut Counts) -> Result<bool, Fault> {
        let body = json!({ "dry_run": self.dry_run, "force": self.force });
        let answer = client.send(Method::POST, &format!("/api/v1/runs/{run}/upgrade"), Some(&body), &[]).await?;
        let body = match answer.status {
            409 if !answer.body["to"].is_null() => answer.body,
            _ => answer.success()?,
        };
        if common.json {
            print_json(&body);
        }
        let parting: Option<Parting> = serde_json::from_value(body["divergence"].clone()).unwrap_or_default();
        if body["compatible"] == true {
            counts.moved += usize::from(body["moved"] == true || self.dry_run);
            if !common.json && !self.all {
                line(&Self::fits(run, &body));
            }
            return Ok(true);
        }
        let is_held = body["moved"] == true;
        if is_held {
            counts.held += 1;
        } else {
            counts.refused += 1;
        }
        if !common.json {
            let what = if is_held { "was moved, and diverged" } else { "does not fit the live version" };
            match &parting {
                Some(parting) => diagnostic(&parting.diagnostic(&format!("run {run} {what}"))),
                None => note(&format!("run {run} {what}: {}", text(&body, "problem"))),
            }
        }
        Ok(is_held)
    }

    fn fits(run: RunId, body: &Value) -> String {
        let to = short(text(body, "to"), 9);
        match (body["moved"] == true, text(body, "from") == text(body, "to")) {
            (true, _) => format!("{run} goes on with version {to}"),
            (false, true) => format!("{run} is on the live version {to}"),
            (false, false) => format!("{run} would go on with version {to}"),
        }
    }
}
