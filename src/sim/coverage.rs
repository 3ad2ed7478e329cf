//! Which steps and branches of the workflows the tests went through.

use std::collections::{BTreeMap, BTreeSet};

use rhai::Engine;
use serde_json::{Value, json};

use super::site::{Site, Workflows};
use crate::engine::Deployed;
use crate::script::lex;
use crate::script::program::Program;
use crate::script::rewrite;
use crate::script::rewrite::marks::{Mark, mark};
use crate::script::sandbox::seen::Place;
use crate::script::source::Source;

/// What was gone through on one thread.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Branches.
    pub(super) places: BTreeSet<Place>,
    /// Steps, with the workflow of their run.
    pub(super) steps: BTreeSet<(String, String)>,
}

/// A step or branch, and whether it was gone through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// The step's name, or what the branch is: `fn NAME`, `closure`, `if`, `else`, `loop`, `arm`, `catch`.
    pub what: String,
    /// Some test went through it.
    pub taken: bool,
}

/// The ways of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// The file.
    pub file: String,
    /// Steps with a literal name.
    pub steps: Vec<Way>,
    /// Branches.
    pub branches: Vec<Way>,
}

impl FileCoverage {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        let ways = |ways: &[Way]| -> Vec<Value> {
            let way =
                |way: &Way| json!({ "line": way.line, "column": way.column, "what": way.what, "taken": way.taken });
            ways.iter().map(way).collect()
        };
        json!({ "file": self.file, "steps": ways(&self.steps), "branches": ways(&self.branches) })
    }
}

/// The coverage of all files of the folder's workflows, by file; modules that are built in are left out.
pub(super) fn of(site: &Site, engine: &Engine, gone: &Gone) -> Vec<FileCoverage> {
    let workflows = site.workflows(&BTreeMap::new());
    let Workflows { good, .. } = &*workflows;
    let mut files: BTreeMap<String, FileCoverage> = BTreeMap::new();
    for deployed in good {
        let Ok(program) = Program::compile_with(engine, &deployed.bundle, rewrite::rewrite) else { continue };
        for path in deployed.bundle.order().iter().filter(|path| !path.starts_with("std/")) {
            files.entry(path.clone()).or_insert_with(|| file(deployed, &program, path, gone));
        }
    }
    files.into_values().collect()
}

fn file(deployed: &Deployed, program: &Program, path: &str, gone: &Gone) -> FileCoverage {
    let marks = program.ast(path).map_or_else(Vec::new, |ast| mark(ast.clone()).1);
    let branch = |mark: Mark| {
        let taken = gone.places.contains(&(path.to_owned(), mark.line, mark.column));
        Way { line: mark.line, column: mark.column, what: mark.what, taken }
    };
    let is_main = path == deployed.bundle.main();
    let begun = |step: &str| {
        gone.steps.iter().any(|(workflow, begun)| begun == step && (!is_main || **workflow == *deployed.name))
    };
    let steps = deployed.bundle.sources.get(path).map_or_else(Vec::new, steps_of);
    let step = |(what, line, column): (String, usize, usize)| Way { line, column, taken: begun(&what), what };
    FileCoverage {
        file: path.to_owned(),
        steps: steps.into_iter().map(step).collect(),
        branches: marks.into_iter().filter(|mark| mark.line > 0).map(branch).collect(),
    }
}

/// Steps whose names are literals: name, line and column.
fn steps_of(source: &Source) -> Vec<(String, usize, usize)> {
    let tokens = lex::code(&source.text);
    let calls = tokens.windows(3).filter(|part| matches!(part[0].text, "step" | "once") && part[1].text == "(");
    calls.filter_map(|part| Some((part[2].string()?.to_owned(), part[0].line, part[0].column))).collect()
}
