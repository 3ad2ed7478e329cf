//! The names that tests can use: of workflows, of functions that have mocks, of steps. Read from the sources of the folder, so
//! that a misspelt one is told where it stands, not passed over in silence.

use std::collections::{BTreeMap, BTreeSet};

use super::broken::{Broken, MISUSE};
use crate::diag::suggest;
use crate::host::catalog::catalog;
use crate::script::bundle::{Bundle, Kind, classify, resolve_import};
use crate::script::catalog;
use crate::script::lex::{self, Kind as Token};
use crate::script::source::Source;

/// See the fields.
#[derive(Default)]
pub(super) struct Names {
    /// Workflows, also those that do not compile.
    workflows: BTreeSet<String>,
    /// Functions of imported modules, as workflows call them: `slack::post`.
    modules: BTreeSet<String>,
    /// Steps whose names are written out.
    steps: BTreeSet<String>,
    /// Some step has a name that is known only when it runs, or some file cannot be read.
    is_open: bool,
}

impl Names {
    /// Of the files of a folder; `load` reads one with all that it imports.
    pub(super) fn of(paths: &[String], load: impl Fn(&str) -> Option<Bundle>) -> Self {
        let mut names = Self::default();
        for path in paths {
            let Kind::Workflow(name) = classify(path) else { continue };
            names.workflows.insert(name);
            match load(path) {
                Some(bundle) => names.add(&bundle),
                None => names.is_open = true,
            }
        }
        names
    }

    fn add(&mut self, bundle: &Bundle) {
        for source in bundle.sources.values() {
            self.steps_of(source);
        }
        let Some(main) = bundle.sources.get(bundle.main()) else { return };
        for (alias, path) in aliases(main) {
            let functions = bundle.sources.get(&path).map(functions_of).unwrap_or_default();
            self.modules.extend(functions.iter().map(|function| format!("{alias}::{function}")));
        }
    }

    fn steps_of(&mut self, source: &Source) {
        let tokens = lex::code(&source.text);
        let constants = texts(&tokens);
        for at in 0..tokens.len().saturating_sub(3) {
            let is_own = at == 0 || !matches!(tokens[at - 1].text, "." | "?." | "::" | "fn");
            if !matches!(tokens[at].text, "step" | "once") || tokens[at + 1].text != "(" || !is_own {
                continue;
            }
            let name = &tokens[at + 2];
            let text = name.string().or_else(|| constants.get(name.text).copied());
            match text.filter(|text| tokens[at + 3].text == "," && !text.contains("${")) {
                Some(text) => drop(self.steps.insert(text.to_owned())),
                None => self.is_open = true,
            }
        }
    }

    /// A workflow of the folder.
    pub(super) fn workflow(&self, name: &str) -> Result<(), Broken> {
        if self.workflows.contains(name) {
            return Ok(());
        }
        let near = suggest::did_you_mean(name, self.workflows.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| "it is the path below the scripts folder, without `.rhai`".to_owned());
        Err(Broken::new(MISUSE, format!("there is no workflow `{name}`")).hint(hint))
    }

    /// A function that can have a mock; `what` is the function of the test object that names it.
    pub(super) fn function(&self, what: &str, name: &str) -> Result<(), Broken> {
        let host = catalog();
        let form = host.find(name).first();
        // It is answered as one of the outside.
        let is_told = name == "notify";
        if is_told || form.is_some_and(|form| has_mock(form.kind)) || self.modules.contains(name) {
            return Ok(());
        }
        if form.is_some() {
            let title =
                format!("`t.{what}`: `{name}` touches nothing outside, so it has no mock and no recorded calls");
            return Err(Broken::new(MISUSE, title).hint("it works in a test as it does in a run"));
        }
        // Where a file cannot be read, its modules are not known.
        if self.is_open
            && name.split_once("::").is_some_and(|(space, _)| !host.has_namespace(space))
            && self.is_alias(name)
        {
            return Ok(());
        }
        let known = host.names().filter(|name| host.find(name).first().is_some_and(|form| has_mock(form.kind)));
        let near = suggest::did_you_mean(name, known.chain(self.modules.iter().map(String::as_str)));
        let hint = near.unwrap_or_else(|| {
            "it is named as the workflow calls it: `http::post`, or `slack::post` of an imported module".to_owned()
        });
        Err(Broken::new(MISUSE, format!("`t.{what}`: there is no function `{name}`")).hint(hint))
    }

    fn is_alias(&self, name: &str) -> bool {
        let space = name.split("::").next().unwrap_or_default();
        self.modules.iter().any(|known| known.split("::").next() == Some(space))
    }

    /// A step of some workflow of the folder.
    pub(super) fn step(&self, name: &str) -> Result<(), Broken> {
        if self.is_open || self.steps.contains(name) {
            return Ok(());
        }
        let known = self.steps.iter().map(|step| format!("`{step}`")).collect::<Vec<_>>().join(", ");
        let near = suggest::did_you_mean(name, self.steps.iter().map(String::as_str));
        let listed = if known.is_empty() { "there are none".to_owned() } else { format!("steps are {known}") };
        let broken = Broken::new(MISUSE, format!("`t.mock_step`: no workflow has a step `{name}`"));
        Err(broken.hint(near.unwrap_or(listed)))
    }

    /// What `t.calls` takes: a function, or a step that has a mock.
    pub(super) fn called(&self, name: &str) -> Result<(), Broken> {
        if self.steps.contains(name) { Ok(()) } else { self.function("calls", name) }
    }
}

/// What touches the outside.
fn has_mock(kind: catalog::Kind) -> bool {
    matches!(kind, catalog::Kind::Reading | catalog::Kind::Mutating)
}

/// Alias and path of what a file imports.
fn aliases(source: &Source) -> Vec<(String, String)> {
    let tokens = lex::code(&source.text);
    let imports = tokens.windows(4).filter(|four| four[0].text == "import" && four[2].text == "as");
    let resolved = |four: &[lex::Token]| {
        let path = resolve_import(&source.path, four[1].string()?).ok()?;
        Some((four[3].text.to_owned(), path))
    };
    imports.filter_map(resolved).collect()
}

fn functions_of(source: &Source) -> Vec<String> {
    let tokens = lex::code(&source.text);
    let named = tokens.windows(2).filter(|pair| pair[0].text == "fn" && pair[1].kind == Token::Word);
    named.map(|pair| pair[1].text.to_owned()).collect()
}

/// Constants that are a text.
fn texts<'a>(tokens: &'a [lex::Token]) -> BTreeMap<&'a str, &'a str> {
    let constants =
        tokens.windows(5).filter(|five| five[0].text == "const" && five[2].text == "=" && five[4].text == ";");
    constants.filter_map(|five| Some((five[1].text, five[3].string()?))).collect()
}
