//! `panta graph`: the flow of a workflow, drawn from its source.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Common;
use super::access::Access;
use super::output::{Exit, Fault, between, line, pretty, text};
use crate::engine;
use crate::id::RunId;
use crate::script::bundle::{Bundle, Sources};
use crate::script::flow::run::{Happened, State};
use crate::script::flow::{Graph, edges, mermaid, run, svg};

/// Draws the flow of a workflow from its source
#[derive(Args, Debug)]
pub(super) struct Draw {
    /// The script
    #[arg(required_unless_present = "run")]
    file: Option<PathBuf>,
    /// A picture, text for Mermaid, or data
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Marks what a run has done; drawn from the sources that the run is pinned to
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
enum Format {
    Svg,
    Mermaid,
    Json,
}

impl Draw {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let graph = match self.run {
            Some(run) => self.of_run(common, run).await?,
            None => self.of_file()?,
        };
        match self.format.unwrap_or(if common.json { Format::Json } else { Format::Svg }) {
            Format::Svg => line(svg::svg(&graph).trim_end()),
            Format::Mermaid => line(mermaid::mermaid(&graph).trim_end()),
            Format::Json => pretty(&edges::json(&graph)),
        }
        Ok(Exit::Done)
    }

    fn of_file(&self) -> Result<Graph, Fault> {
        let file = self.file.as_deref().expect("a file is demanded unless a run is named");
        let (folder, path) = super::scripts::located(file)?;
        let bundle = bundle(&path, &folder)?;
        engine::flow(&bundle).map_err(Fault::diagnosed)
    }

    async fn of_run(&self, common: &Common, id: RunId) -> Result<Graph, Fault> {
        let scripts = self.file.as_deref().and_then(std::path::Path::parent).filter(|path| path.is_dir());
        let scripts = scripts.map_or_else(super::default_scripts, std::path::Path::to_owned);
        let access = Access::open(common, &common.config(&scripts)?)?;
        access.run(id).await?;
        let journal = access.journal(id).await?;
        // What the file says today may be something else than what ran.
        let mut graph = match access.sources(id).await {
            Some(bundle) => engine::flow(&bundle).map_err(Fault::diagnosed)?,
            None if self.file.is_some() => self.of_file()?,
            None => return Err(Fault::usage(format!("the sources of run {id} cannot be read; hint: name the file"))),
        };
        run::mark(&mut graph, &happened(&journal));
        Ok(graph)
    }
}

fn bundle(path: &str, folder: &dyn Sources) -> Result<Bundle, Fault> {
    Bundle::load(path, folder, crate::reload::STDLIB).map_err(Fault::diagnosed)
}

/// Commands of a journal, each once: a command that ended has an entry of its beginning in front.
fn happened(journal: &[Value]) -> Vec<Happened> {
    let mut commands: Vec<(&str, Happened)> = Vec::new();
    for entry in journal.iter().filter(|entry| entry["kind"] != "log") {
        let state = match entry["ok"].as_bool() {
            Some(false) => State::Failed,
            None if entry["ended_at"].is_null() => State::Open,
            _ => State::Done,
        };
        let took = between(entry, "started_at", "ended_at").map_or(0, |took| took.as_millis() as i64);
        let number = |field: &str| entry[field].as_u64().unwrap_or(0);
        let command = Happened {
            kind: text(entry, "kind").replace("intent", "effect"),
            name: text(entry, "name").to_owned(),
            line: number("line") as usize,
            attempt: number("attempt"),
            state,
            took_ms: took,
        };
        let position = text(entry, "position");
        let same = |(at, known): &&mut (&str, Happened)| {
            *at == position && known.kind == command.kind && known.state == State::Open
        };
        match commands.iter_mut().find(same) {
            Some((_, known)) => *known = command,
            None => commands.push((position, command)),
        }
    }
    commands.into_iter().map(|(_, command)| command).collect()
}
