//! Bodies and parameters as plain values.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Problem;
use super::request::header;

/// The kind of a body without its parameters, in lower case; empty where it is not said.
pub(super) fn kind(headers: &HeaderMap) -> String {
    let kind = header(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body by its kind: JSON, a form, text; else base64. Nothing is `null`.
/// Where the kind is not said, it is what it can be read as.
pub(super) fn value(kind: &str, body: &[u8]) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    if is_json(kind) {
        return serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body is not JSON: {error}")));
    }
    let text = std::str::from_utf8(body);
    match (kind, text) {
        ("application/x-www-form-urlencoded", Ok(text)) => Ok(Value::Object(pairs(text))),
        ("", Ok(text)) => Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        (kind, Ok(text)) if is_text(kind) => Ok(text.into()),
        (kind, Err(_)) if is_text(kind) => Err(Problem::bad("the body is text, but not UTF-8")),
        _ => Ok(STANDARD.encode(body).into()),
    }
}

/// Whether a kind is JSON, or made of it.
pub(super) fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || kind == "application/xml" || kind.ends_with("+xml") || kind.ends_with("urlencoded")
}

/// The fields of a form or a query; a name that is there more than once has a list.
pub(super) fn pairs(text: &str) -> Map<String, Value> {
    let mut found: Map<String, Value> = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (unescape(&name.replace('+', " ")), Value::from(unescape(&value.replace('+', " "))));
        match found.get_mut(&name) {
            None => drop(found.insert(name, value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    found
}

/// A text with its `%41` read; what is no such escape stays as it is.
pub(super) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut read = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = escaped.and_then(|digits| hex::decode(digits).ok());
        at += if byte.is_some() { 3 } else { 1 };
        read.extend(byte.unwrap_or_else(|| vec![bytes[at - 1]]));
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reads(kind: &str, body: &[u8], expected: &Value) {
        assert_eq!(value(kind, body).expect("reads"), *expected, "{kind}");
    }

    #[test]
    fn bodies_are_read_by_their_kind() {
        reads("application/json", b"", &json!(null));
        reads("application/vnd.x+json", b"{\"a\":1}", &json!({"a": 1}));
        reads(
            "application/x-www-form-urlencoded",
            b"a=1+2&b=%C3%A4&a=x&c&%",
            &json!({"a": ["1 2", "x"], "b": "ä", "c": "", "%": ""}),
        );
        reads("text/plain", b"{}", &json!("{}"));
        reads("", b"{}", &json!({}));
        reads("", b"hi {", &json!("hi {"));
        reads("", b"\xff", &json!("/w=="));
        reads("application/octet-stream", b"hi", &json!("aGk="));
        assert!(value("application/json", b"{").is_err() && value("text/plain", b"\xff").is_err());
    }
}
