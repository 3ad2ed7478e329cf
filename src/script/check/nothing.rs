//! Values that are none: what a method returns that changes its value in place, and returns `()`.
//!
//! `name.trim().is_empty()` fails when it runs, and `let sorted = list.sort();` has nothing in it.

use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt, StmtBlock};

use super::walk::Walker;

/// Methods of lists, texts and maps that change the value before the dot, and return `()`.
const IN_PLACE: &[&str] = &[
    "append",
    "chop",
    "clear",
    "crop",
    "dedup",
    "fill_with",
    "insert",
    "make_lower",
    "make_upper",
    "mixin",
    "pad",
    "push",
    "replace",
    "reverse",
    "set",
    "sort",
    "sort_by",
    "trim",
    "truncate",
];

/// Ways to get a new value.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "trim" => "write `text.trim();` as a statement first, and then use `text`",
        "make_lower" => "`to_lower()` returns a new text",
        "make_upper" => "`to_upper()` returns a new text",
        "append" => "`a + b` makes a new list",
        "push" => "`list + [item]` makes a new list",
        "mixin" => "`a + b` makes a new map",
        "crop" => "`sub_string(start, length)` returns a new text",
        "replace" => "`regex::replace` returns a new text; or write `text.replace(a, b);` as a statement first",
        _ => return None,
    })
}

/// Whether evaluating it does anything.
fn calls(value: &Expr) -> bool {
    let mut found = false;
    value.walk(&mut Vec::new(), &mut |nodes| {
        found |= match nodes.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))) => call.op_token.is_none(),
            Some(ASTNode::Stmt(Stmt::Expr(_))) => false,
            Some(ASTNode::Stmt(_)) => true,
            _ => false,
        };
        !found
    });
    found
}

impl Walker<'_> {
    /// `try { f() } catch { 0 }`: the value of `try` is there, that of `catch` is not. What ends a `catch` and calls nothing is only
    /// good for a value.
    pub(super) fn value_of_catch(&mut self, branch: &StmtBlock) {
        let Some(Stmt::Expr(value)) = branch.statements().last() else { return };
        if matches!(**value, Expr::Unit(_)) || calls(value) {
            return;
        }
        let hint = "write `return ...;` where it is what the function returns; as a value: `let r = attempt(|| ...); if r.ok { r.value } else { ... }`";
        self.find("W0416", "this value of `catch` is lost", value.start_position(), Some(hint.to_owned()));
    }

    /// Something is done with what a method returns.
    pub(super) fn method_used(&mut self, call: &FnCallExpr, pos: Position) {
        let name = call.name.as_str();
        let is_own = || self.known.functions(&self.source.path).any(|function| function.name == name);
        if !IN_PLACE.contains(&name) || is_own() {
            return;
        }
        let hint = instead(name).map_or_else(
            || format!("write the call as a statement of its own: `x.{name}(...);`, and then use `x`"),
            str::to_owned,
        );
        self.find("W0415", format!("`{name}` changes the value in place, and returns `()`"), pos, Some(hint));
    }

    /// Something is done with what an expression gives.
    pub(super) fn value_used(&mut self, expr: &Expr) {
        match expr {
            Expr::Dot(parts, ..) => self.value_used(&parts.rhs),
            Expr::MethodCall(call, pos) => self.method_used(call, *pos),
            // What a text in backticks holds is a block.
            Expr::Stmt(block) => {
                if let [rhai::Stmt::Expr(only)] = block.statements() {
                    self.value_used(only);
                }
            }
            _ => {}
        }
    }
}
