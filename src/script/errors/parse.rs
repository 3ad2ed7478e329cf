//! Faults of the syntax.

use rhai::{LexError, ParseError, ParseErrorType};

use super::super::lex::{self, Kind, Token};
use super::super::source::Source;
use super::habits::Around;
use super::mend::{double_quoted, mend};
use super::{place, place_of};
use crate::diag::{Diagnostic, Edit, Fix, Place};

/// What the parser says, in plain words.
pub fn from_parse(error: &ParseError, source: &Source) -> Diagnostic {
    let tokens = lex::code(&source.text);
    let position = (error.1.line().unwrap_or(usize::MAX), error.1.position().unwrap_or(1));
    let at = tokens.partition_point(|token| token.end() <= position);
    let fault = Fault { source, tokens: &tokens, at, place: place(source, error.1) };
    fault.diagnose(&error.0)
}

struct Fault<'a> {
    source: &'a Source,
    tokens: &'a [Token<'a>],
    /// Index of the token at the fault.
    at: usize,
    place: Place,
}

impl Fault<'_> {
    fn diagnose(&self, kind: &ParseErrorType) -> Diagnostic {
        if self.place.line == 0 {
            return self.say("E0201", lower(&kind.to_string())).text("positions are counted up to line 65,535");
        }
        if !matches!(kind, ParseErrorType::LiteralTooLarge(..) | ParseErrorType::ExprTooDeep)
            && let Some(habit) = (Around { tokens: self.tokens, at: self.at }).habit()
        {
            let place = place_of(self.source, &self.tokens[habit.token]);
            let code = if habit.title.ends_with("reserved word") { "E0203" } else { "E0206" };
            let fix = mend(self.tokens, habit.token);
            return Diagnostic::new(code, habit.title, place).hint(habit.hint).maybe_fix(fix);
        }
        match kind {
            ParseErrorType::BadInput(error) => self.lexical(error),
            ParseErrorType::UnexpectedEOF => self.unclosed(),
            ParseErrorType::MissingToken(token, what) => self.missing(token, what),
            ParseErrorType::Reserved(word) => self.reserved(word),
            kind => self.other(kind),
        }
    }

    fn say(&self, code: &str, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, title, self.place.clone())
    }

    fn lexical(&self, error: &LexError) -> Diagnostic {
        match error {
            LexError::UnexpectedInput(found) if found == "{EOF}" => self.unclosed(),
            LexError::UnexpectedInput(found) => self.unexpected(found),
            LexError::UnterminatedString => {
                let end = self.tokens.get(self.at).map_or("\"", |token| &token.text[..1]);
                self.say("E0205", "string is not closed")
                    .hint(format!("put `{end}` at its end; text over several lines is written in backticks"))
            }
            LexError::MalformedEscapeSequence(found) => {
                let hint = "write `\\\\` for a backslash; known are `\\n`, `\\r`, `\\t`, `\\\"`, `\\xHH`, `\\uHHHH`";
                self.say("E0205", format!("unknown escape `{found}` in a string")).hint(hint)
            }
            LexError::MalformedChar(text) if text.chars().count() > 1 => {
                let hint = format!("write `\"{}\"`; single quotes are for one character", text.escape_default());
                let fix = self.tokens.get(self.at).and_then(double_quoted);
                self.say("E0206", "strings are in double quotes").hint(hint).maybe_fix(fix)
            }
            LexError::MalformedNumber(_) => self.say("E0205", format!("`{}` is not a number", self.here())),
            LexError::ImproperSymbol(found, _) if found == "=" => {
                let hint = "write `==` to compare; an assignment has no value";
                self.say("E0201", "`=` within an expression").hint(hint)
            }
            LexError::ImproperSymbol(found, _) if found == "this" => self
                .say("E0210", "`this` outside of a function")
                .hint("it is the value before the dot in a function that is called as a method"),
            error => self.say("E0205", lower(&error.to_string())),
        }
    }

    fn here(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text.split('\n').next().unwrap_or_default())
    }

    fn unexpected(&self, found: &str) -> Diagnostic {
        let title = format!("unexpected `{found}`");
        let hint = match found {
            "}" | ")" | "]" => "nothing that is open is closed by it".to_owned(),
            ";" | "," => format!("a value is missing before `{found}`"),
            "else" => "`else` follows the `}` of an `if`".to_owned(),
            "catch" => "`catch` follows the `}` of a `try`".to_owned(),
            _ if found.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) => {
                "names are written with the letters a to z, digits and `_`; text goes in quotes".to_owned()
            }
            _ => return self.say("E0201", title),
        };
        self.say("E0201", title).hint(hint)
    }

    fn missing(&self, token: &str, what: &str) -> Diagnostic {
        // At the end the parser takes what it would take next: that a block is open comes first.
        if self.at >= self.tokens.len()
            && (matches!(token, "}" | ")" | "]") || token == ";" && !open_brackets(self.tokens).is_empty())
        {
            return self.unclosed();
        }
        let title = format!("missing `{token}` {what}").replace('\'', "`");
        match token {
            ";" | "," => self.missing_separator(token, title),
            "{" => self.say("E0202", title).hint("the body is always in braces, also when it is one statement"),
            "catch" => self.say("E0202", title).hint("write `try { ... } catch (error) { ... }`"),
            "}" | ")" | "]" => self.say("E0202", title).maybe_hint(self.opened(token)),
            _ => self.say("E0202", title),
        }
    }

    /// A separator is missing behind the previous token, not where the next one was found.
    fn missing_separator(&self, token: &str, title: String) -> Diagnostic {
        let hint = match self.here() {
            found @ (")" | "]" | "}") if token == ";" => {
                format!("`{found}` closes nothing; something before it is not closed")
            }
            ";" => "the bracket before it is not closed".to_owned(),
            _ => format!("put a `{token}` here"),
        };
        let closes = self.here() == ";" || (token == ";" && matches!(self.here(), ")" | "]" | "}"));
        let before = self.at.checked_sub(1).and_then(|before| self.tokens.get(before)).filter(|_| !closes);
        let Some((line, column)) = before.map(Token::end) else {
            return Diagnostic::new("E0202", title, self.place.clone()).hint(hint);
        };
        // A value on a line of its own begins the next statement; on the same line something else may be meant.
        let mends = token == ";" && self.tokens.get(self.at).is_some_and(|next| next.line > line);
        let fix = mends.then(|| Fix::new("put a `;`", vec![Edit::insert(line, column, ";")]));
        Diagnostic::new("E0202", title, self.source.place(line, column, 1)).hint(hint).maybe_fix(fix)
    }

    fn opened(&self, closer: &str) -> Option<String> {
        let open = open_brackets(&self.tokens[..self.at.min(self.tokens.len())]);
        let last = open.last().filter(|token| closer_of(token.text) == closer)?;
        Some(format!("`{}` was opened at {}:{}", last.text, last.line, last.column))
    }

    /// The script ends; the caret belongs to what is open, not to its end.
    fn unclosed(&self) -> Diagnostic {
        let before = &self.tokens[..self.at.min(self.tokens.len())];
        let open = badly_indented(self.tokens).or_else(|| open_brackets(before).last().copied());
        match open {
            Some(open) => {
                let place = place_of(self.source, open);
                let hint = format!("put `{}` where it ends", closer_of(open.text));
                Diagnostic::new("E0204", format!("`{}` is never closed", open.text), place).hint(hint)
            }
            None => self.say("E0204", "the script ends in the middle of a statement"),
        }
    }

    fn reserved(&self, word: &str) -> Diagnostic {
        if word.chars().all(|c| c.is_alphanumeric() || c == '_') {
            let next = self.tokens.get(self.at + 1).map_or("", |token| token.text);
            let hint = if next == "(" {
                format!("no function has that name: choose another, such as `{word}_it`")
            } else {
                format!(
                    "choose another name, such as `{word}_`; as a key of a map it goes in quotes: `map[\"{word}\"]`"
                )
            };
            return self.say("E0203", format!("`{word}` is a reserved word")).hint(hint);
        }
        self.say("E0205", format!("`{word}` has no meaning here"))
    }

    fn other(&self, kind: &ParseErrorType) -> Diagnostic {
        use ParseErrorType as E;
        match kind {
            E::VariableExpected if self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::Number) => {
                self.say("E0205", format!("`{}` is not a name", self.here())).hint("names start with a letter or `_`")
            }
            E::VariableExpected => self.say("E0201", "a variable name is missing here"),
            E::PropertyExpected => self.say("E0201", "a property name is missing here"),
            E::UnknownOperator(operator) => self.say("E0205", format!("there is no operator `{operator}`")),
            E::AssignmentToConstant(name) if name.is_empty() => self.say("E0209", "a literal cannot be assigned to"),
            E::AssignmentToConstant(name) => self
                .say("E0209", format!("constant `{name}` cannot be assigned to"))
                .hint("declare it with `let` to change it"),
            E::AssignmentToInvalidLHS(_) => self.say("E0209", "this cannot be assigned to"),
            E::FnDuplicatedDefinition(name, params) => {
                let title = format!("function `{name}` with {} exists already", super::count(*params, "parameter"));
                let at = self.tokens.get(self.at + 1).filter(|token| token.text == name);
                let place = at.map_or_else(|| self.place.clone(), |token| place_of(self.source, token));
                Diagnostic::new("E0208", title, place)
                    .hint("rename one of them; they differ by name or number of parameters")
            }
            E::FnDuplicatedParam(name, param) => {
                self.say("E0208", format!("parameter `{param}` of `{name}` occurs twice"))
            }
            // One at the left margin is meant for the top level: a block before it is open.
            E::WrongFnDefinition if self.tokens.get(self.at).is_some_and(|token| token.column == 1) => self.unclosed(),
            E::WrongFnDefinition => self
                .say("E0208", "functions are defined at the top level of a file")
                .hint("a function within a function is a closure: `let f = |a| ...;`"),
            E::FnMissingName => {
                self.say("E0208", "the function has no name").hint("a function as a value is `|a, b| ...`")
            }
            E::FnMissingBody(_) => self.say("E0208", "the function has no body").hint("write `{ ... }`"),
            E::LoopBreak => self
                .say("E0210", format!("`{}` outside of a loop", self.here()))
                .hint("`return` leaves a function or script"),
            E::WrongExport => self.say("E0210", "`export` is for the top level of a file"),
            E::WrongDocComment => self
                .say("E0210", "a `///` comment belongs directly before a function")
                .hint("use `//` here, `//!` for the file"),
            E::ExprTooDeep => {
                self.say("E0207", "expression is nested too deeply").hint("put parts of it into variables or functions")
            }
            E::TooManyFunctions => {
                self.say("E0207", "too many functions and closures in one file").hint("move some into modules")
            }
            E::LiteralTooLarge(what, max) => self.say("E0207", format!("{} is too large, at most {max}", lower(what))),
            E::MismatchedType(wanted, found) => self.say("E0502", format!("{wanted} is needed here, not {found}")),
            E::DuplicatedProperty(name) => self.say("E0201", format!("property `{name}` occurs twice")),
            kind => self.say("E0201", lower(&kind.to_string())),
        }
    }
}

/// The first brace whose closing one starts a line further left than the line of the brace: most likely the one that
/// is not closed, since the other closed it.
fn badly_indented<'a, 'b>(tokens: &'b [Token<'a>]) -> Option<&'b Token<'a>> {
    let indent = |at: usize| {
        let line = tokens[at].line;
        tokens[..=at].iter().rev().take_while(|token| token.line == line).last().map_or(0, |token| token.column)
    };
    let mut open: Vec<usize> = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Symbol) {
        match token.text {
            "{" | "#{" => open.push(at),
            "}" => {
                let opener = open.pop()?;
                let starts_line = at == 0 || tokens[at - 1].end().0 < token.line;
                if starts_line && token.column < indent(opener) {
                    return Some(&tokens[opener]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The brackets that are open at the end of these tokens, the innermost last.
fn open_brackets<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<&'b Token<'a>> {
    let mut open: Vec<&Token> = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == Kind::Symbol) {
        match token.text {
            "(" | "[" | "{" | "#{" | "?[" => open.push(token),
            ")" | "]" | "}" if open.last().is_some_and(|last| closer_of(last.text) == token.text) => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

fn closer_of(opener: &str) -> &'static str {
    match opener {
        "(" => ")",
        "[" | "?[" => "]",
        _ => "}",
    }
}

/// Messages of ours start with a lower-case letter and quote with backticks.
pub(super) fn lower(message: &str) -> String {
    let mut chars = message.chars();
    let first: String = chars.next().map(|c| c.to_lowercase().collect()).unwrap_or_default();
    format!("{first}{}", chars.as_str().replace('\'', "`"))
}
