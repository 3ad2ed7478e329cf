//! Bodies of functions become nodes, so that an error of a limit can tell which functions it left.
//!
//! What a body means, and how many operations are counted for it, stays what it was. A body that neither calls a function
//! nor has a loop is left alone: it can hardly pass a limit, it is often the whole of a closure, and the node would cost
//! more than it.

use rhai::{ASTNode, Dynamic, Expr, Position, Stmt, StmtBlock};

use super::super::sandbox::frames::FRAME;
use super::super::sandbox::nesting::NESTED;
use super::node;

pub(super) fn enclose(block: &mut StmtBlock, function: &str) {
    if !block.statements().iter().any(may_pass_a_limit) {
        return;
    }
    let position = block.statements().first().map_or(Position::NONE, Stmt::position);
    let span = block.span();
    let inner = StmtBlock::new_with_span(std::mem::take(block.statements_mut()), span);
    let whole = node(FRAME, [Expr::Stmt(inner.into())], Dynamic::from(function.to_owned()), position);
    *block = StmtBlock::new_with_span([Stmt::Expr(whole.into())], span);
}

fn may_pass_a_limit(statement: &Stmt) -> bool {
    let mut found = false;
    statement.walk(&mut Vec::new(), &mut |path| {
        found |= path.last().is_some_and(|last| match last {
            ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..) | Stmt::For(..)) => true,
            ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)) => {
                call.op_token.is_none()
            }
            ASTNode::Expr(Expr::Custom(custom, _)) => custom.tokens.first().is_some_and(|key| key == NESTED),
            _ => false,
        });
        !found
    });
    found
}
