//! Values → text.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rhai::{Array, Blob, Dynamic, ImmutableString, Map};

use super::{MOST_NESTED, NotData};
use crate::script::secret::SecretRef;

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For the journal: every type is kept.
    Typed,
    /// JSON on one line.
    Plain,
    /// JSON, indented by two.
    Pretty,
}

pub(super) fn text(value: &Dynamic, form: Form, longest: usize) -> Result<String, NotData> {
    let mut writer = Writer { out: String::new(), form, longest, depth: 0 };
    writer.value(value).map_err(Fault::into_error)?;
    Ok(writer.out)
}

thread_local! {
    /// What texts are written to before they are kept: most are short, and made often.
    static ROOM: Cell<String> = const { Cell::new(String::new()) };
}

/// The room that is kept at most, in bytes.
const MOST_ROOM: usize = 16 << 10;

/// The same text, at its exact size.
pub(super) fn kept(value: &Dynamic, form: Form, longest: usize) -> Result<Arc<str>, NotData> {
    let mut out = ROOM.take();
    out.clear();
    let mut writer = Writer { out, form, longest, depth: 0 };
    writer.value(value).map_err(Fault::into_error)?;
    let text = Arc::from(writer.out.as_str());
    if writer.out.capacity() <= MOST_ROOM {
        ROOM.set(writer.out);
    }
    Ok(text)
}

/// What is wrong, and the steps to it, innermost first.
struct Fault {
    what: String,
    steps: Vec<String>,
}

impl Fault {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), steps: Vec::new() }
    }

    fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        // The path to a value that is nested too deeply would say nothing.
        if self.steps.len() < 16 {
            self.steps.push(step());
        }
        self
    }

    fn into_error(self) -> NotData {
        NotData { path: self.steps.into_iter().rev().collect(), what: self.what }
    }
}

struct Writer {
    out: String,
    form: Form,
    longest: usize,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Dynamic) -> Result<(), Fault> {
        if value.is_shared() {
            let inner = value.read_lock::<Dynamic>().ok_or_else(|| Fault::new("is being changed right now"))?;
            return self.unshared(&inner);
        }
        self.unshared(value)
    }

    fn unshared(&mut self, value: &Dynamic) -> Result<(), Fault> {
        if let Ok(text) = value.as_immutable_string_ref() {
            self.string(&text)
        } else if let Ok(number) = value.as_int() {
            self.display(number);
            Ok(())
        } else if let Ok(map) = value.as_map_ref() {
            self.nested(|writer| writer.map(&map))
        } else if let Ok(array) = value.as_array_ref() {
            self.nested(|writer| writer.array(&array))
        } else if let Ok(flag) = value.as_bool() {
            self.out.push_str(if flag { "true" } else { "false" });
            Ok(())
        } else if value.is_unit() {
            self.out.push_str("null");
            Ok(())
        } else {
            self.rare(value)
        }
    }

    fn rare(&mut self, value: &Dynamic) -> Result<(), Fault> {
        if let Ok(number) = value.as_float() {
            self.float(number)
        } else if let Ok(number) = value.as_decimal() {
            self.tagged("decimal", |writer| {
                let _ = write!(writer.out, "\"{number}\"");
            });
            Ok(())
        } else if let Ok(character) = value.as_char() {
            self.tagged("char", |writer| writer.quoted(character.encode_utf8(&mut [0; 4])));
            Ok(())
        } else if let Ok(blob) = value.as_blob_ref() {
            self.blob(&blob)
        } else if let Some(secret) = value.read_lock::<SecretRef>() {
            self.secret(&secret);
            Ok(())
        } else {
            Err(Fault::new(describe(value)))
        }
    }

    fn display(&mut self, number: i64) {
        let _ = write!(self.out, "{number}");
    }

    fn float(&mut self, number: f64) -> Result<(), Fault> {
        if number.is_finite() {
            // `Debug` writes the shortest text that reads back equal, always with a point or an exponent.
            let _ = write!(self.out, "{number:?}");
        } else if self.form == Form::Typed {
            self.tagged("float", |writer| {
                let _ = write!(writer.out, "\"{number}\"");
            });
        } else {
            return Err(Fault::new(format!("is {number}, which JSON cannot say")));
        }
        Ok(())
    }

    fn tagged(&mut self, tag: &str, write: impl FnOnce(&mut Self)) {
        if self.form == Form::Typed {
            let _ = write!(self.out, "{{\"${tag}\":");
            write(self);
            self.out.push('}');
        } else {
            write(self);
        }
    }

    fn blob(&mut self, blob: &Blob) -> Result<(), Fault> {
        self.reserve(blob.len().div_ceil(3) * 4)?;
        self.tagged("blob", |writer| {
            writer.out.push('"');
            BASE64.encode_string(blob, &mut writer.out);
            writer.out.push('"');
        });
        Ok(())
    }

    fn secret(&mut self, secret: &SecretRef) {
        if self.form != Form::Typed {
            return self.quoted(&secret.placeholder());
        }
        self.out.push_str("{\"$secret\":[");
        self.quoted(&secret.name);
        self.out.push(',');
        self.quoted(&secret.origin);
        self.out.push_str("]}");
    }

    fn string(&mut self, text: &ImmutableString) -> Result<(), Fault> {
        self.reserve(text.len())?;
        self.quoted(text);
        Ok(())
    }

    fn reserve(&mut self, more: usize) -> Result<(), Fault> {
        if self.out.len() + more > self.longest {
            return Err(Fault::new(format!("makes a text of more than {} MiB", self.longest >> 20)));
        }
        Ok(())
    }

    fn nested(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == MOST_NESTED {
            return Err(Fault::new(format!("is nested deeper than {MOST_NESTED}")));
        }
        self.reserve(2)?;
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, array: &Array) -> Result<(), Fault> {
        self.out.push('[');
        for (i, item) in array.iter().enumerate() {
            self.separate(i);
            self.value(item).map_err(|fault| fault.inside(|| format!("[{i}]")))?;
        }
        self.close(']', array.is_empty());
        Ok(())
    }

    fn map(&mut self, map: &Map) -> Result<(), Fault> {
        self.out.push('{');
        for (i, (key, value)) in map.iter().enumerate() {
            self.separate(i);
            self.reserve(key.len())?;
            self.key(key);
            self.value(value).map_err(|fault| fault.inside(|| step(key)))?;
        }
        self.close('}', map.is_empty());
        Ok(())
    }

    fn key(&mut self, key: &str) {
        if self.form == Form::Typed && key.starts_with('$') {
            let start = self.out.len();
            self.quoted(key);
            self.out.insert(start + 1, '$');
        } else {
            self.quoted(key);
        }
        self.out.push_str(if self.form == Form::Pretty { ": " } else { ":" });
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.new_line();
    }

    fn close(&mut self, bracket: char, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.new_line();
        }
        self.depth += 1;
        self.out.push(bracket);
    }

    fn new_line(&mut self) {
        if self.form == Form::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.push_str(&text[plain..at]);
            plain = at + 1;
            match byte {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                b'\n' => self.out.push_str("\\n"),
                b'\r' => self.out.push_str("\\r"),
                b'\t' => self.out.push_str("\\t"),
                other => {
                    let _ = write!(self.out, "\\u{other:04x}");
                }
            }
        }
        self.out.push_str(&text[plain..]);
        self.out.push('"');
    }
}

fn step(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_alphanumeric() || c == '_') && !key.is_empty();
    if plain { format!(".{key}") } else { format!("[{key:?}]") }
}

fn describe(value: &Dynamic) -> String {
    if value.is_fnptr() {
        return "is a function".into();
    }
    match value.type_name() {
        "range" | "range=" | "core::ops::range::Range<i64>" | "core::ops::range::RangeInclusive<i64>" => {
            "is a range".into()
        }
        "timestamp" => "is a timestamp".into(),
        other => format!("is a `{}`, which is no data", other.rsplit("::").next().unwrap_or(other)),
    }
}
