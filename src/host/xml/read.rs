//! From text to maps.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use rhai::{Array, Dynamic, Map};

use super::{MOST_NESTED, TEXT};
use crate::host::fail::Fail;
use crate::script::guard;

/// Why there is no document.
pub(super) enum Fault {
    /// At this byte.
    Bad { at: usize, what: String },
    /// The run has to end.
    Stopped(Fail),
}

/// An element that is open.
struct Open {
    name: String,
    fields: Map,
    text: String,
}

impl Open {
    /// The element as a value.
    fn close(mut self) -> Dynamic {
        let text = self.text.trim();
        if self.fields.is_empty() {
            return text.into();
        }
        if !text.is_empty() {
            self.fields.insert(TEXT.into(), text.into());
        }
        Dynamic::from_map(self.fields)
    }

    fn add(&mut self, name: &str, value: Dynamic, is_list: bool) {
        match self.fields.get_mut(name) {
            None if is_list => drop(self.fields.insert(name.into(), Dynamic::from_array(vec![value]))),
            None => drop(self.fields.insert(name.into(), value)),
            Some(known) if known.is_array() => known.write_lock::<Array>().expect("it is a list").push(value),
            Some(known) => *known = Dynamic::from_array(vec![known.take(), value]),
        }
    }
}

/// Reads a document.
pub(super) fn document(text: &str, lists: &[String]) -> Result<Dynamic, Fault> {
    let mut reader = Reader::from_str(text);
    // The outermost holds the root.
    let mut open = vec![Open { name: String::new(), fields: Map::new(), text: String::new() }];
    loop {
        guard::check().map_err(|error| Fault::Stopped(error.into()))?;
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let bad = |what: String| Fault::Bad { at, what };
        let event = reader.read_event().map_err(|error| Fault::Bad {
            at: usize::try_from(reader.error_position()).unwrap_or(usize::MAX),
            what: error.to_string(),
        })?;
        match event {
            Event::Start(start) => open.push(begin(&start, open.len()).map_err(bad)?),
            Event::Empty(start) => {
                let element = begin(&start, open.len()).map_err(bad)?;
                end(&mut open, element, lists).map_err(bad)?;
            }
            Event::End(_) => {
                let element = open.pop().expect("the reader checks that ends fit");
                end(&mut open, element, lists).map_err(bad)?;
            }
            Event::Text(part) => push(&mut open, &part.xml10_content()).map_err(bad)?,
            Event::CData(part) => push(&mut open, &part.xml10_content()).map_err(bad)?,
            Event::GeneralRef(reference) => {
                let text = entity(&reference.into_inner()).map_err(bad)?;
                push(&mut open, &text).map_err(bad)?;
            }
            Event::DocType(_) => return Err(bad("document types are refused".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return finish(open, at),
        }
    }
}

fn finish(mut open: Vec<Open>, at: usize) -> Result<Dynamic, Fault> {
    let bad = |what: String| Fault::Bad { at, what };
    if open.len() > 1 {
        let name = open.pop().map(|element| element.name).unwrap_or_default();
        return Err(bad(format!("the element `{name}` is not closed")));
    }
    let root = open.pop().map(|outermost| outermost.fields).unwrap_or_default();
    if root.is_empty() { Err(bad("there is no root element".to_owned())) } else { Ok(Dynamic::from_map(root)) }
}

fn begin(start: &BytesStart<'_>, depth: usize) -> Result<Open, String> {
    if depth > MOST_NESTED {
        return Err(format!("elements are nested deeper than {MOST_NESTED} levels"));
    }
    let name = start.name().into_inner().to_owned();
    let mut fields = Map::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = unescaped(&attribute.value)?;
        fields.insert(format!("@{}", attribute.key.into_inner()).into(), value.into());
    }
    Ok(Open { name, fields, text: String::new() })
}

/// A text with references, as attributes have them.
fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or("a `&` begins no reference; hint: write `&amp;`")?;
        out.push_str(&entity(name)?);
        out.push_str(rest);
    }
    Ok(out)
}

fn end(open: &mut [Open], element: Open, lists: &[String]) -> Result<(), String> {
    let is_outermost = open.len() == 1;
    let parent = open.last_mut().expect("the outermost stays");
    if is_outermost && !parent.fields.is_empty() {
        return Err(format!("`{}` is a second root element", element.name));
    }
    let name = element.name.clone();
    let is_list = !is_outermost && lists.contains(&name);
    parent.add(&name, element.close(), is_list);
    Ok(())
}

fn push(open: &mut [Open], text: &str) -> Result<(), String> {
    if open.len() == 1 && !text.trim_matches('\u{feff}').trim().is_empty() {
        return Err("there is text outside of the root element".to_owned());
    }
    open.last_mut().expect("the outermost stays").text.push_str(text);
    Ok(())
}

/// What a reference stands for: one of the five, or a character by its number.
fn entity(name: &str) -> Result<String, String> {
    let plain = match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    };
    if !plain.is_empty() {
        return Ok(plain.to_owned());
    }
    let Some(number) = name.strip_prefix('#') else { return Err(format!("the entity `{name}` is unknown")) };
    let code = match number.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    let found = code.ok().and_then(char::from_u32).filter(|c| super::write::is_character(*c));
    found.map(String::from).ok_or_else(|| format!("`&{name};` is no character"))
}
