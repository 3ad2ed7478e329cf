//! What is changed in a script once, at load, so that it means what its author expects.
//!
//! Works on the parsed tree; positions stay, so errors name the same lines and columns. Owns nothing, decides nothing about runs.
//!
//! - **Receivers are copied.** While `order.lines.map(|l| order.id)` runs, Rhai holds a lock on `order`, and the closure fails on it
//!   (as would a sibling branch while the closure waits). Methods that take a function and do not change their receiver get a
//!   copy of it: the tree of `{ order.lines }.map(…)`.
//! - **Each round of a `for` loop has its own variables** where a closure in its body captures them: `let x = x;` at the start of
//!   the body. The body's cached variable positions are cleared (Rhai then looks variables up by name, as it does itself
//!   whenever a scope has changed under it), and found anew in functions ([`places`]).
//! - **Comparisons** by `<`, `<=`, `>`, `>=` become nodes that our checked versions evaluate (see [`super::sandbox`]).
//!   Measured on loops of a million rounds: 11 % slower than Rhai's fast operators with one comparison and four operations a round,
//!   no difference with two comparisons; 156 % and 75 % with fast operators off; 20 % and 65 % with comparisons as calls of natives.
//! - **Marks** are put in front of each branch where it is to be told which were taken ([`marks`]).
//! - **Values in interpolated strings, literals of containers, captures and nested assignments** pass through nodes that check
//!   nesting and pass errors on.
//! - **Calls** are settled once for all ([`own`]): they mean the file's own function, or one of the engine.
//! - **Bodies of functions** become nodes that note the way of an error which ends the run ([`super::unwind`]).

mod chain;
mod frames;
mod loops;
pub mod marks;
pub(super) mod own;
mod places;
pub(crate) mod trace;

use rhai::{AST, CustomExpr, Dynamic, Expr, FnCallExpr, Position, ScriptFuncDef, Stmt, StmtBlock, Token};

use super::sandbox::compare::{COMPARED, Operator, pack};
use super::sandbox::nesting::NESTED;
use super::sandbox::show::TEXT;

/// The script with all changes made. Call it once: a second time would only make it slower.
pub fn rewrite(ast: AST) -> AST {
    rewritten(ast, frames::enclose)
}

/// The same without the nodes around functions' bodies.
fn rewrite_bare(ast: AST) -> AST {
    rewritten(ast, |_, _| ())
}

#[expect(clippy::needless_pass_by_value, reason = "the original must not be run by mistake")]
fn rewritten(ast: AST, enclose: fn(&mut StmtBlock, &str)) -> AST {
    let own = ast.iter_fn_def().filter(|function| own::is_of_a_value(function));
    let rewriter = Rewriter { own_methods: own.map(|function| function.name.to_string()).collect() };
    let mut statements = ast.statements().to_vec();
    rewriter.statements(&mut statements);
    let mut lib = ast.shared_lib().as_ref().clone();
    for (_, _, name, _, function) in ast.shared_lib().iter_script_fn_info() {
        let mut function = ScriptFuncDef::clone(function);
        let parameters = function.params.clone();
        let body = body_of(&mut function);
        rewriter.statements(body.statements_mut());
        places::find(&parameters, body);
        enclose(body, name);
        lib.set_script_fn(function);
    }
    let mut rewritten = ast.clone_functions_only();
    rewritten.combine(AST::new(statements, lib));
    rewritten
}

/// A function's statements. Their container is the only variant of a type that Rhai does not let one name.
#[expect(unsafe_code, reason = "the type of a function's body cannot be named outside of Rhai")]
fn body_of(function: &mut ScriptFuncDef) -> &mut StmtBlock {
    fn cast<P>(payload: &mut P) -> &mut StmtBlock {
        const { assert!(size_of::<P>() == size_of::<StmtBlock>() && align_of::<P>() == align_of::<StmtBlock>()) };
        // SAFETY: `P` is `ScriptFuncPayload`, an enum whose one variant (without the feature `grain`) holds a `StmtBlock`. It is
        // as large as that block, so the block starts where the enum starts, and there is no other variant to tell it from.
        unsafe { &mut *std::ptr::from_mut(payload).cast::<StmtBlock>() }
    }
    let start = function.body.start_position();
    let block = cast(&mut function.body);
    assert!(block.position() == start, "a function's body is a block of statements");
    block
}

struct Rewriter {
    /// Functions of the script that use `this`: a method of that name is its own, and may change its receiver.
    own_methods: Vec<String>,
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// In a literal, which is checked as a whole.
    InLiteral,
}

impl Rewriter {
    fn statements(&self, statements: &mut [Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn block(&self, block: &mut StmtBlock) {
        self.statements(block.statements_mut());
    }

    fn statement(&self, statement: &mut Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, _, _) | Stmt::TryCatch(flow, _) => {
                self.expression(&mut flow.expr);
                self.block(&mut flow.body);
                self.block(&mut flow.branch);
            }
            Stmt::For(parts, _) => {
                loops::give_rounds_their_own(parts);
                self.expression(&mut parts.2.expr);
                self.block(&mut parts.2.body);
            }
            Stmt::Switch(switch, _) => {
                self.expression(&mut switch.0);
                for case in &mut switch.1.expressions {
                    self.expression(&mut case.lhs);
                    self.expression(&mut case.rhs);
                }
            }
            Stmt::Var(parts, _, _) => self.expression(&mut parts.1),
            Stmt::Assignment(parts) => {
                let into_container =
                    !parts.0.is_op_assignment() && matches!(parts.1.lhs, Expr::Dot(..) | Expr::Index(..));
                self.expression(&mut parts.1.lhs);
                self.expression(&mut parts.1.rhs);
                if into_container && may_nest(&parts.1.rhs) {
                    wrap(&mut parts.1.rhs, NESTED);
                }
            }
            Stmt::FnCall(call, position) => {
                self.call(call);
                if let Some(comparison) = compare(call, *position) {
                    *statement = Stmt::Expr(comparison.into());
                }
            }
            Stmt::Block(block) => self.block(block),
            Stmt::Expr(expression) | Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            Stmt::Import(parts, _) => self.expression(&mut parts.0),
            _ => {}
        }
    }

    fn call(&self, call: &mut FnCallExpr) {
        for argument in &mut call.args {
            self.expression(argument);
        }
    }

    fn expression(&self, expression: &mut Expr) {
        self.expression_at(expression, Place::Anywhere);
    }

    fn expression_at(&self, expression: &mut Expr, place: Place) {
        match expression {
            Expr::InterpolatedString(parts, _) => {
                for part in parts.iter_mut() {
                    self.expression(part);
                    if !part.is_constant() {
                        wrap(part, TEXT);
                    }
                }
            }
            Expr::Array(..) | Expr::Map(..) => self.literal(expression, place),
            Expr::Stmt(block) => {
                self.block(block);
                if is_capture(block) && place == Place::Anywhere {
                    wrap(expression, NESTED);
                }
            }
            Expr::FnCall(call, position) => {
                self.call(call);
                if let Some(comparison) = compare(call, *position) {
                    *expression = comparison;
                }
            }
            Expr::MethodCall(call, _) => self.call(call),
            Expr::Dot(..) | Expr::Index(..) => chain::copy_receivers(self, expression),
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                for part in parts.iter_mut() {
                    self.expression(part);
                }
            }
            _ => {}
        }
    }

    fn literal(&self, literal: &mut Expr, place: Place) {
        if literal.is_constant() {
            return;
        }
        let mut nests = false;
        let mut visit = |item: &mut Expr| {
            nests |= may_nest(item);
            self.expression_at(item, Place::InLiteral);
        };
        match literal {
            Expr::Array(items, _) => items.iter_mut().for_each(&mut visit),
            Expr::Map(parts, _) => parts.0.iter_mut().for_each(|(_, item)| visit(item)),
            _ => {}
        }
        if nests && place == Place::Anywhere {
            wrap(literal, NESTED);
        }
    }
}

/// Whether the value of this expression may be a container or a function.
fn may_nest(expression: &Expr) -> bool {
    match expression {
        Expr::FnCall(call, _) => matches!(call.op_token, None | Some(Token::Plus)),
        Expr::InterpolatedString(..) | Expr::Custom(..) | Expr::And(..) | Expr::Or(..) => false,
        other => !other.is_constant(),
    }
}

/// The node that a comparison by order becomes.
fn compare(call: &mut FnCallExpr, position: Position) -> Option<Expr> {
    let operator = Operator::of(call.op_token.as_ref()?)?;
    let [a, b] = call.args.as_mut_slice() else { return None };
    Some(node(COMPARED, [std::mem::take(a), std::mem::take(b)], pack(operator, position), position))
}

/// A closure that captures: `Share` statements, then the call that binds what was shared.
fn is_capture(block: &StmtBlock) -> bool {
    matches!(block.statements(), [Stmt::Share(_), Stmt::Expr(_)])
}

/// Makes `expression` the input of the node `key`.
fn wrap(expression: &mut Expr, key: &'static str) {
    let position = expression.start_position();
    *expression = node(key, [std::mem::take(expression)], Dynamic::UNIT, position);
}

/// An expression that the sandbox evaluates.
fn node<const N: usize>(key: &'static str, inputs: [Expr; N], state: Dynamic, position: Position) -> Expr {
    let node = CustomExpr {
        inputs: inputs.into_iter().collect(),
        tokens: std::iter::once(key.into()).collect(),
        state,
        scope_may_be_changed: false,
        self_terminated: false,
    };
    Expr::Custom(node.into(), position)
}

/// A block that evaluates to the expression: a value of its own instead of a reference.
fn copy_of(expression: Expr) -> Expr {
    let position: Position = expression.start_position();
    Expr::Stmt(StmtBlock::new([Stmt::Expr(expression.into())], position, position).into())
}

#[cfg(test)]
mod tests;
