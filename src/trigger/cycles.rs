//! Workflows that start each other in a circle: by events that one emits and another starts on, and by ends of runs.
//!
//! Only names that are written out are seen. A trigger with a condition (`when`) may be what ends the circle: it is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Diagnostic, Place};
use crate::engine::{Deployed, Touches, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::pattern::Pattern;

/// One workflow starts another.
struct Arrow {
    to: usize,
    /// The event in words, or how its run ends.
    how: String,
    place: Place,
}

/// A warning for each circle, at what closes it in the first of its workflows.
pub fn diagnose(workflows: &[(&Deployed, &Touches)]) -> Vec<Diagnostic> {
    let arrows: Vec<Vec<Arrow>> = (0..workflows.len()).map(|from| arrows(workflows, from)).collect();
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for start in 0..workflows.len() {
        let Some(circle) = circle(&arrows, start) else { continue };
        let mut members: Vec<usize> = circle.iter().map(|(from, _)| *from).collect();
        members.sort_unstable();
        if !told.insert(members) {
            continue;
        }
        let names: Vec<_> =
            circle.iter().map(|(from, arrow)| format!("`{}` ({})", workflows[*from].0.name, arrow.how)).collect();
        let title = if circle.len() == 1 {
            format!("`{}` starts itself", workflows[start].0.name)
        } else {
            "these workflows start each other in a circle".to_owned()
        };
        let text = format!("{}, then `{}` again", names.join(", then "), workflows[start].0.name);
        let hint = "without a condition they never stop: give one of the triggers a `when`, or emit another event";
        findings.push(Diagnostic::new("W0412", title, circle[0].1.place.clone()).text(text).hint(hint));
    }
    findings
}

/// The shortest way from a workflow back to it.
fn circle(arrows: &[Vec<Arrow>], start: usize) -> Option<Vec<(usize, &Arrow)>> {
    let mut came: BTreeMap<usize, (usize, &Arrow)> = BTreeMap::new();
    let mut ring = vec![start];
    while !ring.is_empty() {
        let mut next = Vec::new();
        for from in ring {
            for arrow in &arrows[from] {
                if came.contains_key(&arrow.to) {
                    continue;
                }
                came.insert(arrow.to, (from, arrow));
                if arrow.to == start {
                    return Some(way(&came, start));
                }
                next.push(arrow.to);
            }
        }
        ring = next;
    }
    None
}

fn way<'a>(came: &BTreeMap<usize, (usize, &'a Arrow)>, start: usize) -> Vec<(usize, &'a Arrow)> {
    let mut way = vec![came[&start]];
    while let Some((from, _)) = way.last().copied().filter(|(from, _)| *from != start) {
        way.push(came[&from]);
    }
    way.reverse();
    way
}

/// What a workflow starts.
fn arrows(workflows: &[(&Deployed, &Touches)], from: usize) -> Vec<Arrow> {
    let (deployed, touches) = workflows[from];
    let mut arrows = Vec::new();
    for (to, (other, _)) in workflows.iter().enumerate() {
        for trigger in other.triggers.iter().filter(|trigger| !trigger.closures.iter().any(|name| name == "when")) {
            match trigger.kind {
                TriggerKind::Event => {
                    let pattern = Pattern::events(&trigger.subject);
                    let emitted =
                        touches.emits.iter().find(|(name, _)| pattern.as_ref().is_ok_and(|p| p.matches(name)));
                    let arrow =
                        emitted.map(|(name, place)| Arrow { to, how: format!("emits `{name}`"), place: place.clone() });
                    arrows.extend(arrow);
                }
                TriggerKind::Run if to != from => {
                    let pattern = Pattern::workflows(&trigger.subject);
                    if pattern.is_ok_and(|pattern| pattern.matches(&deployed.name)) {
                        arrows.push(Arrow { to, how: ends(trigger), place: place(other, trigger) });
                    }
                }
                _ => {}
            }
        }
    }
    arrows
}

fn ends(trigger: &TriggerSpec) -> String {
    let statuses = trigger.options["on"].as_array();
    let statuses: Vec<&str> = statuses.into_iter().flatten().filter_map(|status| status.as_str()).collect();
    if statuses.is_empty() { "ends".to_owned() } else { format!("ends as {}", statuses.join(" or ")) }
}

fn place(deployed: &Deployed, trigger: &TriggerSpec) -> Place {
    let source = &deployed.bundle.sources[deployed.bundle.main()];
    let line = source.line(trigger.line as usize).unwrap_or_default();
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    source.place(trigger.line as usize, indent + 1, line.trim().chars().count())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{NoSettings, Settings, compile, touches};
    use crate::script::bundle::Bundle;

    fn found(scripts: &[(&str, &str)]) -> Vec<String> {
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let bundles = scripts.iter().map(|(name, text)| Bundle::of_text(&format!("{name}.rhai"), text).unwrap());
        let all: Vec<_> = bundles.map(|bundle| (touches(&bundle), compile(bundle, &settings).unwrap())).collect();
        let graph: Vec<_> = all.iter().map(|(touches, deployed)| (deployed, touches)).collect();
        let shown =
            |found: Diagnostic| format!("{}:{} {}", found.place.file, found.place.line, found.text.unwrap_or_default());
        diagnose(&graph).into_iter().map(shown).collect()
    }

    const EMITS: &str = "fn main() { event::emit(\"b.done\"); }";

    #[test]
    fn a_circle_by_events_is_told_once() {
        let a = format!("trigger::event(\"a.*\");\n{EMITS}");
        let b = "trigger::event(\"b.done\");\nfn main() { event::emit(\"a.go\"); }";
        assert_eq!(
            found(&[("a", &a), ("b", b)]),
            ["a.rhai:2 `a` (emits `b.done`), then `b` (emits `a.go`), then `a` again"]
        );
    }

    #[test]
    fn a_workflow_may_start_itself() {
        assert_eq!(
            found(&[("a", &format!("trigger::event(\"b.*\");\n{EMITS}"))]),
            ["a.rhai:2 `a` (emits `b.done`), then `a` again"]
        );
    }

    #[test]
    fn ends_of_runs() {
        let a = "trigger::run(\"b\", #{ on: \"failed\" });\nfn main() { 1 }";
        let b = "trigger::run(\"a\");\nfn main() { 1 }";
        assert_eq!(found(&[("a", a), ("b", b)]), ["b.rhai:1 `a` (ends), then `b` (ends as failed), then `a` again"]);
    }

    #[test]
    fn a_chain_is_no_circle() {
        let b = "trigger::event(\"b.done\");\nfn main() { event::emit(\"c\"); }";
        assert_eq!(found(&[("a", EMITS), ("b", b)]), [""; 0]);
    }
}
