//! A secret as scripts see it: a reference, never its value.
//!
//! Made part of a text it becomes a placeholder, which the sender finds again and replaces after it has checked where the text
//! goes. Its mark is made by whoever evaluates the script ([`Marks`]), at the moment when the reference becomes text: so a text
//! that merely looks like a placeholder is not one. Knows no secret's value.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

use crate::placeholder::{SHOWN, written};
pub use crate::placeholder::{defuse, find_placeholders, mask};

/// The origin of references that a declaration made.
pub const DECLARED: &str = "declared";

/// A reference to a secret.
#[derive(Debug, Clone)]
pub struct SecretRef {
    /// The secret's name.
    pub name: ImmutableString,
    /// Where it was made: [`DECLARED`], or digits that follow from the run. No secret: it says which of a script's texts are
    /// equal, in journals that outlive the key of the marks.
    pub origin: ImmutableString,
}

impl SecretRef {
    /// The text that stands for the secret here and now: `⟦secret:NAME:MARK⟧`. Where nobody makes marks, it stands for nothing.
    pub fn placeholder(&self) -> String {
        let marks = MARKS.with_borrow(Clone::clone);
        let mark = marks.map_or_else(|| self.origin.to_string(), |marks| marks.mark(self));
        written(&self.name, &mark)
    }
}

/// Makes the marks of placeholders.
pub trait Marks {
    /// The mark of a placeholder for this secret: letters and digits that cannot be guessed.
    fn mark(&self, secret: &SecretRef) -> String;
}

thread_local! {
    static MARKS: RefCell<Option<Rc<dyn Marks>>> = const { RefCell::new(None) };
}

/// Who makes marks on this thread from now on; returns who did before.
pub fn set_marks(marks: Option<Rc<dyn Marks>>) -> Option<Rc<dyn Marks>> {
    MARKS.replace(marks)
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
        scope.push("s", SecretRef { name: "api".into(), origin: "n1".into() });
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
    }

    #[test]
    fn marks_are_made_when_it_becomes_text() {
        struct Here;
        impl Marks for Here {
            fn mark(&self, secret: &SecretRef) -> String {
                format!("{}2", secret.origin)
            }
        }
        let before = set_marks(Some(Rc::new(Here)));
        assert_eq!(run("`${s}`").expect("text").to_string(), "⟦secret:api:n12⟧");
        set_marks(before);
        assert_eq!(run("`${s}`").expect("text").to_string(), "⟦secret:api:n1⟧");
    }
}
