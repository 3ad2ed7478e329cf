//! The line of `allow` that a script lacks: as a hint, and as an edit of its declaration.

use super::super::lex::{self, Kind, Token};
use super::super::source::Source;
use super::Missing;
use crate::diag::{Edit, Fix};

/// Which line to add, in words.
pub(super) fn line(source: &Source, missing: &Missing) -> String {
    let entry = format!("{:?}", missing.entry);
    match (Declared::of(&source.text).allow, missing.capability) {
        (Some(_), capability) => format!("add {entry} to `{capability}` in `allow`"),
        (None, _) => format!("declare it: `{}`", fresh(missing)),
    }
}

/// The edit that adds it; `None` where the declaration is not written out.
pub(super) fn fix(source: &Source, missing: &Missing) -> Option<Fix> {
    let tokens = lex::code(&source.text);
    let declared = Declared::of_tokens(&tokens);
    let entry = format!("{:?}", missing.entry);
    let title = format!("allow {entry} in `{}`", missing.capability);
    let edit = match (declared.workflow, declared.allow) {
        (Some(_), Some(allow)) => within(&tokens, allow, missing, &entry)?,
        (Some(map), None) => after_brace(source, &tokens, map, &fresh(missing)),
        (None, _) if declared.has_call => return None,
        (None, _) => {
            let line = first_line(source);
            Edit::insert(line, 1, format!("workflow(#{{ {} }});\n", fresh(missing)))
        }
    };
    Some(Fix::new(title, vec![edit]))
}

/// A new `allow`. Once there is one, hosts have to be named; what could be called before stays possible.
fn fresh(missing: &Missing) -> String {
    let entry = format!("{:?}", missing.entry);
    match missing.capability {
        "http" => format!("allow: #{{ http: [\"*\", {entry}] }}"),
        other => format!("allow: #{{ http: [\"*\"], {other}: [{entry}] }}"),
    }
}

/// Where the declaration is, as indices of tokens.
#[derive(Clone, Copy, Default)]
struct Declared {
    has_call: bool,
    /// The `#{` of the map that `workflow` gets.
    workflow: Option<usize>,
    /// The `#{` of `allow`.
    allow: Option<usize>,
}

impl Declared {
    fn of(text: &str) -> Self {
        Self::of_tokens(&lex::code(text))
    }

    fn of_tokens(tokens: &[Token]) -> Self {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let is_call = |at: &usize| {
            text(*at) == "workflow" && text(at + 1) == "(" && (*at == 0 || !matches!(text(at - 1), "." | "::" | "fn"))
        };
        let Some(call) = (0..tokens.len()).find(is_call) else { return Self::default() };
        let workflow = Some(call + 2).filter(|at| text(*at) == "#{");
        let allow = workflow.and_then(|map| value_of(tokens, map, "allow")).filter(|at| text(*at) == "#{");
        Self { has_call: true, workflow, allow }
    }
}

/// The first token of the value that a key of the map starting at `map` has.
fn value_of(tokens: &[Token], map: usize, key: &str) -> Option<usize> {
    let end = closing(tokens, map)?;
    let mut depth = 0;
    for at in map..end {
        let token = &tokens[at];
        if token.kind == Kind::Symbol {
            match token.text {
                "{" | "#{" | "[" | "(" | "?[" => depth += 1,
                "}" | "]" | ")" => depth -= 1,
                _ => {}
            }
        }
        let named = token.text == key || token.string() == Some(key);
        if depth == 1 && named && tokens.get(at + 1).is_some_and(|next| next.text == ":") {
            return Some(at + 2);
        }
    }
    None
}

/// Index of the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, token)| token.kind == Kind::Symbol) {
        match token.text {
            "{" | "#{" | "[" | "(" | "?[" => depth += 1,
            "}" | "]" | ")" => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Into an `allow` that is there.
fn within(tokens: &[Token], allow: usize, missing: &Missing, entry: &str) -> Option<Edit> {
    let Some(list) = value_of(tokens, allow, missing.capability) else {
        return Some(in_front(tokens, allow, &format!("{}: [{entry}]", missing.capability)));
    };
    if tokens[list].text != "[" {
        return None;
    }
    let end = &tokens[closing(tokens, list)? - 1];
    let (line, column) = end.end();
    let text = match end.text {
        "[" => entry.to_owned(),
        "," => format!(" {entry}"),
        _ => format!(", {entry}"),
    };
    Some(Edit::insert(line, column, text))
}

/// A new pair directly behind a `#{`.
fn in_front(tokens: &[Token], map: usize, pair: &str) -> Edit {
    let (line, column) = tokens[map].end();
    let empty = tokens.get(map + 1).is_some_and(|next| next.text == "}");
    let spaced = tokens.get(map + 1).is_some_and(|next| (next.line, next.column) != (line, column));
    match (empty, spaced) {
        (true, true) => Edit::insert(line, column, format!(" {pair}")),
        (true, false) => Edit::insert(line, column, format!(" {pair} ")),
        (false, true) => Edit::insert(line, column, format!(" {pair},")),
        (false, false) => Edit::insert(line, column, format!(" {pair}, ")),
    }
}

/// The same for a map that may go over several lines: then on a line of its own.
fn after_brace(source: &Source, tokens: &[Token], map: usize, pair: &str) -> Edit {
    let next = tokens.get(map + 1).filter(|next| next.line > tokens[map].line && next.text != "}");
    let Some(next) = next else { return in_front(tokens, map, pair) };
    let line = source.line(next.line).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    Edit::insert(next.line, 1, format!("{indent}{pair},\n"))
}

/// The line of the first statement that is no import, or of the documentation before it.
fn first_line(source: &Source) -> usize {
    let tokens = lex::tokens(&source.text);
    let mut statement = true;
    let mut importing = false;
    for token in &tokens {
        let is_comment = token.kind == Kind::Comment;
        let is_doc = token.text.starts_with("///") || token.text.starts_with("/**");
        if is_comment && !is_doc {
            continue;
        }
        if statement {
            importing = token.text == "import";
            if !importing {
                return token.line;
            }
        }
        statement = importing && token.text == ";";
    }
    source.text.lines().count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str, capability: &'static str) -> String {
        let source = Source::from_text("main.rhai", text).unwrap();
        let missing = Missing { title: String::new(), capability, entry: "a".into() };
        fix(&source, &missing).and_then(|fix| fix.apply(text)).unwrap_or_else(|| "nothing".into())
    }

    #[test]
    fn into_what_is_declared() {
        for (before, after) in [
            ("workflow(#{ allow: #{ http: [\"x\"] } });", "workflow(#{ allow: #{ http: [\"x\", \"a\"] } });"),
            ("workflow(#{ allow: #{ http: [] } });", "workflow(#{ allow: #{ http: [\"a\"] } });"),
            ("workflow(#{ allow: #{ mail: true } });", "workflow(#{ allow: #{ http: [\"a\"], mail: true } });"),
            ("workflow(#{ allow: #{} });", "workflow(#{ allow: #{ http: [\"a\"] } });"),
            ("workflow(#{ title: \"t\" });", "workflow(#{ allow: #{ http: [\"*\", \"a\"] }, title: \"t\" });"),
            (
                "workflow(#{\n    title: \"t\",\n});",
                "workflow(#{\n    allow: #{ http: [\"*\", \"a\"] },\n    title: \"t\",\n});",
            ),
            ("workflow(#{});", "workflow(#{ allow: #{ http: [\"*\", \"a\"] } });"),
            ("const A = #{}; workflow(A);", "nothing"),
        ] {
            assert_eq!(fixed(before, "http"), after);
        }
    }

    #[test]
    fn as_a_new_declaration_behind_the_imports() {
        let text = "//! Doc.\n\nimport \"lib/x\" as x;\n\n/// Says.\nfn f() {}\n";
        let expected = "//! Doc.\n\nimport \"lib/x\" as x;\n\nworkflow(#{ allow: #{ http: [\"*\"], secrets: [\"a\"] } });\n/// Says.\nfn f() {}\n";
        assert_eq!(fixed(text, "secrets"), expected);
    }
}
