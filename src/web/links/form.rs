//! The fields of a task's form: what they are on a page, and what was sent back.

use serde_json::{Map, Value};

use crate::engine::people::Given;
use crate::host::schema::Texts;
use crate::payload::Payload;
use crate::task::Task;

/// What begins the name of a field of the data on the page.
pub(super) const PREFIX: &str = "data.";

/// How a field is asked for.
pub(super) enum Control {
    /// One line, with the type that browsers check it by.
    Line(&'static str),
    /// True or false.
    YesNo,
    /// One of these, as they are sent and shown.
    Choice(Vec<String>),
    /// JSON.
    Json,
}

/// A field of the form.
pub(super) struct Field {
    /// Its name in the data.
    pub(super) name: String,
    /// What is shown for it.
    pub(super) label: String,
    /// It must be there.
    pub(super) required: bool,
    /// How it is asked for.
    pub(super) control: Control,
}

/// The fields of a task, in the order of its schema.
pub(super) fn fields(task: &Task) -> Vec<Field> {
    let form = task.form.as_ref().map(Payload::to_json).unwrap_or_default();
    let required = |name: &str| form["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    let Some(properties) = form["properties"].as_object() else { return Vec::new() };
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        label: schema["title"].as_str().unwrap_or(name).to_owned(),
        required: required(name),
        control: control(schema),
    };
    properties.iter().map(field).collect()
}

fn control(schema: &Value) -> Control {
    if let Some(values) = schema["enum"].as_array() {
        return Control::Choice(values.iter().map(shown).collect());
    }
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
    match (kind, schema["format"].as_str()) {
        (Some("string"), Some("date")) => Control::Line("date"),
        (Some("string"), Some("email")) => Control::Line("email"),
        (Some("string"), Some("uri")) => Control::Line("url"),
        (Some("integer"), _) => Control::Line("number"),
        (Some("string" | "number"), _) => Control::Line("text"),
        (Some("boolean"), _) => Control::YesNo,
        _ => Control::Json,
    }
}

/// A value as it is sent and shown.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer that a page sent. The person of the address goes over any name that is written on it.
pub(super) fn given(task: &Task, sent: &Map<String, Value>, person: Option<&str>) -> Given {
    let text = |name: &str| sent.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let data = task.form.as_ref().map_or(Value::Null, |form| data(&form.to_json(), task, sent));
    let by = person.map(str::to_owned).or_else(|| text("by"));
    Given { choice: text("choice"), data, by, note: text("note"), texts: Texts::Read }
}

fn data(form: &Value, task: &Task, sent: &Map<String, Value>) -> Value {
    let mut data = Map::new();
    for field in fields(task) {
        let Some(text) = sent.get(&format!("{PREFIX}{}", field.name)).and_then(Value::as_str) else { continue };
        // An empty field of a page is no value, unless one has to be there.
        if text.is_empty() && !field.required {
            continue;
        }
        let value = match field.control {
            Control::Json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Control::Choice(_) => known(&form["properties"][&field.name]["enum"], text),
            Control::Line(_) | Control::YesNo => text.into(),
        };
        data.insert(field.name, value);
    }
    Value::Object(data)
}

/// The value of an enumeration that was sent as this text.
fn known(values: &Value, text: &str) -> Value {
    let found = values.as_array().into_iter().flatten().find(|value| shown(value) == text);
    found.cloned().unwrap_or_else(|| text.into())
}
