//! One workflow with what is known of each of its triggers.

use serde_json::{Map, Value};

use super::output::{Paint, Stream, diagnostic, line, short, text};
use super::runs::held;
use crate::diag::Diagnostic;
use crate::time::{Moment, Timestamp, zone};

/// Characters of an option that are shown.
const OPTION: usize = 100;

/// Shows a workflow as the API gives it.
pub(super) fn show(workflow: &Value) {
    line(&format!("{}  version {}", text(workflow, "name"), text(workflow, "version").get(..8).unwrap_or_default()));
    for about in [text(workflow, "title"), text(workflow, "doc").lines().next().unwrap_or_default()] {
        if !about.is_empty() {
            line(about);
        }
    }
    if let Some(held) = held(&workflow["paused"]) {
        line(&Paint::of_status("paused").on(Stream::Out, &held));
    }
    if !workflow["broken"].is_null() {
        let broken = Paint::of_status("failed").on(Stream::Out, "broken");
        line(&format!("{broken}: its newest save does not compile; this version stays live"));
        let faults = workflow["broken"].as_array().into_iter().flatten();
        faults.filter_map(|it| serde_json::from_value::<Diagnostic>(it.clone()).ok()).for_each(|it| diagnostic(&it));
    }
    let input = fields(&workflow["declaration"]["input"]);
    if !input.is_empty() {
        line(&format!("input  {}", input.join(", ")));
    }
    workflow["triggers"].as_array().into_iter().flatten().for_each(trigger);
}

fn trigger(trigger: &Value) {
    line(&format!("\n{}", text(trigger, "id")));
    let options: Vec<_> = trigger["options"].as_object().map(options).unwrap_or_default();
    if !options.is_empty() {
        line(&format!("  options       {}", options.join(", ")));
    }
    let tz = trigger["options"]["tz"].as_str();
    let next: Vec<_> =
        trigger["next"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|at| in_zone(at, tz)).collect();
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

/// What was said of a trigger, without what its closures are.
fn options(all: &Map<String, Value>) -> Vec<String> {
    let said = all.iter().filter(|(_, value)| !value.is_null());
    said.map(|(name, value)| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}: {}", short(&crate::script::secret::mask(&shown), OPTION))
    })
    .collect()
}

/// The fields of a declared input with their types; those that may be left out end in `?`.
fn fields(schema: &Value) -> Vec<String> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let kind = |field: &Value| match &field["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).filter(|it| *it != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    };
    fields.map(|(name, field)| format!("{name}: {}{}", kind(field), if required(name) { "" } else { "?" })).collect()
}

/// A time as clocks show it in the zone of the schedule.
fn in_zone(at: &str, tz: Option<&str>) -> String {
    let shown = || Some(Moment::at(Timestamp::from_text(at)?, zone(tz?).ok()?).text());
    shown().unwrap_or_else(|| at.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_shown_in_the_zone_of_the_schedule() {
        assert_eq!(
            in_zone("2026-07-01T06:00:00Z", Some("Europe/Berlin")),
            "2026-07-01T08:00:00.000+02:00[Europe/Berlin]"
        );
        assert_eq!(in_zone("2026-07-01T06:00:00Z", None), "2026-07-01T06:00:00Z");
    }

    #[test]
    fn the_input_is_shown_with_its_types() {
        let schema = json!({
            "properties": { "a": { "type": "string" }, "b": { "type": ["integer", "null"] }, "c": {} }, "required": ["a"],
        });
        assert_eq!(fields(&schema), ["a: string", "b: integer?", "c: any?"]);
    }
}
