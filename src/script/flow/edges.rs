//! Nodes and edges of the tree of blocks, and their JSON.
//!
//! ```json
//! { "workflow": "invoice", "file": "invoice.rhai",
//!   "nodes": [{ "id": "n30_8", "kind": "wait", "what": "wait for event", "label": "delivery.confirmed",
//!               "detail": "key order.order_id", "file": "invoice.rhai", "line": 30, "column": 8, "parent": null }],
//!   "edges": [{ "from": "start", "to": "n30_8", "label": "", "kind": "next" }] }
//! ```
//!
//! A node inside of another (the body of a step, a branch) names it as `parent`. Edges lead from sibling to sibling: into a
//! node that holds others, and out of it, never across its border. With `--run` a node that was reached has `run`:
//! `{ "state": "done" | "failed" | "open", "attempts", "took_ms", "times" }`.

use serde_json::{Value, json};

use super::{Block, Graph, Kind, Lane, Node, Shape};

/// What an edge means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What comes next.
    Next,
    /// Back to the beginning of a loop.
    Back,
    /// Taken when there is an error.
    Error,
    /// What undoes it.
    Undo,
}

impl Meaning {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Back => "back",
            Self::Error => "error",
            Self::Undo => "undo",
        }
    }
}

/// An edge between two nodes, by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Whence.
    pub from: String,
    /// Whither.
    pub to: String,
    /// When it is taken; may be empty.
    pub label: String,
    /// What it means.
    pub meaning: Meaning,
}

/// Ends that lead to whatever comes next: node and label.
type Ends = Vec<(String, String)>;

/// All edges, in the order of the source.
pub fn edges(graph: &Graph) -> Vec<Edge> {
    let mut edges = Vec::new();
    for trigger in &graph.triggers {
        add(&mut edges, &trigger.id, &graph.start.id, "", Meaning::Next);
    }
    let ends = sequence(&graph.body.blocks, vec![(graph.start.id.clone(), String::new())], &mut edges);
    if let Some(end) = &graph.end {
        join(&ends, &end.id, &mut edges);
    }
    edges
}

fn add(edges: &mut Vec<Edge>, from: &str, to: &str, label: &str, meaning: Meaning) {
    edges.push(Edge { from: from.to_owned(), to: to.to_owned(), label: label.to_owned(), meaning });
}

fn join(ends: &Ends, to: &str, edges: &mut Vec<Edge>) {
    ends.iter().for_each(|(from, label)| add(edges, from, to, label, Meaning::Next));
}

fn sequence(blocks: &[Block], mut ends: Ends, edges: &mut Vec<Edge>) -> Ends {
    for block in blocks {
        join(&ends, &block.node.id, edges);
        ends = leave(block, edges);
    }
    ends
}

/// The edges inside of a block, and its ends.
fn leave(block: &Block, edges: &mut Vec<Edge>) -> Ends {
    let id = &block.node.id;
    if let Some(undo) = &block.undo {
        add(edges, id, &undo.id, "undo", Meaning::Undo);
    }
    if block.shape == Shape::Choice {
        let lane = |lane: &Lane| sequence(&lane.blocks, vec![(id.clone(), lane.label.clone())], edges);
        return block.lanes.iter().flat_map(lane).collect();
    }
    for lane in &block.lanes {
        let inner = sequence(&lane.blocks, Ends::new(), edges);
        if block.node.kind == Kind::Loop
            && let Some(first) = lane.blocks.first()
        {
            inner.iter().for_each(|(from, label)| add(edges, from, &first.node.id, label, Meaning::Back));
        }
    }
    if let (Kind::Try, [Lane { node: Some(tried), .. }, Lane { node: Some(caught), .. }]) =
        (block.node.kind, &block.lanes[..])
    {
        add(edges, &tried.id, &caught.id, "", Meaning::Error);
    }
    if block.leaves { Ends::new() } else { vec![(id.clone(), String::new())] }
}

/// Calls back for each node with the id of the one that it is inside of, in the order of the source.
pub fn visit<'g>(graph: &'g Graph, with: &mut dyn FnMut(&'g Node, Option<&'g str>)) {
    graph.triggers.iter().for_each(|node| with(node, None));
    with(&graph.start, None);
    visit_lane(&graph.body, None, with);
    if let Some(end) = &graph.end {
        with(end, None);
    }
}

fn visit_lane<'g>(lane: &'g Lane, parent: Option<&'g str>, with: &mut dyn FnMut(&'g Node, Option<&'g str>)) {
    for block in &lane.blocks {
        with(&block.node, parent);
        if let Some(undo) = &block.undo {
            with(undo, parent);
        }
        for lane in &block.lanes {
            if let Some(node) = &lane.node {
                with(node, Some(&block.node.id));
            }
            let inside = if block.shape == Shape::Choice { parent } else { Some(block.node.id.as_str()) };
            visit_lane(lane, lane.node.as_ref().map_or(inside, |node| Some(&node.id)), with);
        }
    }
}

/// The graph as JSON.
pub fn json(graph: &Graph) -> Value {
    let mut nodes = Vec::new();
    visit(graph, &mut |node, parent| nodes.push(shown(node, parent)));
    let edges = edges(graph);
    let edges = edges
        .iter()
        .map(|edge| json!({ "from": edge.from, "to": edge.to, "label": edge.label, "kind": edge.meaning.name() }));
    let edges: Vec<_> = edges.collect();
    json!({ "workflow": graph.workflow, "file": graph.file, "nodes": nodes, "edges": edges })
}

fn shown(node: &Node, parent: Option<&str>) -> Value {
    let mut shown = json!({
        "id": node.id, "kind": node.kind.name(), "what": node.what, "label": node.label, "detail": node.detail,
        "file": node.file, "line": node.line, "column": node.column, "parent": parent,
    });
    if let Some(mark) = &node.mark {
        shown["run"] = json!({
            "state": mark.state.name(), "attempts": mark.attempts, "took_ms": mark.took_ms, "times": mark.times,
        });
    }
    shown
}
