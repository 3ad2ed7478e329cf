//! Chains such as `a.b[i].map(f).c`. Rhai nests them to the right, so a receiver is no expression of its own until it is cut out.

use rhai::{ASTFlags, BinaryExpr, Expr, FnCallExpr, Position};

use super::{Rewriter, copy_of};

/// Methods that take a function and leave their receiver as it is.
const READERS: &[&str] = &[
    "all",
    "any",
    "count_by",
    "filter",
    "find",
    "find_map",
    "flat_map",
    "group_by",
    "key_by",
    "map",
    "max_by",
    "min_by",
    "none",
    "order",
    "order_by",
    "partition",
    "reduce",
    "reduce_rev",
    "skip_while",
    "some",
    "sum_by",
    "take_while",
    "unique_by",
    "zip",
];

/// Methods that may be given a plain value too; then a copy would only cost.
const READERS_WITH_FUNCTION: &[&str] = &["contains", "count", "index_of", "sum", "unique"];

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kind {
    Dot,
    Index,
}

/// One step of a chain.
struct Link {
    kind: Kind,
    flags: ASTFlags,
    position: Position,
    step: Expr,
}

pub(super) fn copy_receivers(rewriter: &Rewriter, expression: &mut Expr) {
    let (mut root, links) = take_apart(std::mem::take(expression));
    rewriter.expression(&mut root);
    let mut is_place = matches!(root, Expr::Variable(..) | Expr::ThisPtr(_));
    let mut pending = Vec::with_capacity(links.len());
    for mut link in links {
        // A property has nothing to visit; what an index or a method call holds are expressions of their own.
        rewriter.expression(&mut link.step);
        if is_place && reads_only(rewriter, &link.step) {
            root = copy_of(put_together(root, std::mem::take(&mut pending)));
            is_place = false;
        }
        pending.push(link);
    }
    *expression = put_together(root, pending);
}

fn reads_only(rewriter: &Rewriter, step: &Expr) -> bool {
    let Expr::MethodCall(call, _) = step else { return false };
    let name = call.name.as_str();
    let reads =
        READERS.contains(&name) && !call.args.is_empty() || READERS_WITH_FUNCTION.contains(&name) && has_closure(call);
    reads && !rewriter.own_methods.iter().any(|own| own == name)
}

fn has_closure(call: &FnCallExpr) -> bool {
    call.args.iter().any(|argument| match argument {
        Expr::DynamicConstant(value, _) => value.is_fnptr(),
        // A capturing closure is a block that was wrapped by now.
        Expr::Custom(inner, _) => matches!(inner.inputs.first(), Some(Expr::Stmt(_))),
        _ => false,
    })
}

fn take_apart(expression: Expr) -> (Expr, Vec<Link>) {
    let mut links = Vec::new();
    let (binary, mut flags, mut position, mut kind) =
        split(expression).unwrap_or_else(|_| unreachable!("a chain is a dot or an index"));
    let BinaryExpr { lhs: root, rhs: mut rest } = binary;
    loop {
        let ends = flags.contains(ASTFlags::BREAK);
        match if ends { Err(rest) } else { split(rest) } {
            Ok((next, next_flags, next_position, next_kind)) => {
                links.push(Link { kind, flags, position, step: next.lhs });
                (flags, position, kind, rest) = (next_flags, next_position, next_kind, next.rhs);
            }
            Err(step) => {
                links.push(Link { kind, flags, position, step });
                return (root, links);
            }
        }
    }
}

fn split(expression: Expr) -> Result<(BinaryExpr, ASTFlags, Position, Kind), Expr> {
    match expression {
        Expr::Dot(binary, flags, position) => Ok((*binary, flags, position, Kind::Dot)),
        Expr::Index(binary, flags, position) => Ok((*binary, flags, position, Kind::Index)),
        other => Err(other),
    }
}

fn put_together(root: Expr, links: Vec<Link>) -> Expr {
    let mut rest: Option<Expr> = None;
    let mut above: Option<(Kind, ASTFlags, Position)> = None;
    for link in links.into_iter().rev() {
        let step = match (rest.take(), above) {
            (Some(rhs), Some(joint)) => join(link.step, rhs, joint),
            _ => link.step,
        };
        // The last index ends the chain: what is inside the brackets is not its continuation.
        let flags = if above.is_none() && link.kind == Kind::Index { link.flags | ASTFlags::BREAK } else { link.flags };
        (rest, above) = (Some(step), Some((link.kind, flags, link.position)));
    }
    match (rest, above) {
        (Some(rhs), Some(joint)) => join(root, rhs, joint),
        _ => root,
    }
}

fn join(lhs: Expr, rhs: Expr, (kind, flags, position): (Kind, ASTFlags, Position)) -> Expr {
    let binary = Box::new(BinaryExpr { lhs, rhs });
    match kind {
        Kind::Dot => Expr::Dot(binary, flags, position),
        Kind::Index => Expr::Index(binary, flags, position),
    }
}
