//! Whether two values are equal for an assertion, and how they are shown.

use rhai::{Array, Dynamic, Map};

use crate::host::function::type_of;
use crate::script::value;

/// Longest text of a value that is shown.
const LONGEST: usize = 2_000;

/// Equal in depth; numbers of different kinds by their value.
pub(super) fn same(a: &Dynamic, b: &Dynamic) -> bool {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        return a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b));
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        return a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)));
    }
    match (value::encode(a), value::encode(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// A number as text without trailing zeros.
fn number(value: &Dynamic) -> Option<String> {
    if let Ok(int) = value.as_int() {
        return Some(int.to_string());
    }
    if let Ok(float) = value.as_float() {
        return Some(float.to_string());
    }
    value.as_decimal().ok().map(|decimal| decimal.normalize().to_string())
}

/// Where two values have different kinds that look alike, such as a decimal and a text, and which.
pub(super) fn kinds(a: &Dynamic, b: &Dynamic, path: &str) -> Option<String> {
    if same(a, b) {
        return None;
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        return a.iter().zip(b.iter()).enumerate().find_map(|(n, (a, b))| kinds(a, b, &format!("{path}[{n}]")));
    }
    if let (Some(a), Some(b)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        return a.iter().find_map(|(key, a)| kinds(a, b.get(key)?, &format!("{path}.{key}")));
    }
    let (a, b) = (type_of(a), type_of(b));
    let at = if path.is_empty() { String::new() } else { format!(" at `{}`", path.trim_start_matches('.')) };
    (a != b).then(|| format!("one is {a}, the other {b}{at}"))
}

/// The value as scripts would write it, cut where it is long.
pub(super) fn shown(value: &Dynamic) -> String {
    let text = if value.is_unit() {
        "()".to_owned()
    } else {
        value::to_json_text(value, false).unwrap_or_else(|_| value.to_string())
    };
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push_str(" …");
    cut
}
