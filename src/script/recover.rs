//! All faults of the syntax of a file at once.
//!
//! The parser stops at the first fault. Here it goes on: a fault that can be mended mechanically is mended in a copy of the
//! text, any other is taken out of it with the statement around it (blanks instead, so that all places stay), or with all
//! up to the next definition that begins at the left margin where brackets do not match. What is left is parsed again, until
//! it parses. A fault that is only the trace of what was taken out is not told.

use std::collections::BTreeSet;

use rhai::{AST, Engine};

use super::errors;
use super::lex::{self, Kind, Token};
use super::source::Source;
use crate::diag::{Diagnostic, Edit, Fix};

/// Most faults that are told of one file: whoever has more begins with the first ones.
const MAX_FAULTS: usize = 50;
/// Most rounds of parsing: some mend what another fault is behind.
const MAX_ROUNDS: usize = 150;

/// What is left of a file whose faults are taken out.
pub(super) struct Recovered {
    /// The syntax tree of what parses.
    pub(super) ast: AST,
    /// The text of that tree; where nothing was at fault, the text itself.
    pub(super) source: Source,
    /// What was at fault, at its place in the text as it is.
    pub(super) faults: Vec<Diagnostic>,
    /// Words in what was taken out: names that may be defined there.
    pub(super) lost: BTreeSet<String>,
    shifts: Vec<Shift>,
}

/// An edit that was made within a line.
#[derive(Clone, Copy)]
struct Shift {
    line: usize,
    column: usize,
    old: usize,
    new: usize,
}

/// Parses a file as far as it can be.
pub(super) fn recover(engine: &Engine, source: &Source) -> Recovered {
    let mut round = Round {
        original: source,
        text: source.clone(),
        faults: Vec::new(),
        lost: BTreeSet::new(),
        shifts: Vec::new(),
        taken: None,
    };
    for _ in 0..MAX_ROUNDS {
        match engine.compile(&*round.text.text) {
            Ok(ast) => return round.done(ast),
            Err(error) => {
                let fault = errors::from_parse(&error, &round.text);
                if round.faults.len() >= MAX_FAULTS || !round.take(fault) {
                    break;
                }
            }
        }
    }
    let everything = (0, round.text.text.len());
    round.blank(everything);
    round.done(AST::empty())
}

impl Recovered {
    /// Moves a finding in [`Recovered::source`] to its place in the text as it is.
    pub(super) fn restore(&self, original: &Source, finding: &mut Diagnostic) {
        restore(&self.shifts, original, finding);
    }
}

struct Round<'a> {
    original: &'a Source,
    text: Source,
    faults: Vec<Diagnostic>,
    lost: BTreeSet<String>,
    shifts: Vec<Shift>,
    /// The bytes of the last statement that was taken out.
    taken: Option<(usize, usize)>,
}

impl Round<'_> {
    fn done(self, ast: AST) -> Recovered {
        let Self { text: source, faults, lost, shifts, .. } = self;
        Recovered { ast, source, faults, lost, shifts }
    }

    /// Notes a fault and removes its cause; `false`: there is no way on.
    fn take(&mut self, fault: Diagnostic) -> bool {
        let (line, column) = (fault.place.line, fault.place.column);
        if line == 0 {
            self.faults.push(fault);
            return false;
        }
        let mended = fault.fix.as_deref().and_then(|fix| self.mend(fix));
        let text = self.text.text.clone();
        let tokens = lex::code(&text);
        let at = tokens.partition_point(|token| token.end() <= (line, column)).min(tokens.len().saturating_sub(1));
        let is_trace = self.taken.is_some_and(|taken| is_trace(&tokens, at, taken));
        let unmatched = fault.code == "E0204" || closes_nothing(&fault);
        if !is_trace {
            self.note(fault);
        }
        if let Some((text, shifts)) = mended.filter(|_| !is_trace) {
            self.text = text;
            self.shifts.extend(shifts);
            return true;
        }
        // A bracket is open, but the `;` ends what it is in.
        let ended = unmatched && !is_trace && tokens.get(at).is_some_and(|token| token.text == ";");
        let span = if ended {
            Some((tokens[first_of(&tokens, at)].at, tokens[at].at + 1))
        } else {
            statement(&tokens, at).filter(|_| !unmatched && !is_trace)
        };
        self.taken = span;
        self.blank(span.unwrap_or_else(|| piece(&text, &tokens, at)))
    }

    /// The fault where it is in the file, and told once.
    fn note(&mut self, mut fault: Diagnostic) {
        restore(&self.shifts, self.original, &mut fault);
        let place = |fault: &Diagnostic| (fault.place.line, fault.place.column);
        if !self.faults.iter().any(|known| place(known) == place(&fault)) {
            self.faults.push(fault);
        }
    }

    /// The text with a fix that stays within its lines.
    fn mend(&self, fix: &Fix) -> Option<(Source, Vec<Shift>)> {
        let within = |edit: &Edit| edit.line == edit.end_line && !edit.text.contains('\n');
        if !fix.edits.iter().all(within) {
            return None;
        }
        let text = fix.apply(&self.text.text)?;
        let mut edits = fix.edits.clone();
        // From the last to the first, so that each is where the earlier ones were not made yet.
        edits.sort_by(|a, b| b.cmp(a));
        let shift = |edit: &Edit| Shift {
            line: edit.line,
            column: edit.column,
            old: edit.end_column - edit.column,
            new: edit.text.chars().count(),
        };
        let source = Source { path: self.text.path.clone(), text: text.into() };
        Some((source, edits.iter().map(shift).collect()))
    }

    /// Puts blanks in the place of a part; `false` where nothing but blanks was there.
    fn blank(&mut self, (start, end): (usize, usize)) -> bool {
        let text = &self.text.text;
        let part = &text[start..end];
        if part.trim().is_empty() {
            return false;
        }
        self.lost.extend(words(part));
        let blanks: String = part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        let text = format!("{}{blanks}{}", &text[..start], &text[end..]);
        self.text.text = text.into();
        true
    }
}

/// All words, also those in texts in backticks.
fn words(part: &str) -> impl Iterator<Item = String> + '_ {
    let words = part.split(|c: char| c != '_' && !c.is_alphanumeric());
    words.filter(|word| word.starts_with(|c: char| c == '_' || c.is_alphabetic())).map(str::to_owned)
}

/// A bracket too many or too few.
fn closes_nothing(fault: &Diagnostic) -> bool {
    let hint = fault.hint.as_deref().unwrap_or_default();
    hint.contains("closed") || hint.contains("was opened at") || hint.contains("closes nothing")
}

fn restore(shifts: &[Shift], original: &Source, finding: &mut Diagnostic) {
    let place = &mut finding.place;
    if place.line == 0 {
        return;
    }
    let back =
        |column: usize| shifts.iter().rev().filter(|shift| shift.line == place.line).fold(column, original_column);
    let column = back(place.column);
    // A caret over text that was not changed keeps its width.
    let end = back(place.column + place.width);
    place.width = end.saturating_sub(column).max(1);
    place.column = column;
    original.line(place.line).unwrap_or_default().clone_into(&mut place.source);
    for edit in finding.fix.iter_mut().flat_map(|fix| &mut fix.edits) {
        let back = |line: usize, column: usize| {
            shifts.iter().rev().filter(|shift| shift.line == line).fold(column, original_column)
        };
        (edit.column, edit.end_column) = (back(edit.line, edit.column), back(edit.end_line, edit.end_column));
    }
}

fn original_column(column: usize, shift: &Shift) -> usize {
    if column >= shift.column + shift.new {
        column - shift.new + shift.old
    } else if column > shift.column {
        shift.column
    } else {
        column
    }
}

/// Whether no code is between the fault and the statement that was taken out.
fn is_trace(tokens: &[Token], at: usize, (start, end): (usize, usize)) -> bool {
    let Some(token) = tokens.get(at) else { return true };
    let begins = token.kind == Kind::Word && !matches!(token.text, "else" | "catch" | "while" | "until");
    if begins && token.at >= end {
        return false;
    }
    let (low, high) = if token.at >= end { (end, token.at) } else { (token.at + token.text.len(), start) };
    tokens.iter().filter(|other| other.at >= low && other.at < high).count() == 0
}

/// The bytes of the statement around a token: from what ends the one before to its own end.
fn statement(tokens: &[Token], at: usize) -> Option<(usize, usize)> {
    let first = first_of(tokens, at);
    let (start, fault) = (tokens.get(first)?, tokens.get(at)?);
    if let Some(open) = tokens[first..].iter().find(|token| !token.closed)
        && open.at <= fault.at
    {
        // What is not closed has swallowed the end of the statement; with its line it is over.
        return (open.line == start.line && open.kind != Kind::Template).then(|| (start.at, open.at + open.text.len()));
    }
    let last = &tokens[last_of(tokens, first, at)?];
    Some((start.at, last.at + last.text.len()))
}

/// Index of the token with which the statement around a token begins.
fn first_of(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for index in (0..at).rev() {
        let text = symbol(&tokens[index]);
        if depth == 0 && begins_statement(tokens, index) {
            return index;
        }
        match text {
            "}" if depth == 0 && ends_statement(tokens, index) => return index + 1,
            ")" | "]" | "}" => depth += 1,
            "{" | ";" if depth == 0 => return index + 1,
            "(" | "[" | "#{" | "?[" | "{" => depth = i32::max(depth - 1, 0),
            _ => {}
        }
    }
    0
}

/// Index of the token that ends the statement that begins at `first` and goes beyond `at`.
fn last_of(tokens: &[Token], first: usize, at: usize) -> Option<usize> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(first) {
        // The `;` before it was forgotten.
        if depth == 0 && index > at && begins_statement(tokens, index) {
            return Some(index - 1);
        }
        match symbol(token) {
            "(" | "[" | "#{" | "?[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return index.checked_sub(1).filter(|last| *last >= first),
            "}" => {
                depth -= 1;
                if depth == 0 && index >= at && ends_statement(tokens, index) {
                    return Some(index);
                }
            }
            ")" | "]" => depth -= 1,
            ";" if depth == 0 && index >= at => return Some(index),
            _ => {}
        }
    }
    (depth == 0).then(|| tokens.len() - 1)
}

/// Whether a token at the start of a line can only begin a statement.
fn begins_statement(tokens: &[Token], index: usize) -> bool {
    let token = &tokens[index];
    let Some(before) = index.checked_sub(1).map(|before| &tokens[before]) else { return true };
    let goes_on = before.kind == Kind::Symbol && !matches!(before.text, ")" | "]" | "}" | ";");
    let words = ["let", "const", "if", "for", "while", "loop", "return", "throw", "try", "break", "continue", "import"];
    before.end().0 < token.line && !goes_on && token.kind == Kind::Word && words.contains(&token.text)
}

fn symbol<'a>(token: &Token<'a>) -> &'a str {
    if token.kind == Kind::Symbol { token.text } else { "" }
}

/// Whether a `}` ends its statement: the next one begins a line, and does not go on with it.
fn ends_statement(tokens: &[Token], brace: usize) -> bool {
    let Some(next) = tokens.get(brace + 1) else { return true };
    let goes_on = matches!(next.text, "else" | "catch" | "elif" | "elsif" | "elseif" | "finally" | "while" | "until");
    next.line > tokens[brace].line && !goes_on && (next.kind != Kind::Symbol || matches!(next.text, "#{" | "}"))
}

/// The bytes from one definition at the left margin to the next.
fn piece(text: &str, tokens: &[Token], at: usize) -> (usize, usize) {
    let begins = |index: usize| {
        let token = &tokens[index];
        let first = index == 0 || tokens[index - 1].end().0 < token.line;
        let words = ["fn", "private", "const", "let", "import", "export", "workflow", "trigger"];
        token.column == 1 && first && words.contains(&token.text)
    };
    let starts: Vec<usize> = (0..tokens.len()).filter(|index| begins(*index)).collect();
    let before = starts.iter().rev().find(|index| **index <= at).map_or(0, |index| tokens[*index].at);
    let after = starts.iter().find(|index| **index > at).map_or(text.len(), |index| tokens[*index].at);
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::super::sandbox;
    use super::*;

    /// Code, line and column of all faults.
    fn faults(text: &str) -> Vec<(String, usize, usize)> {
        let source = Source::from_text("main.rhai", text).unwrap();
        let recovered = recover(&sandbox::engine(), &source);
        assert!(recovered.source.text.lines().count() == source.text.lines().count());
        recovered.faults.into_iter().map(|fault| (fault.code, fault.place.line, fault.place.column)).collect()
    }

    fn found(text: &str, expected: &[(&str, usize, usize)]) {
        let expected: Vec<_> =
            expected.iter().map(|(code, line, column)| ((*code).to_owned(), *line, *column)).collect();
        assert_eq!(faults(text), expected, "{text}");
    }

    #[test]
    fn a_file_without_faults_is_itself() {
        found("fn f(a) { a + 1 }\nlet x = f(1);\n", &[]);
    }

    #[test]
    fn faults_in_several_functions() {
        let text = "fn a() {\n    let x = 1 ? 2 : 3;\n    x\n}\n\nfn b() {\n    if x === 1 { i++; }\n}\n\nfn c() {\n    f(a b);\n}\n";
        found(text, &[("E0206", 2, 15), ("E0206", 7, 10), ("E0206", 7, 19), ("E0202", 11, 8)]);
    }

    #[test]
    fn faults_in_one_line_keep_their_columns() {
        found(
            "let a = null; let b = x and y; let c = 'text'; let d = (1;",
            &[("E0206", 1, 9), ("E0206", 1, 25), ("E0206", 1, 40), ("E0202", 1, 58)],
        );
    }

    #[test]
    fn a_block_that_is_not_closed_hides_nothing_after_it() {
        let text = "fn a() {\n    if x {\n        f();\n}\n\nfn b() {\n    let = 1;\n}\n\nfn c() { 1 }\n";
        let codes: Vec<_> = faults(text).into_iter().map(|(code, line, _)| (code, line)).collect();
        assert_eq!(codes, [("E0204".to_owned(), 2), ("E0201".to_owned(), 7)]);
    }

    #[test]
    fn a_text_that_is_not_closed_ends_with_its_line() {
        found("fn a() {\n    f(\"abc);\n    let b = ;\n}\n", &[("E0205", 2, 7), ("E0201", 3, 13)]);
    }

    #[test]
    fn missing_semicolons_one_by_one() {
        found("let a = 1\nlet b = 2\nlet c = 3\n", &[("E0202", 1, 10), ("E0202", 2, 10)]);
    }

    #[test]
    fn nothing_is_without_end() {
        for text in
            ["`${", "}}}}", "((((", "\"", "let", "fn", "fn f(", "#{", "'", "let a = `x", "}\n}\n}\nfn f() {}\n}"]
        {
            assert!(!faults(text).is_empty(), "{text}");
        }
    }
}
