//! `panta replay`: a run, evaluated again from its journal, with its variables.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::Access;
use super::output::{Exit, Fault, Paint, Stream, json, line, short, text};
use crate::id::RunId;

/// Characters of a value that are shown; `--json` has more.
const SHOWN: usize = 160;

/// Shows a run's variables: at its end, where it waits, or at a step
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The run
    run: RunId,
    /// Where that step is about to return: its name, `import#3` for its third occurrence, or its entry's number
    #[arg(long, value_name = "STEP")]
    until: Option<String>,
}

impl Replay {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let seen = access.replay(self.run, self.until.as_deref()).await?;
        if common.json {
            json(&seen);
            return Ok(Exit::Done);
        }
        let status = text(&seen, "status");
        line(&format!("{}  {}", text(&seen, "workflow"), Paint::of_status(status).on(Stream::Out, status)));
        line(&format!("{} at {}", headline(&seen), text(&seen, "at")));
        if let Some(divergence) = seen["divergence"].as_str() {
            line(&format!("it does not fit its journal: {divergence}"));
        }
        if seen["until"].is_null() && !seen["error"].is_null() {
            line(&Paint::Red.on(Stream::Out, &format!("error: {}", short(text(&seen["error"], "message"), SHOWN))));
        }
        for (number, strand) in seen["strands"].as_array().into_iter().flatten().enumerate() {
            line("");
            show(number, strand);
        }
        Ok(Exit::Done)
    }
}

fn headline(seen: &Value) -> String {
    let until = &seen["until"];
    let target = format!("{} `{}`, entry {}", text(until, "kind"), text(until, "name"), until["n"]);
    match text(seen, "stands") {
        "returning" => format!("before {target},"),
        "waiting" => "where it waits,".to_owned(),
        "diverged" => "where it diverges,".to_owned(),
        _ => "where it ended,".to_owned(),
    }
}

fn show(number: usize, strand: &Value) {
    let who = if number == 0 { "the run".to_owned() } else { format!("branch {number}") };
    match strand["waits_for"].as_str() {
        Some(what) => line(&format!("{who} waits for {}", short(what, SHOWN))),
        None => line(&who),
    }
    for frame in strand["frames"].as_array().into_iter().flatten() {
        let place = format!("{} ({}:{})", text(frame, "function"), text(frame, "file"), frame["line"]);
        line(&format!("  {}", Paint::Bold.on(Stream::Out, &place)));
        line(&Paint::Dim.on(Stream::Out, &format!("  {:>4} | {}", frame["line"], short(text(frame, "source"), 100))));
        let variables: Vec<_> = frame["variables"].as_array().into_iter().flatten().collect();
        let width = |field: &str| variables.iter().map(|v| text(v, field).chars().count()).max().unwrap_or(0);
        let (names, kinds) = (width("name"), width("type"));
        for v in &variables {
            let value = short(text(v, "value"), SHOWN);
            line(&format!("       {:<names$}  {:<kinds$}  {value}", text(v, "name"), text(v, "type")));
        }
    }
}
