//! A program without one part of its declaration: what failed there is left out, so that the faults behind it are found, too.

use std::cell::RefCell;

use rhai::{AST, Expr, Position, Stmt};

use super::Program;

impl Program {
    /// The same, with `()` in place of what the top level of the main file evaluates at a place, or without the statement
    /// there; `None` where nothing stands there. Only good for finding faults.
    pub fn without(&self, line: usize, column: usize) -> Option<Self> {
        let ast = self.main_ast();
        let mut statements = ast.statements().to_vec();
        let spot = Spot { line, column };
        let prefix = &mut statements[..self.prefix];
        let hushed = prefix.iter_mut().any(|stmt| spot.hush(stmt));
        if !hushed {
            let behind = |stmt: &Stmt| start(stmt) > (line, column);
            let at = prefix.iter().take_while(|stmt| !behind(stmt)).count().checked_sub(1)?;
            if matches!(prefix[at], Stmt::Noop(_)) {
                return None;
            }
            prefix[at] = Stmt::Noop(prefix[at].position());
        }
        let main = self.bundle.main();
        let mut asts = self.asts.clone();
        asts.insert(main.to_owned(), AST::new_with_source(statements, ast.shared_lib().clone(), main));
        let (bundle, main_params) = (self.bundle.clone(), self.main_params.clone());
        Some(Self { bundle, asts, prefix: self.prefix, main_params, last: RefCell::default() })
    }
}

fn start(stmt: &Stmt) -> (usize, usize) {
    let pos = match stmt {
        Stmt::FnCall(call, _) if !call.namespace.is_empty() => call.namespace.position(),
        Stmt::Expr(expr) => match &**expr {
            // Of such a call Rhai only knows where its last name begins.
            Expr::FnCall(call, _) if !call.namespace.is_empty() => call.namespace.position(),
            expr => expr.start_position(),
        },
        stmt => stmt.position(),
    };
    (pos.line().unwrap_or(0), pos.position().unwrap_or(0))
}

struct Spot {
    line: usize,
    column: usize,
}

impl Spot {
    fn is_at(&self, pos: Position) -> bool {
        (pos.line(), pos.position()) == (Some(self.line), Some(self.column))
    }

    /// Puts `()` in place of what is here; says whether anything was.
    fn hush(&self, stmt: &mut Stmt) -> bool {
        match stmt {
            Stmt::FnCall(call, _) => call.args.iter_mut().any(|arg| self.hush_expr(arg)),
            Stmt::Expr(expr) => match &mut **expr {
                Expr::FnCall(call, _) => call.args.iter_mut().any(|arg| self.hush_expr(arg)),
                _ => false,
            },
            Stmt::Var(parts, ..) => self.hush_expr(&mut parts.1),
            _ => false,
        }
    }

    fn hush_expr(&self, expr: &mut Expr) -> bool {
        if self.is_at(expr.position()) || self.is_at(expr.start_position()) {
            let is_plain = matches!(expr, Expr::Unit(_) | Expr::Map(..) | Expr::Array(..) | Expr::Custom(..));
            if !is_plain {
                *expr = Expr::Unit(expr.position());
                return true;
            }
        }
        match expr {
            Expr::FnCall(call, _) => call.args.iter_mut().any(|arg| self.hush_expr(arg)),
            Expr::Map(parts, _) => parts.0.iter_mut().any(|(_, value)| self.hush_expr(value)),
            Expr::Array(items, _) => items.iter_mut().any(|item| self.hush_expr(item)),
            // A literal that holds others, as it is after rewriting.
            Expr::Custom(node, _) => node.inputs.iter_mut().any(|input| self.hush_expr(input)),
            _ => false,
        }
    }
}
