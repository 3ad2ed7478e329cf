//! x
use super::bundle::Bundle;
use super::source::Source;
use crate::diag::{Diagnostic, Place};
use rhai::{EvalAltResult, ParseError, Position};

/// From
pub fn from_parse(error: &ParseError, source: &Source) -> Diagnostic {
    let place = source.place(error.1.line().unwrap_or(0), error.1.position().unwrap_or(1), 1);
    Diagnostic::new("E0201", error.0.to_string(), place)
}

/// From
pub fn from_eval(error: &EvalAltResult, bundle: &Bundle, path: &str) -> Diagnostic {
    let pos = error.position();
    let source = bundle.sources.get(path);
    let place = source.map_or(Place::file(path), |s| s.place(pos.line().unwrap_or(0), pos.position().unwrap_or(1), 1));
    Diagnostic::new("E0501", error.to_string(), place)
}

/// From
pub fn place_of_function(source: &Source, _name: &str, body: Position) -> Place {
    source.place(body.line().unwrap_or(0), body.position().unwrap_or(1), 1)
}
