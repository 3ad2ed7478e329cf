//! Finds mistakes without running: names, numbers of arguments, literals, effects in a declaration, code that is never
//! reached.
//!
//! The parser resolves local variables, so what it leaves open is a constant, a host variable, or a mistake.
//! It looks at the syntax tree as it is written, before any rewriting; the host functions it knows only by their [`Catalog`].

mod known;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTFlags, Engine, Stmt};

use self::known::{Function, Known};
use self::walk::{Level, Walker};
use super::bundle::{self, Kind, classify};
use super::catalog::Catalog;
use super::errors;
use super::program::Program;
use super::source::Source;
use crate::diag::{self, Diagnostic};

/// What the caller knows beside the program.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The properties of the declared `input`, if it is a map that allows no others.
    pub input: Option<&'a BTreeSet<String>>,
    /// Says what is wrong with a literal text given to a host function: its name, the index of the argument, the text.
    /// For a text in a map of options the name has the key: `wait_for.timeout`.
    pub literal: &'a dyn Fn(&str, usize, &str) -> Option<String>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { input: None, literal: &|_, _, _| None }
    }
}

/// All findings in the files of a program, sorted by file and position. Built-in modules are not looked at.
pub fn check(engine: &Engine, program: &Program, catalog: &Catalog, options: Options) -> Vec<Diagnostic> {
    let written = |source: &Source| engine.compile(&*source.text).ok();
    let sources = program.bundle().sources.iter();
    let asts: BTreeMap<String, AST> =
        sources.filter_map(|(path, source)| Some((path.clone(), written(source)?))).collect();
    let known = Known::new(engine, program.bundle(), &asts, catalog);
    let mut findings = Vec::new();
    for path in program.bundle().order().iter().filter(|path| !path.starts_with("std/")) {
        if let (Some(ast), Some(source)) = (asts.get(path), program.bundle().sources.get(path)) {
            File { program, known: &known, catalog, options, ast, source }.check(&mut findings);
        }
    }
    diag::sort(&mut findings);
    findings
}

struct File<'a> {
    program: &'a Program,
    known: &'a Known<'a>,
    catalog: &'a Catalog,
    options: Options<'a>,
    ast: &'a AST,
    source: &'a Source,
}

impl File<'_> {
    fn check(&self, findings: &mut Vec<Diagnostic>) {
        self.hidden_functions(findings);
        self.imports(findings);
        let is_main = self.source.path == self.program.bundle().main();
        let declares = !is_main || self.program.has_main();
        if declares {
            self.variables_of_a_declaration(findings);
        }
        let level = if declares { Level::Declaration } else { Level::Script };
        let mut walker = Walker::new(self.known, self.source, self.options, level);
        if !declares {
            walker.input("input");
        }
        walker.block(self.ast.statements());
        findings.append(&mut walker.findings);
        for function in self.known.functions(&self.source.path).filter(|function| !function.is_closure()) {
            self.function(function, is_main, findings);
        }
    }

    fn function(&self, function: &Function, is_main: bool, findings: &mut Vec<Diagnostic>) {
        let mut walker = Walker::new(self.known, self.source, self.options, Level::Function);
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
        for def in self.ast.iter_fn_def() {
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
        for stmt in self.ast.statements() {
            let Stmt::Var(parts, flags, _) = stmt else { continue };
            if !flags.intersects(ASTFlags::CONSTANT | ASTFlags::EXPORTED) {
                let title = format!("variable `{}` at top level is visible in no function", parts.0.name);
                let hint = format!("write `const {} = ...`, or move it into a function", parts.0.name);
                findings.push(Diagnostic::new("W0405", title, errors::place(self.source, parts.0.pos)).hint(hint));
            }
        }
    }
}
