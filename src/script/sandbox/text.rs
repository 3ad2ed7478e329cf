//! String natives that could make a huge text, or huge lists of texts, in one call: they are measured before they act.

use rhai::{Array, Blob, Dynamic, Engine, ImmutableString};

use super::guard::Outcome;
use super::{check_items, check_string, register_changing};

pub(super) fn register(engine: &mut Engine) {
    register_replace(engine);
    register_split(engine);
    register_changing(engine, "pad", |text: &mut ImmutableString, length: i64, with: char| {
        pad(text, length, &with.to_string())
    });
    register_changing(engine, "pad", |text: &mut ImmutableString, length: i64, with: &str| pad(text, length, with));
    engine.register_fn("to_chars", |text: &str| -> Outcome<Array> {
        check_items(text.len())?;
        Ok(text.chars().map(Dynamic::from_char).collect())
    });
    engine.register_fn("+", |text: &str, blob: Blob| joined(text, &blob, Side::After));
    engine.register_fn("+", |blob: Blob, text: &str| joined(text, &blob, Side::Before));
    for name in ["+=", "append"] {
        register_changing(engine, name, |text: &mut ImmutableString, blob: Blob| -> Outcome<()> {
            *text = joined(text, &blob, Side::After)?.into();
            Ok(())
        });
    }
    for name in ["to_upper", "to_lower"] {
        engine.register_fn(name, move |text: &str| recased(text, name));
    }
    register_changing(engine, "make_upper", |text: &mut ImmutableString| {
        recased(text, "to_upper").map(|new| *text = new.into())
    });
    register_changing(engine, "make_lower", |text: &mut ImmutableString| {
        recased(text, "to_lower").map(|new| *text = new.into())
    });
    register_parts(engine);
}

fn register_replace(engine: &mut Engine) {
    register_changing(engine, "replace", |text: &mut ImmutableString, old: &str, new: &str| replace(text, old, new));
    register_changing(engine, "replace", |text: &mut ImmutableString, old: &str, new: char| {
        replace(text, old, &new.to_string())
    });
    register_changing(engine, "replace", |text: &mut ImmutableString, old: char, new: &str| {
        replace(text, &old.to_string(), new)
    });
    register_changing(engine, "replace", |text: &mut ImmutableString, old: char, new: char| {
        replace(text, &old.to_string(), &new.to_string())
    });
}

fn replace(text: &mut ImmutableString, old: &str, new: &str) -> Outcome<()> {
    if text.is_empty() {
        return Ok(());
    }
    if new.len() > old.len() {
        let more = text.matches(old).count().saturating_mul(new.len() - old.len());
        check_string(text.len().saturating_add(more))?;
    }
    *text = text.replace(old, new).into();
    Ok(())
}

fn pad(text: &mut ImmutableString, length: i64, with: &str) -> Outcome<()> {
    let length = usize::try_from(length).unwrap_or(0);
    let missing = length.saturating_sub(text.chars().count());
    if missing == 0 || with.is_empty() {
        return Ok(());
    }
    let longest = with.chars().map(char::len_utf8).max().unwrap_or(1);
    check_string(text.len().saturating_add(missing.saturating_mul(longest)))?;
    text.make_mut().extend(with.chars().cycle().take(missing));
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

fn joined(text: &str, blob: &Blob, side: Side) -> Outcome<String> {
    // A byte that is not UTF-8 becomes a character of three.
    check_string(text.len() + blob.len().saturating_mul(3))?;
    let other = String::from_utf8_lossy(blob);
    Ok(match side {
        Side::Before => format!("{other}{text}"),
        Side::After => format!("{text}{other}"),
    })
}

fn recased(text: &str, name: &str) -> Outcome<String> {
    // One character may become three, each as long.
    check_string(if text.is_ascii() { text.len() } else { text.len().saturating_mul(3) })?;
    Ok(if name == "to_upper" { text.to_uppercase() } else { text.to_lowercase() })
}

fn register_split(engine: &mut Engine) {
    engine.register_fn("split", |text: &mut ImmutableString| -> Outcome<Array> {
        if text.is_empty() {
            return Ok(vec![text.clone().into()]);
        }
        check_items(text.split_whitespace().count())?;
        Ok(text.split_whitespace().map(Into::into).collect())
    });
    for (name, reverse) in [("split", false), ("split_rev", true)] {
        engine.register_fn(name, move |text: &mut ImmutableString, at: &str| split(text, at, i64::MAX, reverse));
        engine.register_fn(name, move |text: &mut ImmutableString, at: char| {
            split(text, at.encode_utf8(&mut [0; 4]), i64::MAX, reverse)
        });
        engine
            .register_fn(name, move |text: &mut ImmutableString, at: &str, parts: i64| split(text, at, parts, reverse));
        engine.register_fn(name, move |text: &mut ImmutableString, at: char, parts: i64| {
            split(text, at.encode_utf8(&mut [0; 4]), parts, reverse)
        });
    }
}

fn split(text: &ImmutableString, at: &str, parts: i64, reverse: bool) -> Outcome<Array> {
    let parts = usize::try_from(parts).unwrap_or(0);
    if parts <= 1 || text.is_empty() || (!at.is_empty() && !text.contains(at)) {
        return Ok(vec![text.clone().into()]);
    }
    check_items(text.matches(at).count().saturating_add(1).min(parts))?;
    let list = |iterator: &mut dyn Iterator<Item = &str>| iterator.map(Into::into).collect();
    Ok(if reverse { list(&mut text.rsplitn(parts, at)) } else { list(&mut text.splitn(parts, at)) })
}

/// `sub_string` and `crop` without Rhai's list of all characters, four times the size of the text.
fn register_parts(engine: &mut Engine) {
    engine.register_fn("sub_string", |text: &str, start: i64| part(text, start, i64::MAX).to_owned());
    engine.register_fn("sub_string", |text: &str, start: i64, length: i64| part(text, start, length).to_owned());
    register_changing(engine, "crop", |text: &mut ImmutableString, start: i64| {
        *text = part(text, start, i64::MAX).into();
    });
    register_changing(engine, "crop", |text: &mut ImmutableString, start: i64, length: i64| {
        *text = part(text, start, length).into();
    });
    // Rhai's versions for ranges come down to the same.
    engine.register_fn("sub_string", |text: &str, range: std::ops::Range<i64>| {
        part_of(text, range.start, range.end).to_owned()
    });
    engine.register_fn("sub_string", |text: &str, range: std::ops::RangeInclusive<i64>| {
        part_of(text, *range.start(), range.end().saturating_add(1)).to_owned()
    });
    register_changing(engine, "crop", |text: &mut ImmutableString, range: std::ops::Range<i64>| {
        *text = part_of(text, range.start, range.end).into();
    });
    register_changing(engine, "crop", |text: &mut ImmutableString, range: std::ops::RangeInclusive<i64>| {
        *text = part_of(text, *range.start(), range.end().saturating_add(1)).into();
    });
    engine.register_fn("to_blob", |text: &str| -> Blob { text.as_bytes().to_vec() });
}

fn part_of(text: &str, start: i64, end: i64) -> &str {
    let start = start.max(0);
    part(text, start, end.saturating_sub(start))
}

/// `length` characters from `start`, which counts from the end when it is negative.
fn part(text: &str, start: i64, length: i64) -> &str {
    let from = if start >= 0 {
        offset(text, start as usize)
    } else {
        let back = (start.unsigned_abs() as usize).saturating_sub(1);
        text.char_indices().nth_back(back).map_or(0, |(at, _)| at)
    };
    let rest = &text[from..];
    &rest[..offset(rest, usize::try_from(length).unwrap_or(0))]
}

fn offset(text: &str, characters: usize) -> usize {
    if characters >= text.len() {
        return text.len();
    }
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}
