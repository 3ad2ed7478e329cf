//! How a host function fails, and what scripts and journals see of an error: always a map.

use rhai::{Dynamic, EvalAltResult, Map, Position};

use crate::diag::Diagnostic;
use crate::effect::{Failure, Field};
use crate::script::guard;
use crate::script::unwind;
use crate::script::value;

/// Why a host function does not return a value.
#[derive(Debug)]
pub enum Fail {
    /// An error that a script may catch: `#{ kind, message, … }`.
    Thrown(Map),
    /// An error from a closure, with the places that it passed.
    Script(Box<EvalAltResult>),
    /// The run stops here; the guard knows why. Not to be caught.
    Stopped,
}

impl From<Box<EvalAltResult>> for Fail {
    fn from(error: Box<EvalAltResult>) -> Self {
        if guard::stopped().is_none() {
            return Self::Script(error);
        }
        if unwind::is_stop(&error) {
            guard::pass(error);
        }
        Self::Stopped
    }
}

impl Fail {
    /// An error of this kind.
    pub fn error(kind: &str, message: impl Into<String>) -> Self {
        let mut map = Map::new();
        map.insert("kind".into(), kind.into());
        map.insert("message".into(), message.into().into());
        map.insert("retryable".into(), false.into());
        Self::Thrown(map)
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Dynamic>) -> Self {
        match self {
            Self::Thrown(mut map) => {
                map.insert(key.into(), value.into());
                Self::Thrown(map)
            }
            other => other,
        }
    }

    /// What Rhai carries upwards.
    pub fn into_error(self, position: Position) -> Box<EvalAltResult> {
        match self {
            Self::Thrown(map) => EvalAltResult::ErrorRuntime(Dynamic::from_map(map), position).into(),
            Self::Script(error) => error,
            Self::Stopped => {
                guard::passing().unwrap_or_else(|| EvalAltResult::ErrorTerminated("stopped".into(), position).into())
            }
        }
    }

    /// The error as a map, as `attempt` returns it and the journal keeps it.
    pub fn into_map(self) -> Map {
        match self {
            Self::Thrown(map) => map,
            Self::Script(error) => error_map(&error),
            Self::Stopped => guard::stopped().and_then(|stop| stop.to_value().try_cast::<Map>()).unwrap_or_default(),
        }
    }
}

/// What performing an effect ran into, as a map.
pub fn failure_map(failure: &Failure) -> Map {
    let Fail::Thrown(mut map) = Fail::error(failure.kind, failure.message.clone()) else {
        unreachable!("an error is thrown")
    };
    map.insert("retryable".into(), failure.retryable.into());
    for (name, field) in &failure.fields {
        map.insert(name.as_str().into(), field_value(field));
    }
    map
}

fn field_value(field: &Field) -> Dynamic {
    match field {
        Field::Int(number) => (*number).into(),
        Field::Text(text) => text.clone().into(),
        Field::Json(text) => value::from_json_text(text).unwrap_or_else(|_| text.clone().into()),
        Field::Bytes(bytes) => Dynamic::from_blob(bytes.clone()),
        Field::Map(pairs) => {
            Dynamic::from_map(pairs.iter().map(|(key, value)| (key.as_str().into(), value.clone().into())).collect())
        }
        Field::Unit => Dynamic::UNIT,
    }
}

/// The map for an error that came through Rhai. A map with a `kind` is itself; another thrown value is `kind: "thrown"`
/// with `value`; an error of the script's own code (a missing index, a wrong type) is `kind: "script"`.
/// `line`, `column` and `file` are where it arose.
pub fn error_map(error: &EvalAltResult) -> Map {
    let error = unwind::plain(error);
    let (inner, position, file) = innermost(&error);
    let mut map = match inner {
        EvalAltResult::ErrorRuntime(value, _) => thrown_map(value),
        EvalAltResult::ErrorTerminated(token, _) if token.is_map() => token.clone().cast::<Map>(),
        other => {
            let mut bare = inner_without_position(other);
            if bare.is_empty() {
                bare = other.to_string();
            }
            map_of("script", bare)
        }
    };
    if let Some(line) = position.line()
        && !map.contains_key("line")
    {
        map.insert("line".into(), (line as i64).into());
        map.insert("column".into(), (position.position().unwrap_or(1) as i64).into());
        if let Some(file) = file {
            map.insert("file".into(), file.into());
        }
    }
    map
}

/// Says of an error of the script's own code what it means and what to do, where that is known.
pub fn explain(map: &mut Map, found: &Diagnostic) {
    // What calls a closure is not always of the file in which the closure was written.
    let is_at =
        |key: &str, number: usize| map.get(key).and_then(|known| known.as_int().ok()) == i64::try_from(number).ok();
    if map.contains_key("file") && is_at("line", found.place.line) && is_at("column", found.place.column) {
        map.insert("file".into(), found.place.file.clone().into());
    }
    let kind = map.get("kind").map(ToString::to_string).unwrap_or_default();
    if kind == "script" || kind == "limit" {
        map.insert("message".into(), found.title.clone().into());
        map.insert("code".into(), found.code.clone().into());
        if let Some(hint) = &found.hint {
            map.insert("hint".into(), hint.to_string().into());
        }
    }
}

fn thrown_map(value: &Dynamic) -> Map {
    let value = value.flatten_clone();
    match value.read_lock::<Map>() {
        Some(map) if map.contains_key("kind") => {
            let mut map = map.clone();
            map.entry("message".into()).or_insert_with(|| "no message".into());
            map
        }
        Some(map) => {
            let message = map.get("message").map_or_else(|| "the script threw a map".to_owned(), ToString::to_string);
            let mut thrown = map.clone();
            thrown.insert("kind".into(), "thrown".into());
            thrown.insert("message".into(), message.into());
            thrown
        }
        None => {
            let message = if value.is_unit() { "the script threw `()`".to_owned() } else { value.to_string() };
            let mut map = map_of("thrown", message);
            map.insert("value".into(), value.clone());
            map
        }
    }
}

fn map_of(kind: &str, message: String) -> Map {
    let Fail::Thrown(map) = Fail::error(kind, message) else { unreachable!("an error is thrown") };
    map
}

fn innermost(error: &EvalAltResult) -> (&EvalAltResult, Position, Option<String>) {
    let (mut error, mut file) = (error, None);
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(_, source, inner, _) => {
                file = (!source.is_empty()).then(|| source.clone()).or(file);
                error = inner;
            }
            EvalAltResult::ErrorInModule(source, inner, _) => {
                file = Some(source.clone());
                error = inner;
            }
            _ => return (error, error.position(), file),
        }
    }
}

fn inner_without_position(error: &EvalAltResult) -> String {
    let text = error.to_string();
    match text.rfind(" (line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Kinds that host functions throw: what they say of `retryable` is what is safe without a policy, which a policy overrules.
const OF_THE_ENGINE: &[&str] = &["http", "network", "timeout", "shell", "sql", "mail", "file", "not_found", "workflow"];

/// Whether an error is worth a try when the script has asked for retries: everything but what stays wrong. Of an error that
/// the script made, `retryable` says it; without that, its `status`.
pub fn is_worth_a_retry(error: &Map) -> bool {
    let kind = error.get("kind").map(ToString::to_string).unwrap_or_default();
    // A thrown text says nothing of retries: the map around it is ours.
    let is_text = kind == "thrown" && error.contains_key("value");
    let is_own = !is_text && !OF_THE_ENGINE.contains(&kind.as_str());
    match kind.as_str() {
        "denied" | "invalid" | "script" | "cancelled" | "interrupted" | "limit" => return false,
        // Nobody sets it meanwhile: a fault of the configuration, not of a service.
        "not_found" if error.contains_key("secret") => return false,
        _ => {}
    }
    if let Some(retryable) = error.get("retryable").and_then(|v| v.as_bool().ok()).filter(|_| is_own) {
        return retryable;
    }
    let status = error.get("status").and_then(|s| s.as_int().ok()).filter(|_| is_own || kind == "http");
    status.is_none_or(|status| !(400..500).contains(&status) || matches!(status, 408 | 425 | 429))
}
