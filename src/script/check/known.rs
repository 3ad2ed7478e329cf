//! The names that there are: of the engine, of the host, of each file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTFlags, ASTNode, Engine, Expr, FnAccess, Stmt};

use super::super::bundle::{Bundle, resolve_import};
use super::super::catalog::Catalog;
use super::super::errors::{self, Natives};
use super::super::lex::{self, Kind};
use super::super::recover::Recovered;
use crate::diag::suggest;

/// Functions that the evaluator itself provides, with any number of arguments.
const BUILT_IN: &[&str] = &["Fn", "call", "curry", "type_of", "is_shared", "is_def_var", "is_def_fn", "print", "debug"];

/// The functions of an engine that scripts can call.
pub fn natives(engine: &Engine) -> Natives {
    let mut natives = errors::natives(engine);
    // They are there only to say so at run time, where the name is computed.
    natives.retain(|name, _| !NOT_HERE.contains(&name.as_str()));
    natives
}

/// What the engine knows only to refuse it.
const NOT_HERE: &[&str] = &["timestamp", "eval"];

/// A function of a script, with a copy of its body.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) is_private: bool,
    pub(super) body: Vec<Stmt>,
}

impl Function {
    pub(super) fn is_closure(&self) -> bool {
        self.name.starts_with("anon$")
    }
}

/// What one file defines.
struct Names {
    functions: Vec<Function>,
    constants: BTreeSet<String>,
    /// Those that are a plain text.
    texts: BTreeMap<String, String>,
    /// Alias → path of the imported file.
    aliases: BTreeMap<String, String>,
}

/// Whether a name is known, and what is near if not.
pub(super) enum Verdict {
    Known,
    /// With a hint.
    Unknown(Option<String>),
    /// With a title.
    WrongCount(String),
    /// The namespace is unknown, with a hint.
    NoModule(Option<String>),
}

/// All names.
pub(super) struct Known<'a> {
    pub(super) catalog: &'a Catalog,
    natives: Cow<'a, Natives>,
    files: BTreeMap<String, Names>,
    /// Names under which some value is kept in a map: a closure there can be called like a method.
    keys: BTreeSet<String>,
    /// Words in what does not parse: each may be a name that is defined there.
    lost: BTreeSet<String>,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        natives: Cow<'a, Natives>,
        bundle: &Bundle,
        parsed: &BTreeMap<String, Recovered>,
        catalog: &'a Catalog,
    ) -> Self {
        let (mut files, mut keys, mut lost) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for (path, source) in &bundle.sources {
            keys.extend(keys_of(&source.text));
            if let Some(file) = parsed.get(path) {
                files.insert(path.clone(), names(path, &file.ast));
                lost.extend(file.lost.iter().cloned());
            }
        }
        debug_assert!(NOT_HERE.iter().all(|name| !natives.contains_key(*name)), "what the checks are given is theirs");
        Self { catalog, natives, files, keys, lost }
    }

    /// The text of a constant of a file, where it is a plain one.
    pub(super) fn text(&self, path: &str, name: &str) -> Option<&str> {
        self.files.get(path)?.texts.get(name).map(String::as_str)
    }

    pub(super) fn functions(&self, path: &str) -> impl Iterator<Item = &Function> {
        self.files.get(path).into_iter().flat_map(|names| &names.functions)
    }

    pub(super) fn closure(&self, path: &str, name: &str) -> Option<&Function> {
        self.functions(path).find(|function| function.name == name)
    }

    fn counts(&self, path: &str, name: &str) -> Vec<usize> {
        self.functions(path).filter(|function| function.name == name).map(|function| function.params.len()).collect()
    }

    /// A call `name(...)`.
    pub(super) fn call(&self, path: &str, name: &str, given: usize) -> Verdict {
        if BUILT_IN.contains(&name) || self.lost.contains(name) {
            return print_of_several(name, given);
        }
        let mut counts = self.counts(path, name);
        counts.extend(self.natives.get(name).into_iter().flatten());
        self.judge(name, given, counts, || {
            if let Some(habit) = errors::habit_of_function(name) {
                return Some(habit);
            }
            let own =
                self.functions(path).filter(|function| !function.is_closure()).map(|function| function.name.as_str());
            let names = own.chain(self.catalog.names()).chain(self.natives.keys().map(String::as_str));
            suggest::did_you_mean(name, names.filter(|name| is_name(name)))
        })
    }

    /// A call `value.name(...)`; the value counts as an argument of native functions.
    pub(super) fn method(&self, path: &str, name: &str, given: usize) -> Verdict {
        if BUILT_IN.contains(&name) || self.keys.contains(name) || self.lost.contains(name) {
            return Verdict::Known;
        }
        let mut counts = self.counts(path, name);
        let natives = self.natives.get(name).into_iter().flatten();
        counts.extend(natives.filter_map(|count| count.checked_sub(1)));
        let methods =
            self.natives.iter().filter(|(name, counts)| !name.contains("::") && counts.iter().any(|count| *count > 0));
        self.judge(name, given, counts, || {
            if let Some(here) = errors::habit_of_method(name).filter(|here| self.natives.contains_key(*here)) {
                return Some(format!("write `.{here}(...)`"));
            }
            let own = self.functions(path).map(|function| function.name.as_str());
            suggest::did_you_mean(name, methods.map(|(name, _)| name.as_str()).chain(own).filter(|name| is_name(name)))
        })
    }

    /// A call `space::name(...)`.
    pub(super) fn qualified(&self, path: &str, space: &[&str], name: &str, given: usize) -> Verdict {
        let full = format!("{}::{name}", space.join("::"));
        if space.iter().any(|alias| self.lost.contains(*alias)) {
            return Verdict::Known;
        }
        let Some(module) = self.module(path, space) else {
            if !self.has_namespace(&space.join("::")) {
                return Verdict::NoModule(self.near_module(path, &full));
            }
            let counts = self.natives.get(&full).cloned().unwrap_or_default();
            return self.judge(&full, given, counts, || suggest::did_you_mean(&full, self.catalog.names()));
        };
        let public: Vec<&Function> =
            self.functions(module).filter(|function| !function.is_private && !function.is_closure()).collect();
        let counts: Vec<usize> =
            public.iter().filter(|function| function.name == name).map(|function| function.params.len()).collect();
        judge(&full, given, &counts, || {
            let near = suggest::nearest(name, public.iter().map(|function| function.name.as_str()))?;
            Some(format!("did you mean `{}::{near}`?", space.join("::")))
        })
    }

    /// A constant `space::NAME`.
    pub(super) fn constant(&self, path: &str, space: &[&str], name: &str) -> Verdict {
        if space.iter().any(|alias| self.lost.contains(*alias)) {
            return Verdict::Known;
        }
        if space == ["global"] {
            return if self.has_constant(path, name) { Verdict::Known } else { Verdict::Unknown(None) };
        }
        let Some(module) = self.module(path, space) else {
            if self.has_namespace(&space.join("::")) {
                return Verdict::Known;
            }
            return Verdict::NoModule(self.near_module(path, &format!("{}::{name}", space.join("::"))));
        };
        if self.has_constant(module, name) {
            return Verdict::Known;
        }
        let constants = self.files.get(module).map(|names| names.constants.iter().map(String::as_str));
        Verdict::Unknown(suggest::did_you_mean(name, constants.into_iter().flatten()))
    }

    pub(super) fn has_constant(&self, path: &str, name: &str) -> bool {
        self.files.get(path).is_some_and(|names| names.constants.contains(name))
    }

    /// A variable that the parser did not find: a constant, or a function by its name.
    pub(super) fn variable<'n>(&'n self, path: &str, name: &str, locals: impl Iterator<Item = &'n str>) -> Verdict {
        if self.has_constant(path, name) || !self.counts(path, name).is_empty() || self.lost.contains(name) {
            return Verdict::Known;
        }
        let constants = self.files.get(path).map(|names| names.constants.iter().map(String::as_str));
        let near = || suggest::did_you_mean(name, locals.chain(constants.into_iter().flatten()));
        Verdict::Unknown(errors::habit_of_name(name).or_else(near))
    }

    /// The file that a chain of aliases leads to.
    fn module<'m>(&'m self, path: &'m str, space: &[&str]) -> Option<&'m str> {
        space.iter().try_fold(path, |path, alias| self.files.get(path)?.aliases.get(*alias).map(String::as_str))
    }

    fn has_namespace(&self, space: &str) -> bool {
        let inside = |name: &str| name.strip_prefix(space).is_some_and(|rest| rest.starts_with("::"));
        self.catalog.has_namespace(space) || self.natives.keys().any(|name| inside(name))
    }

    fn near_module(&self, path: &str, full: &str) -> Option<String> {
        let (space, _) = full.rsplit_once("::")?;
        if let Some(near) = suggest::nearest(full, self.catalog.names().filter(|name| name.contains("::"))) {
            return Some(format!("did you mean `{near}`?"));
        }
        let spaces = self.catalog.names().filter_map(|name| name.rsplit_once("::")).map(|(space, _)| space);
        let aliases = self.files.get(path).into_iter().flat_map(|names| names.aliases.keys().map(String::as_str));
        suggest::did_you_mean(space, spaces.chain(aliases))
            .or_else(|| Some(format!("import it at the top of the file: `import \"lib/{space}\" as {space};`")))
    }

    /// By the host functions and these numbers of arguments.
    fn judge(
        &self,
        name: &str,
        given: usize,
        mut counts: Vec<usize>,
        near: impl FnOnce() -> Option<String>,
    ) -> Verdict {
        for form in self.catalog.find(name) {
            counts.extend(form.min..=form.max);
        }
        judge(name, given, &counts, near)
    }
}

fn judge(name: &str, given: usize, counts: &[usize], near: impl FnOnce() -> Option<String>) -> Verdict {
    match (counts.iter().min(), counts.iter().max()) {
        (Some(_), Some(_)) if counts.contains(&given) => Verdict::Known,
        (Some(min), Some(max)) => Verdict::WrongCount(errors::wrong_count(name, (*min, *max), given)),
        _ => Verdict::Unknown(near()),
    }
}

/// `print(a, b)` prints in other languages; here it takes one value.
fn print_of_several(name: &str, given: usize) -> Verdict {
    if matches!(name, "print" | "debug") && given > 1 {
        return Verdict::WrongCount(errors::wrong_count(name, (1, 1), given));
    }
    Verdict::Known
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains('$')
}

fn names(path: &str, ast: &AST) -> Names {
    let mut aliases = BTreeMap::new();
    ast.walk(&mut |nodes| {
        if let Some(ASTNode::Stmt(Stmt::Import(parts, _))) = nodes.last()
            && let Expr::StringConstant(literal, _) = &parts.0
            && let Ok(resolved) = resolve_import(path, literal)
        {
            aliases.insert(parts.1.name.to_string(), resolved);
        }
        true
    });
    let constants = ast.statements().iter().filter_map(|stmt| match stmt {
        Stmt::Var(parts, flags, _) if flags.intersects(ASTFlags::CONSTANT | ASTFlags::EXPORTED) => {
            Some(parts.0.name.to_string())
        }
        Stmt::Export(parts, _) if !parts.1.name.is_empty() => Some(parts.1.name.to_string()),
        _ => None,
    });
    let texts = ast.statements().iter().filter_map(|stmt| match stmt {
        Stmt::Var(parts, flags, _) if flags.contains(ASTFlags::CONSTANT) => match &parts.1 {
            Expr::StringConstant(text, _) => Some((parts.0.name.to_string(), text.to_string())),
            _ => None,
        },
        _ => None,
    });
    Names { functions: functions(ast), constants: constants.collect(), texts: texts.collect(), aliases }
}

fn functions(ast: &AST) -> Vec<Function> {
    let defs = ast.iter_fn_def().map(|def| Function {
        name: def.name.to_string(),
        params: def.params.iter().map(ToString::to_string).collect(),
        is_private: def.access == FnAccess::Private,
        body: body(ast, &def.name, def.params.len()),
    });
    defs.collect()
}

/// The statements of a function. The type that holds them is private; a walk over a tree with that function alone meets them.
fn body(ast: &AST, name: &str, params: usize) -> Vec<Stmt> {
    // Not `clone_functions_only_filtered`: in the pinned version it keeps all functions.
    let mut alone = ast.clone_functions_only();
    alone.retain_functions(|_, _, other, count| other == name && count == params);
    let mut statements = Vec::new();
    alone.walk(&mut |nodes| {
        if let [ASTNode::Stmt(stmt)] = nodes {
            statements.push((*stmt).clone());
        }
        true
    });
    statements
}

/// Keys of map literals and assigned properties, by the tokens.
fn keys_of(text: &str) -> BTreeSet<String> {
    let tokens = lex::code(text);
    let mut keys = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |token| token.text);
        let property = at > 0 && tokens[at - 1].text == ".";
        match token.kind {
            Kind::Word if next == ":" || (property && next == "=") => {
                keys.insert(token.text.to_owned());
            }
            Kind::Text => keys.extend(token.string().map(str::to_owned)),
            _ => {}
        }
    }
    keys
}
