//! A schema → JSON Schema, for the API, forms and other tools.

use serde_json::{Map, Value, json};

use super::{Kind, Node};

pub(super) fn json_schema(node: &Node) -> Value {
    if let Some(raw) = &node.raw {
        return raw.clone();
    }
    let mut schema = Map::new();
    let (mut types, format) = types(node);
    if node.nullable && !types.is_empty() {
        types.push("null");
    }
    match types.as_slice() {
        [] => {}
        [one] => _ = schema.insert("type".into(), json!(one)),
        several => _ = schema.insert("type".into(), json!(several)),
    }
    if let Some(format) = format {
        schema.insert("format".into(), json!(format));
    }
    if let Some(values) = &node.values {
        schema.insert("enum".into(), json!(values));
    }
    if let Some(items) = &node.items {
        schema.insert("items".into(), json_schema(items));
    }
    if node.kinds == [Kind::Map] {
        let properties = node.fields.iter().map(|field| (field.name.clone(), json_schema(&field.node)));
        schema.insert("properties".into(), Value::Object(properties.collect()));
        let required = node.fields.iter().filter(|field| field.required).map(|field| field.name.as_str());
        schema.insert("required".into(), required.collect());
    }
    Value::Object(schema)
}

/// The shorthand has one kind a place.
fn types(node: &Node) -> (Vec<&'static str>, Option<&'static str>) {
    let Some(kind) = node.kinds.first() else { return (Vec::new(), None) };
    match kind {
        Kind::Text => (vec!["string"], None),
        Kind::Int => (vec!["integer"], None),
        Kind::Number => (vec!["number"], None),
        Kind::Bool => (vec!["boolean"], None),
        Kind::List => (vec!["array"], None),
        Kind::Map => (vec!["object"], None),
        Kind::Decimal => (vec!["string", "number"], Some("decimal")),
        Kind::File => (vec!["string", "object"], Some("file")),
        Kind::Date => (vec!["string"], Some("date")),
        Kind::DateTime => (vec!["string"], Some("date-time")),
        Kind::Email => (vec!["string"], Some("email")),
        Kind::Url => (vec!["string"], Some("uri")),
    }
}
