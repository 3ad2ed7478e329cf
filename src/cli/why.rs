//! `panta why`: why a run waits, failed or stopped, in words, and what to do.

use clap::Args;
use serde_json::{Value, json};

use super::access::Access;
use super::output::{Exit, Fault, diagnostic, json as print_json, lasted, line, program, text};
use super::runs::held;
use super::{Common, fault, tasks};
use crate::id::RunId;
use crate::time::{Clock, SystemClock, Timestamp};

/// Says why a run waits or failed, and what to do
#[derive(Args, Debug)]
pub(super) struct Why {
    /// The run
    run: RunId,
}

/// An event that a run waits for.
struct Wanted {
    name: String,
    key: Option<String>,
}

impl Why {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let row = access.run(self.run).await?;
        let (mut reasons, mut commands) = (Vec::new(), Vec::new());
        reasons.push(Self::headline(&row));
        if let Some(held) = held(&row["paused"]) {
            reasons.push(format!("it is {held}, since {}", text(&row["paused"], "at")));
            commands.push(format!("{} resume {}", program(), self.held_by(&row)));
        }
        if text(&row, "status") == "waiting" {
            self.waiting(access, &row, &mut reasons, &mut commands).await?;
        } else {
            reasons.extend(row["under_way"].as_array().into_iter().flatten().map(under_way));
            self.other(&row, matches!(access, Access::Daemon(_)), &mut commands);
        }
        if matches!(text(&row, "status"), "waiting" | "queued") {
            let (places, holders) = access.places(self.run).await?;
            reasons.extend(places);
            commands.extend(holders.iter().map(|holder| format!("{} why {holder}", program())));
        }
        if common.json {
            print_json(&json!({
                "run": row["run"], "status": row["status"], "why": reasons, "try": commands, "error": row["error"],
            }));
            return Ok(Exit::Done);
        }
        reasons.iter().for_each(|reason| line(reason));
        if !row["error"].is_null() {
            diagnostic(&fault::diagnose(&row["error"], access.sources(self.run).await.as_ref()));
        }
        commands.iter().for_each(|command| line(&format!("try: {command}")));
        Ok(Exit::Done)
    }

    fn headline(row: &Value) -> String {
        let (workflow, status) = (text(row, "workflow"), text(row, "status"));
        let since = |field: &str| ago(text(row, field)).map(|ago| format!(", {ago} ago")).unwrap_or_default();
        match status {
            "waiting" => format!("`{workflow}` waits for {}", text(row, "waiting_for")),
            "queued" if !text(row, "waiting_for").is_empty() => {
                format!("`{workflow}` was accepted{}, and waits for {}", since("created_at"), text(row, "waiting_for"))
            }
            "queued" => format!("`{workflow}` was accepted{}, and nothing has taken it up", since("created_at")),
            "running" => format!("`{workflow}` is being run; it began{}", since("started_at").replace(',', "")),
            "completed" => format!("`{workflow}` completed{}; nothing is wrong with it", since("ended_at")),
            "failed" => format!("`{workflow}` failed{}", since("ended_at")),
            "timed_out" => format!("`{workflow}` ran out of time{}", since("ended_at")),
            other => format!("`{workflow}` is {other}{}", since("ended_at")),
        }
    }

    fn other(&self, row: &Value, has_daemon: bool, commands: &mut Vec<String>) {
        match text(row, "status") {
            status @ ("failed" | "diverged" | "quarantined" | "timed_out" | "cancelled") => {
                let step = text(&row["error"], "step");
                commands.push(format!("{} retry {}", program(), self.run));
                if status == "failed" && !step.is_empty() {
                    commands.push(format!("{} skip {} '{step}'", program(), self.run));
                }
                if matches!(status, "diverged" | "quarantined") {
                    commands.push(format!("{} resume {}", program(), self.run));
                }
                commands.push(format!("{} show {}", program(), self.run));
                if text(row, "status") == "diverged" {
                    commands.push(format!("{} upgrade {} --dry-run", program(), self.run));
                }
            }
            "queued" | "running" if has_daemon => {
                commands.push(format!("{} show {}", program(), self.run));
                commands.push(format!("{} cancel {}", program(), self.run));
            }
            "queued" | "running" => {
                commands.push(format!("{} run --resume {}   (where no daemon runs)", program(), self.run));
            }
            _ => {}
        }
    }

    /// What is to be resumed for it to go on.
    fn held_by(&self, row: &Value) -> String {
        match text(&row["paused"], "scope") {
            "all" => "--all".to_owned(),
            "workflow" => format!("--workflow {}", text(row, "workflow")),
            _ => self.run.to_string(),
        }
    }

    async fn waiting(
        &self,
        access: &Access,
        row: &Value,
        reasons: &mut Vec<String>,
        commands: &mut Vec<String>,
    ) -> Result<(), Fault> {
        let journal = access.journal(self.run).await?;
        let open = open(&journal);
        if let Some(since) = open.iter().filter_map(|entry| ago(text(entry, "started_at"))).next_back() {
            reasons.push(format!("since {since}"));
        }
        if let Some(wake) = row["wake_at"].as_str() {
            reasons.push(format!("it goes on at {wake} by itself"));
        }
        if let Some(at) = open.iter().rev().find_map(|entry| entry["line"].as_u64().filter(|line| *line > 0)) {
            let source = access.sources(self.run).await.and_then(|bundle| {
                bundle.sources.get(bundle.main())?.line(at as usize).map(|line| line.trim().to_owned())
            });
            reasons.extend(source.map(|source| format!("in line {at}: {source}")));
        }
        for wanted in wanted(text(row, "waiting_for")) {
            self.near_misses(access, row, &wanted, reasons).await?;
            let key = wanted.key.as_ref().map(|key| format!(" --key {}", tasks::quoted(key))).unwrap_or_default();
            commands.push(format!("{} emit {}{key}", program(), tasks::quoted(&wanted.name)));
        }
        for (task, choices) in
            open.iter().filter(|entry| text(entry, "kind") == "task").filter_map(|entry| asked(entry))
        {
            reasons.push(match choices.len() {
                0 => format!("any answer to task {task} lets it go on"),
                _ => format!("an answer to task {task} lets it go on: {}", choices.join(", ")),
            });
            commands.push(format!("{} tasks {task}", program()));
            commands.extend(tasks::answers(&json!({ "task": task, "choices": choices })));
        }
        commands.push(format!("{} cancel {}", program(), self.run));
        Ok(())
    }

    async fn near_misses(
        &self,
        access: &Access,
        row: &Value,
        wanted: &Wanted,
        reasons: &mut Vec<String>,
    ) -> Result<(), Fault> {
        let since = Timestamp::from_text(text(row, "created_at")).unwrap_or_default();
        let events = access.events(&wanted.name, since).await?;
        let others = events.iter().filter(|event| event["key"].as_str() != wanted.key.as_deref()).count();
        reasons.push(match (others, wanted.key.is_some()) {
            (0, _) => format!("no `{}` event has come since the run was accepted", wanted.name),
            (1, true) => format!("1 `{}` event since then, not with this key", wanted.name),
            (n, true) => format!("{n} `{}` events since then, none with this key", wanted.name),
            (n, false) => format!("{n} `{}` events since then, none that fits", wanted.name),
        });
        Ok(())
    }
}

/// What it does outside.
fn under_way(doing: &Value) -> String {
    let since = ago(text(doing, "since")).map(|ago| format!(", since {ago}")).unwrap_or_default();
    format!("under way: {}{since}", text(doing, "what"))
}

/// Entries that began and have not ended.
fn open(journal: &[Value]) -> Vec<&Value> {
    let ended = |entry: &&Value| {
        journal.iter().any(|other| !other["ended_at"].is_null() && other["position"] == entry["position"])
    };
    journal.iter().filter(|entry| entry["ended_at"].is_null() && !ended(entry)).collect()
}

/// The task of an open entry, and its choices.
fn asked(entry: &Value) -> Option<(&str, Vec<&str>)> {
    let task = entry["detail"]["task"].as_str()?;
    let choices = entry["detail"]["choices"].as_array().into_iter().flatten();
    Some((task, choices.filter_map(Value::as_str).collect()))
}

/// The events that the sentence of a wait names: "event `x` with key `k`".
fn wanted(sentence: &str) -> Vec<Wanted> {
    sentence
        .split("event `")
        .skip(1)
        .filter_map(|rest| {
            let (name, rest) = rest.split_once('`')?;
            let key =
                rest.split_once("key `").and_then(|(_, rest)| rest.split_once('`')).map(|(key, _)| key.to_owned());
            Some(Wanted { name: name.to_owned(), key })
        })
        .collect()
}

fn ago(time: &str) -> Option<String> {
    Timestamp::from_text(time).map(|time| lasted(SystemClock.now().since(time)))
}
