//! One workflow with what is known of each of its triggers.

use serde_json::Value;

use super::output::{line, text};

/// Shows a workflow as the API gives it.
pub(super) fn show(workflow: &Value) {
    line(&format!("{}  version {}", text(workflow, "name"), text(workflow, "version").get(..8).unwrap_or_default()));
    let about = text(workflow, "doc").lines().next().unwrap_or_default();
    if !about.is_empty() {
        line(about);
    }
    for trigger in workflow["triggers"].as_array().into_iter().flatten() {
        line(&format!("\n{}", text(trigger, "id")));
        let next: Vec<_> = trigger["next"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !next.is_empty() {
            line(&format!("  next          {}", next.join(", ")));
        }
        if let Some(why) = trigger["stopped"].as_str() {
            line(&format!("  stopped       {why}"));
        }
        let (start, refusal) = (&trigger["last_start"], &trigger["last_refusal"]);
        if start.is_object() {
            line(&format!("  last start    {}  {} ({})", text(start, "at"), text(start, "run"), text(start, "status")));
        }
        if refusal.is_object() {
            line(&format!("  last refusal  {}  {}", text(refusal, "at"), text(refusal, "reason")));
        }
    }
}
