//! What a dry run makes up: inputs and forms that fit their schemas, and answers by the kind of the effect.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::effect::file::FileStat;
use crate::effect::http::HttpBody;
use crate::effect::message::Protocol;
use crate::effect::shell::Written;
use crate::effect::sql::{Act, Done, Rows};
use crate::effect::{
    AiReply, AiRequest, HttpReply, HttpRequest, MessageReply, MessageRequest, ShellReply, ShellRequest,
};
use crate::effect::{SqlReply, SqlRequest};
use crate::engine::{Deployed, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::Timestamp;

/// A broker took it: the n-th made-up answer.
pub(super) fn taken(request: &MessageRequest, number: usize) -> MessageReply {
    let id = format!("made-up-{number}");
    match request.address.protocol {
        Protocol::Nats => {
            MessageReply { id, stream: Some("MADE_UP".to_owned()), sequence: Some(number as u64), duplicate: false }
        }
        Protocol::Amqp | Protocol::Mqtt => MessageReply { id, ..MessageReply::default() },
    }
}

/// A value that fits a JSON Schema, as far as that can be made: required parts only, each the plainest of its kind. A text
/// is the `name` of its field, so that one sees where it ends up.
pub(super) fn fitting(schema: &Value, name: &str, now: Timestamp) -> Value {
    let first = |key: &str| schema[key].as_array().and_then(|list| list.first()).cloned();
    if let Some(value) = schema.get("default").or(schema.get("const")).cloned().or_else(|| first("enum")) {
        return value;
    }
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    match kinds.first().and_then(Value::as_str) {
        Some("integer") => json!(bounded(schema, 1.0).ceil() as i64),
        Some("number") => json!(bounded(schema, 1.5)),
        Some("boolean") => json!(true),
        Some("array") => {
            let count = schema["minItems"].as_u64().unwrap_or(1).max(1);
            (0..count).map(|_| fitting(&schema["items"], name, now)).collect()
        }
        Some("object") => fields(schema, now).into(),
        Some("string") => text(schema, name, now).into(),
        _ if schema["properties"].is_object() => fields(schema, now).into(),
        _ => Value::Null,
    }
}

fn fields(schema: &Value, now: Timestamp) -> Map<String, Value> {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let needed = properties.filter(|(name, _)| required.contains(&name.as_str()));
    needed.map(|(name, part)| (name.clone(), fitting(part, name, now))).collect()
}

fn bounded(schema: &Value, value: f64) -> f64 {
    let least = schema["minimum"].as_f64().unwrap_or(f64::MIN);
    let most = schema["maximum"].as_f64().unwrap_or(f64::MAX);
    value.min(most).max(least)
}

fn text(schema: &Value, name: &str, now: Timestamp) -> String {
    let day = now.to_string();
    let text = match schema["format"].as_str() {
        Some("date") => day[..10].to_owned(),
        Some("date-time") => day,
        Some("email") => "someone@example.com".to_owned(),
        Some("uri" | "url") => "https://example.com/".to_owned(),
        Some("decimal") => "12.50".to_owned(),
        Some("file") => "example.txt".to_owned(),
        _ if name.is_empty() => "text".to_owned(),
        _ => name.to_owned(),
    };
    let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
    let most = schema["maxLength"].as_u64().map_or(usize::MAX, |most| most as usize);
    text.chars().chain(std::iter::repeat('x')).take(text.chars().count().max(least).min(most)).collect()
}

/// An input for a workflow: what its schema asks for; where a file starts it, with what that trigger tells.
pub fn input(deployed: &Deployed, now: Timestamp) -> Value {
    let schema = deployed.input.as_ref().map(crate::host::schema::Schema::to_json_schema);
    let mut made = schema.as_ref().map_or(Value::Null, |schema| fitting(schema, "", now));
    let starts = |spec: &&TriggerSpec| spec.kind == TriggerKind::File && spec.closures.is_empty();
    if let Some(spec) = deployed.triggers.iter().find(starts) {
        let told = file_told(&spec.subject);
        match (&mut made, told) {
            (Value::Object(made), Value::Object(told)) => {
                let asked = |name: &String| schema.as_ref().is_some_and(|s| s["properties"].get(name).is_some());
                made.extend(told.into_iter().filter(|(name, _)| asked(name)));
            }
            (made, told) if made.is_null() => *made = told,
            _ => {}
        }
    }
    made
}

/// `#{ path, name, size, sha256 }` of a file that a pattern takes.
fn file_told(pattern: &str) -> Value {
    let path = pattern.replace("**/", "").replace("**", "example").replace(['*', '?'], "example");
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let content = contents(&path);
    json!({ "path": path, "name": name, "size": content.len(), "sha256": hex::encode(Sha256::digest(&content)) })
}

/// What is in a file that a workflow expects and a dry run does not have.
pub(super) fn contents(path: &str) -> String {
    format!("made up: {path}\n")
}

/// Facts about such a file.
pub(super) fn stat(path: &str, now: Timestamp) -> FileStat {
    let content = contents(path);
    FileStat {
        path: path.to_owned(),
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        size: content.len() as u64,
        modified: now,
        sha256: Some(hex::encode(Sha256::digest(&content))),
        is_folder: false,
    }
}

/// An answer that most callers are content with: 200, and a JSON body with an id that says yes.
pub(super) fn reply(request: &HttpRequest, number: usize, now: Timestamp) -> HttpReply {
    let body = match &request.save_to {
        _ if request.method.eq_ignore_ascii_case("HEAD") => HttpBody::Empty,
        Some(path) => HttpBody::Saved(stat(path, now)),
        None => HttpBody::Json(json!({ "id": format!("made-up-{number}"), "ok": true }).to_string()),
    };
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    HttpReply { status: 200, headers, body, url: request.url.clone() }
}

/// A program that did what it was asked to, and said nothing.
pub(super) fn ended(request: &ShellRequest, now: Timestamp) -> ShellReply {
    let stdout = match &request.save_to {
        Some(path) => Written::Saved(stat(path, now)),
        None => Written::Text(String::new()),
    };
    ShellReply { code: 0, stdout, stderr: String::new() }
}

/// A database in which nothing is found, and each statement changes one row.
pub(super) fn answered(request: &SqlRequest, number: usize, now: Timestamp) -> SqlReply {
    let done = || Done { affected: 1, last_id: Some(number as i64), rows: Rows::default() };
    match (&request.act, &request.save_to) {
        (Act::Query(_), Some(path)) => SqlReply::Saved { file: stat(path, now), rows: 0 },
        (Act::Query(_), None) => SqlReply::Rows(Rows::default()),
        (Act::Execute(_), _) => SqlReply::Done(done()),
        (Act::Transaction { statements, .. }, _) => SqlReply::All(statements.iter().map(|_| done()).collect()),
    }
}

/// What a model says: a value that fits, where one is asked for.
pub(super) fn answer(request: &AiRequest, number: usize, now: Timestamp) -> AiReply {
    let fitting = request.schema.as_ref().map(|schema| fitting(schema, "answer", now).to_string());
    let text = fitting.unwrap_or_else(|| format!("made up {number}"));
    AiReply { text, model: request.name.clone(), finish: "stop".to_owned(), input_tokens: 1, output_tokens: 1, cost: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::schema::Schema;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn what_is_made_fits_its_schema() {
        let all = json!({
            "type": "object", "required": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
            "properties": {
                "a": { "type": "string", "minLength": 5 }, "b": { "type": "integer", "minimum": 7 }, "c": { "type": "boolean" },
                "d": { "type": "array", "items": { "type": "number", "maximum": 1 } }, "e": { "enum": ["x", "y"] },
                "f": { "type": "string", "format": "date" }, "g": { "type": "string", "format": "date-time" },
                "h": { "type": "string", "format": "email" }, "i": { "type": "string", "format": "uri" },
                "j": { "type": ["string", "number"], "format": "decimal" }, "k": { "type": "string" },
            }
        });
        let made = fitting(&all, "", NOW);
        assert_eq!(Schema::from_json_schema(&all).unwrap().validate(&made), Ok(made.clone()));
        assert_eq!((&made["a"], &made["e"], made.get("k")), (&json!("axxxx"), &json!("x"), None));
    }

    #[test]
    fn a_file_is_one_that_its_pattern_takes() {
        assert_eq!(file_told("inbox/*.csv")["path"], "inbox/example.csv");
        assert_eq!(file_told("in/**/*.x")["name"], "example.x");
    }
}
