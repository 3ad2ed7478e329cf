//! The steps of a run as they come: a tree that is redrawn on a terminal, plain lines elsewhere. On stderr.

use std::collections::BTreeMap;

use serde_json::Value;

use super::output::{self, Paint, Stream, between, lasted, note, short, text};
use crate::journal::{Position, Sub};

/// Rows that are redrawn: a window of a small terminal. The rest is shown at the end.
const ROWS: usize = 20;
/// Columns of a row where the terminal does not say.
const COLUMNS: usize = 79;
/// Characters of an error beside its step.
const ERROR: usize = 60;

/// Sorts a step before what is inside of it.
type Key = Vec<(u32, u32)>;

struct Node {
    depth: usize,
    name: String,
    state: State,
    attempt: u64,
    note: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Waiting,
    Done,
    Failed,
}

/// What is known of a run's steps.
pub(super) struct Tree {
    nodes: BTreeMap<Key, Node>,
    seen: usize,
    progress: Option<String>,
    drawn: usize,
    live: bool,
    columns: usize,
    door: Door,
}

/// How tasks of the run are answered while it is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// By another command: a daemon takes the answer.
    Open,
    /// This process holds the store: it has to end first.
    Held,
}

impl Tree {
    /// Nothing is known yet.
    pub(super) fn new(door: Door) -> Self {
        let live = Stream::Err.is_terminal();
        // The last column stays free: some terminals wrap there.
        let size = if live { crossterm::terminal::size().ok() } else { None };
        let columns = size.map_or(COLUMNS, |(columns, _)| usize::from(columns).saturating_sub(1).max(20));
        Self { nodes: BTreeMap::new(), seen: 0, progress: None, drawn: 0, live, columns, door }
    }

    /// Takes the journal as it is now; what is new in it is shown.
    pub(super) fn journal(&mut self, entries: &[Value]) {
        if entries.len() < self.seen {
            // A repair has cut what was seen: it and what follows is new.
            self.seen = entries.iter().rposition(|entry| entry["kind"] == "repair").unwrap_or(0);
        }
        for entry in entries.get(self.seen..).unwrap_or_default() {
            self.entry(entry);
        }
        self.seen = self.seen.max(entries.len());
        self.redraw("");
    }

    /// A step has begun.
    pub(super) fn begun(&mut self, name: &str, position: &Position) {
        let node = Node {
            depth: position.scope.len(),
            name: name.to_owned(),
            state: State::Running,
            attempt: 1,
            note: String::new(),
        };
        self.nodes.entry(key(position)).or_insert(node);
        if !self.live {
            note(&format!("{}… {name}", "  ".repeat(position.scope.len())));
        }
        self.redraw("");
    }

    /// How far the run has come, as it said itself.
    pub(super) fn progress(&mut self, progress: &Value) {
        let shown = super::show::progress(progress);
        if shown == self.progress {
            return;
        }
        if let (false, Some(shown)) = (self.live, &shown) {
            note(shown);
        }
        self.progress = shown;
        self.redraw("");
    }

    fn entry(&mut self, entry: &Value) {
        let kind = text(entry, "kind");
        if kind == "log" {
            return self.log(entry);
        }
        let Ok(position) = text(entry, "position").parse::<Position>() else { return };
        if matches!(kind, "start" | "end" | "cancel" | "repair") {
            return;
        }
        let node = Node {
            depth: position.scope.len(),
            name: shown_name(kind, text(entry, "name")),
            state: state(kind, entry),
            attempt: entry["attempt"].as_u64().unwrap_or(1),
            note: remark(entry),
        };
        if !self.live && matches!(node.state, State::Done | State::Failed) {
            note(&row(&node, self.columns));
        }
        self.nodes.insert(key(&position), node);
        if kind == "task" && entry["ok"].is_null() {
            self.above(&asked(entry, self.door));
        }
    }

    fn log(&mut self, entry: &Value) {
        let level = text(entry, "name");
        let message = entry["value"].as_str().map_or_else(|| entry["value"].to_string(), str::to_owned);
        let fields = if entry["detail"].is_null() { String::new() } else { format!(" {}", entry["detail"]) };
        let paint = match level {
            "error" => Paint::Red,
            "warn" => Paint::Yellow,
            _ => Paint::Dim,
        };
        let shown = format!("{} {}{fields}", paint.on(Stream::Err, &format!("{level:<5}")), short(&message, 4_000));
        self.above(&shown);
    }

    /// Says something that stays.
    fn above(&mut self, said: &str) {
        if self.live { self.redraw(&format!("{said}\n")) } else { note(said) }
    }

    /// Clears what was drawn, writes `above`, and draws anew.
    fn redraw(&mut self, above: &str) {
        if !self.live {
            return;
        }
        let progress = self.progress.iter().map(|shown| Paint::Bold.on(Stream::Err, shown));
        let rows: Vec<_> = self.nodes.values().map(|node| row(node, self.columns)).chain(progress).collect();
        let hidden = rows.len().saturating_sub(ROWS);
        let mut out = if self.drawn > 0 { format!("\r\u{1b}[{}A\u{1b}[J", self.drawn) } else { String::new() };
        out.push_str(above);
        if hidden > 0 {
            out.push_str(&format!("… {hidden} more above\n"));
        }
        rows[hidden..].iter().for_each(|row| out.extend([row, "\n"]));
        output::draw(&out);
        self.drawn = rows.len() - hidden + usize::from(hidden > 0);
    }

    /// Leaves the drawn tree as it stands: what follows is written below.
    pub(super) fn finish(&mut self) {
        self.redraw("");
        self.drawn = 0;
    }
}

fn key(position: &Position) -> Key {
    let scopes = position.scope.iter().map(|segment| match segment.sub {
        Sub::Attempt(n) | Sub::Branch(n) => (segment.ordinal, n + 1),
    });
    scopes.chain([(position.ordinal, 0)]).collect()
}

fn shown_name(kind: &str, name: &str) -> String {
    match kind {
        "rollback" => format!("undo {name}"),
        "exit" => format!("on exit {name}"),
        _ => name.to_owned(),
    }
}

fn state(kind: &str, entry: &Value) -> State {
    match entry["ok"].as_bool() {
        Some(true) => State::Done,
        Some(false) => State::Failed,
        None if matches!(kind, "intent" | "step") => State::Running,
        None => State::Waiting,
    }
}

fn remark(entry: &Value) -> String {
    if entry["ok"] == false {
        return short(text(&entry["error"], "message"), ERROR);
    }
    match (between(entry, "started_at", "ended_at"), entry["due"].as_str()) {
        (Some(time), _) if time.as_millis() > 0 => lasted(time),
        (None, Some(due)) => format!("until {due}"),
        _ => String::new(),
    }
}

/// What a person is asked, and the commands that answer.
fn asked(entry: &Value, door: Door) -> String {
    let task = serde_json::json!({ "task": entry["detail"]["task"], "choices": entry["detail"]["choices"] });
    let names = entry["detail"]["to"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let to = names.collect::<Vec<_>>().join(", ");
    let to = if to.is_empty() { String::new() } else { format!(" of {to}") };
    let mut said = format!("{}{to}: task {}", Paint::Bold.on(Stream::Err, "an answer is needed"), text(&task, "task"));
    if door == Door::Held {
        said.push_str("\n  end this with Ctrl-C first; the run stays open");
    }
    for command in super::tasks::answers(&task) {
        said.push_str(&format!("\n  {command}"));
    }
    said
}

fn row(node: &Node, columns: usize) -> String {
    let (mark, paint) = match node.state {
        State::Running => ("…", Paint::Bold),
        State::Waiting => ("◌", Paint::Yellow),
        State::Done => ("✓", Paint::Green),
        State::Failed => ("✗", Paint::Red),
    };
    let attempt = if node.attempt > 1 { format!("  attempt {}", node.attempt) } else { String::new() };
    let indent = "  ".repeat(node.depth.min(16));
    let remark = if node.note.is_empty() { String::new() } else { format!("  {}", node.note) };
    let rest =
        short(&format!("{}{attempt}{remark}", node.name), columns.saturating_sub(indent.len().min(columns / 2) + 2));
    format!("{indent}{} {rest}", paint.on(Stream::Err, mark))
}
