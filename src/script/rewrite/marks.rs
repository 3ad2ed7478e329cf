//! Marks at the start of each branch of a script, so that it can be told which were taken.
//!
//! A mark is a node that notes its place and has no value. It goes in front of what a branch holds: what the branch means
//! stays what it was.

use rhai::{AST, Expr, FlowControl, Position, ScriptFuncDef, Stmt, StmtBlock};

use super::{body_of, node, own};
use crate::script::sandbox::seen::{SEEN, pack};

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// `fn NAME`, `closure`, `if`, `else`, `loop`, `arm`, `catch`.
    pub what: String,
}

/// The script with its marks, and where they are. What [`super::rewrite`] does comes before.
#[expect(clippy::needless_pass_by_value, reason = "the original must not be run by mistake")]
pub fn mark(ast: AST) -> (AST, Vec<Mark>) {
    let mut marker = Marker::default();
    let mut statements = ast.statements().to_vec();
    marker.statements(&mut statements);
    let mut lib = ast.shared_lib().as_ref().clone();
    // A function under its file's own name is the same once more.
    let functions = ast.shared_lib().iter_script_fn_info().filter(|(_, _, name, ..)| !own::is_given(name));
    for (_, _, name, _, function) in functions {
        let mut function = ScriptFuncDef::clone(function);
        let what = if name.starts_with("anon$") { "closure".to_owned() } else { format!("fn {name}") };
        marker.block(body_of(&mut function), &what);
        lib.set_script_fn(function);
    }
    let mut whole = ast.clone_functions_only();
    whole.combine(AST::new(statements, lib));
    marker.marks.sort();
    (whole, marker.marks)
}

#[derive(Default)]
struct Marker {
    marks: Vec<Mark>,
}

impl Marker {
    fn note(&mut self, what: &str, position: Position) -> Expr {
        let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(1));
        self.marks.push(Mark { line, column, what: what.to_owned() });
        node(SEEN, [], pack(position), position)
    }

    /// A block that is a branch.
    fn block(&mut self, block: &mut StmtBlock, what: &str) {
        let start = block.position();
        let position = if start.is_none() { first(block) } else { start };
        self.statements(block.statements_mut());
        let mark = Stmt::Expr(self.note(what, position).into());
        let statements: Vec<Stmt> = std::iter::once(mark).chain(std::mem::take(block.statements_mut())).collect();
        *block = StmtBlock::new_with_span(statements, block.span());
    }

    fn statements(&mut self, statements: &mut [Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &mut Stmt) {
        match statement {
            Stmt::If(flow, _) => self.choice(flow),
            Stmt::While(flow, _) | Stmt::Do(flow, _, _) => {
                self.expression(&mut flow.expr);
                self.block(&mut flow.body, "loop");
            }
            Stmt::For(parts, _) => {
                self.expression(&mut parts.2.expr);
                self.block(&mut parts.2.body, "loop");
            }
            Stmt::TryCatch(flow, _) => {
                self.statements(flow.body.statements_mut());
                self.block(&mut flow.branch, "catch");
            }
            Stmt::Switch(switch, _) => {
                self.expression(&mut switch.0);
                for case in &mut switch.1.expressions {
                    self.expression(&mut case.lhs);
                    self.expression(&mut case.rhs);
                    self.arm(&mut case.rhs);
                }
            }
            Stmt::Var(parts, _, _) => self.expression(&mut parts.1),
            Stmt::Assignment(parts) => {
                self.expression(&mut parts.1.lhs);
                self.expression(&mut parts.1.rhs);
            }
            Stmt::FnCall(call, _) => self.expressions(&mut call.args),
            Stmt::Block(block) => self.statements(block.statements_mut()),
            Stmt::Expr(expression) | Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            _ => {}
        }
    }

    fn choice(&mut self, flow: &mut FlowControl) {
        self.expression(&mut flow.expr);
        self.block(&mut flow.body, "if");
        let is_chain = matches!(flow.branch.statements(), [Stmt::If(..)]);
        if is_chain {
            self.statements(flow.branch.statements_mut());
        } else if !(flow.branch.statements().is_empty() && flow.branch.position().is_none()) {
            self.block(&mut flow.branch, "else");
        }
    }

    /// What an arm of a `switch` evaluates to, behind a mark.
    fn arm(&mut self, value: &mut Expr) {
        let position = value.start_position();
        let mark = Stmt::Expr(self.note("arm", position).into());
        let inner = Stmt::Expr(std::mem::take(value).into());
        *value = Expr::Stmt(StmtBlock::new([mark, inner], position, position).into());
    }

    fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e mut Expr>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &mut Expr) {
        match expression {
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => self.expressions(parts.iter_mut()),
            Expr::Map(parts, _) => self.expressions(parts.0.iter_mut().map(|(_, value)| value)),
            Expr::Stmt(block) => self.statements(block.statements_mut()),
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => self.expressions(&mut call.args),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
                self.expression(&mut parts.lhs);
                self.expression(&mut parts.rhs);
            }
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => self.expressions(parts.iter_mut()),
            Expr::Custom(custom, _) => self.expressions(custom.inputs.iter_mut()),
            _ => {}
        }
    }
}

/// Where the first statement stands: closures without braces have a body without a place.
fn first(block: &StmtBlock) -> Position {
    block.statements().first().map_or(Position::NONE, Stmt::position)
}

/// Without the list, for [`super::super::program::Program::compile_with`]: what `rewrite` does, and marks.
pub fn rewrite_marked(ast: AST) -> AST {
    mark(super::rewrite(ast)).0
}
