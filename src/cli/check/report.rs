//! What a workflow starts on, and what it touches: for people and as JSON.

use serde_json::{Map, Value};

use super::Workflow;
use crate::cli::output::{Paint, Stream};
use crate::engine::{Touches, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::{Clock, SystemClock};
use crate::trigger::cron::Cron;
use crate::trigger::schedule::next_fires;

/// Fire times that are shown of a cron line.
const FIRES: usize = 5;
/// Columns of the labels.
const LABEL: usize = 11;

/// The kinds of what is touched, each with its label for people.
fn lists(touches: &Touches) -> [(&'static str, &'static str, Vec<String>); 12] {
    let names = |named: &crate::engine::Named| named.keys().cloned().collect::<Vec<_>>();
    [
        ("reads", "reads", names(&touches.reads)),
        ("changes", "changes", names(&touches.changes)),
        ("engine", "engine", names(&touches.engine)),
        ("hosts", "hosts", names(&touches.hosts)),
        ("secrets", "secrets", names(&touches.secrets)),
        ("programs", "programs", names(&touches.programs)),
        ("files", "files", names(&touches.files)),
        ("databases", "databases", names(&touches.databases)),
        ("brokers", "brokers", names(&touches.brokers)),
        ("starts", "runs", names(&touches.starts)),
        ("emits", "emits", names(&touches.emits)),
        ("awaits", "waits for", names(&touches.awaits)),
    ]
}

/// One object: `workflow`, `triggers`, and a list of names for each kind; `computed` names the kinds of which more are
/// known only when it runs.
pub(super) fn json(workflow: &Workflow) -> Value {
    let mut object = Map::new();
    object.insert("workflow".into(), workflow.deployed.name.as_ref().into());
    let triggers = workflow.deployed.triggers.iter().map(|trigger| {
        let mut object = Map::new();
        object.insert("kind".into(), trigger.kind.name().into());
        object.insert("subject".into(), trigger.subject.as_str().into());
        if trigger.kind == TriggerKind::Cron {
            object.insert("tz".into(), zone(trigger).unwrap_or("UTC").into());
            object.insert("next".into(), fires(trigger).into());
        }
        Value::Object(object)
    });
    object.insert("triggers".into(), triggers.collect());
    for (key, _, names) in lists(&workflow.touches) {
        object.insert(key.into(), names.into());
    }
    let computed: Vec<&str> = workflow.touches.computed.iter().copied().collect();
    object.insert("computed".into(), computed.into());
    Value::Object(object)
}

/// A few lines: the name, what starts it, what it touches.
pub(super) fn text(workflow: &Workflow) -> String {
    let title = workflow.deployed.declared["title"].as_str().map(|title| format!("  {title}")).unwrap_or_default();
    let mut lines = vec![format!("{}{title}", Paint::Bold.on(Stream::Out, &workflow.deployed.name))];
    let mut add = |label: &str, text: String| {
        lines.push(format!("  {}{text}", Paint::Dim.on(Stream::Out, &format!("{label:<LABEL$}"))));
    };
    for trigger in &workflow.deployed.triggers {
        add("starts on", shown(trigger));
        for (index, at) in fires(trigger).into_iter().enumerate() {
            add(if index == 0 { "  next" } else { "" }, at);
        }
    }
    for (key, label, mut names) in lists(&workflow.touches) {
        if workflow.touches.computed.contains(key) {
            names.push("(more is known when it runs)".to_owned());
        }
        if !names.is_empty() {
            add(label, names.join(", "));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn shown(trigger: &TriggerSpec) -> String {
    let said = format!("{} {}", trigger.kind.name(), trigger.subject);
    match (trigger.kind, Cron::parse(&trigger.subject, zone(trigger))) {
        (TriggerKind::Cron, Ok(cron)) => format!("{said}: {}", cron.describe()),
        _ => said.trim_end().to_owned(),
    }
}

fn zone(trigger: &TriggerSpec) -> Option<&str> {
    trigger.options["tz"].as_str()
}

/// The next times of a cron line, as its zone reads them.
fn fires(trigger: &TriggerSpec) -> Vec<String> {
    if trigger.kind != TriggerKind::Cron {
        return Vec::new();
    }
    next_fires(&trigger.subject, zone(trigger), SystemClock.now(), FIRES).unwrap_or_default()
}
