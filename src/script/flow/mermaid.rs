//! A graph as a Mermaid flowchart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::edges::{Meaning, edges, visit};
use super::{Graph, Kind, Node};

/// The text of a flowchart; ends with a line break.
pub fn mermaid(graph: &Graph) -> String {
    let mut children: BTreeMap<Option<&str>, Vec<&Node>> = BTreeMap::new();
    visit(graph, &mut |node, parent| children.entry(parent).or_default().push(node));
    let mut text = String::from("flowchart TD\n");
    let parents: BTreeSet<&str> = children.keys().flatten().copied().collect();
    inside(None, &children, &parents, 1, &mut text);
    for edge in edges(graph) {
        let arrow = match edge.meaning {
            Meaning::Next => "-->",
            Meaning::Back | Meaning::Error | Meaning::Undo => "-.->",
        };
        let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.label)) };
        let _ = writeln!(text, "    {} {arrow}{label} {}", edge.from, edge.to);
    }
    classes(graph, &mut text);
    text
}

fn inside(
    parent: Option<&str>,
    children: &BTreeMap<Option<&str>, Vec<&Node>>,
    parents: &BTreeSet<&str>,
    depth: usize,
    text: &mut String,
) {
    let indent = "    ".repeat(depth);
    for node in children.get(&parent).into_iter().flatten() {
        let label = label(node);
        if !parents.contains(node.id.as_str()) {
            let (open, close) = brackets(node.kind);
            let _ = writeln!(text, "{indent}{}{open}\"{label}\"{close}", node.id);
            continue;
        }
        let _ = writeln!(text, "{indent}subgraph {}[\"{label}\"]", node.id);
        inside(Some(&node.id), children, parents, depth + 1, text);
        let _ = writeln!(text, "{indent}end");
    }
}

fn label(node: &Node) -> String {
    let parts = [&node.what, &node.label, &node.detail].map(|part| escaped(part));
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // An empty label is a syntax error.
    if parts.is_empty() { node.kind.name().to_owned() } else { parts.join("<br/>") }
}

fn brackets(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Trigger => ("[/", "/]"),
        Kind::Start | Kind::Done | Kind::Return | Kind::Throw => ("([", "])"),
        Kind::Branch => ("{{", "}}"),
        Kind::Wait | Kind::Task => ("(", ")"),
        Kind::Function | Kind::Again | Kind::Child => ("[[", "]]"),
        _ => ("[", "]"),
    }
}

/// Nothing but letters, digits, spaces and harmless marks is left as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '/' | '_' | '-' | '…' | '·' | ':' | '=') => {
                escaped.push(c);
            }
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}

/// What a run has made of it.
fn classes(graph: &Graph, text: &mut String) {
    let mut marked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    visit(graph, &mut |node, _| {
        if let Some(mark) = &node.mark {
            marked.entry(mark.state.name()).or_default().push(&node.id);
        }
    });
    for (state, ids) in marked {
        let colour = match state {
            "done" => "#1a7f37",
            "failed" => "#cf222e",
            _ => "#9a6700",
        };
        let _ = writeln!(text, "    classDef {state} stroke:{colour},stroke-width:2px");
        let _ = writeln!(text, "    class {} {state}", ids.join(","));
    }
}
