//! The canonical value of the journal: typed JSON text.
//!
//! Plain data is plain JSON (`null`, booleans, integers without a point, floats with one, strings, arrays, maps with
//! sorted keys). What JSON cannot say is a map with one key that begins with `$`:
//! `{"$float":"NaN"}`, `{"$char":"x"}`, `{"$blob":"base64"}`, `{"$decimal":"10.20"}`, `{"$secret":["name","origin"]}`.
//! A key of the data that begins with `$` is written with one more `$`. So reading gives back what was written, type by type.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::placeholder::{mask, mask_bytes};

/// A value as typed JSON text. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Wraps text that is typed JSON already.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// `()` in a script, `null` in JSON.
    pub fn unit() -> Self {
        Self::from_text("null")
    }

    /// The typed JSON text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Data from outside (a request's body, a command's option): keys that begin with `$` are data there and are escaped.
    pub fn from_json(value: &Value) -> Self {
        Self::from_text(escape(value).to_string())
    }

    /// The value as plain JSON for API and files: blobs as base64 text, decimals and chars as text, secrets and what stands
    /// for them in texts as `***`.
    pub fn to_json(&self) -> Value {
        serde_json::from_str(&self.0).map_or(Value::Null, |value| plain(value, Texts::Shown))
    }

    /// The same for another run of this engine: what stands for secrets in texts is left as it is.
    pub fn to_data(&self) -> Value {
        serde_json::from_str(&self.0).map_or(Value::Null, |value| plain(value, Texts::Kept))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::unit()
    }
}

fn escape(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(escape).collect(),
        Value::Object(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            sorted.into_iter().map(|(key, value)| (escaped_key(key), escape(value))).collect()
        }
        other => other.clone(),
    }
}

fn escaped_key(key: &str) -> String {
    if key.starts_with('$') { format!("${key}") } else { key.to_owned() }
}

/// What becomes of placeholders in texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    Shown,
    Kept,
}

fn plain(value: Value, texts: Texts) -> Value {
    match value {
        Value::String(text) if texts == Texts::Shown => match mask(&text) {
            Cow::Owned(masked) => masked.into(),
            Cow::Borrowed(_) => text.into(),
        },
        Value::Array(items) => items.into_iter().map(|item| plain(item, texts)).collect(),
        Value::Object(map) => match tagged(&map) {
            Some(("$secret", _)) => "***".into(),
            Some(("$blob", Value::String(encoded))) if texts == Texts::Shown => shown_blob(encoded).into(),
            Some((_, value)) if texts == Texts::Shown => plain(value.clone(), texts),
            Some((_, value)) => value.clone(),
            None => map
                .into_iter()
                .map(|(key, value)| {
                    let key = key.strip_prefix('$').map_or(key.clone(), str::to_owned);
                    let key = if texts == Texts::Shown { mask(&key).into_owned() } else { key };
                    (key, plain(value, texts))
                })
                .collect(),
        },
        other => other,
    }
}

/// The mark and what it marks, of what JSON cannot say.
fn tagged(map: &serde_json::Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, value) = map.iter().next().filter(|_| map.len() == 1)?;
    (key.starts_with('$') && !key.starts_with("$$")).then_some((key, value))
}

/// A placeholder may stand in bytes, too.
fn shown_blob(encoded: &str) -> String {
    match STANDARD.decode(encoded).as_deref().map(mask_bytes) {
        Ok(Cow::Owned(masked)) => STANDARD.encode(masked),
        Ok(Cow::Borrowed(_)) | Err(_) => encoded.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_from_outside_comes_back() {
        let value = json!({"b": 1, "a": [1.0, "x", null, {"$blob": "no", "$$x": true}]});
        assert_eq!(Payload::from_json(&value).to_json(), value);
    }

    #[test]
    fn keys_are_sorted_and_tags_are_shown_plainly() {
        assert_eq!(Payload::from_json(&json!({"b": 1, "a": 2})).text(), r#"{"a":2,"b":1}"#);
        let typed = Payload::from_text(r#"{"d":{"$decimal":"1.20"},"s":{"$secret":["x","n"]}}"#);
        assert_eq!(typed.to_json(), json!({"d": "1.20", "s": "***"}));
    }

    #[test]
    fn what_stands_for_a_secret_is_shown_nowhere() {
        let placeholder = "⟦secret:api:r234⟧";
        let blob = STANDARD.encode(format!("a {placeholder}"));
        let value = json!({ placeholder: [format!("x {placeholder}")], "b": { "$blob": blob }, "c": { "$char": "x" } });
        let payload = Payload::from_text(value.to_string());
        assert_eq!(payload.to_json(), json!({ "***": ["x ***"], "b": STANDARD.encode("a ***"), "c": "x" }));
        assert_eq!(payload.to_data()[placeholder][0], format!("x {placeholder}"));
    }
}
