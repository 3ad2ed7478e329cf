//! Habits of other languages that can be put right by exchanging a few tokens, without a thought about what was meant.

use super::super::lex::{Kind, Token};
use crate::diag::{Edit, Fix};

/// How the construct at this token is written in Rhai; `None` where its author has to decide.
pub(super) fn mend(tokens: &[Token], at: usize) -> Option<Fix> {
    let mend = Mend { tokens, at };
    mend.token().or_else(|| mend.word()).or_else(|| mend.shape())
}

/// A text in single quotes, in double ones.
pub(super) fn double_quoted(token: &Token) -> Option<Fix> {
    let inner = token.text.strip_prefix('\'')?.strip_suffix('\'').filter(|_| token.closed)?;
    let text = format!("\"{}\"", inner.replace("\\'", "'").replace('"', "\\\""));
    Some(Fix::new("write double quotes", vec![over(token, text)]))
}

/// An edit that puts a text in the place of a token of one line.
pub(super) fn over(token: &Token, text: impl Into<String>) -> Edit {
    let (end_line, end_column) = token.end();
    Edit { line: token.line, column: token.column, end_line, end_column, text: text.into() }
}

/// An edit that removes everything from one token up to another.
fn up_to(from: &Token, to: &Token) -> Edit {
    Edit { line: from.line, column: from.column, end_line: to.line, end_column: to.column, text: String::new() }
}

struct Mend<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Mend<'a> {
    fn get(&self, offset: isize) -> Option<&Token<'a>> {
        self.tokens.get(self.at.checked_add_signed(offset)?)
    }

    fn text(&self, offset: isize) -> &'a str {
        self.get(offset).map_or("", |token| token.text)
    }

    fn is_word(&self, offset: isize) -> bool {
        self.get(offset).is_some_and(|token| token.kind == Kind::Word)
    }

    /// Puts `text` in the place of the token.
    fn instead(&self, text: &str) -> Option<Fix> {
        Some(Fix::new(format!("write `{text}`"), vec![over(self.get(0)?, text)]))
    }

    /// Removes the token and the blanks behind it.
    fn without(&self) -> Option<Fix> {
        let (this, next) = (self.get(0)?, self.get(1)?);
        Some(Fix::new(format!("remove `{}`", this.text), vec![up_to(this, next)]))
    }

    /// Tokens that are always something else here.
    fn token(&self) -> Option<Fix> {
        match self.text(0) {
            "===" => self.instead("=="),
            "!==" | "<>" => self.instead("!="),
            "++" => self.step(" += 1"),
            "--" => self.step(" -= 1"),
            ":=" if self.is_word(-1) && self.begins(-1) => {
                let edits =
                    vec![Edit::insert(self.get(-1)?.line, self.get(-1)?.column, "let "), over(self.get(0)?, "=")];
                Some(Fix::new("write `let … = …`", edits))
            }
            "=>" => self.arrow(),
            "->" if self.is_word(1) && self.text(2) == "{" => {
                Some(Fix::new("remove the type", vec![up_to(self.get(0)?, self.get(2)?)]))
            }
            "#" => Some(Fix::new("write `//`", vec![over(self.get(0)?, "//")])),
            "\u{201c}" | "\u{201d}" => self.straight(&["\u{201c}", "\u{201d}"]),
            "\u{2018}" | "\u{2019}" => self.straight(&["\u{2018}", "\u{2019}"]),
            _ => None,
        }
    }

    /// `i++` as a statement of its own.
    fn step(&self, text: &str) -> Option<Fix> {
        let alone = self.is_word(-1) && self.begins(-1) && matches!(self.text(1), ";" | "}" | "");
        alone
            .then(|| self.get(0))
            .flatten()
            .map(|token| Fix::new(format!("write `{}`", text.trim()), vec![over(token, text)]))
    }

    /// Whether a statement begins at a token.
    fn begins(&self, offset: isize) -> bool {
        matches!(self.text(offset - 1), ";" | "{" | "}" | "")
    }

    fn word(&self) -> Option<Fix> {
        if !self.is_word(0) {
            return None;
        }
        let word = self.text(0);
        if matches!(self.text(-1), "." | "?.") {
            return self.indexed(word);
        }
        if matches!(self.text(-1), "#{" | ",") && self.text(1) == ":" {
            return Some(Fix::new("put it in quotes", vec![over(self.get(0)?, format!("\"{word}\""))]));
        }
        match word {
            "and" => self.instead("&&"),
            "or" => self.instead("||"),
            "is" if self.text(1) != "not" => self.instead("=="),
            "not" if self.text(1) == "in" => {
                let edit = Edit { text: "!".to_owned(), ..up_to(self.get(0)?, self.get(1)?) };
                Some(Fix::new("write `!in`", vec![edit]))
            }
            "not" => self.not(),
            "null" | "nil" | "None" | "undefined" => self.instead("()"),
            "True" | "TRUE" => self.instead("true"),
            "False" | "FALSE" => self.instead("false"),
            "elif" | "elsif" | "elseif" => self.instead("else if"),
            "def" | "function" | "func" | "fun" | "sub" if self.is_word(1) && self.text(2) == "(" => self.instead("fn"),
            "var" if self.is_word(1) => self.instead("let"),
            "async" | "await" | "mut" => self.without(),
            "raise" => self.instead("throw"),
            "of" => self.instead("in"),
            "new" if self.text(-1) == "throw" && self.is_word(1) && self.text(2) == "(" => {
                Some(Fix::new("throw the message", vec![up_to(self.get(0)?, self.get(2)?)]))
            }
            "f" => self.template(),
            _ => None,
        }
    }

    /// `.new` as `["new"]`.
    fn indexed(&self, word: &str) -> Option<Fix> {
        let (dot, name) = (self.get(-1)?, self.get(0)?);
        let open = if dot.text == "?." { "?[" } else { "[" };
        let text = format!("{open}\"{word}\"]");
        let edit = Edit { end_line: name.line, end_column: name.column + name.width(), ..over(dot, text.clone()) };
        Some(Fix::new(format!("write `{text}`"), vec![edit]))
    }

    /// `not x` in front of a name, a call or a parenthesis: what it covers is what `!` covers.
    fn not(&self) -> Option<Fix> {
        let mut depth = 0_i32;
        let behind = self.tokens.get(self.at + 1..)?.iter().find(|token| {
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" if depth > 0 => depth -= 1,
                _ if depth > 0
                    || matches!(token.text, "." | "::")
                    || token.kind == Kind::Word && !matches!(token.text, "and" | "or") => {}
                _ => return true,
            }
            false
        });
        let ends =
            behind.is_none_or(|token| matches!(token.text, "{" | ")" | ";" | "," | "&&" | "||" | "and" | "or" | "}"));
        let edit = Edit { text: "!".to_owned(), ..up_to(self.get(0)?, self.get(1)?) };
        ends.then(|| Fix::new("write `!`", vec![edit]))
    }

    /// `x => …` and `(a, b) => …`.
    fn arrow(&self) -> Option<Fix> {
        let title = "write `|x| …`";
        if self.is_word(-1) && matches!(self.text(-2), "(" | "," | "=" | ":") {
            let name = self.get(-1)?;
            let edit = Edit { text: format!("|{}|", name.text), ..over(name, "") };
            let (end_line, end_column) = self.get(0)?.end();
            return Some(Fix::new(title, vec![Edit { end_line, end_column, ..edit }]));
        }
        let close = self.get(-1).filter(|token| token.text == ")")?;
        let open = self.tokens[..self.at - 1].iter().rposition(|token| token.text == "(")?;
        let names = &self.tokens[open + 1..self.at - 1];
        let plain = names.iter().all(|token| token.kind == Kind::Word || token.text == ",");
        let called = open > 0 && self.tokens[open - 1].kind == Kind::Word;
        let (end_line, end_column) = self.get(0)?.end();
        let bar = Edit { end_line, end_column, ..over(close, "|") };
        (plain && !called).then(|| Fix::new(title, vec![over(&self.tokens[open], "|"), bar]))
    }

    /// Both typographic quotes of a text.
    fn straight(&self, quotes: &[&str]) -> Option<Fix> {
        let (open, rest) = (self.get(0)?, self.tokens.get(self.at + 1..)?);
        let close =
            rest.iter().take_while(|token| token.line == open.line).find(|token| quotes.contains(&token.text))?;
        Some(Fix::new("write straight quotes", vec![over(open, "\""), over(close, "\"")]))
    }

    /// `f"order {id}"` as `` `order ${id}` ``.
    fn template(&self) -> Option<Fix> {
        let (prefix, text) = (self.get(0)?, self.get(1)?);
        let inner = text.string().or_else(|| text.text.strip_prefix('\'')?.strip_suffix('\''))?;
        if inner.contains(['`', '\\', '$']) || inner.contains("{{") || prefix.end() != (text.line, text.column) {
            return None;
        }
        let edit =
            Edit { line: prefix.line, column: prefix.column, ..over(text, format!("`{}`", inner.replace('{', "${"))) };
        Some(Fix::new("write a text in backticks", vec![edit]))
    }

    /// Types of variables and parameters, and maps without `#`.
    fn shape(&self) -> Option<Fix> {
        match self.text(0) {
            "{" if matches!(self.get(1)?.kind, Kind::Word | Kind::Text) && self.text(2) == ":" => {
                Some(Fix::new("write `#{`", vec![over(self.get(0)?, "#{")]))
            }
            ":" if self.is_word(1) && matches!(self.text(2), "=" | "," | ")" | ";") => {
                let kind = self.get(1)?;
                let (line, column) = self.get(-1)?.end();
                let (end_line, end_column) = kind.end();
                let edit = Edit { line, column, end_line, end_column, text: String::new() };
                Some(Fix::new("remove the type", vec![edit]))
            }
            _ => None,
        }
    }
}
