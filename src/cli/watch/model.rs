//! What is known of a daemon, and where on the screen somebody stands. Drawn by `view`, changed by keys and news.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::act::Act;
use super::run::Steps;
use crate::cli::output::text;
use crate::store::Status;

/// Runs that are kept in memory; of more, the oldest finished ones go.
const KEPT: usize = 1_500;

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    Runs,
    Run,
    Help,
}

/// All that is shown, read at one time.
#[derive(Default)]
pub(super) struct Fresh {
    pub(super) workflows: Vec<Value>,
    pub(super) newest: Vec<Value>,
    pub(super) open: Vec<Value>,
    pub(super) tasks: Vec<Value>,
    pub(super) reloads: Vec<Value>,
}

/// What is known, and where somebody stands.
pub(super) struct Model {
    pub(super) server: String,
    pub(super) workflow: Option<String>,
    /// How many runs are in each status, in the order of a run's life.
    pub(super) counts: Vec<(Status, u64)>,
    runs: BTreeMap<String, Value>,
    /// Open tasks.
    pub(super) tasks: BTreeMap<String, Value>,
    /// Files that are broken, with what is wrong first.
    pub(super) broken: BTreeMap<String, String>,
    /// What somebody holds of what is shown, and by whom.
    pub(super) held: Option<String>,
    /// Why the line to the daemon is broken, while it is.
    pub(super) broken_line: Option<String>,
    pub(super) page: Page,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) question: Option<Act>,
    pub(super) said: String,
    /// The run that is chosen, by id, so that newcomers do not move the choice.
    selected: Option<String>,
    pub(super) steps: Option<Steps>,
    /// News that came while everything was read: they are newer than what was read.
    since_reading: Option<Vec<Value>>,
    is_stale: bool,
}

impl Model {
    pub(super) fn new(server: &str, workflow: Option<String>) -> Self {
        Self {
            server: server.trim_start_matches("http://").to_owned(),
            workflow,
            counts: Vec::new(),
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            broken: BTreeMap::new(),
            held: None,
            broken_line: None,
            page: Page::Runs,
            filter: String::new(),
            is_typing: false,
            question: None,
            said: String::new(),
            selected: None,
            steps: None,
            since_reading: None,
            is_stale: false,
        }
    }

    /// Everything will be read anew.
    pub(super) fn begin_refresh(&mut self) {
        self.since_reading = Some(Vec::new());
        self.is_stale = false;
    }

    /// Everything was read anew.
    pub(super) fn refresh(&mut self, fresh: Fresh) {
        let Fresh { workflows, newest, open, tasks, reloads } = fresh;
        self.counts = counts(&workflows, self.workflow.as_deref());
        self.held = held(&workflows, self.workflow.as_deref());
        let by = |list: Vec<Value>, id: &str| -> BTreeMap<String, Value> {
            list.into_iter().map(|item| (text(&item, id).to_owned(), item)).collect()
        };
        self.runs = by(newest.into_iter().chain(open).collect(), "run");
        self.tasks = by(tasks, "task");
        self.broken.clear();
        reloads.iter().rev().for_each(|reload| self.reload(reload));
        for run in self.since_reading.take().unwrap_or_default() {
            self.run(run);
        }
    }

    /// Whether counts are not those of what is shown any more.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Takes an event of the stream.
    pub(super) fn news(&mut self, name: &str, data: Value) {
        match name {
            "run" => {
                self.is_stale = true;
                if let Some(news) = &mut self.since_reading {
                    news.push(data.clone());
                }
                self.run(data);
            }
            "task" => {
                let id = text(&data, "task").to_owned();
                if data["status"] == "open" {
                    self.tasks.insert(id, data);
                } else {
                    self.tasks.remove(&id);
                }
            }
            "reload" => self.reload(&data),
            _ => {}
        }
    }

    fn run(&mut self, run: Value) {
        self.runs.insert(text(&run, "run").to_owned(), run);
        if self.runs.len() > KEPT {
            let ended = self.runs.iter().find(|(_, run)| is_ended(run)).map(|(id, _)| id.clone());
            ended.and_then(|id| self.runs.remove(&id));
        }
    }

    fn reload(&mut self, reload: &Value) {
        let file = text(reload, "file").to_owned();
        if reload["status"] == "broken" {
            let fault = &reload["diagnostics"][0];
            let line = fault["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
            self.broken.insert(file, format!("{line}: {}", text(fault, "title")));
        } else {
            self.broken.remove(&file);
        }
    }

    /// The line to the daemon is there, or broken.
    pub(super) fn link(&mut self, broken: Option<String>) {
        self.broken_line = broken;
    }

    /// Says something at the bottom, until a key is pressed.
    pub(super) fn say(&mut self, text: &str) {
        text.clone_into(&mut self.said);
    }

    /// Runs that fit the filter, newest first.
    pub(super) fn shown(&self) -> Vec<&Value> {
        self.runs.values().rev().filter(|run| self.fits(run)).collect()
    }

    fn fits(&self, run: &Value) -> bool {
        let of_workflow = self.workflow.as_deref().is_none_or(|workflow| text(run, "workflow") == workflow);
        of_workflow
            && self.filter.split_whitespace().all(|word| {
                text(run, "workflow").contains(word)
                    || text(run, "status").starts_with(word)
                    || text(run, "run").starts_with(word)
                    || text(run, "run").ends_with(word)
            })
    }

    /// The place of the chosen run among those that are shown.
    pub(super) fn place(&self) -> usize {
        let shown = self.shown();
        let at = self.selected.as_deref().and_then(|id| shown.iter().position(|run| text(run, "run") == id));
        at.unwrap_or(0)
    }

    /// The run that is chosen, or looked at.
    pub(super) fn chosen(&self) -> Option<&Value> {
        match (&self.page, &self.steps) {
            (Page::Run, Some(steps)) => self.runs.get(&steps.run),
            _ => self.shown().get(self.place()).copied(),
        }
    }

    /// Goes up or down.
    pub(super) fn go(&mut self, by: isize) {
        if let (Page::Run, Some(steps)) = (self.page, &mut self.steps) {
            steps.go(by);
            return;
        }
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let at = self.place().saturating_add_signed(by).min(last);
        // At the top it stays at the top, whatever comes.
        let chosen = shown.get(at).filter(|_| at > 0).map(|run| text(run, "run").to_owned());
        self.selected = chosen;
    }

    /// Looks at the steps of the chosen run; which that is.
    pub(super) fn look(&mut self) -> Option<String> {
        let run = text(self.chosen()?, "run").to_owned();
        self.selected = Some(run.clone());
        self.page = Page::Run;
        self.steps = Some(Steps::of(&run));
        Some(run)
    }

    /// Looks at all runs again.
    pub(super) fn leave(&mut self) {
        self.steps = None;
    }

    /// Takes an event of the run that is looked at.
    pub(super) fn step(&mut self, name: &str, data: Value) {
        if name == "end" {
            self.run(data);
        } else if let Some(steps) = self.steps.as_mut().filter(|_| name == "message") {
            steps.entry(&data);
        }
    }

    /// The counts in a line.
    pub(super) fn summary(&self) -> String {
        let counts: Vec<_> =
            self.counts.iter().map(|(status, count)| format!("{count} {}", status.name().replace('_', " "))).collect();
        let tasks = match self.tasks.len() {
            0 => String::new(),
            1 => "; 1 open task".to_owned(),
            n => format!("; {n} open tasks"),
        };
        let broken: Vec<_> = self.broken.keys().map(String::as_str).collect();
        let broken = if broken.is_empty() { String::new() } else { format!("; broken: {}", broken.join(", ")) };
        let counts = if counts.is_empty() { "no runs".to_owned() } else { counts.join(", ") };
        let held = self.held.as_ref().map(|held| format!("{held}; ")).unwrap_or_default();
        format!("{held}{counts}{tasks}{broken}")
    }

    /// All of it, for programs.
    pub(super) fn to_json(&self) -> Value {
        let counts: serde_json::Map<_, _> =
            self.counts.iter().map(|(status, count)| (status.name().to_owned(), (*count).into())).collect();
        json!({
            "counts": counts, "runs": self.shown(), "tasks": self.tasks.values().collect::<Vec<_>>(),
            "broken": self.broken.keys().collect::<Vec<_>>(),
        })
    }
}

fn is_ended(run: &Value) -> bool {
    Status::from_name(text(run, "status")).is_some_and(Status::is_final)
}

/// What is said of everything that is held, or of the one workflow that is shown; else which workflows are held.
fn held(workflows: &[Value], only: Option<&str>) -> Option<String> {
    let held = |it: &Value| crate::cli::runs::held(&it["paused"]);
    let is_meant = |it: &&Value| only.is_some_and(|only| text(it, "name") == only) || it["paused"]["scope"] == "all";
    if let Some(said) = workflows.iter().filter(is_meant).find_map(held) {
        return Some(said);
    }
    let shown = workflows.iter().filter(|it| only.is_none() && it["paused"].is_object());
    let names: Vec<_> = shown.map(|it| text(it, "name")).collect();
    (!names.is_empty()).then(|| format!("paused: {}", names.join(", ")))
}

fn counts(workflows: &[Value], only: Option<&str>) -> Vec<(Status, u64)> {
    let meant = workflows.iter().filter(|workflow| only.is_none_or(|only| text(workflow, "name") == only));
    let meant: Vec<_> = meant.collect();
    let of = |status: Status| meant.iter().filter_map(|workflow| workflow["counts"][status.name()].as_u64()).sum();
    Status::ALL.into_iter().map(|status| (status, of(status))).filter(|(_, count)| *count > 0).collect()
}
