//! A record of the log as a line: for people, or JSON. Whatever somebody wrote into it, it stays one line.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::config::LogFormat;
use crate::engine::lines::{Level, Line, Writer};
use crate::payload::Payload;
use crate::script::secret;
use crate::time::Timestamp;
use crate::vault::Vault;

/// What a secret's value is shown as.
const HIDDEN: &str = "***";
/// What a record takes beside its texts, roughly.
const OVERHEAD: usize = 256;
/// Fields of an event that are shown as fields of the line itself.
const COMMON: [&str; 5] = ["run", "workflow", "step", "line", "trace"];

/// What is to be shown.
pub(super) enum Record {
    /// A line about a run.
    Line(Box<Line>),
    /// What this process says.
    Own(Own),
}

/// What this process says.
pub(super) struct Own {
    at: Timestamp,
    level: Level,
    message: String,
    target: &'static str,
    fields: Map<String, Value>,
}

impl Record {
    pub(super) fn of_line(line: Line) -> Self {
        Self::Line(Box::new(line))
    }

    /// A message of the process.
    pub(super) fn own(at: Timestamp, level: Level, message: String) -> Self {
        Self::Own(Own { at, level, message, target: "panta", fields: Map::new() })
    }

    /// The same, with where it comes from and its fields.
    pub(super) fn from(self, target: &'static str, fields: Map<String, Value>) -> Self {
        match self {
            Self::Own(own) => Self::Own(Own { target, fields, ..own }),
            other @ Self::Line(_) => other,
        }
    }

    /// Bytes that it takes, roughly.
    pub(super) fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Line(line) => line.message.text().len() + line.fields.as_ref().map_or(0, |it| it.text().len()),
                Self::Own(own) => own.message.len(),
            }
    }
}

/// A record, taken apart.
struct Parts {
    at: Timestamp,
    level: Level,
    message: String,
    target: &'static str,
    /// Those of [`COMMON`] that there are.
    common: Map<String, Value>,
    fields: Map<String, Value>,
}

impl Parts {
    fn of(record: &Record, vault: &Vault) -> Self {
        let mut parts = match record {
            Record::Line(line) => Self::of_line(line),
            Record::Own(own) => Self::of_own(own),
        };
        parts.message = hidden(&parts.message, vault).into_owned();
        for fields in [&mut parts.common, &mut parts.fields] {
            *fields = cleaned_fields(std::mem::take(fields), vault);
        }
        parts
    }

    fn of_line(line: &Line) -> Self {
        let message = line.message.to_json();
        let fields = line.fields.as_ref().map(Payload::to_json);
        let common = [
            ("run", json!(line.run)),
            ("workflow", json!(&*line.workflow)),
            ("step", json!(line.step.as_deref())),
            ("line", json!(Some(line.line).filter(|line| *line > 0))),
            ("trace", json!(line.trace.to_string())),
        ];
        Self {
            at: line.at,
            level: line.level,
            message: message.as_str().map_or_else(|| message.to_string(), str::to_owned),
            target: if line.writer == Writer::Script { "script" } else { "panta::engine" },
            common: common.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)).collect(),
            fields: fields.and_then(|fields| fields.as_object().cloned()).unwrap_or_default(),
        }
    }

    fn of_own(own: &Own) -> Self {
        let (common, fields) = own.fields.clone().into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
        let Own { at, level, target, .. } = *own;
        Self { at, level, message: own.message.clone(), target, common, fields }
    }
}

/// The text without placeholders and values of secrets.
fn hidden<'t>(text: &'t str, vault: &Vault) -> Cow<'t, str> {
    let instead = |_: &str| HIDDEN.to_owned();
    match secret::mask(text) {
        Cow::Borrowed(text) => vault.redact(text, &instead),
        Cow::Owned(masked) => Cow::Owned(vault.redact(&masked, &instead).into_owned()),
    }
}

/// Names may hold secrets, too.
fn cleaned_fields(fields: Map<String, Value>, vault: &Vault) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (hidden(&name, vault).into_owned(), cleaned(value, vault))).collect()
}

fn cleaned(value: Value, vault: &Vault) -> Value {
    match value {
        Value::String(text) => match hidden(&text, vault) {
            Cow::Owned(clean) => clean.into(),
            Cow::Borrowed(_) => text.into(),
        },
        Value::Array(items) => items.into_iter().map(|item| cleaned(item, vault)).collect(),
        Value::Object(map) => Value::Object(cleaned_fields(map, vault)),
        Value::Number(number) => {
            let shown = number.to_string();
            if matches!(hidden(&shown, vault), Cow::Owned(_)) { HIDDEN.into() } else { Value::Number(number) }
        }
        other => other,
    }
}

/// How lines look.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) format: LogFormat,
    pub(super) is_coloured: bool,
}

impl Style {
    /// Adds a record as a line.
    pub(super) fn write(self, record: &Record, vault: &Vault, out: &mut String) {
        let parts = Parts::of(record, vault);
        match self.format {
            LogFormat::Json => json_line(parts, out),
            LogFormat::People => self.people(&parts, out),
        }
        out.push('\n');
    }

    fn people(self, parts: &Parts, out: &mut String) {
        let (at, level) = (parts.at.to_string(), parts.level.name().to_uppercase());
        let _ = match self.colour(parts.level) {
            Some(colour) => write!(out, "\u{1b}[2m{at}\u{1b}[0m \u{1b}[{colour}m{level:<5}\u{1b}[0m "),
            None => write!(out, "{at} {level:<5} "),
        };
        escape(&parts.message, out);
        let (dim, plain) = if self.is_coloured { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        out.push_str(dim);
        for (name, value) in parts.fields.iter().chain(&parts.common) {
            out.push(' ');
            word(name, out);
            out.push('=');
            match value {
                Value::String(text) => word(text, out),
                other => escape(&other.to_string(), out),
            }
        }
        out.push_str(plain);
    }

    fn colour(self, level: Level) -> Option<&'static str> {
        self.is_coloured.then_some(match level {
            Level::Error => "31",
            Level::Warn => "33",
            Level::Info => "32",
            Level::Debug | Level::Trace => "2",
        })
    }
}

fn json_line(parts: Parts, out: &mut String) {
    let mut line = Map::new();
    line.insert("time".to_owned(), json!(parts.at));
    line.insert("level".to_owned(), parts.level.name().into());
    line.insert("message".to_owned(), parts.message.into());
    line.insert("target".to_owned(), parts.target.into());
    line.extend(parts.common);
    if !parts.fields.is_empty() {
        line.insert("fields".to_owned(), Value::Object(parts.fields));
    }
    // What JSON lets stand may still mean something to a terminal; it can only be inside of texts.
    for c in Value::Object(line).to_string().chars() {
        match c {
            c if is_harmful(c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
            c => out.push(c),
        }
    }
}

/// What could end a line, move a terminal's cursor, or turn the order of what is read.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text with what is harmful in it written out.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if is_harmful(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

/// A text as the value of a field: quoted where it could be taken for more than one.
fn word(text: &str, out: &mut String) {
    if !text.is_empty() && !text.contains([' ', '"', '=']) {
        return escape(text, out);
    }
    out.push('"');
    let mut inner = String::new();
    escape(text, &mut inner);
    out.push_str(&inner.replace('"', "\\\""));
    out.push('"');
}
