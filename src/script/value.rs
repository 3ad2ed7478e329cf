//! Script values as text and back: the journal's typed JSON (see [`crate::payload`]) and the plain JSON of the outside.
//!
//! The journal's form keeps every type: reading gives back what was written, and equal values have equal texts (map keys are in
//! order, numbers are written in one way). What is not data (functions, ranges, points in time of the script engine) is refused with
//! the path to it. Neither form goes through a tree of another library. Owns no state; knows nothing of runs.

mod decimal;
mod read;
mod write;

use std::fmt;

use rhai::Dynamic;

pub use self::decimal::read_decimal;
use crate::payload::Payload;

/// Values may be nested this deep: more than any data has, and little enough that native code can recurse over them.
pub const MOST_NESTED: usize = 128;

/// A text may be this long. Strings share their bytes in memory, not in a text, so a small value can have an endless one.
const LONGEST_TEXT: usize = 64 << 20;

/// A value that cannot be kept or sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotData {
    /// From the value to the part at fault, such as `.items[3].cb`; empty for the value itself.
    pub path: String,
    /// What it is: `is a function`.
    pub what: String,
}

impl NotData {
    /// The message, with `root` for the value: "`result.items[3].cb` is a function".
    pub fn within(&self, root: &str) -> String {
        format!("`{root}{}` {}", self.path, self.what)
    }
}

impl fmt::Display for NotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within("value"))
    }
}

/// Text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct BadJson {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// The value as the journal keeps it.
pub fn encode(value: &Dynamic) -> Result<Payload, NotData> {
    write::kept(value, write::Form::Typed, LONGEST_TEXT).map(Payload::from_text)
}

/// The value that was encoded.
///
/// # Panics
///
/// When the payload is not what [`encode`] or [`Payload::from_json`] writes; [`try_decode`] returns that as an error.
pub fn decode(payload: &Payload) -> Dynamic {
    try_decode(payload).expect("a payload is typed JSON")
}

/// As [`decode`], for payloads whose origin is not certain.
pub fn try_decode(payload: &Payload) -> Result<Dynamic, BadJson> {
    read::value(payload.text(), read::Form::Typed)
}

/// JSON from outside: no tag means anything. Integers that do not fit 64 bits become floats.
pub fn from_json_text(text: &str) -> Result<Dynamic, BadJson> {
    read::value(text, read::Form::Plain)
}

/// The same, with fractions as exact decimals, and whole numbers that do not fit 64 bits; what no decimal can hold is a float.
pub fn from_json_text_exactly(text: &str) -> Result<Dynamic, BadJson> {
    read::value(text, read::Form::Exact)
}

/// JSON for the outside: decimals, characters and blobs (base64) as strings, secrets as their placeholders.
pub fn to_json_text(value: &Dynamic, pretty: bool) -> Result<String, NotData> {
    let form = if pretty { write::Form::Pretty } else { write::Form::Plain };
    write::text(value, form, LONGEST_TEXT)
}

#[cfg(test)]
mod tests;
