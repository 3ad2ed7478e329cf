//! `panta simulate`: a dry run in virtual time. Nothing is touched; what would be is shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::input::{self, Input};
use super::output::{Exit, Fault, Paint, Stream, json as print_json, note, short};
use super::run::{self, Finished};
use super::table::table;
use super::{Common, scripts};
use crate::engine::Settings;
use crate::sim::dry::{self, Answers, By, Dry, Happening, Rehearsed, Stopped};
use crate::time::{Clock, SystemClock, Timestamp, format_duration, parse_time};

/// Runs a script in virtual time without touching anything, and shows what it would do
#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// The script
    file: PathBuf,
    #[command(flatten)]
    input: Input,
    /// Answers by function, step, event or task, as JSON in a file: `{"http::post": [{"status": 201}], "paid": [null]}`
    #[arg(long, value_name = "FILE")]
    answers: Option<String>,
    /// When it starts, in virtual time; now where none is given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl Simulate {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let beside = self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let config = common.config(beside)?;
        let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
        let (folder, path) = scripts::located(&self.file)?;
        let deployed = scripts::compile(&folder, &path, &settings).map_err(Fault::diagnosed)?;
        let at = self.at()?;
        let input = self.input.over(dry::made_up_input(&deployed, at))?;
        let sources = Arc::clone(&deployed.bundle);
        let workflow = Arc::clone(&deployed.name);
        let mut all = scripts::beside(&folder, &path, &settings);
        all.push(deployed);
        let (answers, people) = (self.answers()?, Arc::clone(&config.people));
        let channels = Arc::new(config.outlets.names());
        if !common.json && self.input.is_empty() && !input.is_null() {
            note(&format!("input, made up: {input}"));
        }
        let rehearsed = dry::rehearse(Dry { workflow, deployed: all, input, answers, at, settings, people, channels })?;
        if common.json {
            rehearsed.happened.iter().for_each(|happening| print_json(&happening.to_json(at)));
        } else {
            show(&rehearsed.happened, at, &rehearsed.run.workflow);
        }
        for name in &rehearsed.unused {
            note(&format!("warning: nothing asked for the answer `{name}`"));
        }
        Ok(end(&rehearsed, sources, common.json))
    }

    fn at(&self) -> Result<Timestamp, Fault> {
        let Some(text) = &self.at else { return Ok(SystemClock.now()) };
        parse_time(text).map_err(|error| Fault::usage(format!("`--at`: {error}")))
    }

    fn answers(&self) -> Result<Answers, Fault> {
        let Some(file) = &self.answers else { return Ok(Answers::default()) };
        let answers = input::json("--answers", &format!("@{}", file.strip_prefix('@').unwrap_or(file)))?;
        Answers::from_json(answers).map_err(|problem| Fault::usage(format!("`{file}`: {problem}")))
    }
}

fn show(happened: &[Happening], start: Timestamp, main: &str) {
    let row = |one: &Happening| {
        let line = if *one.workflow == *main { one.line.to_string() } else { format!("{}:{}", one.workflow, one.line) };
        vec![
            format!("+{}", span(one.at.0 - start.0)),
            line,
            short(one.step.as_deref().unwrap_or_default(), 24),
            if one.attempt > 1 { one.attempt.to_string() } else { String::new() },
            what(one),
            came(one),
        ]
    };
    let rows: Vec<_> = happened.iter().map(row).collect();
    table(&["TIME", "LINE", "STEP", "TRY", "WHAT", "ANSWER"], &rows);
}

/// A length of time; nothing is `0 s`.
fn span(ms: i64) -> String {
    if ms <= 0 { "0 s".to_owned() } else { format_duration(Duration::from_millis(ms.unsigned_abs())) }
}

/// What was called, with its arguments; what was waited for, and how long.
fn what(one: &Happening) -> String {
    let arguments: Vec<_> = one.arguments.iter().map(Value::to_string).collect();
    let name = match one.kind {
        "event" if one.name != "event::emit" => format!("wait_for {}", one.name),
        "task" => format!("task {:?}", one.name),
        "child" if !one.name.contains("::") => format!("workflow {}", one.name),
        "log" => format!("log {}", one.name),
        _ => one.name.clone(),
    };
    let waited = if one.waited_ms > 0 { format!(" (waited {})", span(one.waited_ms)) } else { String::new() };
    short(&format!("{name} {}{waited}", arguments.join(", ")).replace("  ", " "), 72).trim_end().to_owned()
}

fn came(one: &Happening) -> String {
    let by = match one.by {
        By::MadeUp => "made up: ",
        By::Given | By::Itself => "",
    };
    match &one.outcome {
        Ok(Value::Null) if one.kind == "event" => "no event came".to_owned(),
        Ok(Value::Null) if one.kind == "task" => "nobody answered".to_owned(),
        Ok(Value::Null) => String::new(),
        Ok(value) if one.kind == "log" => short(value.as_str().unwrap_or(&value.to_string()), 60),
        Ok(value) => short(&format!("{by}{}", answer(value)), 60),
        Err(error) => {
            let message = error["message"].as_str().or(error.as_str()).unwrap_or("failed");
            Paint::Red.on(Stream::Out, &short(&format!("✗ {message}"), 60))
        }
    }
}

/// A response as status and body.
fn answer(value: &Value) -> String {
    match (value["status"].as_i64(), value.get("body")) {
        (Some(status), Some(Value::Null)) => status.to_string(),
        (Some(status), Some(body)) => format!("{status} {body}"),
        _ => value.to_string(),
    }
}

fn end(rehearsed: &Rehearsed, sources: Arc<crate::script::bundle::Bundle>, as_json: bool) -> Exit {
    let row = rehearsed.run.to_json();
    let why = match rehearsed.stopped {
        Stopped::Ended => return run::show(&Finished { row, sources: Some(sources) }, as_json),
        Stopped::Waits => format!("it would wait for ever for {}", rehearsed.run.waiting_for),
        Stopped::Endless => format!("it goes on for ever: stopped after {} things", rehearsed.happened.len()),
    };
    let status = row["status"].as_str().unwrap_or_default();
    if as_json {
        let waiting_for = (rehearsed.stopped == Stopped::Waits).then_some(&row["waiting_for"]);
        print_json(
            &json!({ "run": row["run"], "status": status, "output": null, "error": null, "waiting_for": waiting_for }),
        );
    }
    note(&format!("{}: {why}", Paint::of_status(status).on(Stream::Err, status)));
    Exit::Waiting
}
