//! The files of a bundle as the builder reads them: functions with their bodies, constants, imports, text.

use std::collections::BTreeMap;

use rhai::{AST, ASTFlags, ASTNode, Expr, Module, Position, Stmt};

use super::super::bundle::{Bundle, resolve_import};
use super::text::Text;

/// A function or closure.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) body: Vec<Stmt>,
    pub(super) at: Position,
}

impl Function {
    pub(super) fn is_closure(&self) -> bool {
        self.name.starts_with("anon$")
    }
}

/// One file.
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) text: Text<'a>,
    pub(super) statements: &'a [Stmt],
    functions: BTreeMap<String, Vec<Function>>,
    constants: BTreeMap<String, &'a Expr>,
    aliases: BTreeMap<String, String>,
}

impl File<'_> {
    /// The function of that name; should there be several, the one with this number of parameters.
    pub(super) fn function(&self, name: &str, count: usize) -> Option<&Function> {
        self.functions.get(name)?.iter().find(|function| function.params.len() == count)
    }

    /// The function or closure of that name, whatever its parameters.
    pub(super) fn named(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)?.iter().max_by_key(|function| function.params.len())
    }

    /// What a constant of the file is defined as.
    pub(super) fn constant(&self, name: &str) -> Option<&Expr> {
        self.constants.get(name).copied()
    }
}

/// All files.
pub(super) struct Files<'a>(BTreeMap<&'a str, File<'a>>);

impl<'a> Files<'a> {
    pub(super) fn new(bundle: &'a Bundle, asts: &'a BTreeMap<&'a str, AST>) -> Self {
        let file = |(path, source): (&'a String, &'a super::super::source::Source)| {
            let ast = asts.get(path.as_str())?;
            let (functions, constants, aliases) = (functions(ast), constants(ast), aliases(path, ast));
            let text = Text::new(&source.text);
            Some((path.as_str(), File { path, text, statements: ast.statements(), functions, constants, aliases }))
        };
        Self(bundle.sources.iter().filter_map(file).collect())
    }

    pub(super) fn get(&self, path: &str) -> Option<&File<'a>> {
        self.0.get(path)
    }

    /// The file that a chain of aliases leads to.
    pub(super) fn imported(&self, from: &File<'a>, aliases: &[&str]) -> Option<&File<'a>> {
        let mut path = from.path;
        for alias in aliases {
            path = self.get(path)?.aliases.get(*alias)?;
        }
        self.get(path)
    }
}

fn functions(ast: &AST) -> BTreeMap<String, Vec<Function>> {
    let mut functions: BTreeMap<String, Vec<Function>> = BTreeMap::new();
    for (_, _, _, _, def) in ast.shared_lib().iter_script_fn_info() {
        let params = def.params.iter().map(ToString::to_string).collect();
        let (name, at) = (def.name.to_string(), def.body.start_position());
        functions.entry(name.clone()).or_default().push(Function { name, params, body: body(def), at });
    }
    functions
}

/// The statements of a function. The type that holds them is private; a walk over a tree with that function alone meets them.
fn body(def: &rhai::Shared<rhai::ScriptFuncDef>) -> Vec<Stmt> {
    let mut alone = Module::new();
    alone.set_script_fn(rhai::Shared::clone(def));
    let mut statements = Vec::new();
    AST::new(Vec::<Stmt>::new(), alone).walk(&mut |nodes| {
        if let [ASTNode::Stmt(stmt)] = nodes {
            statements.push((*stmt).clone());
        }
        true
    });
    statements
}

fn constants(ast: &AST) -> BTreeMap<String, &Expr> {
    let constant = |stmt| match stmt {
        &Stmt::Var(ref parts, flags, _) if flags.contains(ASTFlags::CONSTANT) => {
            Some((parts.0.name.to_string(), &parts.1))
        }
        _ => None,
    };
    ast.statements().iter().filter_map(constant).collect()
}

fn aliases(path: &str, ast: &AST) -> BTreeMap<String, String> {
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
    aliases
}
