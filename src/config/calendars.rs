//! `[calendars.NAME]`: working time, kept among the settings as `calendars.NAME`, where runs read it and record it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Reader, typed};
use crate::payload::Payload;
use crate::time::{Calendar, CalendarText};

const KEYS: [&str; 4] = ["zone", "hours", "days", "holidays"];

/// The calendars as settings; what is wrong is a fault of the reader's.
pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Payload> {
    let mut found = BTreeMap::new();
    for (name, value) in reader.table(value).into_iter().flatten() {
        let Some(table) = reader.table(value) else { continue };
        let text = calendar(reader, table);
        if let Err(why) = Calendar::read(&text) {
            reader.fault(format!("the calendar `{}`: {why}", name.get_ref()), name.span());
        } else if let Ok(payload) = typed(value.get_ref()) {
            found.insert(format!("calendars.{}", name.get_ref()), Payload::from_text(payload));
        }
    }
    found
}

fn calendar(reader: &mut Reader<'_>, table: &DeTable<'_>) -> CalendarText {
    let mut text = CalendarText::default();
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "zone" => text.zone = reader.text(value),
            "hours" => text.hours = reader.text(value),
            "days" if value.get_ref().is_str() => text.days = reader.text(value).map(|days| vec![days]),
            "days" => text.days = Some(list(reader, value)),
            "holidays" => text.holidays = list(reader, value),
            other => reader.unknown(other, key.span(), &KEYS),
        }
    }
    text
}

/// A list of texts or dates.
fn list(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Vec<String> {
    let DeValue::Array(items) = value.get_ref() else {
        reader.fault("a list of texts is expected here".to_owned(), value.span());
        return Vec::new();
    };
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::Datetime(date) => Some(date.to_string()),
        _ => reader.text(item),
    };
    items.iter().filter_map(text).collect()
}
