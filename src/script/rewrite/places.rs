//! Where variables of functions stand, for those that Rhai would look up by name.
//!
//! A variable that a closure captures is one of its parameters, which the parser adds when it has read the body; and the
//! positions in a loop whose rounds have variables of their own were cleared ([`super::loops`]). Both are looked up by name at
//! every access, though the place is the same each time: a function sees its parameters and what it declares, nothing else. So
//! the places are counted here, as evaluation will have them. What is not found among them (a constant, a function) stays a name,
//! and places that the parser has found stay as they are. Nothing else changes: neither what is evaluated nor how many
//! operations that takes.

use std::num::{NonZeroU8, NonZeroUsize};

use rhai::{Expr, FlowControl, Ident, ImmutableString, Stmt, StmtBlock};

/// Finds the places in the body of a function with these parameters.
pub(super) fn find(parameters: &[ImmutableString], body: &mut StmtBlock) {
    let mut places = Places { names: parameters.to_vec() };
    places.block(body);
}

/// The variables that are there at a point of a function, the oldest first.
struct Places {
    names: Vec<ImmutableString>,
}

impl Places {
    /// How far from the newest variable one stands, from 1.
    fn place(&self, name: &str) -> Option<NonZeroUsize> {
        let from_newest = self.names.iter().rev().position(|known| known == name)?;
        NonZeroUsize::new(from_newest + 1)
    }

    /// What a block declares is gone behind it.
    fn block(&mut self, block: &mut StmtBlock) {
        let before = self.names.len();
        for statement in block.statements_mut() {
            self.statement(statement);
        }
        self.names.truncate(before);
    }

    /// The same for a block in which these are there from the start.
    fn block_with(&mut self, declared: &[&Ident], block: &mut StmtBlock) {
        let before = self.names.len();
        self.names.extend(declared.iter().map(|ident| ident.name.clone()));
        self.block(block);
        self.names.truncate(before);
    }

    fn statement(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, _, _) => self.flow(flow),
            Stmt::TryCatch(flow, _) => self.attempt(flow),
            Stmt::For(parts, _) => {
                let (variable, counter, flow) = &mut **parts;
                self.expression(&mut flow.expr);
                // In the order in which a loop makes them.
                let declared: Vec<&Ident> = counter.iter().chain([&*variable]).collect();
                self.block_with(&declared, &mut flow.body);
            }
            Stmt::Switch(switch, _) => {
                self.expression(&mut switch.0);
                for case in &mut switch.1.expressions {
                    self.expression(&mut case.lhs);
                    self.expression(&mut case.rhs);
                }
            }
            Stmt::Var(parts, _, _) => {
                self.expression(&mut parts.1);
                // With a place it takes that of an older variable of its name, in the same block.
                if parts.2.is_none() {
                    self.names.push(parts.0.name.clone());
                }
            }
            Stmt::Assignment(parts) => {
                self.expression(&mut parts.1.lhs);
                self.expression(&mut parts.1.rhs);
            }
            Stmt::FnCall(call, _) => self.expressions(&mut call.args),
            Stmt::Block(block) => self.block(block),
            Stmt::Expr(expression) | Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            Stmt::Import(parts, _) => self.expression(&mut parts.0),
            Stmt::Share(captured) => {
                for (ident, place) in captured.iter_mut() {
                    self.fill(&ident.name, place);
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

    /// The expression is what the error will be called.
    fn attempt(&mut self, flow: &mut FlowControl) {
        self.block(&mut flow.body);
        let before = self.names.len();
        if let Expr::Variable(caught, ..) = &flow.expr {
            self.names.push(caught.1.clone());
        }
        self.block(&mut flow.branch);
        self.names.truncate(before);
    }

    /// A place that is not known yet.
    fn fill(&self, name: &str, place: &mut Option<NonZeroUsize>) {
        let found = self.place(name);
        debug_assert!(place.is_none() || *place == found, "`{name}` is at {place:?}, not at {found:?}");
        *place = place.or(found);
    }

    fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e mut Expr>) {
        expressions.into_iter().for_each(|expression| self.expression(expression));
    }

    fn expression(&mut self, expression: &mut Expr) {
        match expression {
            Expr::Variable(parts, short, _) if parts.2.is_empty() => {
                let known = short.map(NonZeroUsize::from).or(parts.0);
                let mut place = known;
                self.fill(&parts.1, &mut place);
                if known.is_none() {
                    parts.0 = place;
                    *short = place.and_then(|place| NonZeroU8::try_from(place).ok());
                }
            }
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => self.expressions(parts.iter_mut()),
            Expr::Map(parts, _) => self.expressions(parts.0.iter_mut().map(|(_, value)| value)),
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => self.expressions(&mut call.args),
            Expr::Dot(binary, ..) | Expr::Index(binary, ..) => {
                self.expression(&mut binary.lhs);
                self.expression(&mut binary.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => self.expressions(parts.iter_mut()),
            Expr::Custom(node, _) => self.expressions(&mut node.inputs),
            _ => {}
        }
    }
}
