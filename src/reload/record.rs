//! What came of a save: one record, as the daemon prints it and the API lists it.

use serde_json::{Value, json};

use crate::diag::{Color, Diagnostic};
use crate::engine::gate::{Report, State};
use crate::id::Version;
use crate::time::Timestamp;

/// What a save led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What is in the file runs from now on.
    Live,
    /// It cannot be used; the last good version stays, where there is one.
    Broken,
    /// It means the same as before.
    Unchanged,
    /// The file is gone: the workflow cannot be started any more.
    Removed,
}

impl Status {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Broken => "broken",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
        }
    }
}

/// One workflow after a save, of its own file or of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// The workflow's file, below the scripts folder.
    pub file: String,
    /// The workflow.
    pub workflow: String,
    /// The version that new runs get now: of a broken file the last good one, if any.
    pub version: Option<Version>,
    /// What it led to.
    pub status: Status,
    /// What is wrong with it: errors of a broken file, warnings of a live one.
    pub diagnostics: Vec<Diagnostic>,
    /// When.
    pub at: Timestamp,
    /// What recorded runs make of the version: of one that has gone live.
    pub gate: Option<Report>,
}

impl Reload {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.file, "workflow": self.workflow, "version": self.version, "status": self.status.name(),
            "diagnostics": self.diagnostics.iter().map(shown).collect::<Vec<_>>(), "gate": self.gate, "at": self.at,
        })
    }

    /// What the gate found, for a terminal; empty where there was nothing to try, or it is not done.
    pub fn render_gate(&self, color: Color) -> String {
        let done = |report: &&Report| report.state == State::Done && !report.is_empty();
        let Some(report) = self.gate.as_ref().filter(done) else { return String::new() };
        let mut text = String::new();
        for (n, line) in report.lines().iter().enumerate() {
            let who = if n == 0 { format!("{}: gate: ", self.file) } else { "  ".to_owned() };
            text.push_str(&format!("{who}{line}\n"));
        }
        for group in &report.divergences {
            text.push_str(&group.diagnostic().render(color));
        }
        text
    }

    /// For a terminal: a line, and what is wrong below it. Ends with a line end.
    pub fn render(&self, color: Color) -> String {
        let state = match (self.status, &self.version) {
            (Status::Live | Status::Unchanged, Some(version)) => format!(" (version {})", short(version)),
            (Status::Broken, Some(version)) => format!("; version {} stays live", short(version)),
            (Status::Removed, _) => "; its open runs finish".to_owned(),
            _ => String::new(),
        };
        let mut text = format!("{}: {}{state}\n", self.file, self.status.name());
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.render(color));
        }
        text
    }
}

/// Enough of a version to tell it from others by eye.
fn short(version: &Version) -> &str {
    version.0.get(..8).unwrap_or(&version.0)
}

/// With a `hint` in any case.
fn shown(diagnostic: &Diagnostic) -> Value {
    let mut value = serde_json::to_value(diagnostic).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.entry("hint").or_insert(Value::Null);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Place;

    #[test]
    fn a_record_has_the_fields_of_the_api() {
        let fault = Diagnostic::new("E0201", "syntax error", Place::file("a.rhai"));
        let (file, workflow) = ("a.rhai".to_owned(), "a".to_owned());
        let version = Some(Version("0123456789".into()));
        let reload = Reload {
            file,
            workflow,
            version,
            status: Status::Broken,
            diagnostics: vec![fault],
            at: Timestamp(0),
            gate: None,
        };
        let json = reload.to_json();
        let first = json["diagnostics"][0].as_object().unwrap();
        for field in ["code", "severity", "title", "line", "column", "width", "hint"] {
            assert!(first.contains_key(field), "{field}");
        }
        assert_eq!((&json["status"], &json["gate"]), (&json!("broken"), &Value::Null));
        assert!(reload.render(Color::Plain).starts_with("a.rhai: broken; version 01234567 stays live\nerror[E0201]"));
    }
}
