//! The flow of a workflow, read from its source: what happens after what, what happens side by side, and what is undone.
//!
//! The model is a tree of [`Block`]s, because scripts are structured: a block stands in a sequence, and may hold lanes of
//! its own (the body of a step, the branches of `parallel`, the cases of a condition). Nodes and edges, for whoever wants
//! a graph, are derived from it ([`edges`]). It is made from the syntax tree as it is written, before any rewriting, and from
//! nothing else: the same text gives the same graph, and a node keeps its id as long as it keeps its place.
//!
//! Only what matters outside of the script is shown: effects, waits, steps, decisions about them. Plain computing is not.

mod build;
mod calls;
pub mod edges;
mod files;
pub mod mermaid;
pub mod run;
pub mod svg;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use rhai::{AST, Engine};

use self::build::Builder;
use self::files::Files;
use self::run::Mark;
use super::bundle::Bundle;
use super::catalog::Catalog;
use super::errors;
use crate::diag::Diagnostic;

/// What a node is. The names are part of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What starts runs from outside.
    Trigger,
    /// Where a run begins.
    Start,
    /// Where it ends well.
    Done,
    /// `return`.
    Return,
    /// `throw`.
    Throw,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// A named step.
    Step,
    /// A call to the outside.
    Call,
    /// A function of the script that only computes.
    Compute,
    /// Waiting for time or an event.
    Wait,
    /// A question to a person.
    Task,
    /// Emitting an event.
    Emit,
    /// Another workflow's run.
    Child,
    /// Durable values of the workflow.
    State,
    /// A condition.
    Branch,
    /// A loop.
    Loop,
    /// Branches side by side, all of which are waited for.
    Parallel,
    /// Branches side by side, the first of which decides.
    Race,
    /// One lane of those, or of `try`.
    Lane,
    /// A function of the script, followed into.
    Function,
    /// A function that is drawn elsewhere, or that calls itself.
    Again,
    /// `lock`.
    Lock,
    /// `try` and `catch`, or `attempt`.
    Try,
    /// `retry`.
    Retry,
    /// `timeout`.
    Timeout,
    /// `scope`.
    Scope,
    /// A compensation: of a step, or registered by `on_rollback`.
    Undo,
    /// A clean-up.
    Exit,
    /// `rollback`.
    Rollback,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Start => "start",
            Self::Done => "end",
            Self::Return => "return",
            Self::Throw => "throw",
            Self::Break => "break",
            Self::Continue => "continue",
            Self::Step => "step",
            Self::Call => "call",
            Self::Compute => "compute",
            Self::Wait => "wait",
            Self::Task => "task",
            Self::Emit => "emit",
            Self::Child => "child",
            Self::State => "state",
            Self::Branch => "branch",
            Self::Loop => "loop",
            Self::Parallel => "parallel",
            Self::Race => "race",
            Self::Lane => "lane",
            Self::Function => "function",
            Self::Again => "again",
            Self::Lock => "lock",
            Self::Try => "try",
            Self::Retry => "retry",
            Self::Timeout => "timeout",
            Self::Scope => "scope",
            Self::Undo => "undo",
            Self::Exit => "exit",
            Self::Rollback => "rollback",
        }
    }

    /// Whether what stands behind it in its sequence is not reached by it.
    pub fn leaves(self) -> bool {
        matches!(self, Self::Return | Self::Throw | Self::Break | Self::Continue)
    }
}

/// Something that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Letters, digits and `_`; made from file, line and column.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// In a word or two: `POST`, `wait for event`.
    pub what: String,
    /// Of what: a URL, the name of a step, a condition.
    pub label: String,
    /// More of it: a key, a limit; may be empty.
    pub detail: String,
    /// The file below the scripts folder.
    pub file: String,
    /// From 1; 0 for what stands nowhere.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The name that entries of a journal have for it; empty where it has none, or one that only a run knows.
    pub entry: String,
    /// What a run has made of it.
    pub mark: Option<Mark>,
}

/// How the lanes of a block lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No lanes.
    Leaf,
    /// One lane, inside of it.
    Inside,
    /// Lanes with nodes of their own, inside of it and side by side.
    Beside,
    /// Lanes behind it, one of which is taken.
    Choice,
}

/// A node in a sequence, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The node.
    pub node: Node,
    /// How its lanes lie.
    pub shape: Shape,
    /// Its lanes.
    pub lanes: Vec<Lane>,
    /// What undoes it.
    pub undo: Option<Node>,
    /// Whether what stands behind it is never reached.
    pub leaves: bool,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Lane {
    /// When it is taken, behind a choice.
    pub label: String,
    /// Its own node, beside others.
    pub node: Option<Node>,
    /// What happens, in order.
    pub blocks: Vec<Block>,
}

impl Lane {
    /// Whether its end is never reached.
    pub fn leaves(&self) -> bool {
        self.blocks.last().is_some_and(|block| block.leaves)
    }
}

/// The flow of one workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The workflow's name.
    pub workflow: String,
    /// Its main file.
    pub file: String,
    /// What starts it, by its declaration.
    pub triggers: Vec<Node>,
    /// Where a run begins.
    pub start: Node,
    /// What happens.
    pub body: Lane,
    /// Where a run ends that was not left before.
    pub end: Option<Node>,
}

/// The flow of a bundle's workflow; or why a file does not parse.
pub fn graph(engine: &Engine, bundle: &Bundle, catalog: &Catalog) -> Result<Graph, Vec<Diagnostic>> {
    let (mut asts, mut faults): (BTreeMap<&str, AST>, Vec<_>) = (BTreeMap::new(), Vec::new());
    for (path, source) in &bundle.sources {
        match engine.compile(&*source.text) {
            Ok(ast) => drop(asts.insert(path, ast)),
            Err(error) => faults.push(errors::from_parse(&error, source)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let files = Files::new(bundle, &asts);
    Ok(Builder::new(&files, catalog, bundle.main()).graph(&bundle.workflow))
}
