//! The canonical value of the journal: typed JSON text.
//!
//! Plain data is plain JSON (`null`, booleans, integers without a point, floats with one, strings, arrays, maps with
//! sorted keys). What JSON cannot say is a map with one key that begins with `$`:
//! `{"$float":"NaN"}`, `{"$char":"x"}`, `{"$blob":"base64"}`, `{"$decimal":"10.20"}`, `{"$secret":["name","nonce"]}`.
//! A key of the data that begins with `$` is written with one more `$`. So reading gives back what was written, type by type.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

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

    /// The value as plain JSON for API and files: blobs as base64 text, decimals and chars as text, secrets as `***`.
    pub fn to_json(&self) -> Value {
        serde_json::from_str(&self.0).map_or(Value::Null, plain)
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

fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(map) => {
            if map.len() == 1
                && let Some((key, value)) = map.iter().next()
                && key.starts_with('$')
                && !key.starts_with("$$")
            {
                return if key == "$secret" { "***".into() } else { value.clone() };
            }
            map.into_iter()
                .map(|(key, value)| (key.strip_prefix('$').map_or(key.clone(), str::to_owned), plain(value)))
                .collect()
        }
        other => other,
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
}
