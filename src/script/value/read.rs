//! Text → values: a JSON parser of our own, since values go straight into the script engine's types and may be nested deeply.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rhai::{Array, Dynamic, ImmutableString, Map};

use rust_decimal::Decimal;

use super::{BadJson, MOST_NESTED, read_decimal};
use crate::script::secret::SecretRef;

/// What a text may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The journal's: maps with one key that begins with `$` are tagged values.
    Typed,
    /// JSON and nothing else.
    Plain,
    /// The same, with decimals where there would be floats.
    Exact,
}

pub(super) fn value(text: &str, form: Form) -> Result<Dynamic, BadJson> {
    // A tagged value is up to two levels below the deepest of the data.
    let room = if form == Form::Typed { MOST_NESTED + 2 } else { MOST_NESTED };
    let mut reader = Reader { text, at: 0, form, room };
    let read = reader.value().and_then(|value| reader.end().map(|()| value));
    read.map_err(|what| reader.locate(what))
}

type Read<T> = Result<T, String>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    form: Form,
    room: usize,
}

impl Reader<'_> {
    fn locate(&self, what: String) -> BadJson {
        let before = &self.text[..self.text.floor_char_boundary(self.at)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        BadJson { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, what }
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn end(&mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err("something follows the value".into()),
        }
    }

    fn expect(&mut self, wanted: u8) -> Read<()> {
        if self.peek() != Some(wanted) {
            return Err(format!("expected `{}`", char::from(wanted)));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Read<Dynamic> {
        match self.peek() {
            Some(b'"') => self.string().map(Dynamic::from),
            Some(b'{') => self.nested(Self::map),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Dynamic::TRUE),
            Some(b'f') => self.word("false", Dynamic::FALSE),
            Some(b'n') => self.word("null", Dynamic::UNIT),
            Some(_) => Err("expected a value".into()),
            None => Err("the text ends where a value is expected".into()),
        }
    }

    fn word(&mut self, word: &str, value: Dynamic) -> Read<Dynamic> {
        if !self.text[self.at..].starts_with(word) {
            return Err(format!("expected `{word}`"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Read<Dynamic>) -> Read<Dynamic> {
        self.room = self.room.checked_sub(1).ok_or_else(|| format!("nested deeper than {MOST_NESTED}"))?;
        self.at += 1;
        let value = read(self)?;
        self.room += 1;
        Ok(value)
    }

    fn array(&mut self) -> Read<Dynamic> {
        let mut items = Array::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Dynamic::from_array(items));
        }
        loop {
            super::super::guard::check().map_err(|error| error.to_string())?;
            items.push(self.value()?);
            if !self.more(b']')? {
                return Ok(Dynamic::from_array(items));
            }
        }
    }

    /// Whether another item follows; `false` at the closing bracket.
    fn more(&mut self, close: u8) -> Read<bool> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(format!("expected `,` or `{}`", char::from(close))),
        }
    }

    fn map(&mut self) -> Read<Dynamic> {
        let mut map = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Dynamic::from_map(map));
        }
        loop {
            super::super::guard::check().map_err(|error| error.to_string())?;
            if self.peek() != Some(b'"') {
                return Err("expected a key in double quotes".into());
            }
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value()?;
            let more = self.more(b'}')?;
            if self.form == Form::Typed && key.starts_with('$') {
                match key.strip_prefix("$$") {
                    None if map.is_empty() && !more => return untag(&key, value),
                    None => return Err(format!("`{key}` is a tag, which stands alone")),
                    Some(rest) => map.insert(format!("${rest}").into(), value),
                };
            } else {
                map.insert(key.as_str().into(), value);
            }
            if !more {
                return Ok(Dynamic::from_map(map));
            }
        }
    }

    fn number(&mut self) -> Read<Dynamic> {
        let rest = &self.text.as_bytes()[self.at..];
        let length =
            rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let text = &self.text[self.at..self.at + length];
        if !is_number(text) {
            return Err(format!("`{text}` is not a number"));
        }
        let integer = if text == "-0" { None } else { text.parse::<i64>().ok() };
        let decimal = if self.form == Form::Exact { read_decimal(text) } else { None };
        let value = match (integer, decimal) {
            (Some(number), _) => Dynamic::from_int(number),
            (None, Some(number)) => Dynamic::from_decimal(number),
            (None, None) => Dynamic::from_float(text.parse().map_err(|_| format!("`{text}` is not a number"))?),
        };
        if value.as_float().is_ok_and(f64::is_infinite) {
            return Err(format!("`{text}` is too large"));
        }
        self.at += length;
        Ok(value)
    }

    fn string(&mut self) -> Read<ImmutableString> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let plain = bytes[start..].iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= b' ').count();
        self.at = start + plain;
        if bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(self.text[start..start + plain].into());
        }
        let mut text = self.text[start..start + plain].to_owned();
        self.rest_of_string(&mut text)?;
        Ok(text.into())
    }

    fn rest_of_string(&mut self, text: &mut String) -> Read<()> {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= b' ').count();
            text.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err("a control character in a string must be escaped".into()),
                None => return Err("the text ends inside a string".into()),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => {
                self.at = (self.at - 2).min(self.text.len());
                return Err("an escape that JSON does not know".into());
            }
        })
    }

    fn code_point(&mut self) -> Read<char> {
        let first = self.four_digits()?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| "no such character".to_owned());
        }
        let pair = self.text[self.at..].starts_with("\\u") && first < 0xDC00;
        if pair {
            self.at += 2;
            let second = self.four_digits()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return char::from_u32(code).ok_or_else(|| "no such character".to_owned());
            }
        }
        Err("half of a surrogate pair is not a character".into())
    }

    fn four_digits(&mut self) -> Read<u32> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|text| u32::from_str_radix(text, 16).ok());
        self.at += if code.is_some() { 4 } else { 0 };
        code.ok_or_else(|| "`\\u` needs four hexadecimal digits".into())
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

fn untag(tag: &str, value: Dynamic) -> Read<Dynamic> {
    let bad = || format!("`{tag}` has a value that does not belong to it");
    if tag == "$secret" {
        let parts = value.into_typed_array::<ImmutableString>().map_err(|_| bad())?;
        let [name, origin] = <[ImmutableString; 2]>::try_from(parts).map_err(|_| bad())?;
        return Ok(Dynamic::from(SecretRef { name, origin }));
    }
    let text = value.into_immutable_string().map_err(|_| bad())?;
    let read = match tag {
        "$float" => text.parse().ok().map(Dynamic::from_float),
        "$decimal" => Decimal::from_str(&text).ok().map(Dynamic::from_decimal),
        "$blob" => BASE64.decode(text.as_str()).ok().map(Dynamic::from_blob),
        "$char" => text.parse().ok().map(Dynamic::from_char),
        _ => return Err(format!("`{tag}` is not a known tag")),
    };
    read.ok_or_else(bad)
}
