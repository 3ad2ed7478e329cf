//! The error of a run as a diagnostic, over the sources that the run is pinned to.

use serde_json::Value;

use crate::diag::{Diagnostic, Place};
use crate::script::bundle::Bundle;

/// What failed, where, and what may help.
pub(super) fn diagnose(error: &Value, sources: Option<&Bundle>) -> Diagnostic {
    let kind = error["kind"].as_str().unwrap_or("script");
    let message = error["message"].as_str().unwrap_or("the run failed");
    let (title, hint) = message.split_once("; hint: ").map_or((message, None), |(what, hint)| (what, Some(hint)));
    let by_kind = match kind {
        "limit" => "E0510",
        "cancelled" => "E0511",
        "invalid" => "E0513",
        "denied" => "E0514",
        _ => "E0501",
    };
    let code = error["code"].as_str().and_then(crate::diag::codes::find).map_or(by_kind, |code| code.code);
    let diagnostic = Diagnostic::new(code, title, place(error, sources)).maybe_hint(hint.map(str::to_owned));
    let details = details(kind, error);
    if details.is_empty() { diagnostic } else { diagnostic.text(details) }
}

fn details(kind: &str, error: &Value) -> String {
    let mut parts = Vec::new();
    if kind != "thrown" {
        parts.push(format!("kind `{kind}`"));
    }
    if let Some(status) = error["status"].as_i64() {
        parts.push(format!("status {status}"));
    }
    if let Some(step) = error["step"].as_str() {
        parts.push(format!("in step `{step}`"));
    }
    if let Some(attempt) = error["attempt"].as_i64().filter(|attempt| *attempt > 1) {
        parts.push(format!("in attempt {attempt}"));
    }
    if let Some(run) = error["run"].as_str() {
        parts.push(format!("of run {run}"));
    }
    parts.join(", ")
}

fn place(error: &Value, sources: Option<&Bundle>) -> Place {
    let number = |field: &str| error[field].as_u64().map_or(0, |n| n as usize);
    let (line, column) = (number("line"), number("column").max(1));
    let Some(bundle) = sources else {
        return Place { file: error["file"].as_str().unwrap_or_default().to_owned(), line, column, ..Place::default() };
    };
    let path = error["file"].as_str().unwrap_or(bundle.main());
    let path = if bundle.sources.contains_key(path) { path } else { bundle.main() };
    let Some(source) = bundle.sources.get(path).filter(|_| line > 0) else { return Place::file(path) };
    let text = source.line(line).unwrap_or_default();
    source.place(line, column, width(text, column))
}

/// As wide as the name that stands there.
fn width(line: &str, column: usize) -> usize {
    let name = line.chars().skip(column - 1).take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'));
    name.count().max(1)
}
