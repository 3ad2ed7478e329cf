//! `for` loops whose variables are captured: each round gets variables of its own.

use rhai::{ASTFlags, Expr, FlowControl, Ident, Stmt, StmtBlock};

pub(super) fn give_rounds_their_own(parts: &mut (Ident, Option<Ident>, FlowControl)) {
    let (variable, counter, flow) = parts;
    let mut shared = Vec::new();
    let mut walk = Walk { shared: &mut shared, forget: false };
    walk.block(&mut flow.body);
    let captured: Vec<Ident> = [Some(&*variable), counter.as_ref()]
        .into_iter()
        .flatten()
        .filter(|name| shared.contains(&name.name))
        .cloned()
        .collect();
    if captured.is_empty() {
        return;
    }
    Walk { shared: &mut Vec::new(), forget: true }.block(&mut flow.body);
    let fresh = captured.into_iter().map(own_copy);
    let statements: Vec<Stmt> = fresh.chain(std::mem::take(flow.body.statements_mut())).collect();
    flow.body = StmtBlock::new_with_span(statements, flow.body.span());
}

/// `let x = x;`
fn own_copy(name: Ident) -> Stmt {
    let position = name.pos;
    let value = Expr::Variable((None, name.name.clone(), rhai::Namespace::NONE, 0).into(), None, position);
    Stmt::Var((name, value, None).into(), ASTFlags::empty(), position)
}

/// Goes through everything in a body that belongs to its function (closures' bodies do not): notes what is captured, or clears
/// the cached positions of variables.
struct Walk<'a> {
    shared: &'a mut Vec<rhai::ImmutableString>,
    forget: bool,
}

impl Walk<'_> {
    fn block(&mut self, block: &mut StmtBlock) {
        for statement in block.statements_mut() {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &mut Stmt) {
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
            Stmt::Var(parts, _, _) => {
                self.expression(&mut parts.1);
                if self.forget {
                    parts.2 = None;
                }
            }
            Stmt::Assignment(parts) => {
                self.expression(&mut parts.1.lhs);
                self.expression(&mut parts.1.rhs);
            }
            Stmt::FnCall(call, _) => call.args.iter_mut().for_each(|argument| self.expression(argument)),
            Stmt::Block(block) => self.block(block),
            Stmt::Expr(expression) | Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            Stmt::Import(parts, _) => self.expression(&mut parts.0),
            Stmt::Share(names) => {
                for (name, index) in names.iter_mut() {
                    self.shared.push(name.name.clone());
                    *index = if self.forget { None } else { *index };
                }
            }
            _ => {}
        }
    }

    fn flow(&mut self, flow: &mut FlowControl) {
        self.expression(&mut flow.expr);
        self.block(&mut flow.body);
        self.block(&mut flow.branch);
    }

    fn expression(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Variable(parts, short, _) if self.forget && parts.2.is_empty() => (parts.0, *short) = (None, None),
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => {
                parts.iter_mut().for_each(|part| self.expression(part));
            }
            Expr::Map(parts, _) => parts.0.iter_mut().for_each(|(_, value)| self.expression(value)),
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => {
                call.args.iter_mut().for_each(|argument| self.expression(argument));
            }
            Expr::Dot(binary, ..) | Expr::Index(binary, ..) => {
                self.expression(&mut binary.lhs);
                self.expression(&mut binary.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter_mut().for_each(|part| self.expression(part));
            }
            _ => {}
        }
    }
}
