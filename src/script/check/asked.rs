//! What the closures of a declaration (`when`, `input`, `dedupe`, `concurrency.key`) cannot call: they are asked before there
//! is a run, so nothing can be recorded.

use rhai::{ASTNode, Expr, Stmt};

use super::super::catalog::Kind;
use super::super::program::full_name;
use super::known::Known;

/// The host function that needs a run, where calling this one calls one: itself, or what a function of the file comes to.
pub(super) fn needs_run(known: &Known<'_>, path: &str, name: &str) -> Option<String> {
    let mut seen = Vec::new();
    found(known, path, name, &mut seen)
}

fn found(known: &Known<'_>, path: &str, name: &str, seen: &mut Vec<String>) -> Option<String> {
    if seen.iter().any(|before| before == name) {
        return None;
    }
    seen.push(name.to_owned());
    let own: Vec<_> = known.functions(path).filter(|function| function.name == name).collect();
    if own.is_empty() {
        let forms = known.catalog.find(name);
        let recorded = |kind: Kind| matches!(kind, Kind::Reading | Kind::Mutating | Kind::Internal);
        let is_recorded = !forms.is_empty() && forms.iter().all(|form| recorded(form.kind));
        return is_recorded.then(|| name.to_owned());
    }
    own.iter().flat_map(|function| calls(&function.body)).find_map(|called| found(known, path, &called, seen))
}

/// Names of the functions that a body calls; closures in it are bodies of their own.
fn calls(body: &[Stmt]) -> Vec<String> {
    let mut names = Vec::new();
    for stmt in body {
        stmt.walk(&mut Vec::new(), &mut |path| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) = path.last()
                && call.op_token.is_none()
            {
                names.push(full_name(call));
            }
            true
        });
    }
    names
}
