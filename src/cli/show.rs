//! `panta show`: the journal of a run as a timeline.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::Access;
use super::fault;
use super::output::{Exit, Fault, Paint, Stream, between, json, lasted, line, rendered, text};
use super::table::{cut, plain, table, terminal_width, when};
use crate::id::RunId;

/// Shows a run and its journal
#[derive(Args, Debug)]
pub(super) struct Show {
    /// The run
    run: RunId,
}

/// Characters of a value where nobody looks, on a screen that is very narrow, and of a remark.
const VALUE: usize = 2_000;
const NARROW: usize = 40;
const NOTE: usize = 60;

impl Show {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let row = access.run(self.run).await?;
        if common.json {
            let mut row = row;
            row["entries"] = access.journal(self.run).await?.into();
            json(&row);
            return Ok(Exit::Done);
        }
        let status = text(&row, "status");
        line(&format!("{}  {}", text(&row, "workflow"), Paint::of_status(status).on(Stream::Out, status)));
        line(&format!("run      {}", text(&row, "run")));
        line(&format!("version  {}", cut(text(&row, "version"), 13)));
        line(&format!("trace    {}", text(&row, "trace")));
        line(&format!("created  {}", when(text(&row, "created_at"))));
        let total = between(&row, "started_at", "ended_at").map(lasted);
        if let Some(total) = total {
            line(&format!("ended    {} after {total}", when(text(&row, "ended_at"))));
        }
        if let Some(progress) = progress(&row["progress"]) {
            line(&format!("progress {progress}"));
        }
        if let Some(held) = super::runs::held(&row["paused"]) {
            line(&format!("held     {held}, {}", when(text(&row["paused"], "at"))));
        }
        for field in ["input", "output"] {
            if !row[field].is_null() {
                let most = terminal_width().map_or(VALUE, |width| width.saturating_sub(9).max(NARROW));
                line(&format!("{field:<8} {}", cut(&row[field].to_string(), most)));
            }
        }
        if !row["error"].is_null() {
            let sources = access.sources(self.run).await;
            line("");
            line(rendered(&fault::diagnose(&row["error"], sources.as_ref()), Stream::Out).trim_end());
        }
        line("");
        // A long journal is shown as several tables: nothing waits for its end.
        let mut pages = access.pages(self.run, None);
        while let Some(page) = pages.next().await? {
            let rows: Vec<_> = page.iter().map(entry).collect();
            table(&["N", "POSITION", "KIND", "NAME", "LINE", "ATTEMPT", "TOOK", "VALUE"], &rows);
        }
        Ok(Exit::Done)
    }
}

/// How far a run has come, in words: `40 %, uploading`.
pub(super) fn progress(progress: &Value) -> Option<String> {
    let percent = (progress["value"].as_f64()? * 100.0).floor();
    let said = Some(text(progress, "text")).filter(|said| !said.is_empty());
    Some(format!("{percent} %{}", said.map(|said| format!(", {}", cut(said, NOTE))).unwrap_or_default()))
}

/// Who did a repair, why, and what it gave.
fn repaired(entry: &Value) -> String {
    let by = entry["detail"]["by"].as_str().map(|by| format!("by {by}"));
    let why = entry["detail"]["reason"].as_str().map(str::to_owned);
    let value = entry.get("value").map(ToString::to_string);
    [by, why, value].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn entry(entry: &Value) -> Vec<String> {
    let position = text(entry, "position");
    let depth = position.matches('.').count().min(12);
    let number = |field: &str| entry[field].as_u64().filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default();
    let value = match entry["ok"].as_bool() {
        _ if text(entry, "kind") == "repair" => repaired(entry),
        Some(true) if entry["kind"] == "log" => plain(&entry["value"]),
        Some(true) => entry["value"].to_string(),
        Some(false) => format!("✗ {}", text(&entry["error"], "message")),
        None => {
            let until = entry["due"].as_str().map(|due| format!("until {}", when(due)));
            // Of an attempt that failed and is tried again.
            let after = entry["detail"]["message"].as_str().map(|message| format!("after ✗ {message}"));
            [after, until].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
    };
    let took = between(entry, "started_at", "ended_at").map(lasted).unwrap_or_default();
    vec![
        entry["n"].to_string(),
        format!("{}{position}", " ".repeat(depth)),
        text(entry, "kind").to_owned(),
        text(entry, "name").to_owned(),
        number("line"),
        number("attempt"),
        took,
        value,
    ]
}
