//! A tolerant lexer: tokens with their exact extent, also in scripts that do not parse.
//!
//! The parser gives only where a token starts, and stops at the first fault; carets, imports and hints need more.
//! It never fails: what it does not know is a symbol of one character.

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// A string in quotes of any form, without interpolated parts.
    Text,
    /// A string in backticks, from quote to quote, with what is interpolated.
    Template,
    /// A character in single quotes, or what someone took for a string.
    Char,
    /// An operator or bracket.
    Symbol,
    /// A comment.
    Comment,
}

/// A token and its extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its characters.
    pub text: &'a str,
    /// Byte offset of its start.
    pub at: usize,
    /// Line of its start, from 1.
    pub line: usize,
    /// Column of its start in characters, from 1.
    pub column: usize,
    /// Whether a string, comment or template has its end.
    pub closed: bool,
}

impl Token<'_> {
    /// Characters of its first line: what a caret covers.
    pub fn width(&self) -> usize {
        self.text.split('\n').next().unwrap_or_default().chars().count().max(1)
    }

    /// Line and column just behind it.
    pub fn end(&self) -> (usize, usize) {
        let lines = self.text.matches('\n').count();
        let last = self.text.rsplit('\n').next().unwrap_or_default().chars().count();
        if lines == 0 { (self.line, self.column + last) } else { (self.line + lines, last + 1) }
    }

    /// The value of a string literal without escapes resolved, or `None` for another token.
    pub fn string(&self) -> Option<&str> {
        if !self.closed || !matches!(self.kind, Kind::Text | Kind::Template) {
            return None;
        }
        let hashes = self.text.chars().take_while(|c| *c == '#').count();
        self.text.get(hashes + 1..self.text.len().checked_sub(hashes + 1)?)
    }
}

/// All tokens of a script, comments included.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1, column: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    tokens
}

/// All tokens but the comments.
pub fn code(text: &str) -> Vec<Token<'_>> {
    let mut tokens = tokens(text);
    tokens.retain(|token| token.kind != Kind::Comment);
    tokens
}

/// Symbols of several characters, the longest first; `===`, `!==`, `++` and the like are not Rhai, but are one token to their author.
const SYMBOLS: &[&str] = &[
    "<<=", ">>=", "**=", "..=", "===", "!==", "...", "::<", "?.", "?[", "??", "=>", "==", "!=", "<=", ">=", "&&", "||",
    "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<", ">>", "**", "..", "::", "#{", "++", "--", "->", "<>", ":=",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_token(&mut self) -> Option<Token<'a>> {
        let blank = self.rest().len() - self.rest().trim_start().len();
        self.advance(blank);
        let first = self.rest().chars().next()?;
        let (kind, length, closed) = scan(self.rest(), first);
        let (at, line, column) = (self.at, self.line, self.column);
        self.advance(length);
        Some(Token { kind, text: &self.text[at..at + length], at, line, column, closed })
    }

    fn advance(&mut self, bytes: usize) {
        for c in self.text[self.at..self.at + bytes].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at += bytes;
    }
}

/// Kind, length in bytes, and whether the token has its end.
fn scan(rest: &str, first: char) -> (Kind, usize, bool) {
    match first {
        '/' if rest.starts_with("//") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len()), true),
        '/' if rest.starts_with("/*") => comment(rest),
        '"' => quoted(rest, '"', Kind::Text),
        '\'' => quoted(rest, '\'', Kind::Char),
        '`' => template(rest),
        '#' if raw_hashes(rest) > 0 => raw(rest, raw_hashes(rest)),
        c if c.is_ascii_digit() => (Kind::Number, number(rest), true),
        c if is_word(c) => (Kind::Word, prefix(rest, is_word), true),
        _ => {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let length = symbol.map_or(first.len_utf8(), |symbol| symbol.len());
            (Kind::Symbol, length, true)
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn prefix(rest: &str, accept: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !accept(c)).unwrap_or(rest.len())
}

fn number(rest: &str) -> usize {
    let mut length = prefix(rest, is_word);
    let fraction = &rest[length..];
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if fraction.starts_with('.') && digit(&fraction[1..]) {
        length += 1 + prefix(&fraction[1..], is_word);
    }
    let exponent = rest[..length].ends_with(['e', 'E']) && !rest.starts_with("0x");
    if exponent && rest[length..].starts_with(['+', '-']) && digit(&rest[length + 1..]) {
        length += 1 + prefix(&rest[length + 1..], is_word);
    }
    length
}

fn comment(rest: &str) -> (Kind, usize, bool) {
    let mut depth = 0;
    let mut at = 0;
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (Kind::Comment, at, true);
            }
        } else {
            at += 1;
        }
    }
    (Kind::Comment, rest.len(), false)
}

/// A string ends at its quote; one that is not closed ends with its line, unless that ends in a backslash.
fn quoted(rest: &str, quote: char, kind: Kind) -> (Kind, usize, bool) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return (kind, at, false),
            _ if c == quote => return (kind, at + c.len_utf8(), true),
            _ => {}
        }
    }
    (kind, rest.len(), false)
}

/// A template goes over lines; inside `${...}` there is code, with strings and templates of its own.
fn template(rest: &str) -> (Kind, usize, bool) {
    let mut at = 1;
    while let Some(c) = rest[at..].chars().next() {
        if c == '`' && rest[at + 1..].starts_with('`') {
            at += 2;
        } else if c == '`' {
            return (Kind::Template, at + 1, true);
        } else if rest[at..].starts_with("${") {
            at = interpolation(rest, at + 2);
        } else {
            at += c.len_utf8();
        }
    }
    (Kind::Template, rest.len(), false)
}

/// The offset behind the `}` that ends the code starting at `at`.
fn interpolation(rest: &str, mut at: usize) -> usize {
    let mut depth = 1;
    while let Some(first) = rest[at..].chars().next() {
        let length = if first.is_whitespace() { first.len_utf8() } else { scan(&rest[at..], first).1 };
        match &rest[at..at + length] {
            "{" | "#{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        at += length;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Number of `#` before a raw string; 0 where there is none.
fn raw_hashes(rest: &str) -> usize {
    let hashes = prefix(rest, |c| c == '#');
    if rest[hashes..].starts_with('"') { hashes } else { 0 }
}

fn raw(rest: &str, hashes: usize) -> (Kind, usize, bool) {
    let end = format!("\"{}", &rest[..hashes]);
    match rest[hashes + 1..].find(&end) {
        Some(at) => (Kind::Text, hashes + 1 + at + end.len(), true),
        None => (Kind::Text, rest.len(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        code(script).iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_of_a_line() {
        assert_eq!(texts("let a=1.5e-3+b.c; // no"), ["let", "a", "=", "1.5e-3", "+", "b", ".", "c", ";"]);
        assert_eq!(
            texts("1..3 a===b x?.y #{a:1}"),
            ["1", "..", "3", "a", "===", "b", "x", "?.", "y", "#{", "a", ":", "1", "}"]
        );
        assert_eq!(texts("f() || ()"), ["f", "(", ")", "||", "(", ")"]);
    }

    #[test]
    fn strings_of_all_forms() {
        let script = "a(\"x\\\"y\", #\"raw \"q\"\"#, `t ${f(\"}`\")} ``u`` ${`n`}`, 'c')";
        let strings: Vec<_> =
            code(script).into_iter().filter(|t| !matches!(t.kind, Kind::Symbol | Kind::Word)).collect();
        assert_eq!(strings.len(), 4);
        assert_eq!(strings[1].string(), Some("raw \"q\""));
        assert!(strings.iter().all(|token| token.closed));
    }

    #[test]
    fn unclosed_things_end_somewhere() {
        assert_eq!(texts("\"abc\nlet"), ["\"abc", "let"]);
        assert!(!tokens("/* a /* b */").last().unwrap().closed);
        assert!(!tokens("`${ {").last().unwrap().closed);
        assert!(tokens("é≠\u{1f600}\u{0}").len() >= 3);
    }

    #[test]
    fn positions_count_characters() {
        let script = "/* é\n */ \"日本\" x";
        let found: Vec<_> = tokens(script).iter().map(|t| (t.line, t.column, t.width(), t.end())).collect();
        assert_eq!(found, [(1, 1, 4, (2, 4)), (2, 5, 4, (2, 9)), (2, 10, 1, (2, 11))]);
    }
}
