//! Faults of a declaration, told where they are: the call of `workflow` or of a trigger knows only where it begins.

use super::super::bundle::Bundle;
use super::super::lex::{self, Kind, Token};
use crate::diag::{Diagnostic, Edit, Fix};

/// A fault with its place, and what of the file it concerns.
pub struct Located {
    /// It.
    pub diagnostic: Diagnostic,
    /// The option that is at fault, from its key to the end of its value.
    option: Option<(Spot, Spot)>,
}

/// A fault of a declaration, at the option or text that it names.
pub fn locate(bundle: &Bundle, mut fault: Diagnostic) -> Located {
    if fault.code != "E0513" || !fault.calls.is_empty() {
        return Located { diagnostic: fault, option: None };
    }
    "E0309".clone_into(&mut fault.code);
    fault.text = None;
    fault.title = fault.title.replacen("`: has ", "` has ", 1);
    let mut option = None;
    if let Some(source) = bundle.sources.get(&fault.place.file) {
        let tokens = lex::code(&source.text);
        let call = call(&tokens, fault.place.line, fault.place.column).unwrap_or_default();
        if let Some(found) = Named::of(&fault.title).find(call) {
            let token = found.token;
            let (column, width) = number(call, token).unwrap_or((token.column, token.width()));
            *fault.place = source.place(token.line, column, width);
            fault.fix = fault.hint.as_deref().and_then(|hint| near(token, hint)).map(Box::new);
            option = Some(found.option);
        }
    }
    Located { diagnostic: fault, option }
}

/// The text that a hint takes for what was meant, in place of the one that is written.
fn near(token: &Token, hint: &str) -> Option<Fix> {
    let meant = hint.strip_prefix("did you mean ")?.strip_suffix('?')?;
    let meant = meant.trim_matches(['`', '"']);
    let is_plain = token.kind == Kind::Text && !meant.contains(['`', '"', '\\', ' ']);
    let written = token.string().filter(|_| is_plain && token.text.starts_with('"'))?;
    let edit = Edit::replace(token.line, token.column, written.chars().count() + 2, format!("\"{meant}\""));
    (token.width() == written.chars().count() + 2).then(|| Fix::new(format!("write `\"{meant}\"`"), vec![edit]))
}

/// Whether an error is told already: at its place, within the option at fault, or within the same call.
pub fn is_told(bundle: &Bundle, found: &[Diagnostic], fault: &Located) -> bool {
    let (option, fault) = (fault.option, &fault.diagnostic);
    let same_file = |known: &&Diagnostic| known.is_error() && known.place.file == fault.place.file;
    let place = |known: &Diagnostic| (known.place.line, known.place.column);
    let mut known = found.iter().filter(same_file);
    // Faults of the syntax are all among what the checks find.
    if fault.code.starts_with("E02") {
        return known.next().is_some();
    }
    let source = bundle.sources.get(&fault.place.file);
    let tokens = source.map(|source| lex::code(&source.text)).unwrap_or_default();
    // What stops an evaluation stands where it is; what a declaration does not take may be told by what is in it.
    let around = || enclosing(&tokens, place(fault)).filter(|_| fault.code == "E0309");
    let span = option.or_else(around).unwrap_or((place(fault), place(fault)));
    known.any(|known| {
        // Each of these is a fault by itself, of which none brings about another.
        let is_own = known.code == "E0309" || known.code.starts_with("E05");
        ((!is_own || known.title == fault.title) && (span.0..=span.1).contains(&place(known)))
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

/// What a message names: `` `workflow: allow`: option `http`: `https://x` is no host pattern ``.
struct Named<'a> {
    /// Keys from the map of options on, one within the other: `allow`, `http`.
    keys: Vec<&'a str>,
    /// All names, the last first.
    texts: Vec<&'a str>,
}

/// A token that a message means; where it is the key of an option, that to its end, else the token alone.
struct Found<'a, 'b> {
    token: &'b Token<'a>,
    option: (Spot, Spot),
}

impl<'a> Named<'a> {
    fn of(title: &'a str) -> Self {
        let mut keys: Vec<&str> = title.split('`').skip(1).step_by(2).collect();
        // What is quoted in an example is not in the file.
        let outside = title.split('`').step_by(2);
        let quoted = outside.flat_map(|part| part.split('"').skip(1).step_by(2));
        let mut texts: Vec<&str> = keys.iter().skip(1).copied().chain(quoted).collect();
        texts.reverse();
        if !keys.is_empty() {
            let within = keys.remove(0).split_once(": ").map(|(_, within)| within);
            keys.splice(0..0, within);
        }
        let keys = keys.into_iter().flat_map(|key| key.split('.')).collect();
        Self { keys, texts }
    }

    fn find<'t, 'b>(&self, call: &'b [Token<'t>]) -> Option<Found<'t, 'b>> {
        let mut option: Option<(usize, usize)> = None;
        for key in &self.keys {
            let within = option.map_or(call, |(key, end)| &call[key + 2..=end]);
            let Some((at, end)) = entry(within, key.trim_end_matches("[]").trim_end_matches('?')) else { break };
            let base = option.map_or(0, |(key, _)| key + 2);
            option = Some((base + at, base + end));
        }
        let value = option.map_or(call, |(key, end)| &call[(key + 2).min(end)..=end]);
        let text = self.texts.iter().find_map(|text| value.iter().find(|token| token.string() == Some(text)));
        let key = option.map(|(key, _)| &call[key]);
        let anywhere = || self.texts.iter().find_map(|text| find(call, text));
        let token = text.or(key).or_else(anywhere)?;
        let end = option.filter(|_| text.is_none()).map_or(token.end(), |(_, end)| call[end].end());
        Some(Found { token, option: ((token.line, token.column), end) })
    }
}

/// Where a key of the first map among these tokens stands, and where its value ends.
fn entry(tokens: &[Token], name: &str) -> Option<(usize, usize)> {
    let open = tokens.iter().position(|token| token.text == "#{")?;
    let end = closing(tokens, open);
    let mut at = open + 1;
    while at + 1 < end {
        let value = at + 2;
        let last = value_end(tokens, value, end);
        let key = tokens[at].string().unwrap_or(tokens[at].text);
        if key.trim_end_matches('?') == name && tokens[at + 1].text == ":" {
            return Some((at, last));
        }
        at = last + 2;
    }
    None
}

/// The last token of the value that starts at `from`, in a map that is closed at `end`.
fn value_end(tokens: &[Token], from: usize, end: usize) -> usize {
    let mut at = from;
    while at < end {
        match (tokens[at].kind, tokens[at].text) {
            (Kind::Symbol, "(" | "[" | "{" | "#{" | "?[") => at = closing(tokens, at),
            (Kind::Symbol, ",") => break,
            _ => {}
        }
        at += 1;
    }
    at.max(1) - 1
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
