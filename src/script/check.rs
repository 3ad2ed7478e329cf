//! Finds mistakes without running: names, numbers of arguments, literals, effects in a declaration, code that is never
//! reached.
//!
//! The parser resolves local variables, so what it leaves open is a constant, a host variable, or a mistake.
//! It looks at the syntax tree as it is written, before any rewriting; the host functions it knows only by their [`Catalog`].
//! Of a file with faults of the syntax it looks at what parses.

mod allow;
mod asked;
mod effects;
mod known;
mod literals;
mod locate;
mod nothing;
mod shape;
pub mod starts;
#[cfg(test)]
mod tests;
mod texts;
pub mod touches;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rhai::{ASTFlags, Engine, Stmt};

pub use self::locate::{Located, is_told, locate};

pub use self::shape::Shape;

pub use self::known::natives;
use self::known::{Function, Known};
use self::shape::Changed;
use self::walk::{Level, Walker};
use super::bundle::{self, Bundle, Kind, classify};
use super::catalog::Catalog;
use super::errors::{self, Natives};
use super::recover::{Recovered, recover};
use super::source::Source;
use crate::diag::{self, Diagnostic, Edit, Fix};

/// A line of `allow` that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What may not be done, in one sentence.
    pub title: String,
    /// The key below `allow`: `http`, `secrets`, `files`, ….
    pub capability: &'static str,
    /// What has to be in its list.
    pub entry: String,
}

/// What the caller knows beside the bundle.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The declared `input`.
    pub input: Option<&'a Shape>,
    /// Says what is wrong with a literal text given to a host function: its name, the index of the argument, the text.
    /// For a text in a map of options the name has the key: `wait_for.timeout`.
    pub literal: &'a dyn Fn(&str, usize, &str) -> Option<String>,
    /// Says what the declaration does not allow: a host function, the index of the argument, and the text that it is
    /// given there (of a text with values in it, what is before the first of them).
    pub allowed: &'a dyn Fn(&str, usize, &str) -> Option<Missing>,
    /// The file whose declaration `allowed` is about; [`check`] sets it.
    pub declares: Option<&'a Source>,
    /// What [`natives`] says of the engine, where that is known: to ask takes as long as all the rest.
    pub natives: Option<&'a Natives>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { input: None, literal: &|_, _, _| None, allowed: &|_, _, _| None, declares: None, natives: None }
    }
}

/// All findings in the files of a bundle, sorted by file and position. Built-in modules are not looked at.
pub fn check(engine: &Engine, bundle: &Bundle, catalog: &Catalog, options: Options) -> Vec<Diagnostic> {
    let files = parsed(engine, bundle);
    let options = Options { declares: bundle.sources.get(bundle.main()), ..options };
    let natives = options.natives.map_or_else(|| Cow::Owned(natives(engine)), Cow::Borrowed);
    let known = Known::new(natives, bundle, &files, catalog);
    let mut findings = Vec::new();
    for path in bundle.order().iter().filter(|path| !path.starts_with("std/")) {
        let (Some(file), Some(source)) = (files.get(path), bundle.sources.get(path)) else { continue };
        let mut found = Vec::new();
        File { bundle, known: &known, catalog, options, read: file, source: &file.source }.check(&mut found);
        found.iter_mut().for_each(|finding| file.restore(source, finding));
        findings.extend(file.faults.iter().cloned());
        findings.extend(found);
    }
    diag::sort(&mut findings);
    findings
}

/// The faults of the syntax of one file alone, all of them.
pub fn syntax(engine: &Engine, source: &Source) -> Vec<Diagnostic> {
    recover(engine, source).faults
}

fn parsed(engine: &Engine, bundle: &Bundle) -> BTreeMap<String, Recovered> {
    bundle.sources.iter().map(|(path, source)| (path.clone(), recover(engine, source))).collect()
}

struct File<'a> {
    bundle: &'a Bundle,
    known: &'a Known<'a>,
    catalog: &'a Catalog,
    options: Options<'a>,
    read: &'a Recovered,
    /// The text of the tree.
    source: &'a Source,
}

impl File<'_> {
    fn check(&self, findings: &mut Vec<Diagnostic>) {
        self.hidden_functions(findings);
        self.imports(findings);
        texts::check(self.source, findings);
        let is_main = self.source.path == self.bundle.main();
        let has_main = self.known.functions(&self.source.path).any(|function| function.name == "main");
        let declares = !is_main || has_main || self.read.lost.contains("main");
        if declares {
            self.variables_of_a_declaration(findings);
        }
        let level = if declares { Level::Declaration } else { Level::Script };
        let statements = self.read.ast.statements();
        let changed = Changed::in_file(&self.read.ast);
        let mut walker = Walker::new(self.known, self.source, self.options, &changed, level);
        if !declares {
            walker.input("input");
            effects::check(self.source, self.catalog, statements, findings);
        }
        walker.block(statements);
        findings.append(&mut walker.findings);
        for function in self.known.functions(&self.source.path) {
            effects::check(self.source, self.catalog, &function.body, findings);
            if !function.is_closure() {
                self.function(function, is_main, &changed, findings);
            }
        }
    }

    fn function(&self, function: &Function, is_main: bool, changed: &Changed, findings: &mut Vec<Diagnostic>) {
        let mut walker = Walker::new(self.known, self.source, self.options, changed, Level::Function);
        walker.locals(function.params.iter().cloned());
        if is_main
            && function.name == "main"
            && let [input] = function.params.as_slice()
        {
            walker.input(input);
        }
        walker.block(&function.body);
        findings.append(&mut walker.findings);
    }

    /// Functions of the script that take the place of a host function.
    fn hidden_functions(&self, findings: &mut Vec<Diagnostic>) {
        for def in self.read.ast.iter_fn_def() {
            let Some((min, max)) = self.catalog.range(&def.name) else { continue };
            if (min..=max).contains(&def.params.len()) {
                let place = errors::place_of_function(self.source, &def.name, def.body.start_position());
                let title = format!("function `{}` hides the one of the engine", def.name);
                findings.push(Diagnostic::new("W0403", title, place).hint("give it another name"));
            }
        }
    }

    fn imports(&self, findings: &mut Vec<Diagnostic>) {
        for import in bundle::imports(self.source) {
            let resolved = import.path.as_deref().map(|path| bundle::resolve_import(&self.source.path, path));
            let Some(Ok(path)) = resolved else { continue };
            if matches!(classify(&path), Kind::Workflow(_)) && !path.starts_with("std/") {
                let title = format!("imported file `{path}` is a workflow of its own too");
                findings.push(Diagnostic::new("W0406", title, import.place).hint("move it into a folder named `lib`"));
            }
        }
    }

    fn variables_of_a_declaration(&self, findings: &mut Vec<Diagnostic>) {
        for stmt in self.read.ast.statements() {
            let Stmt::Var(parts, flags, pos) = stmt else { continue };
            if !flags.intersects(ASTFlags::CONSTANT | ASTFlags::EXPORTED) {
                let title = format!("variable `{}` at top level is visible in no function", parts.0.name);
                let hint = format!("write `const {} = ...`, or move it into a function", parts.0.name);
                let place = errors::place(self.source, parts.0.pos);
                let keyword = errors::place(self.source, *pos);
                let is_let = self
                    .source
                    .line(keyword.line)
                    .is_some_and(|line| line.chars().skip(keyword.column - 1).take(4).eq("let ".chars()));
                let fix = is_let
                    .then(|| Fix::new("write `const`", vec![Edit::replace(keyword.line, keyword.column, 3, "const")]));
                findings.push(Diagnostic::new("W0405", title, place).hint(hint).maybe_fix(fix));
            }
        }
    }
}
