//! Arrays: their binary form, and the text of a parameter.

use serde_json::Value as Json;
use tokio_postgres::types::Type;

use super::types;
use crate::effect::sql::Value;

/// What is wrong with a value.
type Bad = Box<dyn std::error::Error + Sync + Send>;

/// The elements, in lists of lists where there are several dimensions.
pub(super) fn read(element: &Type, raw: &[u8]) -> Result<Value, Bad> {
    let word = |index: usize| {
        let bytes = raw.get(index * 4..index * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(i32::from_be_bytes).ok_or_else(|| Bad::from("the array ends early"))
    };
    let dimensions = usize::try_from(word(0)?)?;
    let sizes = (0..dimensions).map(|n| Ok(usize::try_from(word(3 + n * 2)?)?)).collect::<Result<Vec<_>, Bad>>()?;
    let mut rest = &raw[(12 + dimensions * 8).min(raw.len())..];
    let mut flat = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            flat.push(Value::Null);
            rest = after;
            continue;
        };
        let (bytes, after) = after.split_at_checked(length).ok_or("the array ends early")?;
        flat.push(types::read(element, bytes)?);
        rest = after;
    }
    let mut list = flat;
    for size in sizes.iter().skip(1).rev().filter(|size| **size > 0) {
        list = list.chunks(*size).map(|chunk| Value::List(chunk.to_vec())).collect();
    }
    Ok(Value::List(list))
}

/// A list as the server reads arrays: `{"a","b",NULL}`.
pub(super) fn written(list: &[Json]) -> String {
    let element = |one: &Json| match one {
        Json::Null => "NULL".to_owned(),
        Json::Array(inner) => written(inner),
        Json::String(text) => quoted(text),
        Json::Bool(_) | Json::Number(_) => one.to_string(),
        Json::Object(_) => quoted(&one.to_string()),
    };
    format!("{{{}}}", list.iter().map(element).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_arrays() {
        let list = serde_json::json!([1, "a\"b\\", null, [true, "x,y"]]);
        assert_eq!(written(list.as_array().expect("a list")), "{1,\"a\\\"b\\\\\",NULL,{true,\"x,y\"}}");
    }
}
