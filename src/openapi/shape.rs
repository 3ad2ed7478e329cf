//! A schema in a line: `#{ id: int, name: string? }`.

use serde_json::{Map, Value};

use super::document::Document;

/// Maps within maps that are told.
const DEEPEST: usize = 2;
/// Properties of a map that are told; the others are an ellipsis.
const MOST_PROPERTIES: usize = 12;
/// Values of an enumeration that are told.
const MOST_VALUES: usize = 8;

/// Tells a schema.
pub(super) fn shape(document: &Document, schema: &Value) -> String {
    told(document, schema, DEEPEST)
}

fn told(document: &Document, schema: &Value, depth: usize) -> String {
    let Ok(schema) = document.follow(schema) else { return "any".to_owned() };
    let optional = if is_nullable(schema) { "?" } else { "" };
    format!("{}{optional}", bare(document, schema, depth))
}

fn is_nullable(schema: &Value) -> bool {
    schema["nullable"] == true || schema["type"].as_array().is_some_and(|types| types.iter().any(|t| t == "null"))
}

fn bare(document: &Document, schema: &Value, depth: usize) -> String {
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.is_empty()) {
        let shown: Vec<_> = values.iter().filter(|v| !v.is_null()).take(MOST_VALUES).map(Value::to_string).collect();
        let more = if values.len() > MOST_VALUES { " | …" } else { "" };
        return format!("{}{more}", shown.join(" | "));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(kinds) = schema[key].as_array() {
            let mut all: Vec<_> = kinds
                .iter()
                .filter(|kind| kind["type"] != "null")
                .map(|kind| told(document, kind, depth.saturating_sub(1)))
                .collect();
            all.dedup();
            all.truncate(4);
            return all.join(" or ");
        }
    }
    match kind(schema) {
        "array" => format!("[{}]", told(document, &schema["items"], depth)),
        "object" => object(document, schema, depth),
        "integer" => "int".to_owned(),
        "number" => "number".to_owned(),
        "boolean" => "bool".to_owned(),
        "string" => match schema["format"].as_str() {
            Some(format @ ("date" | "date-time" | "email" | "uri" | "uuid")) => format!("string ({format})"),
            Some("binary") => "blob".to_owned(),
            _ => "string".to_owned(),
        },
        _ => "any".to_owned(),
    }
}

fn kind(schema: &Value) -> &str {
    let stated = match &schema["type"] {
        Value::Array(types) => types.iter().find(|t| *t != "null").and_then(Value::as_str),
        stated => stated.as_str(),
    };
    let has = |key: &str| schema.get(key).is_some();
    let guessed = if has("properties") || has("allOf") || has("additionalProperties") { "object" } else { "" };
    stated.unwrap_or(if has("items") { "array" } else { guessed })
}

fn object(document: &Document, schema: &Value, depth: usize) -> String {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    gather(document, schema, &mut properties, &mut required, 8);
    if properties.is_empty() || depth == 0 {
        return "map".to_owned();
    }
    let told_one = |(name, property): (&String, &Value)| {
        let shape = told(document, property, depth - 1);
        let optional = if required.contains(name) || shape.ends_with('?') { "" } else { "?" };
        format!("{}: {shape}{optional}", key(name))
    };
    let mut parts: Vec<_> = properties.iter().take(MOST_PROPERTIES).map(told_one).collect();
    if properties.len() > MOST_PROPERTIES {
        parts.push("…".to_owned());
    }
    format!("#{{ {} }}", parts.join(", "))
}

/// The properties of a schema and of all that it is made of.
pub(super) fn gather(
    document: &Document,
    schema: &Value,
    properties: &mut Map<String, Value>,
    required: &mut Vec<String>,
    depth: usize,
) {
    let Ok(schema) = document.follow(schema) else { return };
    if depth == 0 {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(document, part, properties, required, depth - 1);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        properties.insert(name.clone(), property.clone());
    }
    required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
}

/// A key of a map as a script writes it.
pub(super) fn key(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("{name:?}") }
}
