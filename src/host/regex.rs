//! `regex::*`: patterns over texts, in linear time. Pure.
//!
//! Compiled patterns are kept for the thread, so that a loop does not compile them again. What a pattern means is that of
//! the crate `regex`: no look-around, no back references.

use std::cell::RefCell;
use std::rc::Rc;

use regex::{Captures, Regex, RegexBuilder};
use rhai::{Array, Dynamic, FnPtr, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::json::{bounded, check_length};
use crate::script::guard;

/// A compiled pattern may take this much memory: ten times what patterns by hand take.
const LARGEST: usize = 1 << 20;
/// Bytes of a pattern.
const LONGEST: usize = 16 << 10;
/// Nesting of groups in a pattern.
const DEEPEST: u32 = 50;
/// Compiled patterns that are kept: more than a script has.
const KEPT: usize = 64;

thread_local! {
    static COMPILED: RefCell<Vec<(String, Rc<Regex>)>> = const { RefCell::new(Vec::new()) };
}

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "regex::is_match",
        params: &["pattern: string", "text: string"],
        returns: "bool",
        nature: Nature::Pure,
        doc: "Whether the pattern is found anywhere in the text; `^` and `$` bind it to the ends.",
        example: "regex::is_match(`^[A-Z]\\d+$`, \"A17\")",
        call: |call| with(call, |_, pattern, text| Ok(pattern.is_match(text).into())),
        ..Function::BASE
    },
    Function {
        name: "regex::find",
        params: &["pattern: string", "text: string"],
        returns: "string or ()",
        nature: Nature::Pure,
        doc: "The first part of the text that fits, or `()`.",
        example: "regex::find(`\\d+`, \"order 17 of 20\")",
        call: |call| {
            with(call, |_, pattern, text| Ok(pattern.find(text).map_or(Dynamic::UNIT, |found| found.as_str().into())))
        },
        ..Function::BASE
    },
    Function {
        name: "regex::find_all",
        params: &["pattern: string", "text: string"],
        returns: "list of string",
        nature: Nature::Pure,
        doc: "All parts of the text that fit, in order, none overlapping another.",
        example: "regex::find_all(`\\d+`, \"order 17 of 20\")",
        call: |call| {
            with(call, |call, pattern, text| collect(call, pattern.find_iter(text).map(|found| found.as_str())))
        },
        ..Function::BASE
    },
    Function {
        name: "regex::captures",
        params: &["pattern: string", "text: string"],
        returns: "list, map or ()",
        nature: Nature::Pure,
        doc: "The groups of the first match: a list with the whole match first, or, when the pattern has named groups, a map of those; \
              `()` for a group without a part. `()` when nothing fits.",
        example: "regex::captures(`(?<year>\\d{4})-(?<month>\\d\\d)`, \"due 2026-12\").month",
        call: |call| {
            with(call, |_, pattern, text| {
                Ok(pattern.captures(text).map_or(Dynamic::UNIT, |found| groups(pattern, &found)))
            })
        },
        ..Function::BASE
    },
    Function {
        name: "regex::replace",
        params: &["pattern: string", "text: string", "replacement: string or closure"],
        returns: "string",
        nature: Nature::Pure,
        doc: "The text with every match replaced: by a text, in which `$1` and `${name}` stand for groups and `$$` for `$`, or by what \
              the pure closure makes of what `regex::captures` returns for it.",
        example: "regex::replace(`(\\w+)@\\w+`, \"ann@example\", \"$1 at example\")",
        call: replace,
        ..Function::BASE
    },
    Function {
        name: "regex::split",
        params: &["pattern: string", "text: string", "options: map?"],
        options: &[Choice::new("limit", "int", "at most so many parts; the last one has the rest")],
        returns: "list of string",
        nature: Nature::Pure,
        doc: "The parts of the text between the matches.",
        example: "regex::split(`[,;]\\s*`, \"a, b;c\")",
        call: split,
        ..Function::BASE
    },
];

fn with(call: &Call<'_>, act: impl FnOnce(&Call<'_>, &Regex, &str) -> Result<Dynamic, Fail>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let pattern = compiled(call)?;
    let text = call.text(1)?;
    act(call, &pattern, &text)
}

fn compiled(call: &Call<'_>) -> Result<Rc<Regex>, Fail> {
    let text = call.text(0)?;
    let kept =
        COMPILED.with_borrow(|kept| kept.iter().find(|(known, _)| *known == text).map(|(_, regex)| Rc::clone(regex)));
    if let Some(kept) = kept {
        return Ok(kept);
    }
    if text.len() > LONGEST {
        return Err(call.invalid(format!("the pattern is longer than {LONGEST} bytes")));
    }
    let built = RegexBuilder::new(&text).size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(DEEPEST).build();
    let built = Rc::new(built.map_err(|error| call.invalid(refused(&error)))?);
    COMPILED.with_borrow_mut(|kept| {
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((text, Rc::clone(&built)));
    });
    Ok(built)
}

/// The last line says what is wrong; those above draw the pattern.
fn refused(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large; hint: repeat less in it".to_owned(),
        error => {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("this is no pattern: {why}; hint: write patterns between backticks, so that `\\d` stays as it is")
        }
    }
}

fn collect<'t>(call: &Call<'_>, parts: impl Iterator<Item = &'t str>) -> Result<Dynamic, Fail> {
    let mut list = Array::new();
    for part in parts {
        guard::check()?;
        if list.len() == crate::script::sandbox::MOST_ITEMS {
            return Err(call.invalid(format!("there are more than {} parts", list.len())));
        }
        list.push(part.into());
    }
    Ok(list.into())
}

fn groups(pattern: &Regex, found: &Captures<'_>) -> Dynamic {
    let part = |group: Option<regex::Match<'_>>| group.map_or(Dynamic::UNIT, |group| group.as_str().into());
    let named: Map = pattern.capture_names().flatten().map(|name| (name.into(), part(found.name(name)))).collect();
    if named.is_empty() {
        return found.iter().map(part).collect::<Array>().into();
    }
    Dynamic::from_map(named)
}

fn replace(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let closure = call.args[2].clone().try_cast::<FnPtr>();
    let fixed = if closure.is_some() { String::new() } else { call.text(2)? };
    with(call, |call, pattern, text| {
        let mut out = String::new();
        let mut from = 0;
        for found in pattern.captures_iter(text) {
            guard::check()?;
            let whole = found.get_match();
            out.push_str(&text[from..whole.start()]);
            match &closure {
                None => found.expand(&fixed, &mut out),
                Some(closure) => {
                    let groups = groups(pattern, &found);
                    let made = super::pure(|| closure.call_within_context::<Dynamic>(&call.context, (groups,)))?;
                    out.push_str(&super::lists::plain(call, &made)?);
                }
            }
            check_length(call, out.len())?;
            from = whole.end();
        }
        out.push_str(&text[from..]);
        bounded(call, out)
    })
}

fn split(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let limit = match call.options(2)?.int("limit")? {
        None => usize::MAX,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| call.invalid(format!("option `limit` is at least 1, not {limit}")))?,
    };
    with(call, |call, pattern, text| collect(call, pattern.splitn(text, limit)))
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn patterns_find_capture_replace_and_split() {
        assert_eq!(shown("regex::find(`\\d+`, \"a17b\")"), "17");
        assert_eq!(shown("regex::find(`x`, \"a\") == ()"), "true");
        assert_eq!(shown("regex::find_all(`\\p{L}+`, \"äö 1 ü\")"), "[\"äö\", \"ü\"]");
        assert_eq!(shown("regex::captures(`(a)(x)?`, \"ba\") == [\"a\", \"a\", ()]"), "true");
        assert_eq!(shown("regex::captures(`(?<n>\\d)`, \"a1\")"), "#{\"n\": \"1\"}");
        assert_eq!(shown("regex::replace(`(\\d)`, \"a1b2\", \"<$1>\")"), "a<1>b<2>");
        assert_eq!(shown("regex::replace(`\\d`, \"a1b2\", |m| parse_int(m[0]) + 1)"), "a2b3");
        assert_eq!(shown("regex::split(`,`, \"a,b,c\", #{ limit: 2 })"), "[\"a\", \"b,c\"]");
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert!(shown("regex::find(`(`, \"\")").contains("this is no pattern: unclosed group"));
        assert!(shown("regex::find(`\\w{1000}{1000}`, \"\")").contains("the pattern is too large"));
        assert!(shown("regex::find(\"a\", 3)").contains("`text` must be a text"));
        assert!(shown("regex::split(`,`, \"a\", #{ limit: 0 })").contains("at least 1"));
    }
}
