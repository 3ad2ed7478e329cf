//! `panta runs`, `panta workflows`: lists.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::{Access, statuses};
use super::client::escaped;
use super::output::{Exit, Fault, json, line, note, short, table, text};
use crate::store::RunFilter;
use crate::time::{Clock, SystemClock, Timestamp};

/// Lists runs, newest first
#[derive(Args, Debug)]
pub(super) struct Runs {
    /// Of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// In this status; several with commas
    #[arg(long)]
    status: Vec<String>,
    /// Accepted since: `1h` ago, or a time
    #[arg(long)]
    since: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Lists the workflows of the daemon, or shows one with its triggers
#[derive(Args, Debug)]
pub(super) struct Workflows {
    /// Only this one, with what is known of each of its triggers
    name: Option<String>,
}

impl Runs {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let filter = RunFilter {
            workflow: self.workflow.clone(),
            statuses: statuses(&self.status)?,
            since: self.since.as_deref().map(since).transpose()?,
            limit: self.limit.into(),
            before: None,
        };
        let runs = access.runs(&filter).await?;
        if common.json {
            runs.iter().for_each(json);
        } else if runs.is_empty() {
            note("no runs");
        } else {
            let rows: Vec<_> = runs.iter().map(row).collect();
            table(&["RUN", "WORKFLOW", "STATUS", "CREATED", ""], &rows);
        }
        Ok(Exit::Done)
    }
}

fn row(run: &Value) -> Vec<String> {
    let remark = match text(run, "waiting_for") {
        "" => text(&run["error"], "message"),
        waiting => waiting,
    };
    let created = text(run, "created_at").get(..19).unwrap_or_default().replace('T', " ");
    vec![
        text(run, "run").to_owned(),
        text(run, "workflow").to_owned(),
        text(run, "status").to_owned(),
        created,
        short(remark, 60),
    ]
}

pub(super) fn since(given: &str) -> Result<Timestamp, Fault> {
    if let Ok(time) = crate::time::parse_time(given) {
        return Ok(time);
    }
    let ago = crate::time::parse_duration(given)
        .map_err(|_| Fault::usage(format!("`--since {given}` is neither a duration nor a time; hint: write `1h`")))?;
    Ok(Timestamp(SystemClock.now().0.saturating_sub(ago.as_millis() as i64).max(0)))
}

impl Workflows {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        if let Some(name) = &self.name {
            let workflow = client.get(&format!("/api/v1/workflows/{}", escaped(name))).await?;
            if common.json {
                json(&workflow);
            } else {
                show(&workflow);
            }
            return Ok(Exit::Done);
        }
        let answer = client.get("/api/v1/workflows").await?;
        let workflows = answer["workflows"].as_array().cloned().unwrap_or_default();
        if common.json {
            workflows.iter().for_each(json);
            return Ok(Exit::Done);
        }
        let row = |workflow: &Value| {
            let triggers = workflow["triggers"].as_array().map_or(&[][..], Vec::as_slice);
            let triggers: Vec<_> = triggers.iter().map(|trigger| text(trigger, "id").to_owned()).collect();
            let about = text(workflow, "doc").lines().next().unwrap_or_default();
            vec![text(workflow, "name").to_owned(), triggers.join(", "), short(about, 60)]
        };
        table(&["WORKFLOW", "TRIGGERS", ""], &workflows.iter().map(row).collect::<Vec<_>>());
        Ok(Exit::Done)
    }
}

fn show(workflow: &Value) {
    let about = text(workflow, "doc").lines().next().unwrap_or_default();
    line(&format!("{}  version {}", text(workflow, "name"), text(workflow, "version").get(..8).unwrap_or_default()));
    if !about.is_empty() {
        line(about);
    }
    for trigger in workflow["triggers"].as_array().into_iter().flatten() {
        line(&format!("\n{}", text(trigger, "id")));
        let next: Vec<_> = trigger["next"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !next.is_empty() {
            line(&format!("  next          {}", next.join(", ")));
        }
        let (start, refusal) = (&trigger["last_start"], &trigger["last_refusal"]);
        if start.is_object() {
            line(&format!("  last start    {}  {} ({})", text(start, "at"), text(start, "run"), text(start, "status")));
        }
        if refusal.is_object() {
            line(&format!("  last refusal  {}  {}", text(refusal, "at"), text(refusal, "reason")));
        }
    }
}
