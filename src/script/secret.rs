//! A secret as scripts see it: a reference, never its value.
//!
//! Made part of a text it becomes a placeholder, which the sender finds again ([`find_placeholders`]) and replaces after it has
//! checked where the text goes. Everything that is shown passes through [`mask`]. Knows no secret's value.

use std::borrow::Cow;
use std::ops::Range;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

const OPEN: &str = "⟦secret:";
const CLOSE: &str = "⟧";
/// What is made of an opening that came from outside.
const DEFUSED: &str = "⟦secret :";
const SHOWN: &str = "***";

/// A reference to a secret. The nonce ties it to a run, so that a text that merely looks like a placeholder is not one.
#[derive(Debug, Clone)]
pub struct SecretRef {
    /// The secret's name.
    pub name: ImmutableString,
    /// Letters and digits that only the run's engine knows.
    pub nonce: ImmutableString,
}

impl SecretRef {
    /// The text that stands for the secret: `⟦secret:NAME:NONCE⟧`.
    pub fn placeholder(&self) -> String {
        format!("{OPEN}{}:{}{CLOSE}", self.name, self.nonce)
    }
}

/// A placeholder in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// The secret's name.
    pub name: &'a str,
    /// Its nonce; a placeholder with another run's nonce is plain text.
    pub nonce: &'a str,
}

/// All placeholders of a text, from left to right.
pub fn find_placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(OPEN).map(|at| from + at) {
        let inner = start + OPEN.len();
        let Some(end) = text[inner..].find(CLOSE).map(|at| inner + at) else { break };
        from = inner;
        // A name may hold colons, a nonce may not; an opening inside means that this one was never closed.
        if let Some((name, nonce)) = text[inner..end].rsplit_once(':')
            && !name.contains('⟦')
        {
            from = end + CLOSE.len();
            found.push(Placeholder { range: start..from, name, nonce });
        }
    }
    found
}

/// The text with what looks like a placeholder made plain: what comes from outside must not stand for a secret.
pub fn defuse(text: &str) -> Cow<'_, str> {
    if text.contains(OPEN) { Cow::Owned(text.replace(OPEN, DEFUSED)) } else { Cow::Borrowed(text) }
}

/// The text as it may be shown: `***` for each placeholder.
pub fn mask(text: &str) -> Cow<'_, str> {
    let found = find_placeholders(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for placeholder in found {
        masked.push_str(&text[from..placeholder.range.start]);
        masked.push_str(SHOWN);
        from = placeholder.range.end;
    }
    masked.push_str(&text[from..]);
    Cow::Owned(masked)
}

/// Teaches the script engine the type: texts can be made with it, nothing else.
pub fn register(engine: &mut Engine) {
    engine.register_type_with_name::<SecretRef>("secret");
    engine.register_fn("to_string", |secret: &mut SecretRef| secret.placeholder());
    for name in ["to_debug", "debug", "print"] {
        engine.register_fn(name, |_: &mut SecretRef| SHOWN.to_owned());
    }
    engine.register_fn("+", |text: ImmutableString, secret: SecretRef| format!("{text}{}", secret.placeholder()));
    engine.register_fn("+", |secret: SecretRef, text: ImmutableString| format!("{}{text}", secret.placeholder()));
    super::sandbox::register_changing(engine, "+=", |text: &mut ImmutableString, secret: SecretRef| {
        *text += secret.placeholder().as_str();
    });
    super::sandbox::register_changing(engine, "append", |text: &mut ImmutableString, secret: SecretRef| {
        *text += secret.placeholder().as_str();
    });
    for name in ["==", "!="] {
        engine.register_fn(name, |_: SecretRef, _: SecretRef| refuse());
        engine.register_fn(name, |_: SecretRef, _: Dynamic| refuse());
        engine.register_fn(name, |_: Dynamic, _: SecretRef| refuse());
    }
}

fn refuse() -> Result<bool, Box<EvalAltResult>> {
    let message = "a secret cannot be compared: a script only has a reference to it";
    Err(super::sandbox::script_error(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let engine = crate::script::sandbox::engine();
        let mut scope = rhai::Scope::new();
        scope.push("s", SecretRef { name: "api".into(), nonce: "n1".into() });
        engine.run_ast_with_scope(&mut scope, &engine.compile("let unused = 0;").expect("compiles"))?;
        let ast = crate::script::rewrite::rewrite(engine.compile(script).expect("compiles"));
        engine.eval_ast_with_scope(&mut scope, &ast)
    }

    #[test]
    fn becomes_a_placeholder_in_texts() {
        for script in
            ["`a${s}b`", "\"a\" + s + \"b\"", "let t = \"a\"; t += s; t + 'b'", "\"a\" + s.to_string() + \"b\""]
        {
            assert_eq!(run(script).expect(script).to_string(), "a⟦secret:api:n1⟧b", "{script}");
        }
    }

    #[test]
    fn can_neither_be_compared_nor_measured() {
        for script in ["s == s", "s != \"x\"", "[s] == [s]", "s < \"x\"", "s.len()", "s.name"] {
            assert!(run(script).is_err(), "{script}");
        }
    }

    #[test]
    fn is_shown_masked() {
        assert_eq!(run("[s].to_string()").expect("text").to_string(), "[***]");
        assert_eq!(mask("a ⟦secret:api:n1⟧ b ⟦secret:x:y⟧"), "a *** b ***");
        assert!(matches!(mask("plain ⟦secret:"), Cow::Borrowed(_)));
    }

    #[test]
    fn placeholders_are_found_where_they_are() {
        let text = "⟦secret:⟦secret:a:b:c⟧!";
        let found = find_placeholders(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name, found[0].nonce, &text[found[0].range.clone()]), ("a:b", "c", "⟦secret:a:b:c⟧"));
    }
}
