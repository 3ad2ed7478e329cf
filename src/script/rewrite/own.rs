//! Which function a name means: the file's own, or one of the engine; never one of another file.
//!
//! Rhai looks functions up by name and number of parameters among those of all files whose code is running, keeps what it found for
//! all of them alike, and prefers a script's function to a method of a value. So a module's `fn find(x)` would be called by its
//! importer's `list.find(…)`, and of two files' `fn send(x)` each might be called by the other. Here every call is settled once,
//! when a program is made, which costs nothing later:
//!
//! - A call of what the file does not define is one of the engine's functions alone. The same holds for a method that the engine has,
//!   unless the file's function of that name uses `this`: one that does not is none to be called on a value.
//! - A name that several files define gets a name of its own in each ([`shown`] takes it off again), and the file's code calls that.
//!   The plain name stays for who comes from outside: an importer, `main`, `Fn("name")`. So do aliases of imports.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{
    AST, ASTNode, Dynamic, Engine, Expr, FlowControl, FnAccess, FnCallExpr, FnCallHashes, FnPtr, ImmutableString,
    Module, ScriptFuncDef, Shared, Stmt, StmtBlock,
};

use super::body_of;

/// What a file's own name for a function begins its ending with; the file's number follows.
const OF_FILE: &str = "__of_file_";

/// A function's name as the script has it.
pub(in crate::script) fn shown(name: &str) -> &str {
    name.split_once(OF_FILE).map_or(name, |(plain, _)| plain)
}

/// Whether a name was given here.
pub(in crate::script) fn is_given(name: &str) -> bool {
    name.contains(OF_FILE)
}

/// Settles all calls of a program. `natives` says how many arguments each function of the engine takes, methods with their receiver.
pub(in crate::script) fn settle(engine: &Engine, asts: &mut BTreeMap<String, AST>, natives: &Natives<'_>) {
    let names: BTreeMap<String, Names> = asts.iter().map(|(path, ast)| (path.clone(), Names::of(ast))).collect();
    let in_several = |of: fn(&Names) -> &BTreeSet<ImmutableString>| {
        let mut seen = BTreeMap::<&ImmutableString, usize>::new();
        names.values().flat_map(of).for_each(|name| *seen.entry(name).or_default() += 1);
        seen.into_iter().filter(|(_, files)| *files > 1).map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
    };
    let (functions, aliases) = (in_several(|names| &names.defined), in_several(|names| &names.aliases));
    for (number, (path, ast)) in asts.iter_mut().enumerate() {
        let own = &names[path];
        let ending = format!("{OF_FILE}{number}");
        let lib = ast.shared_lib().as_ref();
        let settler = Settler { engine, natives, own, functions: &functions, aliases: &aliases, ending, lib };
        let settled = settler.file(ast, path);
        *ast = settled;
    }
}

/// How many arguments the engine's functions take, by name.
pub(in crate::script) type Natives<'a> = dyn Fn(&str, usize) -> bool + 'a;

/// What a file defines.
#[derive(Default)]
struct Names {
    /// By name and number of parameters: whether the function is one of a value (`this`).
    functions: BTreeMap<(ImmutableString, usize), bool>,
    defined: BTreeSet<ImmutableString>,
    /// Of imports at the top.
    aliases: BTreeSet<ImmutableString>,
    /// Everything that may hide a function where a name stands for a value.
    variables: BTreeSet<ImmutableString>,
}

impl Names {
    fn of(ast: &AST) -> Self {
        let mut names = Self::default();
        for (_, _, name, count, function) in ast.shared_lib().iter_script_fn_info() {
            *names.functions.entry((name.into(), count)).or_default() |= is_of_a_value(function);
            names.defined.insert(name.into());
            names.variables.extend(function.params.iter().cloned());
        }
        names.aliases.extend(ast.statements().iter().filter_map(|stmt| match stmt {
            Stmt::Import(parts, _) => Some(parts.1.name.clone()),
            _ => None,
        }));
        let (mut imports, top) = (0, names.aliases.len());
        ast.walk(&mut |nodes| {
            match nodes.last() {
                Some(ASTNode::Stmt(Stmt::Var(parts, ..))) => names.variables.extend([parts.0.name.clone()]),
                Some(ASTNode::Stmt(Stmt::For(parts, _))) => {
                    names.variables.extend([&parts.0].into_iter().chain(&parts.1).map(|name| name.name.clone()));
                }
                Some(ASTNode::Stmt(Stmt::TryCatch(flow, _))) => {
                    if let Expr::Variable(caught, ..) = &flow.expr {
                        names.variables.insert(caught.1.clone());
                    }
                }
                Some(ASTNode::Stmt(Stmt::Import(..))) => imports += 1,
                _ => {}
            }
            true
        });
        // An import that stands elsewhere may hide one at the top: then their names stay.
        if imports != top {
            names.aliases.clear();
        }
        names
    }
}

/// Whether a function is one of a value: it says of which type, or uses `this`.
pub(super) fn is_of_a_value(function: &Shared<ScriptFuncDef>) -> bool {
    if function.this_type.is_some() {
        return true;
    }
    let mut alone = Module::new();
    alone.set_script_fn(Shared::clone(function));
    let mut found = false;
    AST::new(Vec::<Stmt>::new(), alone).walk(&mut |nodes| {
        found |= matches!(nodes.last(), Some(ASTNode::Expr(Expr::ThisPtr(_))));
        !found
    });
    found
}

/// Goes through one file.
struct Settler<'a> {
    engine: &'a Engine,
    natives: &'a Natives<'a>,
    own: &'a Names,
    /// Names of functions that several files define.
    functions: &'a BTreeSet<ImmutableString>,
    /// Aliases that several files have.
    aliases: &'a BTreeSet<ImmutableString>,
    ending: String,
    lib: &'a Module,
}

impl Settler<'_> {
    fn file(&self, ast: &AST, path: &str) -> AST {
        let again = ast.statements().iter().filter_map(|stmt| self.import_again(stmt));
        // In front: the places of imports are counted from the last one.
        let mut statements: Vec<Stmt> = again.chain(ast.statements().iter().cloned()).collect();
        statements.iter_mut().for_each(|statement| self.statement(statement));
        let mut lib = ast.shared_lib().as_ref().clone();
        for (_, _, name, _, function) in ast.shared_lib().iter_script_fn_info() {
            let mut function = ScriptFuncDef::clone(function);
            self.block(body_of(&mut function));
            if let Some(name) = self.renamed(name) {
                lib.set_script_fn(ScriptFuncDef { name, access: FnAccess::Private, ..function.clone() });
            }
            lib.set_script_fn(function);
        }
        let mut settled = ast.clone_functions_only();
        settled.combine(AST::new(statements, lib));
        settled.set_source(path);
        settled
    }

    /// The name in this file of one that several have.
    fn renamed(&self, name: &str) -> Option<ImmutableString> {
        (self.functions.contains(name) && self.own.defined.contains(name))
            .then(|| format!("{name}{}", self.ending).into())
    }

    fn renamed_alias(&self, alias: &str) -> Option<ImmutableString> {
        (self.aliases.contains(alias) && self.own.aliases.contains(alias))
            .then(|| format!("{alias}{}", self.ending).into())
    }

    fn import_again(&self, statement: &Stmt) -> Option<Stmt> {
        let Stmt::Import(parts, position) = statement else { return None };
        let mut parts = parts.clone();
        parts.1.name = self.renamed_alias(&parts.1.name)?;
        Some(Stmt::Import(parts, *position))
    }

    /// A call in this style of a function of the script, as it is made by the parser.
    fn hashes(&self, name: &str, arguments: usize, style: Style) -> FnCallHashes {
        let arguments = vec!["0"; arguments].join(",");
        let text = match style {
            Style::Function => format!("{name}({arguments})"),
            Style::Method => format!("0.{name}({arguments})"),
        };
        let parsed = self.engine.compile_expression(text).expect("a call of a name parses");
        let mut hashes = None;
        parsed.walk(&mut |nodes| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))) = nodes.last() {
                hashes = Some(call.hashes);
            }
            true
        });
        hashes.expect("the one call of the text")
    }

    fn call(&self, call: &mut FnCallExpr, style: Style) {
        call.args.iter_mut().for_each(|argument| self.expression(argument));
        if let Some(alias) = call.namespace.path.first_mut() {
            if call.namespace.index.is_none()
                && let Some(renamed) = self.renamed_alias(&alias.name)
            {
                alias.name = renamed;
            }
            return;
        }
        if call.op_token.is_some() || call.hashes.is_native_only() || matches!(&*call.name, "call" | "curry") {
            return;
        }
        if call.name == "Fn" {
            return self.pointer(call);
        }
        let count = call.args.len();
        let own = self.own.functions.get(&(call.name.clone(), count));
        let is_own = match (own, style) {
            (None, _) => false,
            (Some(_), Style::Function) => true,
            (Some(of_value), Style::Method) => *of_value || !(self.natives)(&call.name, count + 1),
        };
        if !is_own {
            call.hashes = FnCallHashes::from_native_only(call.hashes.native());
        } else if let Some(renamed) = self.renamed(&call.name) {
            let hashes = self.hashes(&renamed, count, style);
            call.hashes = FnCallHashes::from_script_and_native(hashes.script(), call.hashes.native());
        }
    }

    /// `Fn("name")`.
    fn pointer(&self, call: &mut FnCallExpr) {
        if let [Expr::StringConstant(name, _)] = call.args.as_mut_slice()
            && let Some(renamed) = self.renamed(name)
        {
            *name = renamed;
        }
    }

    fn block(&self, block: &mut StmtBlock) {
        block.statements_mut().iter_mut().for_each(|statement| self.statement(statement));
    }

    fn flow(&self, flow: &mut FlowControl) {
        self.expression(&mut flow.expr);
        self.block(&mut flow.body);
        self.block(&mut flow.branch);
    }

    fn statement(&self, statement: &mut Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, _, _) | Stmt::TryCatch(flow, _) => {
                self.flow(flow);
            }
            Stmt::For(parts, _) => self.flow(&mut parts.2),
            Stmt::Switch(switch, _) => {
                self.expression(&mut switch.0);
                for case in &mut switch.1.expressions {
                    self.expression(&mut case.lhs);
                    self.expression(&mut case.rhs);
                }
            }
            Stmt::Var(parts, _, _) => self.expression(&mut parts.1),
            Stmt::Assignment(parts) => {
                self.expression(&mut parts.1.lhs);
                self.expression(&mut parts.1.rhs);
            }
            Stmt::FnCall(call, _) => self.call(call, Style::Function),
            Stmt::Block(block) => self.block(block),
            Stmt::Expr(expression) | Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            Stmt::Import(parts, _) => self.expression(&mut parts.0),
            _ => {}
        }
    }

    fn expression(&self, expression: &mut Expr) {
        match expression {
            Expr::Variable(parts, short, _) if parts.2.is_empty() => {
                let is_by_name = short.is_none() && parts.0.is_none() && !self.own.variables.contains(&parts.1);
                if let Some(renamed) = is_by_name.then(|| self.renamed(&parts.1)).flatten() {
                    parts.1 = renamed;
                }
            }
            Expr::Variable(parts, ..) => {
                if let (None, Some(alias)) = (parts.2.index, parts.2.path.first_mut()) {
                    alias.name = self.renamed_alias(&alias.name).unwrap_or_else(|| alias.name.clone());
                }
            }
            Expr::DynamicConstant(value, _) => self.constant(value),
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => {
                parts.iter_mut().for_each(|part| self.expression(part));
            }
            Expr::Map(parts, _) => parts.0.iter_mut().for_each(|(_, value)| self.expression(value)),
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, _) => self.call(call, Style::Function),
            Expr::MethodCall(call, _) => self.call(call, Style::Method),
            Expr::Dot(binary, ..) | Expr::Index(binary, ..) => {
                self.expression(&mut binary.lhs);
                self.expression(&mut binary.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter_mut().for_each(|part| self.expression(part));
            }
            Expr::Custom(node, _) => node.inputs.iter_mut().for_each(|input| self.expression(input)),
            _ => {}
        }
    }

    /// A closure: two files that have the same one, letter for letter at the same place, have it under the same name.
    fn constant(&self, value: &mut Dynamic) {
        let Some(pointer) = value.read_lock::<FnPtr>().map(|pointer| pointer.clone()) else { return };
        let Some(renamed) = self.renamed(pointer.fn_name()) else { return };
        let mut functions = self.lib.iter_script_fn_info().map(|(_, _, name, _, function)| (name, function));
        let Some((_, function)) = functions.find(|(name, _)| *name == pointer.fn_name()) else { return };
        let mut pointer_to = FnPtr::from(ScriptFuncDef { name: renamed, ..ScriptFuncDef::clone(function) });
        pointer_to.set_curry(pointer.curry().iter().cloned());
        *value = Dynamic::from(pointer_to);
    }
}

#[derive(Clone, Copy)]
enum Style {
    Function,
    Method,
}

#[cfg(test)]
mod tests;
