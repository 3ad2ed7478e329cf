//! `panta start`, `panta emit`: acting from outside.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::access::Access;
use super::client::escaped;
use super::input::{self, Input};
use super::output::{Exit, Fault, json as print_json, line, note, text};
use super::run::{Finished, show};
use super::{Common, follow};
use crate::id::RunId;

/// Starts a run on the daemon
#[derive(Args, Debug)]
pub(super) struct Start {
    /// The workflow
    workflow: String,
    #[command(flatten)]
    input: Input,
    /// A repeat with the same key answers the first run
    #[arg(long)]
    key: Option<String>,
    /// Waits for its end, and shows it
    #[arg(long)]
    wait: bool,
}

impl Start {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        let path = format!("/api/v1/workflows/{}/runs", escaped(&self.workflow));
        let headers: Vec<_> = self.key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
        let schema = if self.input.needs_schema() {
            // Where the workflow is not there, the start says so.
            let workflow = client.get(&format!("/api/v1/workflows/{}", escaped(&self.workflow))).await;
            workflow.map(|workflow| workflow["declaration"]["input"].clone()).unwrap_or_default()
        } else {
            Value::Null
        };
        let input = self.input.read_as(&schema)?;
        let started = client.post(&path, &json!({ "input": input }), &headers).await?;
        let run = text(&started, "run");
        if !self.wait {
            if common.json {
                print_json(&started);
            } else {
                line(run);
            }
            return Ok(Exit::Done);
        }
        match follow::remote(&client, run).await? {
            Some(row) => {
                // The last of a chain has its own version.
                let sources = match text(&row, "run").parse() {
                    Ok(run) => client.sources(run).await.map(Arc::new),
                    Err(_) => None,
                };
                Ok(show(&Finished { row, sources }, common.json))
            }
            None => Ok(Exit::Waiting),
        }
    }
}

/// Emits an event
#[derive(Args, Debug)]
pub(super) struct Emit {
    /// Its name
    event: String,
    /// Correlation key
    #[arg(long)]
    key: Option<String>,
    /// Its identity: a repeat is dropped
    #[arg(long)]
    id: Option<String>,
    /// What it says: JSON, `@file` or `-`
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// For this run alone
    #[arg(long)]
    run: Option<RunId>,
}

impl Emit {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let payload = self.payload.as_deref().map(|given| input::json("--payload", given)).transpose()?;
        let mut event = json!({ "name": self.event, "payload": payload });
        for (field, given) in [("key", &self.key), ("id", &self.id)] {
            if let Some(given) = given {
                event[field] = given.as_str().into();
            }
        }
        let answer = access.emit(&event, self.run).await?;
        if matches!(access, Access::Store(_)) {
            note("no daemon runs: the event is kept for the runs that wait for it, and starts no workflow");
        }
        if common.json {
            print_json(&answer);
            return Ok(Exit::Done);
        }
        let repeated = if answer["repeated"] == true { " (a repeat, dropped)" } else { "" };
        line(&format!("event {}{repeated}", text(&answer, "event")));
        for (what, field) in [("started", "started"), ("woke", "delivered_to")] {
            for run in answer[field].as_array().into_iter().flatten().filter_map(Value::as_str) {
                line(&format!("{what} {run}"));
            }
        }
        let nobody = ["started", "delivered_to"].iter().all(|field| answer[field].as_array().is_none_or(Vec::is_empty));
        if nobody && repeated.is_empty() {
            note("nobody waits for it now, and it starts nothing; it is kept for runs that are open");
        }
        Ok(Exit::Done)
    }
}
