//! Pieces of the source as labels: the tree knows only where an expression begins, the tokens say where it ends.

use rhai::{Expr, Position};

use super::super::lex::{self, Kind, Token};

/// Characters of a label: more is not read in a picture, and the source is one click away.
pub(super) const LABEL_MAX: usize = 72;

/// A source and its tokens.
pub(super) struct Text<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, tokens: lex::code(text) }
    }

    /// The index of the token at a place, or of the next one.
    fn index(&self, pos: Position) -> usize {
        let at = (pos.line().unwrap_or(usize::MAX), pos.position().unwrap_or(1));
        self.tokens.partition_point(|token| (token.line, token.column) < at)
    }

    fn slice(&self, from: usize, to: usize) -> String {
        let Some(tokens) = self.tokens.get(from..to).filter(|tokens| !tokens.is_empty()) else { return String::new() };
        let last = tokens[tokens.len() - 1];
        one_line(&self.text[tokens[0].at..last.at + last.text.len()])
    }

    /// What stands from there to the end of the expression: a comma, a semicolon, or a bracket that closes what was
    /// opened before.
    pub(super) fn expression(&self, expr: &Expr) -> String {
        let at = start(expr);
        let from = self.index(at);
        // Inside a template there are no tokens.
        if self.tokens.get(from).is_none_or(|token| Some((token.line, token.column)) != at.line().zip(at.position())) {
            return "…".to_owned();
        }
        let mut depth = 0_usize;
        let end = self.tokens[from..].iter().position(|token| match token.text {
            "(" | "[" | "{" | "#{" | "?[" => {
                depth += 1;
                false
            }
            ")" | "]" | "}" if depth == 0 => true,
            ")" | "]" | "}" => {
                depth -= 1;
                false
            }
            "," | ";" | "=>" => depth == 0,
            _ => false,
        });
        self.slice(from, end.map_or(self.tokens.len(), |end| from + end))
    }

    /// What stands between a keyword and the block behind it: the header of `if`, `while`, `for`.
    pub(super) fn header(&self, keyword: Position, block: Position) -> String {
        self.slice(self.index(keyword) + 1, self.index(block))
    }

    /// What a method is called on, found from the position of its name: back over names, dots and whole brackets.
    pub(super) fn receiver(&self, name: Position) -> String {
        let name = self.index(name);
        let mut depth = 0_usize;
        let ahead = self.tokens[..name.min(self.tokens.len())].iter().rposition(|token| match token.text {
            ")" | "]" | "}" => {
                depth += 1;
                false
            }
            "(" | "[" | "{" | "#{" | "?[" if depth > 0 => {
                depth -= 1;
                false
            }
            "." | "?." | "::" => false,
            _ if depth > 0 => false,
            _ => !matches!(token.kind, Kind::Word | Kind::Text | Kind::Template | Kind::Number),
        });
        let text = self.slice(ahead.map_or(0, |ahead| ahead + 1), name);
        text.trim_end_matches(['.', '?']).to_owned()
    }

    /// The first operand of an operator, up to the second.
    pub(super) fn operand(&self, first: &Expr, second: &Expr) -> String {
        let text = self.slice(self.index(start(first)), self.index(start(second)));
        text.trim_end_matches(['&', '|', '?', '(', ' ', '{']).to_owned()
    }

    /// What stands before the arrow of a `switch` case, found from the position of its value.
    pub(super) fn case(&self, value: Position) -> String {
        let Some(arrow) =
            self.tokens[..self.index(value).min(self.tokens.len())].iter().rposition(|token| token.text == "=>")
        else {
            return String::new();
        };
        let mut depth = 0_usize;
        let start = self.tokens[..arrow].iter().rposition(|token| match token.text {
            ")" | "]" => {
                depth += 1;
                false
            }
            "(" | "[" => {
                depth = depth.saturating_sub(1);
                false
            }
            "," | "{" | "}" => depth == 0,
            _ => false,
        });
        self.slice(start.map_or(0, |start| start + 1), arrow)
    }
}

/// Where an expression begins; an operator is positioned at itself, not at its first operand.
fn start(expr: &Expr) -> Position {
    match expr {
        Expr::FnCall(call, _) if call.op_token.is_some() && call.args.len() == 2 => start(&call.args[0]),
        Expr::FnCall(call, _) if !call.namespace.is_empty() => call.namespace.position(),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => start(&parts.lhs),
        Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => start(&parts[0]),
        expr => expr.start_position(),
    }
}

/// On one line, with single spaces, cut to the length of a label.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > LABEL_MAX * 4 {
            break;
        }
    }
    // What no format can show.
    line.retain(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    if line.chars().count() <= LABEL_MAX {
        return line;
    }
    let cut: String = line.chars().take(LABEL_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

/// An address without its scheme.
pub(super) fn address(url: &str) -> &str {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url)
}
