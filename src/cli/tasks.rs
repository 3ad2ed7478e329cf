//! `panta tasks` and `panta answer`: what people are asked.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::{Access, Said};
use super::input::Input;
use super::output::{Exit, Fault, Paint, Stream, json, line, note, program, short, table, text};
use crate::config::Config;
use crate::id::{RunId, TaskId};
use crate::task::Status;

/// Lists tasks, newest first
#[derive(Args, Debug)]
pub(super) struct Tasks {
    /// For this person or group; a person's are those of the groups, too, and of whom the person stands in for
    #[arg(long, value_name = "WHO")]
    to: Option<String>,
    /// In this status, or `all`
    #[arg(long, default_value = "open")]
    status: String,
    /// Of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// Of this run
    #[arg(long)]
    run: Option<RunId>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Answers a task; the first answer counts
#[derive(Args, Debug)]
pub(super) struct Answer {
    /// The task
    task: TaskId,
    /// One of its choices
    #[arg(long)]
    choice: Option<String>,
    /// What its form asks for
    #[command(flatten)]
    data: Input,
    /// Who answers
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// A remark
    #[arg(long)]
    note: Option<String>,
}

/// Which tasks to list.
pub(super) struct Wanted {
    pub(super) to: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) workflow: Option<String>,
    pub(super) run: Option<RunId>,
    pub(super) limit: usize,
}

impl Tasks {
    pub(super) async fn execute(&self, common: &Common, config: &Config, access: &Access) -> Result<Exit, Fault> {
        let wanted = Wanted {
            to: self.to.clone(),
            status: status(&self.status)?,
            workflow: self.workflow.clone(),
            run: self.run,
            limit: self.limit.into(),
        };
        let tasks = access.tasks(config, &wanted).await?;
        if common.json {
            tasks.iter().for_each(json);
        } else if tasks.is_empty() {
            note("no tasks");
        } else {
            table(&["TASK", "STATUS", "TO", "DUE", "WORKFLOW", ""], &tasks.iter().map(row).collect::<Vec<_>>());
        }
        Ok(Exit::Done)
    }
}

fn status(given: &str) -> Result<Option<Status>, Fault> {
    if given == "all" {
        return Ok(None);
    }
    Status::from_name(given).map(Some).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| status.name()).collect();
        Fault::usage(format!("`{given}` is no status of a task; hint: one of {}, all", known.join(", ")))
    })
}

fn row(task: &Value) -> Vec<String> {
    let names: Vec<_> = task["to"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let to = if names.is_empty() { "anybody".to_owned() } else { names.join(", ") };
    let due = text(task, "due").get(..16).unwrap_or_default().replace('T', " ");
    vec![
        text(task, "task").to_owned(),
        text(task, "status").to_owned(),
        short(&to, 30),
        due,
        text(task, "workflow").to_owned(),
        short(text(task, "title"), 60),
    ]
}

impl Answer {
    pub(super) async fn execute(&self, common: &Common, config: &Config, access: &Access) -> Result<Exit, Fault> {
        let given =
            Said { choice: self.choice.clone(), data: self.data.read()?, by: self.by.clone(), note: self.note.clone() };
        let task = access.answer(config, self.task, &given).await?;
        if common.json {
            json(&task);
            return Ok(Exit::Done);
        }
        let choice = task["answer"]["choice"].as_str().map(|choice| format!(": {choice}")).unwrap_or_default();
        line(&format!("{} {}{choice}", Paint::Green.on(Stream::Out, "answered"), text(&task, "title")));
        if matches!(access, Access::Store(_)) {
            let run = text(&task, "run");
            note(&format!("the run goes on as soon as a daemon runs, or with `{} run --resume {run}`", program()));
        }
        Ok(Exit::Done)
    }
}
