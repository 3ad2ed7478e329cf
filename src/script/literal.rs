//! Values as the Rhai text that makes them: for showing them, and for tests that are written from recorded runs.
//!
//! Secrets are never in it: `***` stands for each. What no text makes (functions) is a word that says so.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rhai::{Dynamic, Map};

use super::secret::{SecretRef, mask};
use crate::placeholder::mask_bytes;

/// Values may be nested this deep here: the text of a deeper one would help nobody.
const MOST_NESTED: usize = super::value::MOST_NESTED;

/// A whole text.
pub const WHOLE: usize = usize::MAX;

/// The text; where it gets longer than `most` bytes, what follows is left out as `…`.
pub fn literal(value: &Dynamic, most: usize) -> String {
    let mut writer = Writer { out: String::new(), most, depth: 0 };
    writer.value(value);
    let Writer { mut out, .. } = writer;
    if out.len() > most {
        let end = (0..=most).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

/// What a value is, as scripts say it.
pub fn kind(value: &Dynamic) -> &'static str {
    if value.is_shared() {
        return value.read_lock::<Dynamic>().map_or("any", |inner| kind(&inner));
    }
    match value.type_name() {
        "i64" => "int",
        "f64" => "float",
        "()" => "unit",
        "Fn" => "closure",
        "bool" => "bool",
        "char" => "char",
        "string" => "string",
        "array" => "list",
        "map" => "map",
        "blob" => "blob",
        "decimal" => "decimal",
        _ if value.is_string() => "string",
        _ if value.is_array() => "list",
        _ if value.is_map() => "map",
        _ if value.is_blob() => "blob",
        _ if value.is_decimal() => "decimal",
        _ if value.is_fnptr() => "closure",
        _ if value.is::<SecretRef>() => "secret",
        _ => "other",
    }
}

struct Writer {
    out: String,
    most: usize,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Dynamic) {
        if value.is_shared() {
            match value.read_lock::<Dynamic>() {
                Some(inner) => self.value(&inner),
                None => self.out.push_str("being changed"),
            }
        } else if let Ok(text) = value.as_immutable_string_ref() {
            self.text(&text);
        } else if let Ok(map) = value.as_map_ref() {
            self.nested("#{", '}', |writer| writer.map(&map));
        } else if let Ok(list) = value.as_array_ref() {
            self.nested("[", ']', |writer| writer.list(&list));
        } else {
            self.plain(value);
        }
    }

    fn plain(&mut self, value: &Dynamic) {
        let text = if let Ok(number) = value.as_int() {
            integer(number)
        } else if let Ok(number) = value.as_float() {
            float(number)
        } else if let Ok(flag) = value.as_bool() {
            flag.to_string()
        } else if value.is_unit() {
            "()".to_owned()
        } else if let Ok(number) = value.as_decimal() {
            format!("decimal(\"{number}\")")
        } else if let Ok(blob) = value.as_blob_ref() {
            format!("base64::decode(\"{}\")", BASE64.encode(mask_bytes(&blob)))
        } else if let Ok(character) = value.as_char() {
            let mut text = String::new();
            escape(&mut text, character, '\'');
            format!("'{text}'")
        } else if value.is::<SecretRef>() {
            "\"***\"".to_owned()
        } else if value.is_fnptr() {
            "closure".to_owned()
        } else {
            kind(value).to_owned()
        };
        self.out.push_str(&text);
    }

    fn nested(&mut self, open: &str, close: char, write: impl FnOnce(&mut Self)) {
        self.out.push_str(open);
        if self.depth == MOST_NESTED {
            self.out.push('…');
        } else {
            self.depth += 1;
            write(self);
            self.depth -= 1;
        }
        self.out.push(close);
    }

    fn list(&mut self, list: &[Dynamic]) {
        for (index, item) in list.iter().enumerate() {
            if self.out.len() > self.most {
                return;
            }
            self.out.push_str(if index > 0 { ", " } else { "" });
            self.value(item);
        }
    }

    fn map(&mut self, map: &Map) {
        for (index, (key, value)) in map.iter().enumerate() {
            if self.out.len() > self.most {
                return;
            }
            self.out.push_str(if index > 0 { ", " } else { " " });
            if is_name(key) {
                self.out.push_str(key);
            } else {
                self.text(key);
            }
            self.out.push_str(": ");
            self.value(value);
        }
        self.out.push_str(if map.is_empty() { "" } else { " " });
    }

    fn text(&mut self, text: &str) {
        // What is cut off anyway is not written.
        let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= self.most).last().unwrap_or(0);
        let text = mask(if text.len() > self.most { &text[..end] } else { text });
        self.out.push('"');
        text.chars().for_each(|character| escape(&mut self.out, character, '"'));
        self.out.push('"');
    }
}

/// A text in quotes.
pub fn quoted(text: &str) -> String {
    literal(&text.into(), WHOLE)
}

fn escape(out: &mut String, character: char, quote: char) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if c == quote => out.extend(['\\', c]),
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
            let _ = write!(out, "\\u{:04x}", c as u32);
        }
        c => out.push(c),
    }
}

fn integer(number: i64) -> String {
    if number == i64::MIN { format!("({} - 1)", number + 1) } else { number.to_string() }
}

fn float(number: f64) -> String {
    match number {
        n if n.is_nan() => "(0.0 / 0.0)".to_owned(),
        n if n.is_infinite() => format!("({}1.0 / 0.0)", if n > 0.0 { "" } else { "-" }),
        n => {
            let text = format!("{n:?}");
            // `1e300` is not read as a number.
            match text.split_once('e') {
                Some((number, exponent)) if !number.contains('.') => format!("{number}.0e{exponent}"),
                _ => text,
            }
        }
    }
}

/// Whether a key can be written without quotes. Many words are reserved, so the parser is asked.
fn is_name(key: &str) -> bool {
    thread_local! {
        static PARSER: rhai::Engine = const { rhai::Engine::new_raw() };
    }
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
    key.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && key.bytes().all(is_plain)
        && PARSER.with(|parser| parser.compile_expression(format!("#{{ {key}: 1 }}")).is_ok())
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn texts_are_folded_and_secrets_masked() {
        assert_eq!(literal(&"häuser".into(), 4), "\"hä…");
        let mut map = Map::new();
        let secret = SecretRef { name: "s".into(), origin: "n".into() };
        map.insert("a".into(), format!("token {}", secret.placeholder()).into());
        map.insert("b".into(), Dynamic::from(secret));
        map.insert("new".into(), ().into());
        assert_eq!(literal(&map.into(), WHOLE), r#"#{ a: "token ***", b: "***", "new": () }"#);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for (value, text) in [
            (Dynamic::from(i64::MIN), "(-9223372036854775807 - 1)"),
            (Dynamic::from(1e300), "1.0e300"),
            (Dynamic::from(-0.5), "-0.5"),
            (Dynamic::from_decimal(Decimal::new(1020, 2)), "decimal(\"10.20\")"),
            (Dynamic::from_blob(vec![0, 255]), "base64::decode(\"AP8=\")"),
            (Dynamic::from('\''), "'\\''"),
        ] {
            assert_eq!(literal(&value, WHOLE), text);
        }
    }
}
