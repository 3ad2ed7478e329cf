//! Nodes that let somebody see where a script stands and what its variables hold, while it is evaluated again.
//!
//! Only for looking back at a run (`panta replay`): live runs are never made of this. A function's body becomes the input of
//! a node, which is what tells that it was entered and left; in front of each statement stands a node that gives its place.
//! Neither has a value, a variable or an effect of its own, so what is evaluated stays what it was. Each costs
//! [`OPERATIONS`] of the interpreter, which whoever evaluates the nodes takes off the count again.

use rhai::{AST, Dynamic, Expr, FlowControl, Position, ScriptFuncDef, Stmt, StmtBlock};

use super::{body_of, node};
use crate::script::program::prefix;

/// A function's body: the node evaluates its one input; its state is a [`Site`].
pub(crate) const BODY: &str = "body$";
/// A statement is about to be evaluated; the state is a [`Site`].
pub(crate) const HERE: &str = "here$";

/// What the interpreter counts for a node, before it is evaluated: the statement and the expression.
pub(crate) const OPERATIONS: u64 = 2;

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The function; `None`: as of the statement before.
    pub(crate) function: Option<String>,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column, from 1.
    pub(crate) column: usize,
}

impl Site {
    fn state(function: Option<&str>, position: Position) -> Dynamic {
        let site = Self {
            function: function.map(str::to_owned),
            line: position.line().unwrap_or(0),
            column: position.position().unwrap_or(1),
        };
        Dynamic::from(site)
    }
}

/// What [`super::rewrite`] does, and the nodes.
pub(crate) fn rewrite_traced(ast: AST) -> AST {
    let ast = super::rewrite_bare(ast);
    let mut statements = ast.statements().to_vec();
    let rest = statements.split_off(prefix(&statements));
    statements.extend(traced(rest));
    let mut lib = ast.shared_lib().as_ref().clone();
    for (_, _, name, _, function) in ast.shared_lib().iter_script_fn_info() {
        let mut function = ScriptFuncDef::clone(function);
        let shown = if name.starts_with("anon$") { "closure" } else { name };
        enclose(body_of(&mut function), shown);
        lib.set_script_fn(function);
    }
    let mut whole = ast.clone_functions_only();
    whole.combine(AST::new(statements, lib));
    whole
}

/// Makes a function's body the input of a node.
fn enclose(block: &mut StmtBlock, function: &str) {
    let (span, start) = (block.span(), block.position());
    let first = block.statements().first().map_or(start, Stmt::position);
    let position = if first.is_none() { start } else { first };
    let inner = traced(std::mem::take(block.statements_mut()));
    let body = Expr::Stmt(StmtBlock::new_with_span(inner, span).into());
    let whole = node(BODY, [body], Site::state(Some(function), position), position);
    *block = StmtBlock::new_with_span([Stmt::Expr(whole.into())], span);
}

/// The statements, each with a node before it.
fn traced(statements: impl IntoIterator<Item = Stmt>) -> Vec<Stmt> {
    let mut out = Vec::new();
    for mut statement in statements {
        inside(&mut statement);
        if !matches!(statement, Stmt::Noop(..)) {
            let position = statement.position();
            out.push(Stmt::Expr(node(HERE, [], Site::state(None, position), position).into()));
        }
        out.push(statement);
    }
    out
}

fn block(block: &mut StmtBlock) {
    let statements = traced(std::mem::take(block.statements_mut()));
    *block = StmtBlock::new_with_span(statements, block.span());
}

fn inside(statement: &mut Stmt) {
    match statement {
        Stmt::If(flow, _) => choice(flow),
        Stmt::While(flow, _) | Stmt::Do(flow, _, _) => {
            expression(&mut flow.expr);
            block(&mut flow.body);
        }
        Stmt::For(parts, _) => {
            expression(&mut parts.2.expr);
            block(&mut parts.2.body);
        }
        Stmt::TryCatch(flow, _) => {
            block(&mut flow.body);
            block(&mut flow.branch);
        }
        Stmt::Switch(switch, _) => {
            expression(&mut switch.0);
            for case in &mut switch.1.expressions {
                expression(&mut case.lhs);
                expression(&mut case.rhs);
            }
        }
        Stmt::Var(parts, _, _) => expression(&mut parts.1),
        Stmt::Assignment(parts) => {
            expression(&mut parts.1.lhs);
            expression(&mut parts.1.rhs);
        }
        Stmt::FnCall(call, _) => call.args.iter_mut().for_each(expression),
        Stmt::Block(inner) => block(inner),
        Stmt::Expr(inner) | Stmt::BreakLoop(Some(inner), ..) | Stmt::Return(Some(inner), ..) => expression(inner),
        _ => {}
    }
}

fn choice(flow: &mut FlowControl) {
    expression(&mut flow.expr);
    block(&mut flow.body);
    match flow.branch.statements_mut().as_mut_slice() {
        // `else if`: not a block that somebody wrote.
        [only @ Stmt::If(..)] => inside(only),
        [] => {}
        _ => block(&mut flow.branch),
    }
}

fn expression(whole: &mut Expr) {
    match whole {
        Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => parts.iter_mut().for_each(expression),
        Expr::Map(parts, _) => parts.0.iter_mut().for_each(|(_, value)| expression(value)),
        Expr::Stmt(inner) => match inner.statements_mut().as_mut_slice() {
            // A copy of a receiver, or a closure with what it captures: as good as the expression.
            [only @ Stmt::Expr(_)] | [Stmt::Share(_), only] => inside(only),
            _ => block(inner),
        },
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => call.args.iter_mut().for_each(expression),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
            expression(&mut parts.lhs);
            expression(&mut parts.rhs);
        }
        Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => parts.iter_mut().for_each(expression),
        Expr::Custom(custom, _) => custom.inputs.iter_mut().for_each(expression),
        _ => {}
    }
}
