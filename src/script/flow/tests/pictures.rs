//! What makes a picture well formed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What is wrong with an SVG: tags that do not match, attributes without quotes, bare `&` or `<`.
pub(super) fn svg_fault(svg: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let (text, from) = rest.split_at(at);
        if let Some(fault) = text_fault(text) {
            return Some(fault);
        }
        let end = from.find('>')?;
        let tag = &from[1..end];
        rest = &from[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Some(format!("`</{name}>` closes nothing"));
            }
            continue;
        }
        if tag.matches('"').count() % 2 == 1 || text_fault(tag).is_some() || tag.contains('<') {
            return Some(format!("bad tag `{tag}`"));
        }
        let name = tag.split([' ', '/']).next()?;
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    (!open.is_empty()).then(|| format!("open: {open:?}"))
}

fn text_fault(text: &str) -> Option<String> {
    let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    let bare = text.split('&').skip(1).any(|after| !entities.iter().any(|entity| after.starts_with(entity)));
    bare.then(|| format!("a bare & in `{text}`")).or_else(|| text.contains("]]>").then(|| format!("`]]>` in `{text}`")))
}

/// What is wrong with a flowchart: unknown lines, unknown ids, an edge from something into what it is inside of.
pub(super) fn mermaid_fault(text: &str) -> Option<String> {
    let mut lines = text.lines();
    if lines.next() != Some("flowchart TD") {
        return Some("no header".to_owned());
    }
    let (mut parents, mut stack): (BTreeMap<String, Vec<String>>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for line in lines.map(str::trim) {
        let id: String = line.trim_start_matches("subgraph ").chars().take_while(|c| is_id(*c)).collect();
        if line == "end" {
            stack.pop()?;
        } else if line.contains("->") && !line.contains("\"]") {
            let to = line.rsplit(' ').next()?;
            let (Some(from), Some(into)) = (parents.get(&id), parents.get(to)) else {
                return Some(format!("unknown ends: `{line}`"));
            };
            if from.contains(&to.to_owned()) || into.contains(&id) {
                return Some(format!("across a border: `{line}`"));
            }
        } else if line.matches('"').count() == 2
            && line.contains("[\"") | line.contains("(\"") | line.contains("{\"") | line.contains("/\"")
        {
            parents.insert(id.clone(), stack.clone());
            if line.starts_with("subgraph ") {
                stack.push(id);
            }
        } else if !line.starts_with("class") {
            return Some(format!("unknown: `{line}`"));
        }
    }
    (!stack.is_empty()).then(|| format!("open: {stack:?}"))
}

fn is_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn shipped() -> Vec<(String, String)> {
    let folder = format!("{}/scripts", env!("CARGO_MANIFEST_DIR"));
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".rhai").is_some_and(|name| name.strip_suffix(".test").is_none()) {
            scripts.push((name, std::fs::read_to_string(entry.path()).expect("a script")));
        }
    }
    scripts.sort();
    scripts
}

#[test]
fn the_checks_find_faults() {
    for bad in ["<a>", "<a></b>", "<a x=\"1></a>", "a & b<a/>", "<a>x ]]> y</a>"] {
        assert!(svg_fault(bad).is_some(), "{bad}");
    }
    for bad in [
        "graph",
        "flowchart TD\na --> b",
        "flowchart TD\nsubgraph a[\"x\"]\nb[\"x\"]\nend\nb --> a",
        "flowchart TD\na[\"\"x\"]",
    ] {
        assert!(mermaid_fault(bad).is_some(), "{bad}");
    }
}

#[test]
fn all_shipped_scripts_are_drawn() {
    let scripts = shipped();
    assert!(scripts.len() >= 5);
    for (name, text) in scripts {
        let graph = drawn(&text);
        assert_eq!(svg_fault(&svg::svg(&graph)), None, "{name}");
        assert_eq!(mermaid_fault(&mermaid::mermaid(&graph)), None, "{name}");
        assert!(!graph.body.blocks.is_empty() || name.starts_with("hello"), "{name}");
    }
}

#[test]
fn every_node_is_a_link_to_its_line() {
    let graph = drawn("sleep(\"1s\");\nstep(\"a\", || sleep(\"2s\"))");
    let picture = svg::svg(&graph);
    visit(&graph, &mut |node, _| {
        let link = format!("<a href=\"#L{0}\" data-line=\"{0}\" data-id=\"{1}\"", node.line, node.id);
        assert_eq!(picture.matches(&link).count(), 1, "{link}");
    });
}

#[test]
fn a_chart_as_text() {
    let graph = drawn("if input.a > \"x\" { sleep(\"1s\") }");
    assert_eq!(
        mermaid::mermaid(&graph),
        "flowchart TD\n    start([\"start<br/>w\"])\n    n1_1{{\"if<br/>input.a #62; #34;x#34;\"}}\n    \
         n1_20(\"wait<br/>1s\")\n    done([\"end<br/>done\"])\n    start --> n1_1\n    n1_1 -->|\"yes\"| n1_20\n    \
         n1_20 --> done\n    n1_1 -->|\"no\"| done\n"
    );
}

#[test]
fn no_two_cards_of_a_picture_overlap() {
    let graph = super::generated::script(3).1;
    let picture = svg::svg(&graph);
    let cards: BTreeSet<_> = picture.split("<rect class=\"card").skip(1).map(rectangle).collect();
    let list: Vec<_> = cards.iter().collect();
    for (index, a) in list.iter().enumerate() {
        for b in &list[index + 1..] {
            let apart = a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
            assert!(apart, "{a:?} and {b:?}");
        }
    }
    assert!(list.len() > 5);
}

/// `x y width height`.
fn rectangle(text: &str) -> [i32; 4] {
    ["x=\"", "y=\"", "width=\"", "height=\""].map(|name| {
        let after = text.split(&format!(" {name}")).nth(1).expect("an attribute");
        after.split('"').next().and_then(|number| number.parse().ok()).expect("a number")
    })
}
