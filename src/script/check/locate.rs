//! Faults of a declaration, told where they are: the call of `workflow` or of a trigger knows only where it begins.

use super::super::bundle::Bundle;
use super::super::lex::{self, Kind, Token};
use crate::diag::Diagnostic;

/// A fault of a declaration, at the option or text that it names.
pub fn locate(bundle: &Bundle, mut fault: Diagnostic) -> Diagnostic {
    if fault.code != "E0513" || !fault.calls.is_empty() {
        return fault;
    }
    "E0309".clone_into(&mut fault.code);
    fault.text = None;
    fault.title = fault.title.replacen("`: has ", "` has ", 1);
    let Some(source) = bundle.sources.get(&fault.place.file) else { return fault };
    let tokens = lex::code(&source.text);
    let Some(call) = call(&tokens, fault.place.line, fault.place.column) else { return fault };
    let names = quoted(&fault.title);
    let found = names.iter().rev().find_map(|name| find(call, name));
    if let Some(token) = found {
        let (column, width) = number(call, token).unwrap_or((token.column, token.width()));
        *fault.place = source.place(token.line, column, width);
    }
    fault
}

/// Whether an error is told already: at its place, or within the same call.
pub fn is_told(bundle: &Bundle, found: &[Diagnostic], fault: &Diagnostic) -> bool {
    let same_file = |known: &&Diagnostic| known.is_error() && known.place.file == fault.place.file;
    let place = |known: &Diagnostic| (known.place.line, known.place.column);
    let mut known = found.iter().filter(same_file);
    // Faults of the syntax are all among what the checks find.
    if fault.code.starts_with("E02") {
        return known.next().is_some();
    }
    let source = bundle.sources.get(&fault.place.file);
    let tokens = source.map(|source| lex::code(&source.text)).unwrap_or_default();
    let span = enclosing(&tokens, place(fault)).unwrap_or((place(fault), place(fault)));
    known.any(|known| {
        (span.0..=span.1).contains(&place(known))
            || (known.place.line == fault.place.line && known.title == fault.title)
    })
}

/// The tokens of the call whose name is at a place.
fn call<'a, 'b>(tokens: &'b [Token<'a>], line: usize, column: usize) -> Option<&'b [Token<'a>]> {
    let start = tokens.iter().position(|token| (token.line, token.column) == (line, column))?;
    let open = start + tokens[start..].iter().position(|token| token.text == "(")?;
    Some(&tokens[start..=closing(tokens, open)])
}

fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, token)| token.kind == Kind::Symbol) {
        match token.text {
            "(" | "[" | "{" | "#{" | "?[" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

type Spot = (usize, usize);

/// Start and end of the statement of a declaration around a place.
fn enclosing(tokens: &[Token], place: Spot) -> Option<(Spot, Spot)> {
    let mut start = 0;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match (token.kind, token.text) {
            (Kind::Symbol, "(" | "[" | "{" | "#{" | "?[") => depth += 1,
            (Kind::Symbol, ")" | "]" | "}") => depth -= 1,
            (Kind::Symbol, ";") if depth == 0 => {
                let span = ((tokens[start].line, tokens[start].column), token.end());
                if (span.0..=span.1).contains(&place) {
                    return Some(span);
                }
                start = (at + 1).min(tokens.len() - 1);
            }
            _ => {}
        }
    }
    None
}

/// What is in backticks or quotes in a message, the name of the function left out.
fn quoted(title: &str) -> Vec<&str> {
    let between = |quote: char| title.split(quote).skip(1).step_by(2).collect::<Vec<_>>();
    let mut names = between('`');
    if !names.is_empty() {
        names.remove(0);
    }
    names.extend(between('"'));
    names
}

/// Column and width of the number behind a key, with its sign: it is what is at fault.
fn number(call: &[Token], key: &Token) -> Option<(usize, usize)> {
    let at = call.iter().position(|token| std::ptr::eq(token, key))?;
    let [colon, value @ ..] = call.get(at + 1..)? else { return None };
    let first = value.first().filter(|_| colon.text == ":")?;
    let last = if first.text == "-" { value.get(1)? } else { first };
    let is_here = last.kind == Kind::Number && last.line == key.line;
    is_here.then(|| (first.column, last.column + last.width() - first.column))
}

/// The token of a text, or of a key; of a path such as `allow.http` the last part.
fn find<'a, 'b>(call: &'b [Token<'a>], name: &str) -> Option<&'b Token<'a>> {
    let text = call.iter().find(|token| token.string() == Some(name));
    let last = name.rsplit('.').next().unwrap_or(name);
    text.or_else(|| {
        let mut pairs = call.windows(2);
        pairs
            .find(|pair| pair[1].text == ":" && (pair[0].text == last || pair[0].string() == Some(last)))
            .map(|pair| &pair[0])
    })
}
