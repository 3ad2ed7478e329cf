//! How a test fails: what is told, carried through the script engine.

use rhai::{Dynamic, EvalAltResult, Position};

use crate::diag::Diagnostic;

/// A failure with more to say than a text.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    /// A code of the table.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) title: String,
    /// More about it.
    pub(super) text: Option<String>,
    /// What to do.
    pub(super) hint: Option<String>,
    /// Where, when it is not where the test calls.
    pub(super) place: Option<Box<crate::diag::Place>>,
}

/// An assertion that does not hold.
pub(super) const ASSERTION: &str = "E0701";
/// A call that nothing answers.
pub(super) const NO_MOCK: &str = "E0702";
/// The outcome depends on where the process dies.
pub(super) const CRASH: &str = "E0703";
/// The test object was used in a way that makes no sense.
pub(super) const MISUSE: &str = "E0704";

/// A limit was passed.
pub(super) const LIMIT: &str = "E0510";

pub(super) type Res<T> = Result<T, Box<EvalAltResult>>;

impl Broken {
    pub(super) fn new(code: &'static str, title: impl Into<String>) -> Self {
        Self { code, title: title.into(), text: None, hint: None, place: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// From the words that others use: what is wrong, and behind `; hint:` what to do.
    pub(super) fn told(code: &'static str, message: &str) -> Self {
        match message.split_once("; hint: ") {
            Some((title, hint)) => Self::new(code, title).hint(hint),
            None => Self::new(code, message),
        }
    }

    /// The failure in an error of the script engine, where there is one.
    pub(super) fn find(error: &EvalAltResult) -> Option<Self> {
        match error {
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
                Self::find(inner)
            }
            EvalAltResult::ErrorRuntime(value, _) => value.clone().try_cast::<Self>(),
            _ => None,
        }
    }

    /// Tells a diagnostic of where the test stood what this says.
    pub(super) fn tell(self, mut diagnostic: Diagnostic) -> Diagnostic {
        if let Some(place) = self.place {
            let at = format!("{}:{}", diagnostic.place.file, diagnostic.place.line);
            diagnostic.place = place;
            diagnostic.text = Some(format!("reached by the test at {at}").into());
        } else {
            diagnostic.text = None;
        }
        self.code.clone_into(&mut diagnostic.code);
        diagnostic.title = self.title;
        diagnostic.hint = self.hint.map(Into::into);
        if let Some(text) = self.text {
            diagnostic.text = Some(text.into());
        }
        diagnostic
    }
}

impl From<Broken> for Box<EvalAltResult> {
    fn from(broken: Broken) -> Self {
        EvalAltResult::ErrorRuntime(Dynamic::from(broken), Position::NONE).into()
    }
}
