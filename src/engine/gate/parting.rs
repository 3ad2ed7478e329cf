//! Where a recorded run and a version part: both commands, each with its line.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{Diagnostic, Place};
use crate::id::Version;
use crate::journal::Kind;
use crate::replay::{Divergence, Site};
use crate::script::bundle::Bundle;
use crate::script::source::Source;

/// A command at its line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What it is: `effect`, `step`, `event`, ….
    pub kind: String,
    /// Function, step, event or workflow.
    pub name: String,
    /// The version that issues it.
    pub version: Version,
    /// The file, below the scripts folder.
    pub file: String,
    /// From 1; 0 where it is not known.
    pub line: usize,
    /// Where the name stands in the line, from 1.
    pub column: usize,
    /// How many characters the name takes there.
    pub width: usize,
    /// The text of the line.
    pub source: String,
}

/// Both sides of a divergence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parting {
    /// Where in the run.
    pub position: String,
    /// What is recorded, and the line of the version that did it. `None`: nothing more is recorded.
    pub recorded: Option<Line>,
    /// What the version that was tried does there. `None`: nothing more.
    pub issued: Option<Line>,
    /// Kind and name are the same, the arguments are not.
    pub arguments_differ: bool,
}

impl Parting {
    /// `before` are the sources of the version that recorded, where they can be had, and `recorder` the call that issued
    /// what is recorded, where it is known ([`super::origin`]); `after` are the sources of the version that was tried.
    pub fn new(divergence: &Divergence, before: Option<&Bundle>, recorder: Option<&Site>, after: &Bundle) -> Self {
        let line = |side: &Option<(Kind, std::sync::Arc<str>, u32)>, bundle: Option<&Bundle>, site: Option<&Site>| {
            side.as_ref().map(|(kind, name, line)| {
                let line = *line as usize;
                let source = bundle.and_then(|bundle| match site {
                    Some(site) => file_of(bundle, site, line),
                    None => holder(bundle, name, line),
                });
                Line::at(kind.name(), name, line, bundle, source)
            })
        };
        Self {
            position: divergence.position.to_string(),
            recorded: line(&divergence.recorded, before, recorder),
            issued: line(&divergence.attempted, Some(after), divergence.attempted_by.as_deref()),
            arguments_differ: divergence.arguments_differ,
        }
    }

    /// The same two commands, wherever in a run.
    pub fn is_like(&self, other: &Self) -> bool {
        self.recorded == other.recorded
            && self.issued == other.issued
            && self.arguments_differ == other.arguments_differ
    }

    /// The error of a run that stops here: `#{ kind, code, message, position, divergence }`.
    pub fn to_error(&self, hint: &str) -> Value {
        let message = format!("{self}; hint: {hint}");
        serde_json::json!({
            "kind": "script", "code": "E0515", "message": message, "position": self.position, "retryable": false,
            "divergence": self,
        })
    }

    /// With a caret at the line of the version that was tried; at the recorded one where it does nothing more.
    pub fn diagnostic(&self, title: &str) -> Diagnostic {
        let place = self.issued.as_ref().or(self.recorded.as_ref()).map(Line::place).unwrap_or_default();
        let recorded = match &self.recorded {
            Some(line) => format!("recorded: {line} | {}", line.source.trim()),
            None => "recorded: nothing more".to_owned(),
        };
        let issued = self.issued.as_ref().map_or("nothing more".to_owned(), Line::to_string);
        let differ = if self.arguments_differ { ", with other arguments" } else { "" };
        Diagnostic::new("E0515", title, place).text(format!("{recorded}\nnow:      {issued}{differ}"))
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |line: &Option<Line>| line.as_ref().map_or("nothing more".to_owned(), Line::to_string);
        write!(f, "at {} the journal has {}, the script now does ", self.position, side(&self.recorded))?;
        f.write_str(&side(&self.issued))?;
        if self.arguments_differ { f.write_str(" with other arguments") } else { Ok(()) }
    }
}

impl Line {
    fn at(kind: &str, name: &str, line: usize, bundle: Option<&Bundle>, source: Option<&Source>) -> Self {
        let text = source.and_then(|source| source.line(line)).unwrap_or_default();
        let (column, width) = span(text, name);
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: bundle.map_or_else(|| Version("".into()), |bundle| bundle.version.clone()),
            file: source.map(|source| source.path.clone()).unwrap_or_default(),
            line,
            column,
            width,
            source: text.to_owned(),
        }
    }

    fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            width: self.width,
            source: self.source.clone(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` (line {}", self.kind, self.name, self.line)?;
        if self.file.is_empty() { f.write_str(")") } else { write!(f, " of {})", self.file) }
    }
}

/// The file of a call. Of a closure that a module calls the interpreter names the module, so the call must stand there;
/// else it is the file that has it at that very place.
fn file_of<'b>(bundle: &'b Bundle, site: &Site, line: usize) -> Option<&'b Source> {
    let name = site.function.rsplit("::").next().unwrap_or(site.function);
    let has = |source: &&Source| {
        source.line(line).is_some_and(|text| {
            let rest: String = text.chars().skip(site.column.saturating_sub(1)).collect();
            rest.starts_with(site.function) || words(&rest).next().is_some_and(|(at, word)| at == 0 && word == name)
        })
    };
    let file = if site.file.is_empty() { bundle.main() } else { &site.file };
    let told = bundle.sources.get(file);
    told.filter(has).or_else(|| bundle.sources.values().find(has)).or(told)
}

/// A journal knows the line, not the file: where nothing tells more, the file that has the name at that line, the workflow's
/// own first; as a text of its own rather than as a part of another word.
fn holder<'b>(bundle: &'b Bundle, name: &str, line: usize) -> Option<&'b Source> {
    let main = bundle.sources.get(bundle.main());
    let all = || main.into_iter().chain(bundle.sources.values());
    let find = |has: &dyn Fn(&str) -> bool| all().find(|source| source.line(line).is_some_and(has));
    find(&|text| text.contains(&format!("\"{name}\"")))
        .or_else(|| find(&|text| text.contains(name) && (name.contains("::") || words(text).any(|(_, it)| it == name))))
        .or(main)
}

/// The words of a text, and at which byte each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c: char| !is_part(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// Where the name stands in its line, in characters; the first word of the line where it does not.
fn span(text: &str, name: &str) -> (usize, usize) {
    let quoted = text.find(&format!("\"{name}\"")).map(|at| at + 1);
    let (at, width) = if let Some(at) = quoted.or_else(|| text.find(name)) {
        (at, name.chars().count())
    } else {
        let at = text.len() - text.trim_start().len();
        (at, text[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).count())
    };
    (text[..at].chars().count() + 1, width.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_where_its_name_stands() {
        let bundle = Bundle::of_text("w.rhai", "let a = 1;\n    http::get(\"x\");\n").expect("a bundle");
        let find = |kind, name, line| Line::at(kind, name, line, Some(&bundle), holder(&bundle, name, line));
        let line = find("effect", "http::get", 2);
        assert_eq!((line.file.as_str(), line.column, line.width), ("w.rhai", 5, 9));
        assert_eq!(line.to_string(), "effect `http::get` (line 2 of w.rhai)");
        assert_eq!(Line::at("step", "gone", 9, None, None).to_string(), "step `gone` (line 9)");
    }

    #[test]
    fn a_name_that_is_computed_is_shown_at_the_beginning_of_its_line() {
        assert_eq!(span("  step(`n${i}`, || 1)", "n3"), (3, 4));
        assert_eq!(span("", "x"), (1, 1));
    }
}
