//! `panta workflows`: what the daemon has live, and the files that are broken.

use clap::Args;
use serde_json::{Value, json};

use super::access::Access;
use super::client::escaped;
use super::output::{Exit, Fault, Paint, Stream, diagnostic, json as print_json, note, text};
use super::runs::held;
use super::table::{first_line, table};
use super::{Common, trigger};
use crate::diag::Diagnostic;

/// Lists the workflows of the daemon, and what is wrong with files that are broken
#[derive(Args, Debug)]
pub(super) struct Workflows {
    /// Only this one, with what is known of each of its triggers
    name: Option<String>,
}

impl Workflows {
    pub(super) async fn execute(&self, common: &Common, access: Access) -> Result<Exit, Fault> {
        let client = access.daemon()?;
        if let Some(name) = &self.name {
            let workflow = client.get(&format!("/api/v1/workflows/{}", escaped(name))).await?;
            if common.json {
                print_json(&workflow);
            } else {
                trigger::show(&workflow);
            }
            return Ok(Exit::Done);
        }
        let answer = client.get("/api/v1/workflows").await?;
        let mut workflows = answer["workflows"].as_array().cloned().unwrap_or_default();
        let broken = broken(&client.get("/api/v1/reloads").await?);
        for reload in &broken {
            let live = workflows.iter_mut().find(|workflow| workflow["name"] == reload["workflow"]);
            match live {
                Some(live) => live["broken"] = reload["diagnostics"].clone(),
                None => workflows.push(json!({ "name": reload["workflow"], "broken": reload["diagnostics"] })),
            }
        }
        if common.json {
            workflows.iter().for_each(print_json);
            return Ok(Exit::Done);
        }
        if workflows.is_empty() {
            note("no workflows: the scripts folder has no `.rhai` file outside of `lib` folders");
            return Ok(Exit::Done);
        }
        table(&["WORKFLOW", "TRIGGERS", ""], &workflows.iter().map(row).collect::<Vec<_>>());
        workflows.iter().for_each(stopped);
        workflows.iter().for_each(refused);
        for workflow in &workflows {
            let diverging = workflow["gate"]["open"]["diverging"].as_u64().unwrap_or(0);
            if diverging > 0 {
                let name = text(workflow, "name");
                note(&format!(
                    "{name}: when its live version was saved, {diverging} open runs did not fit it, and stay on theirs"
                ));
            }
        }
        for fault in broken.iter().flat_map(|reload| reload["diagnostics"].as_array().into_iter().flatten()) {
            if let Ok(fault) = serde_json::from_value::<Diagnostic>(fault.clone()) {
                diagnostic(&fault);
            }
        }
        Ok(Exit::Done)
    }
}

/// What of it is not called any more, since the process died of it.
fn stopped(workflow: &Value) {
    for stopped in workflow["stopped"].as_array().into_iter().flatten() {
        let of = stopped["trigger"].as_str().map(|id| format!(" of {id}")).unwrap_or_default();
        let (name, option, why) = (text(workflow, "name"), text(stopped, "option"), text(stopped, "reason"));
        note(&format!(
            "{name}: `{option}`{of} is paused, and starts nothing: {why}; hint: change it, and save the file"
        ));
    }
}

/// What its triggers could not start.
fn refused(workflow: &Value) {
    for refused in workflow["refused"].as_array().into_iter().flatten() {
        let (name, trigger, at) = (text(workflow, "name"), text(refused, "trigger"), text(refused, "at"));
        let often = refused["count"].as_u64().filter(|count| *count > 1);
        let often = often.map(|count| format!(", and {} times before", count - 1)).unwrap_or_default();
        note(&format!("{name}: {trigger} started nothing at {at}{often}: {}", text(refused, "reason")));
    }
}

/// Files whose newest save is broken.
fn broken(reloads: &Value) -> Vec<Value> {
    let mut seen = std::collections::BTreeSet::new();
    let newest_first = reloads["reloads"].as_array().into_iter().flatten();
    let newest = newest_first.filter(|reload| seen.insert(text(reload, "workflow").to_owned()));
    let mut broken: Vec<Value> = newest.filter(|reload| reload["status"] == "broken").cloned().collect();
    broken.sort_by(|a, b| text(a, "file").cmp(text(b, "file")));
    broken
}

fn row(workflow: &Value) -> Vec<String> {
    let triggers = workflow["triggers"].as_array().map_or(&[][..], Vec::as_slice);
    let triggers: Vec<_> = triggers.iter().map(|trigger| text(trigger, "id").to_owned()).collect();
    let held = held(&workflow["paused"]);
    let titled = [text(workflow, "title"), first_line(workflow, "doc")].into_iter().find(|said| !said.is_empty());
    let about = held.unwrap_or_else(|| titled.unwrap_or_default().to_owned());
    let label = Paint::of_status("failed").on(Stream::Out, "broken");
    let about = match (workflow["broken"].is_null(), workflow["version"].is_null()) {
        (true, _) => about,
        (false, true) => label,
        (false, false) => format!("{label}; the version before it stays live"),
    };
    vec![text(workflow, "name").to_owned(), triggers.join(", "), about]
}
