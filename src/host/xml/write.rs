//! From maps to text.

use rhai::{Array, Dynamic, Map};

use super::{MOST_NESTED, TEXT};
use crate::host::fail::Fail;
use crate::host::function::{Call, type_of};
use crate::host::json::{bounded, check_length};
use crate::host::lists::plain;
use crate::script::{guard, value};

struct Writer<'a> {
    call: &'a Call<'a>,
    pretty: bool,
    out: String,
}

pub(super) fn encode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    crate::host::declare::refuse(call)?;
    let options = call.options(1)?;
    let (pretty, declaration) = (options.flag("pretty")?, options.flag("declaration")?);
    let given = call.args[0].clone();
    let Some(map) = given.read_lock::<Map>() else {
        return Err(call.invalid(format!("`document` must be a map, not {}", type_of(&given))));
    };
    value::encode(&given).map_err(|bad| call.invalid(bad.to_string()).with("path", bad.path))?;
    let mut pairs = map.iter();
    let (Some((name, root)), None) = (pairs.next(), pairs.next()) else {
        return Err(call.invalid(format!("a document has one key, the root, not {}", map.len())));
    };
    if root.is_array() {
        return Err(call.invalid("the root is one element, not a list"));
    }
    let mut writer = Writer { call, pretty, out: String::new() };
    if declaration {
        writer.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        writer.line(0);
    }
    writer.element(name, root, 0)?;
    if pretty {
        writer.out.push('\n');
    }
    bounded(call, std::mem::take(&mut writer.out))
}

/// Characters that XML 1.0 can have.
pub(super) fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

impl Writer<'_> {
    fn line(&mut self, depth: usize) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn name(&self, name: &str) -> Result<(), Fail> {
        let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == ':');
        let goes_on = |c: char| c.is_alphanumeric() || "_:-.\u{b7}".contains(c);
        if begins && name.chars().all(goes_on) {
            return Ok(());
        }
        Err(self
            .call
            .invalid(format!("`{name}` is no name of an element or attribute; attributes are written `@name`")))
    }

    fn element(&mut self, name: &str, value: &Dynamic, depth: usize) -> Result<(), Fail> {
        guard::check()?;
        self.name(name)?;
        check_length(self.call, self.out.len())?;
        if depth > MOST_NESTED {
            return Err(self.call.invalid(format!("elements are nested deeper than {MOST_NESTED} levels")));
        }
        self.out.push('<');
        self.out.push_str(name);
        let Some(map) = value.read_lock::<Map>() else {
            let text = plain(self.call, value)?;
            return self.body(name, &text);
        };
        for (key, value) in map.iter() {
            if let Some(attribute) = key.strip_prefix('@') {
                self.attribute(attribute, value)?;
            }
        }
        let text = map.get(TEXT).map(|text| plain(self.call, text)).transpose()?.unwrap_or_default();
        let is_child = |key: &str| !key.starts_with('@') && key != TEXT;
        if !map.keys().any(|key| is_child(key)) {
            return self.body(name, &text);
        }
        self.out.push('>');
        self.escaped(&text)?;
        for (key, value) in map.iter().filter(|(key, _)| is_child(key)) {
            let one = [value.clone()];
            let list = value.read_lock::<Array>();
            for item in list.as_deref().map_or(one.as_slice(), Vec::as_slice) {
                self.line(depth + 1);
                self.element(key, item, depth + 1)?;
            }
        }
        self.line(depth);
        self.close(name);
        Ok(())
    }

    fn body(&mut self, name: &str, text: &str) -> Result<(), Fail> {
        if text.is_empty() {
            self.out.push_str("/>");
            return Ok(());
        }
        self.out.push('>');
        self.escaped(text)?;
        self.close(name);
        Ok(())
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn attribute(&mut self, name: &str, value: &Dynamic) -> Result<(), Fail> {
        self.name(name)?;
        if value.is_map() || value.is_array() {
            return Err(self.call.invalid(format!("the attribute `{name}` must be a text, not {}", type_of(value))));
        }
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        let text = plain(self.call, value)?;
        self.escaped(&text)?;
        self.out.push('"');
        Ok(())
    }

    fn escaped(&mut self, text: &str) -> Result<(), Fail> {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\r' => self.out.push_str("&#13;"),
                c if is_character(c) => self.out.push(c),
                c => {
                    let code = u32::from(c);
                    return Err(self
                        .call
                        .invalid(format!("the text has a character that XML does not have: {code:#x}")));
                }
            }
        }
        Ok(())
    }
}
