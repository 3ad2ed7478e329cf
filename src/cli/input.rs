//! What a run is started with, as given on the command line.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};

use super::output::{Fault, note};
use crate::diag::suggest;

/// The input of a run.
#[derive(Args, Debug, Default)]
pub(super) struct Input {
    /// A field of the input; JSON where it parses, else text
    #[arg(short = 'i', value_name = "KEY=VALUE")]
    fields: Vec<String>,
    /// The input: JSON, `@file`, or `-` for stdin
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
}

impl Input {
    /// Nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.input.is_none()
    }

    /// The input; single fields go over the whole.
    pub(super) fn read(&self) -> Result<Value, Fault> {
        self.over(Value::Null)
    }

    /// The same, by the schema of what is asked for: a decimal is taken as it is written, digit for digit, and so is what is a
    /// text there.
    pub(super) fn read_as(&self, schema: &Value) -> Result<Value, Fault> {
        let mut read = self.read()?;
        self.are_known(schema)?;
        for (key, value) in self.fields.iter().filter_map(|field| field.split_once('=')) {
            let is_decimal = schema["properties"][key]["format"] == "decimal";
            if is_decimal && read.get(key).is_some_and(Value::is_number) {
                read[key] = value.trim().into();
            }
            let is_plain = read.get(key).is_some_and(|read| read.is_number() || read.is_boolean());
            if is_plain && takes_text_alone(&schema["properties"][key]) {
                read[key] = value.into();
            }
        }
        Ok(read)
    }

    /// Fields that are given by hand are those that the workflow declares, where it declares any: what is nearly one of them was
    /// mistyped, and another is at least worth a word.
    fn are_known(&self, schema: &Value) -> Result<(), Fault> {
        let Some(known) = schema["properties"].as_object().filter(|known| !known.is_empty()) else { return Ok(()) };
        let given = self.fields.iter().filter_map(|field| field.split_once('='));
        for (key, _) in given.filter(|(key, _)| !known.contains_key(*key)) {
            if let Some(hint) = suggest::did_you_mean(key, known.keys().map(String::as_str)) {
                return Err(Fault::usage(format!("the input has no field `{key}`; hint: {hint}")));
            }
            let known: Vec<_> = known.keys().map(|known| format!("`{known}`")).collect();
            note(&format!("warning: the workflow declares no input `{key}`, only {}", known.join(", ")));
        }
        Ok(())
    }

    /// Whether what is asked for makes a difference to how it is read.
    pub(super) fn needs_schema(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The same, over what is the whole where none is given.
    pub(super) fn over(&self, base: Value) -> Result<Value, Fault> {
        let whole = self.input.as_deref().map(|given| json("--input", given)).transpose()?.unwrap_or(base);
        if self.fields.is_empty() {
            return Ok(whole);
        }
        let mut map = match whole {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            _ => return Err(Fault::usage("`-i` sets a field, but `--input` is no map")),
        };
        for field in &self.fields {
            let (key, value) = field
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| Fault::usage(format!("`-i {field}` is no field; hint: write `-i key=value`")))?;
            map.insert(key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
        }
        Ok(Value::Object(map))
    }
}

/// Whether a schema takes a text, and neither numbers nor booleans.
fn takes_text_alone(schema: &Value) -> bool {
    let types = match &schema["type"] {
        Value::Array(types) => types.as_slice(),
        one => std::slice::from_ref(one),
    };
    types.iter().any(|known| known == "string") && types.iter().all(|known| known == "string" || known == "null")
}

/// JSON from an option: text, `@file` or `-`.
pub(super) fn json(option: &str, given: &str) -> Result<Value, Fault> {
    let text = text(given).map_err(|error| Fault::usage(format!("`{option}`: {error:#}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Fault::usage(format!("`{option}` is no JSON: {error}; hint: text stands in quotes: '\"text\"'"))
    })
}

fn text(given: &str) -> anyhow::Result<String> {
    if let Some(file) = given.strip_prefix('@') {
        return std::fs::read_to_string(Path::new(file)).with_context(|| format!("`{file}` cannot be read"));
    }
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("stdin cannot be read")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_is_a_text_is_taken_as_it_is_written() {
        let schema = json!({ "properties": {
            "id": { "type": "string" }, "note": { "type": ["string", "null"] }, "total": { "type": ["string", "number"], "format": "decimal" },
            "n": { "type": "integer" }, "any": {},
        } });
        let fields = ["id=1", "note=true", "total=1.50", "n=2", "any=3"].map(str::to_owned).to_vec();
        let read = Input { fields, input: None }.read_as(&schema).expect("fits");
        assert_eq!(read, json!({ "id": "1", "note": "true", "total": "1.50", "n": 2, "any": 3 }));
        let quoted = Input { fields: vec!["id=\"a\"".to_owned(), "note=null".to_owned()], input: None };
        assert_eq!(quoted.read_as(&schema).expect("fits"), json!({ "id": "a", "note": null }));
    }
}
