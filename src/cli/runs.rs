//! `panta runs`: a list.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::{Access, statuses};
use super::output::{Exit, Fault, json, note, text};
use super::table::{id, table, told, when};
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
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Runs {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let filter = RunFilter {
            workflow: self.workflow.clone(),
            statuses: statuses(&self.status)?,
            since: self.since.as_deref().map(since).transpose()?,
            limit: self.limit as usize,
            before: None,
        };
        let runs = access.runs(&filter).await?;
        if let Some(name) = self.workflow.as_deref().filter(|_| runs.is_empty()) {
            super::known::workflow(access, name).await?;
        }
        if common.json {
            runs.iter().for_each(json);
        } else if runs.is_empty() {
            note("no runs");
        } else {
            let rows: Vec<_> = runs.iter().map(row).collect();
            table(HEAD, &rows);
        }
        Ok(Exit::Done)
    }
}

/// The columns of a list of runs.
pub(super) const HEAD: &[&str] = &["RUN", "WORKFLOW", "STATUS", "CREATED", ""];

pub(super) fn row(run: &Value) -> Vec<String> {
    let status = text(run, "status");
    vec![
        id(text(run, "run")).to_owned(),
        text(run, "workflow").to_owned(),
        status.to_owned(),
        when(text(run, "created_at")),
        remark(run),
    ]
}

/// What there is to say of a run: what it waits for, or why it failed.
pub(super) fn remark(run: &Value) -> String {
    let held = held(&run["paused"]);
    let remark = match held.as_deref().unwrap_or_else(|| text(run, "waiting_for")) {
        "" => text(&run["error"], "message"),
        waiting => waiting,
    };
    told(remark)
}

/// By what something is held, in words: `paused with its workflow by local:ann: too many errors`.
pub(super) fn held(paused: &Value) -> Option<String> {
    let by = paused["by"].as_str().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = paused["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    let scope = match paused["scope"].as_str()? {
        "workflow" => " with its workflow",
        "all" => " with everything",
        _ => "",
    };
    Some(format!("paused{scope}{by}{why}"))
}

pub(super) fn since(given: &str) -> Result<Timestamp, Fault> {
    if let Ok(time) = crate::time::parse_time(given) {
        return Ok(time);
    }
    let ago = crate::time::parse_duration(given)
        .map_err(|_| Fault::usage(format!("`--since {given}` is neither a duration nor a time; hint: write `1h`")))?;
    Ok(Timestamp(SystemClock.now().0.saturating_sub(ago.as_millis() as i64).max(0)))
}
