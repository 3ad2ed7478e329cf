//! What is wrong with a script, as data, and its one rendering for people.
//!
//! A [`Diagnostic`] carries everything that a terminal, a page, an editor or a JSON client needs: it is made where the
//! fault is found and rendered in [`Diagnostic::render`] alone. The table of codes is in [`codes`].
//! This module owns no state and must not know Rhai: positions are plain lines and columns.

pub mod codes;
mod fix;
mod render;
pub mod suggest;
mod width;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use fix::{Edit, Fix, apply};
pub use render::Color;
pub use width::columns;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The script cannot be used, or the run failed.
    Error,
    /// Likely a mistake; the script can be used.
    Warning,
    /// Something worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One link of the chain of calls that led to a fault: `function` was called at this place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The function that was called; `closure` for one without a name.
    pub function: String,
    /// The file of the call, relative to the scripts folder.
    pub file: String,
    /// Line of the call, from 1; 0 where it is not known.
    pub line: usize,
    /// Column of the call in characters, from 1.
    pub column: usize,
}

/// `reserve (orders/invoice.rhai:7:3)`, as the error of a run has it.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{}:{})", self.function, self.file, self.line, self.column)
    }
}

impl Frame {
    /// What [`fmt::Display`] wrote; without a column it is the first.
    pub fn parse(text: &str) -> Option<Self> {
        let (function, place) = text.strip_suffix(')')?.split_once(" (")?;
        let (before, last) = place.rsplit_once(':')?;
        let last = last.parse().ok()?;
        let (file, line, column) = match before.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
            Some((file, Ok(line))) => (file, line, last),
            _ => (before, last, 1),
        };
        Some(Self { function: function.to_owned(), file: file.to_owned(), line, column })
    }
}

/// A place in a source: where the caret goes, and the line that it stands under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, relative to the scripts folder.
    pub file: String,
    /// Line from 1; 0 means the file as a whole.
    pub line: usize,
    /// Column in characters from 1.
    pub column: usize,
    /// Width of the caret in characters, at least 1 where there is a line.
    pub width: usize,
    /// The text of the line, without its line end.
    pub source: String,
}

impl Place {
    /// The file as a whole, without a line.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }
}

/// A fault of a script: one title, one place, one hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The code, for example `E0301`: a row of [`codes::CODES`].
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence, lower case.
    pub title: String,
    /// Where.
    #[serde(flatten)]
    pub place: Box<Place>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
    /// More about it, where a sentence is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<str>>,
    /// The calls that led here, the innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Frame>,
    /// How it is mended, where that needs no thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Box<Fix>>,
}

impl Diagnostic {
    /// A diagnostic with the severity that its code has.
    pub fn new(code: &str, title: impl Into<String>, place: Place) -> Self {
        Self {
            code: code.to_owned(),
            severity: codes::severity(code),
            title: title.into(),
            place: Box::new(place),
            hint: None,
            text: None,
            calls: Vec::new(),
            fix: None,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a hint, where there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }

    /// With a paragraph of detail.
    #[must_use]
    pub fn text(mut self, text: impl Into<Box<str>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With how it is mended, where that is known.
    #[must_use]
    pub fn maybe_fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix.map(Box::new).or(self.fix);
        self
    }

    /// Whether it stops the script from being used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The diagnostic as people read it: title, place, source line, caret, call chain, hint; ends with a line end.
    pub fn render(&self, color: Color) -> String {
        render::render(self, color)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line == 0 {
            return write!(f, "{}: {}", self.place.file, self.title);
        }
        write!(f, "{}:{}:{}: {}", self.place.file, self.place.line, self.place.column, self.title)
    }
}

impl std::error::Error for Diagnostic {}

/// Sorts by file and position, and drops repetitions.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.place.file.clone(), d.place.line, d.place.column, d.severity, d.code.clone());
        key(a).cmp(&key(b)).then_with(|| a.title.cmp(&b.title))
    });
    diagnostics.dedup();
}
