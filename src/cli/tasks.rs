//! `panta tasks` and `panta answer`: what people are asked.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::{Access, Said};
use super::input::Input;
use super::output::{Exit, Fault, Paint, Stream, json, line, note, program, text};
use super::table::{id, table, when};
use crate::config::Config;
use crate::id::{RunId, TaskId};
use crate::task::Status;

/// Lists tasks, newest first, or shows one with all that it asks
#[derive(Args, Debug)]
pub(super) struct Tasks {
    /// The task
    #[arg(conflicts_with_all = ["to", "workflow", "run", "limit"])]
    task: Option<TaskId>,
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
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
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
        if let Some(task) = self.task {
            let task = access.task(config, task).await?;
            if common.json {
                json(&task);
            } else {
                asked(&task).iter().for_each(|said| line(said));
            }
            return Ok(Exit::Done);
        }
        let wanted = Wanted {
            to: self.to.clone(),
            status: status(&self.status)?,
            workflow: self.workflow.clone(),
            run: self.run,
            limit: self.limit as usize,
        };
        let tasks = access.tasks(config, &wanted).await?;
        if common.json {
            tasks.iter().for_each(json);
        } else if tasks.is_empty() {
            note("no tasks");
        } else {
            table(
                &["TASK", "STATUS", "TO", "DUE", "WORKFLOW", "CHOICES", ""],
                &tasks.iter().map(row).collect::<Vec<_>>(),
            );
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
    vec![
        id(text(task, "task")).to_owned(),
        text(task, "status").to_owned(),
        people(task),
        when(text(task, "due")),
        text(task, "workflow").to_owned(),
        names(&task["choices"]).join(", "),
        text(task, "title").to_owned(),
    ]
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn people(task: &Value) -> String {
    match names(&task["to"]).as_slice() {
        [] => "anybody".to_owned(),
        names => names.join(", "),
    }
}

/// A task with all that it asks, and the commands that answer it.
pub(super) fn asked(task: &Value) -> Vec<String> {
    let status = text(task, "status");
    let mut lines = vec![format!("{}  {}", text(task, "title"), Paint::of_status(status).on(Stream::Out, status))];
    lines.extend(text(task, "text").lines().map(|said| format!("  {said}")));
    lines.push(format!("task     {}", text(task, "task")));
    lines.push(format!("run      {}  ({})", text(task, "run"), text(task, "workflow")));
    lines.push(format!("for      {}", people(task)));
    let except = names(&task["except"]);
    lines.extend((!except.is_empty()).then(|| format!("except   {}", except.join(", "))));
    lines.extend(task["due"].as_str().map(|due| format!("due      {}", when(due))));
    lines.extend(task["url"].as_str().map(|url| format!("page     {url}")));
    let needed = names(&task["form"]["required"]);
    for (field, schema) in fields(task) {
        let may = if needed.contains(field) { "" } else { ", may be left out" };
        lines.push(format!("field    {field}: {}{may}", kind(schema)));
    }
    if status == "open" {
        lines.extend(answers(task).into_iter().map(|command| format!("try: {command}")));
    } else if !task["answer"].is_null() {
        lines.push(format!("answer   {}", task["answer"]));
    }
    lines
}

/// The commands that answer a task, one a choice.
pub(super) fn answers(task: &Value) -> Vec<String> {
    let needed = names(&task["form"]["required"]);
    let fields: Vec<_> = needed.iter().map(|field| format!(" -i {field}=…")).collect();
    let fields = fields.concat();
    let command = |choice: &str| format!("{} answer {}{choice}{fields}", program(), text(task, "task"));
    match names(&task["choices"]).as_slice() {
        [] => vec![command("")],
        choices => choices.iter().map(|choice| command(&format!(" --choice {}", quoted(choice)))).collect(),
    }
}

/// What the form asks for: names, and the schema of each.
fn fields(task: &Value) -> impl Iterator<Item = (&String, &Value)> {
    task["form"]["properties"].as_object().into_iter().flatten()
}

/// What a field takes, in a word or two.
fn kind(schema: &Value) -> String {
    match (text(schema, "format"), &schema["type"]) {
        ("", Value::String(kind)) => kind.clone(),
        ("", kinds) => match names(kinds).into_iter().filter(|kind| kind != "null").collect::<Vec<_>>().join(" or ") {
            kinds if kinds.is_empty() => "anything".to_owned(),
            kinds => kinds,
        },
        (format, _) => format.to_owned(),
    }
}

/// As a shell takes it.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Answer {
    pub(super) async fn execute(&self, common: &Common, config: &Config, access: &Access) -> Result<Exit, Fault> {
        let form = if self.data.needs_schema() {
            access.task(config, self.task).await.map(|task| task["form"].clone()).unwrap_or_default()
        } else {
            Value::Null
        };
        let data = self.data.read_as(&form)?;
        let given = Said { choice: self.choice.clone(), data, by: self.by.clone(), note: self.note.clone() };
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
