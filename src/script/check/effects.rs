//! Effects that stay done when what follows them fails: a call that changes the outside, with no `step` that undoes it, no
//! `try` and no `on_rollback`, and another such call after it.
//!
//! A single one is no finding: when it fails, nothing was done. Files are none either: they are the workflow's own.

use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::super::catalog::{Catalog, Kind};
use super::super::errors;
use super::super::program::full_name;
use super::super::source::Source;
use super::walk::leaves;
use crate::diag::Diagnostic;

/// Findings in one body; closures in it are bodies of their own.
pub(super) fn check(source: &Source, catalog: &Catalog, body: &[Stmt], findings: &mut Vec<Diagnostic>) {
    if calls_any(body, &["on_rollback", "on_exit", "rollback", "scope"]) {
        return;
    }
    let calls = Collector { catalog }.block(body);
    let Some((_, before)) = calls.split_last() else { return };
    for (name, pos) in before {
        let place = errors::place(source, *pos);
        let title = format!("what `{name}` does stays done if a later call fails");
        let hint = "put it into a `step` with `undo: |value| ...` or `retry`, or handle the failure with `try`";
        findings.push(Diagnostic::new("W0411", title, place).hint(hint));
    }
}

type Call = (String, Position);

fn calls_any(body: &[Stmt], names: &[&str]) -> bool {
    let mut found = false;
    for stmt in body {
        stmt.walk(&mut Vec::new(), &mut |path| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) = path.last() {
                found |= call.namespace.is_empty() && names.contains(&call.name.as_str());
            }
            !found
        });
    }
    found
}

struct Collector<'a> {
    catalog: &'a Catalog,
}

impl Collector<'_> {
    /// The unguarded calls of a block that may all happen, in order.
    fn block(&self, statements: &[Stmt]) -> Vec<Call> {
        statements.iter().flat_map(|stmt| self.stmt(stmt)).collect()
    }

    /// Of a branch: nothing follows one that is left by `return` or `throw`.
    fn branch(&self, statements: &[Stmt]) -> Vec<Call> {
        let calls = self.block(statements);
        if statements.iter().any(|stmt| leaves(stmt).is_some()) { Vec::new() } else { calls }
    }

    fn stmt(&self, stmt: &Stmt) -> Vec<Call> {
        match stmt {
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::FnCall(call, pos) => self.call(call, *pos),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::Var(parts, ..) => self.expr(&parts.1),
            Stmt::Assignment(parts) => self.expr(&parts.1.rhs),
            Stmt::Return(Some(value), ..) => self.expr(value),
            Stmt::If(flow, _) => {
                let branches = [self.branch(flow.body.statements()), self.branch(flow.branch.statements())];
                let mut calls = self.expr(&flow.expr);
                calls.extend(branches.into_iter().max_by_key(Vec::len).unwrap_or_default());
                calls
            }
            Stmt::For(parts, _) => self.block(parts.2.body.statements()),
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => self.block(flow.body.statements()),
            _ => Vec::new(),
        }
    }

    fn expr(&self, expr: &Expr) -> Vec<Call> {
        match expr {
            Expr::FnCall(call, pos) => self.call(call, *pos),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
                let mut calls = self.expr(&parts.lhs);
                calls.extend(self.expr(&parts.rhs));
                calls
            }
            Expr::Stmt(block) if !matches!(block.statements(), [Stmt::Share(_), Stmt::Expr(_)]) => {
                self.block(block.statements())
            }
            _ => Vec::new(),
        }
    }

    fn call(&self, call: &FnCallExpr, pos: Position) -> Vec<Call> {
        let name = full_name(call);
        let mut calls: Vec<Call> = call.args.iter().flat_map(|arg| self.expr(arg)).collect();
        let mutates = self.catalog.find(&name).iter().any(|form| form.kind == Kind::Mutating);
        if mutates && !name.starts_with("file::") {
            let pos = if call.namespace.is_empty() { pos } else { call.namespace.position() };
            calls.push((name, pos));
        }
        calls
    }
}
