//! What a broker's message means: its payload as a value, and what the closures of a trigger see of it. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Headers that are kept nowhere, as those of requests.
const SECRET: [&str; 2] = ["authorization", "cookie"];

/// A payload: JSON where it is some and is not said to be text, else text, else base64. Nothing is `null`.
pub fn payload(content_type: Option<&str>, bytes: &[u8]) -> Value {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match std::str::from_utf8(bytes) {
        Ok("") => Value::Null,
        Ok(text) if kind.starts_with("text/") && kind != "text/json" => text.into(),
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        Err(_) => STANDARD.encode(bytes).into(),
    }
}

/// What the closures see: `#{ payload, subject, headers, id, content_type, redelivered, … }`.
pub fn envelope(payload: &Value, facts: &Map<String, Value>) -> Value {
    let mut seen = facts.clone();
    seen.insert("payload".to_owned(), payload.clone());
    Value::Object(seen)
}

/// What is known of a message in any case.
pub fn facts(
    subject: &str,
    headers: &[(String, String)],
    id: Option<&str>,
    content_type: Option<&str>,
    redelivered: bool,
) -> Map<String, Value> {
    let headers = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value.as_str())));
    let headers: Map<String, Value> = headers.filter(|(name, _)| !SECRET.contains(&name.as_str())).collect();
    [
        ("subject", subject.into()),
        ("headers", headers.into()),
        ("id", id.into()),
        ("content_type", content_type.into()),
        ("redelivered", redelivered.into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_what_it_can_be_read_as() {
        for (kind, bytes, expected) in [
            (None, &b"{\"a\":1}"[..], json!({ "a": 1 })),
            (Some("application/json"), b"[1]", json!([1])),
            (Some("application/octet-stream"), b"7", json!(7)),
            (Some("text/plain; charset=utf-8"), b"7", json!("7")),
            (None, b"hello", json!("hello")),
            (None, b"", json!(null)),
            (None, b"\xff\x00", json!("/wA=")),
        ] {
            assert_eq!(payload(kind, bytes), expected, "{kind:?}");
        }
    }

    #[test]
    fn closures_see_what_is_beside_it() {
        let headers = [("X-Kind".into(), "new".into()), ("Authorization".into(), "Bearer x".into())];
        let facts = facts("orders.new", &headers, None, None, true);
        assert_eq!(facts["headers"], json!({ "x-kind": "new" }), "what logs somebody in is kept nowhere");
        let seen = envelope(&json!({ "n": 1 }), &facts);
        assert_eq!(
            (&seen["payload"]["n"], &seen["headers"]["x-kind"], &seen["redelivered"]),
            (&json!(1), &json!("new"), &json!(true))
        );
    }
}
