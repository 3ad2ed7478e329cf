//! What a run has made of a graph: entries of its journal, matched to nodes by line, kind and name.

use super::{Block, Graph, Kind, Lane, Node};

/// How far a node came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Begun, and not ended.
    Open,
    /// Ended with a value.
    Done,
    /// Ended with an error.
    Failed,
}

impl State {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What happened at a node, over all the times that it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How it ended the last time.
    pub state: State,
    /// The most attempts that it took.
    pub attempts: u64,
    /// How often it was reached.
    pub times: u64,
    /// Milliseconds in all.
    pub took_ms: i64,
}

/// One command of a journal.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Its kind, as the journal names it.
    pub kind: String,
    /// Function, step, event or workflow.
    pub name: String,
    /// Line of the call.
    pub line: usize,
    /// Which attempt.
    pub attempt: u64,
    /// How it ended.
    pub state: State,
    /// Milliseconds that it took.
    pub took_ms: i64,
}

/// Marks the nodes that were reached. A command whose line has no node leaves no mark.
pub fn mark(graph: &mut Graph, happened: &[Happened]) {
    let mut nodes = Vec::new();
    collect(&mut graph.body, &mut nodes);
    for command in happened {
        let mut fitting: Vec<_> =
            nodes.iter_mut().filter(|node| node.line == command.line && fits(node.kind, &command.kind)).collect();
        let exact = fitting.iter().position(|node| node.entry == command.name);
        let open = fitting.iter().position(|node| node.entry.is_empty());
        if let Some(index) = exact.or(open) {
            reached(fitting.swap_remove(index), command);
        }
    }
    started(graph, happened);
}

fn started(graph: &mut Graph, happened: &[Happened]) {
    let ended = happened.iter().find(|command| command.kind == "end");
    let mark = |state| Some(Mark { state, attempts: 1, times: 1, took_ms: 0 });
    graph.start.mark = mark(State::Done);
    if let (Some(end), Some(State::Done)) = (&mut graph.end, ended.map(|end| end.state)) {
        end.mark = mark(State::Done);
    }
}

fn reached(node: &mut Node, command: &Happened) {
    let before = node.mark.unwrap_or(Mark { state: command.state, attempts: 0, times: 0, took_ms: 0 });
    node.mark = Some(Mark {
        state: command.state,
        attempts: before.attempts.max(command.attempt),
        times: before.times + 1,
        took_ms: before.took_ms + command.took_ms,
    });
}

/// Whether an entry of this kind can be that of a node.
fn fits(node: Kind, entry: &str) -> bool {
    match node {
        Kind::Step => entry == "step",
        Kind::Wait => matches!(entry, "timer" | "event" | "wait" | "child" | "effect"),
        Kind::Call => matches!(entry, "effect" | "intent"),
        Kind::Task => matches!(entry, "task" | "effect"),
        Kind::Emit => entry == "event",
        Kind::Child => entry == "child",
        Kind::State => matches!(entry, "state" | "effect"),
        Kind::Undo => entry == "rollback",
        Kind::Exit => entry == "exit",
        Kind::Retry | Kind::Timeout => matches!(entry, "timer" | "effect" | "state"),
        Kind::Lock => matches!(entry, "wait" | "timer" | "state"),
        _ => false,
    }
}

fn collect<'g>(lane: &'g mut Lane, nodes: &mut Vec<&'g mut Node>) {
    for Block { node, lanes, undo, .. } in &mut lane.blocks {
        nodes.push(node);
        nodes.extend(undo);
        lanes.iter_mut().for_each(|lane| collect(lane, nodes));
    }
}
