//! `panta logs`: what runs have logged, and what they log from now on.
//!
//! Following reads the run's stream, which has every line once and goes on behind the last one where the connection breaks.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::client::{Client, escaped};
use super::follow::interrupted;
use super::output::{Exit, Fault, Paint, Stream, json as print_json, line, note, text};
use super::runs::since;
use super::sse::{Came, Events};
use super::table::{cut, hour, plain, short_id};
use crate::id::RunId;
use crate::journal::Kind;
use crate::store::RunFilter;
use crate::time::Timestamp;

/// Shows the log lines of a run, or of all runs of a workflow
#[derive(Args, Debug)]
pub(super) struct Logs {
    /// The run
    #[arg(required_unless_present = "workflow")]
    run: Option<RunId>,
    /// All runs of this workflow
    #[arg(long, conflicts_with = "run")]
    workflow: Option<String>,
    /// Shows new lines as they come, until the run has ended
    #[arg(short = 'f', long)]
    follow: bool,
    /// Only lines since then: `10m` ago, or a time
    #[arg(long)]
    since: Option<String>,
    /// Only lines of this level and above
    #[arg(long, value_enum, default_value_t = Level::Trace)]
    level: Level,
}

/// How much a line matters.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    Trace,
    Info,
    Warn,
    Error,
}

impl Level {
    /// Of a line; what has no known level is shown.
    fn of(entry: &Value) -> Self {
        Self::from_str(text(entry, "name"), true).unwrap_or(Self::Error)
    }
}

/// Characters of a message that are shown to people.
const MESSAGE: usize = 16_000;
/// Runs of a workflow whose lines are looked for, newest first.
const RUNS: usize = 1_000;

/// Which lines are shown, and how.
struct Wanted {
    since: Option<Timestamp>,
    level: Level,
    as_json: bool,
    /// Each line says of which run it is.
    names_run: bool,
    shown: usize,
}

impl Logs {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let mut wanted = Wanted {
            since: self.since.as_deref().map(since).transpose()?,
            level: self.level,
            as_json: common.json,
            names_run: self.run.is_none(),
            shown: 0,
        };
        if let Some(name) = &self.workflow {
            super::known::workflow(access, name).await?;
        }
        match (self.run, &self.workflow, access) {
            (Some(run), _, Access::Daemon(client)) if self.follow => wanted.follow(client, run).await,
            (None, Some(workflow), Access::Daemon(client)) if self.follow => wanted.follow_all(client, workflow).await,
            (Some(run), ..) => {
                access.run(run).await?;
                wanted.all_of(access, run).await?;
                if wanted.shown == 0 {
                    note("the run has written no log line; hint: `print(text)` and `log::info(message)` write some");
                }
                self.nobody_writes();
                Ok(Exit::Done)
            }
            (None, workflow, _) => {
                let filter = RunFilter { workflow: workflow.clone(), limit: RUNS, ..RunFilter::default() };
                for run in access.runs(&filter).await?.iter().rev() {
                    if let Ok(run) = text(run, "run").parse() {
                        wanted.all_of(access, run).await?;
                    }
                }
                self.nobody_writes();
                Ok(Exit::Done)
            }
        }
    }

    /// Nothing can be followed where nothing goes on.
    fn nobody_writes(&self) {
        if self.follow {
            note("no daemon holds the data folder: nothing goes on that could be followed");
        }
    }
}

impl Wanted {
    async fn all_of(&mut self, access: &Access, run: RunId) -> Result<(), Fault> {
        let mut pages = access.pages(run, Some(Kind::Log));
        while let Some(page) = pages.next().await? {
            page.iter().for_each(|entry| self.show(&run.to_string(), entry));
        }
        Ok(())
    }

    /// Follows a run to its end, a chain to that of its last run.
    async fn follow(&mut self, client: &Client, run: RunId) -> Result<Exit, Fault> {
        let mut interrupted = std::pin::pin!(interrupted());
        let mut run = run.to_string();
        let mut events = Events::open(client, &format!("/api/v1/runs/{run}/stream?kind=log"));
        loop {
            let came = tokio::select! {
                came = events.next() => came,
                () = &mut interrupted => return Ok(Exit::Done),
            };
            match came {
                Came::Event(name, row) if name == "end" => match row["continued_as"].as_str() {
                    Some(next) => {
                        next.clone_into(&mut run);
                        events = Events::open(client, &format!("/api/v1/runs/{run}/stream?kind=log"));
                    }
                    None => return Ok(Exit::Done),
                },
                Came::Event(_, entry) => self.show(&run, &entry),
                Came::Broken(why) => note(&format!("{why}; trying again")),
                Came::Refused(fault) => return Err(fault),
                Came::Open => {}
                Came::End => return Ok(Exit::Done),
            }
        }
    }

    /// Follows all runs of a workflow, until somebody ends it.
    async fn follow_all(&mut self, client: &Client, workflow: &str) -> Result<Exit, Fault> {
        let mut interrupted = std::pin::pin!(interrupted());
        let mut news = Events::open(client, &format!("/api/v1/stream?workflow={}", escaped(workflow)));
        // How far each run's journal has been read.
        let mut read: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let came = tokio::select! {
                came = news.next() => came,
                () = &mut interrupted => return Ok(Exit::Done),
            };
            match came {
                Came::Event(name, row) if name == "run" => {
                    let run = text(&row, "run").to_owned();
                    self.new_of(client, &run, &mut read).await?;
                    if !row["ended_at"].is_null() {
                        read.remove(&run);
                    }
                }
                Came::Event(name, _) if name == "reset" => {
                    let path = format!("/api/v1/runs?limit={RUNS}&workflow={}", escaped(workflow));
                    let list = client.get(&path).await?;
                    for run in list["runs"].as_array().into_iter().flatten().rev() {
                        self.new_of(client, text(run, "run"), &mut read).await?;
                    }
                }
                Came::Broken(why) => note(&format!("{why}; trying again")),
                Came::Refused(fault) => return Err(fault),
                Came::End => return Ok(Exit::Done),
                Came::Event(..) | Came::Open => {}
            }
        }
    }

    /// The lines of a run behind those that were read.
    async fn new_of(&mut self, client: &Client, run: &str, read: &mut BTreeMap<String, u64>) -> Result<(), Fault> {
        let from = read.entry(run.to_owned()).or_default();
        loop {
            let page = client.get(&format!("/api/v1/runs/{run}/journal?kind=log&limit=1000&cursor={from}")).await?;
            for entry in page["entries"].as_array().into_iter().flatten() {
                self.show(run, entry);
            }
            *from = page["read"].as_u64().unwrap_or(*from);
            if page["next"].is_null() {
                return Ok(());
            }
        }
    }

    fn show(&mut self, run: &str, entry: &Value) {
        let at = Timestamp::from_text(text(entry, "started_at"));
        let is_old = self.since.is_some_and(|since| at.is_some_and(|at| at < since));
        if is_old || Level::of(entry) < self.level {
            return;
        }
        self.shown += 1;
        let message = plain(&entry["value"]);
        if self.as_json {
            let mut shown = json!({
                "n": entry["n"], "at": entry["started_at"], "level": entry["name"], "message": message,
                "fields": entry["detail"], "line": entry["line"],
            });
            if self.names_run {
                shown["run"] = run.into();
            }
            print_json(&shown);
            return;
        }
        let fields = if entry["detail"].is_null() { String::new() } else { format!(" {}", entry["detail"]) };
        let level = text(entry, "name");
        let level = match Level::of(entry) {
            Level::Error => Paint::Red.on(Stream::Out, &format!("{level:<5}")),
            Level::Warn => Paint::Yellow.on(Stream::Out, &format!("{level:<5}")),
            Level::Info | Level::Trace => format!("{level:<5}"),
        };
        let run = if self.names_run { format!("{}  ", short_id(run)) } else { String::new() };
        let at = Paint::Dim.on(Stream::Out, &hour(text(entry, "started_at")));
        line(&format!("{at}  {run}{level}  {}{fields}", cut(&message, MESSAGE)));
    }
}
