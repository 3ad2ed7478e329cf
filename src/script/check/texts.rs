//! Texts that do not say what their author thinks: values in double quotes, escapes in backticks.

use std::collections::BTreeSet;

use super::super::lex::{self, Kind, Token};
use super::super::source::Source;
use crate::diag::{Diagnostic, Edit, Fix};

/// All findings in the texts of a file.
pub(super) fn check(source: &Source, findings: &mut Vec<Diagnostic>) {
    let tokens = lex::code(&source.text);
    let words: BTreeSet<&str> =
        tokens.iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect();
    for token in &tokens {
        match token.kind {
            Kind::Text => findings.extend(value_in_quotes(source, token, &words)),
            Kind::Template => findings.extend(escape_in_backticks(source, token)),
            _ => {}
        }
    }
}

/// `"order ${id}"`, where `id` is a name of this file: elsewhere `${HOME}` may well be meant as it is.
fn value_in_quotes(source: &Source, token: &Token, words: &BTreeSet<&str>) -> Option<Diagnostic> {
    if !token.text.starts_with('"') {
        return None;
    }
    let inner = token.string()?;
    let at = inner.match_indices("${").map(|(at, _)| at).find(|at| {
        let rest = &inner[at + 2..];
        let name: String = rest.chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
        rest.contains('}') && words.contains(name.as_str())
    })?;
    let width = inner[at..].split_inclusive('}').next()?.chars().count();
    let column = token.column + 1 + inner[..at].chars().count();
    let place = source.place(token.line, column, width);
    let plain = !inner.contains(['`', '\\', '\n']);
    let (end_line, end_column) = token.end();
    let edit = Edit { line: token.line, column: token.column, end_line, end_column, text: format!("`{inner}`") };
    let fix = plain.then(|| Fix::new("write backticks", vec![edit]));
    Some(
        Diagnostic::new("W0408", "in double quotes `${...}` is plain text", place)
            .hint("write the text in backticks: `` `order ${id}` ``")
            .maybe_fix(fix),
    )
}

/// `` `a\n` ``: two characters there. What looks like a path of Windows is left alone.
fn escape_in_backticks(source: &Source, token: &Token) -> Option<Diagnostic> {
    let inner = token.string()?;
    let (at, escape) = plain_parts(inner).find_map(|(start, part)| {
        let found = ["\\n", "\\t", "\\r", "\\\""].into_iter().filter_map(|escape| Some((part.find(escape)?, escape)));
        found.min().map(|(at, escape)| (start + at, escape))
    })?;
    let before = &inner[..at];
    if inner.contains(":\\") || before.ends_with('\\') {
        return None;
    }
    let line = token.line + before.matches('\n').count();
    let column = match before.rsplit_once('\n') {
        Some((_, last)) => last.chars().count() + 1,
        None => token.column + 1 + before.chars().count(),
    };
    let written = if escape == "\\\"" { "\"".to_owned() } else { format!("${{\"{escape}\"}}") };
    let fix = Fix::new(format!("write `{written}`"), vec![Edit::replace(line, column, 2, written)]);
    let title = format!("in backticks `{escape}` is two characters");
    let hint = if escape == "\\\"" {
        "a quote needs no backslash there".to_owned()
    } else {
        format!("break the line in the text itself, or write `${{\"{escape}\"}}`; in double quotes it is an escape")
    };
    Some(Diagnostic::new("W0409", title, source.place(line, column, 2)).hint(hint).maybe_fix(Some(fix)))
}

/// The parts of a text in backticks outside of `${…}`, with their offsets.
fn plain_parts(inner: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut parts = Vec::new();
    let (mut at, mut from) = (0, 0);
    while let Some(found) = inner[at..].find("${") {
        let open = at + found;
        parts.push((from, &inner[from..open]));
        at = end_of_value(inner, open + 2);
        from = at;
    }
    parts.push((from, &inner[from..]));
    parts.into_iter()
}

/// The offset behind the `}` of `${…}`, whose code starts at `start`.
fn end_of_value(inner: &str, start: usize) -> usize {
    let mut depth = 1;
    for token in lex::tokens(&inner[start..]) {
        match token.text {
            "{" | "#{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return start + token.at + 1;
        }
    }
    inner.len()
}
