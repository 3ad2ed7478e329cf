//! The way of an error that ends a run, whatever the script does: which functions it left, and where each was called.
//!
//! Rhai tells the calls of an ordinary error by wrapping it at each function that it leaves. The errors that no `try` may
//! catch (a limit, a stop) pass functions bare, and take the position of the call for their own. So each function's body
//! is a node ([`super::rewrite`]) that notes where the error was. Costs nothing until there is such an error.

use std::ops::Deref;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, ImmutableString, Position};

/// A function that the error has left.
#[derive(Clone, Debug)]
struct Left {
    function: ImmutableString,
    file: String,
    /// Known only when the error has come to the caller.
    called_at: Position,
}

/// What such an error carries: itself, with its own position, and what it has left, the innermost first.
#[derive(Clone, Debug)]
struct Unwinding {
    error: Rc<EvalAltResult>,
    left: Vec<Left>,
}

/// The error leaves the body of a function. It stays one that cannot be caught.
#[expect(clippy::unnecessary_box_returns, clippy::boxed_local, reason = "the error type of scripts")]
pub(super) fn leave(error: Box<EvalAltResult>, function: ImmutableString, file: &str) -> Box<EvalAltResult> {
    let mut unwinding = match *error {
        EvalAltResult::ErrorTerminated(token, position) if token.is::<Unwinding>() => {
            let mut unwinding = token.cast::<Unwinding>();
            // Having left the function before, it got the position of that one's call.
            if let Some(inner) = unwinding.left.last_mut() {
                inner.called_at = position;
            }
            unwinding
        }
        error => Unwinding { error: Rc::new(error), left: Vec::new() },
    };
    unwinding.left.push(Left { function, file: file.to_owned(), called_at: Position::NONE });
    EvalAltResult::ErrorTerminated(Dynamic::from(unwinding), Position::NONE).into()
}

/// An error whose calls are told as Rhai tells them.
pub enum Plain<'e> {
    /// It was so already.
    Same(&'e EvalAltResult),
    /// It was made so.
    Made(Box<EvalAltResult>),
}

impl Deref for Plain<'_> {
    type Target = EvalAltResult;

    fn deref(&self) -> &EvalAltResult {
        match self {
            Self::Same(error) => error,
            Self::Made(error) => error,
        }
    }
}

/// The error with all its calls as `ErrorInFunctionCall`, and the place where it arose in the innermost.
pub fn plain(error: &EvalAltResult) -> Plain<'_> {
    made(error).map_or(Plain::Same(error), Plain::Made)
}

/// The same, of an error that is not needed any more.
pub fn into_plain(error: Box<EvalAltResult>) -> Box<EvalAltResult> {
    made(&error).unwrap_or(error)
}

fn made(error: &EvalAltResult) -> Option<Box<EvalAltResult>> {
    use EvalAltResult as E;
    let made = match error {
        E::ErrorInFunctionCall(name, file, inner, at) => {
            E::ErrorInFunctionCall(name.clone(), file.clone(), made(inner)?, *at)
        }
        E::ErrorInModule(name, inner, at) => E::ErrorInModule(name.clone(), made(inner)?, *at),
        E::ErrorTerminated(token, at) => return token.read_lock::<Unwinding>().map(|way| way.told(*at)),
        _ => return None,
    };
    Some(made.into())
}

impl Unwinding {
    /// `at` is where the outermost function was called.
    #[expect(clippy::unnecessary_box_returns, reason = "the error type of scripts")]
    fn told(&self, at: Position) -> Box<EvalAltResult> {
        let mut error = again(&self.error);
        for (number, left) in self.left.iter().enumerate() {
            let is_outermost = number + 1 == self.left.len();
            let at = if is_outermost { at } else { left.called_at };
            error = EvalAltResult::ErrorInFunctionCall(left.function.to_string(), left.file.clone(), error, at).into();
        }
        error
    }
}

/// Errors that pass functions bare are few; they cannot be cloned as such.
#[expect(clippy::unnecessary_box_returns, reason = "the error type of scripts")]
fn again(error: &EvalAltResult) -> Box<EvalAltResult> {
    use EvalAltResult as E;
    match error {
        E::ErrorTerminated(token, at) => E::ErrorTerminated(token.clone(), *at),
        E::ErrorStackOverflow(at) => E::ErrorStackOverflow(*at),
        E::ErrorTooManyOperations(at) => E::ErrorTooManyOperations(*at),
        E::ErrorTooManyVariables(at) => E::ErrorTooManyVariables(*at),
        E::ErrorTooManyModules(at) => E::ErrorTooManyModules(*at),
        E::ErrorDataTooLarge(what, at) => E::ErrorDataTooLarge(what.clone(), *at),
        E::ErrorParsing(kind, at) => E::ErrorParsing(kind.clone(), *at),
        E::ErrorCustomSyntax(text, tokens, at) => E::ErrorCustomSyntax(text.clone(), tokens.clone(), *at),
        other => E::ErrorSystem(String::new(), other.to_string().into()),
    }
    .into()
}

/// Whether the run was stopped: by a limit, or because somebody cancelled it.
pub fn is_stop(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            is_stop(inner)
        }
        EvalAltResult::ErrorTerminated(token, _) => {
            token.is_map() || token.read_lock::<Unwinding>().is_some_and(|way| is_stop(&way.error))
        }
        _ => false,
    }
}
