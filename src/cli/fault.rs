//! The error of a run as a diagnostic, over the sources that the run is pinned to.

use serde_json::Value;

use crate::diag::{Diagnostic, Frame, Place};
use crate::script::bundle::Bundle;
use crate::script::errors;

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
    let hint = hint.or_else(|| error["hint"].as_str());
    let mut diagnostic = Diagnostic::new(code, title, place(error, sources)).maybe_hint(hint.map(str::to_owned));
    let calls = error["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    diagnostic.calls = calls.iter().filter_map(|call| Frame::parse(call.as_str()?)).collect();
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
    errors::place_at(source, line, column)
}
