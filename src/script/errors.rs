//! From the errors of the language to diagnostics: where, what in plain words, and what to do.
//!
//! The parser and the evaluator know only where something starts; the caret's width and what was typed come from the tokens.

mod eval;
mod habits;
mod mend;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rhai::{Engine, Position};

use super::lex::{self, Kind, Token};
use super::source::Source;
use crate::diag::Place;

pub use eval::{Context, from_eval};
pub use habits::{of_function as habit_of_function, of_method as habit_of_method, of_name as habit_of_name};
pub use parse::from_parse;

/// The last line that positions can tell: they count in 16 bits and stay at the end.
pub const LAST_LINE: usize = u16::MAX as usize;

/// The place of a position, with a caret over the token there. Without a position, or where lines are no longer counted,
/// the file as a whole.
pub fn place(source: &Source, pos: Position) -> Place {
    let column = pos.position().unwrap_or(1);
    match pos.line() {
        None => Place::file(&source.path),
        Some(line) if line == LAST_LINE && source.line(LAST_LINE + 1).is_some() => Place::file(&source.path),
        Some(line) => place_at(source, line, column),
    }
}

/// The place of a token, whose start is known; names are taken with their namespace.
pub fn place_at(source: &Source, line: usize, column: usize) -> Place {
    let text = source.line(line).unwrap_or_default();
    let (start, width) = extent(text, column);
    source.place(line, start, width)
}

/// The place of a token.
pub(super) fn place_of(source: &Source, token: &Token) -> Place {
    source.place(token.line, token.column, token.width())
}

/// The place of the name of a function, given where its body starts.
pub fn place_of_function(source: &Source, name: &str, body: Position) -> Place {
    let tokens = lex::code(&source.text);
    let (line, column) = (body.line().unwrap_or(usize::MAX), body.position().unwrap_or(1));
    let before = tokens.iter().take_while(|token| (token.line, token.column) < (line, column));
    let pairs: Vec<&Token> = before.collect();
    let found = pairs.windows(2).rev().find(|pair| pair[0].text == "fn" && pair[1].text == name);
    found.map_or_else(|| place(source, body), |pair| place_of(source, pair[1]))
}

/// How the name at a place is written here, where it is one of another language and that needs no thought.
pub(super) fn mend_name(source: &Source, pos: Position) -> Option<crate::diag::Fix> {
    let tokens = lex::code(&source.text);
    let at = tokens.iter().position(|token| (Some(token.line), Some(token.column)) == (pos.line(), pos.position()))?;
    mend::mend(&tokens, at)
}

/// Start column and width of what stands at a column: a token, or a name with its namespaces.
fn extent(line: &str, column: usize) -> (usize, usize) {
    let Some((at, _)) = line.char_indices().nth(column.saturating_sub(1)) else { return (column, 1) };
    let (before, rest) = line.split_at(at);
    let tokens = lex::tokens(rest);
    let Some(first) = tokens.first().filter(|token| token.at == 0) else { return (column, 1) };
    if first.kind != Kind::Word {
        return (column, first.width());
    }
    let mut width = first.width();
    for pair in tokens[1..].chunks(2) {
        let [colons, name] = pair else { break };
        let adjacent = colons.text == "::" && name.kind == Kind::Word && colons.column == width + 1;
        if !adjacent || name.column != width + 3 {
            break;
        }
        width += 2 + name.width();
    }
    let lead = namespace_before(before);
    (column - lead, width + lead)
}

/// Characters of `a::b::` directly before a name.
fn namespace_before(before: &str) -> usize {
    let mut length = 0;
    let mut rest = before;
    while let Some(shorter) = rest.strip_suffix("::") {
        let name = shorter.trim_end_matches(|c: char| c == '_' || c.is_alphanumeric());
        length += rest[name.len()..].chars().count();
        rest = name;
    }
    length
}

/// `1 argument`, `2 arguments`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `` `sleep` takes 1 argument, 2 given``.
pub fn wrong_count(name: &str, (min, max): (usize, usize), given: usize) -> String {
    let takes = match (min, max) {
        (0, 0) => "no arguments".to_owned(),
        (min, max) if min == max => count(min, "argument"),
        (min, max) if max == min + 1 => format!("{min} or {}", count(max, "argument")),
        (min, max) => format!("{min} to {}", count(max, "argument")),
    };
    format!("`{name}` takes {takes}, {given} given")
}

/// Functions by name, with the numbers of arguments that they take.
pub type Natives = BTreeMap<String, Vec<usize>>;

/// The functions that are registered with the engine, with the numbers of arguments that they take.
///
/// A method counts its receiver as an argument.
pub fn natives(engine: &Engine) -> Natives {
    let mut natives = Natives::new();
    let functions = engine.collect_fn_metadata(
        None,
        |info| {
            let name = &info.metadata.name;
            let full = if info.namespace.is_empty() { name.to_string() } else { format!("{}::{name}", info.namespace) };
            Some((full, info.metadata.num_params))
        },
        true,
    );
    for (name, params) in functions {
        let counts = natives.entry(name).or_default();
        if !counts.contains(&params) {
            counts.push(params);
        }
    }
    natives
}
