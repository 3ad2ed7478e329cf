//! Names of workflows that are written out, where no such workflow is in the folder: in calls that start one, in what starts
//! after another, in `on_failure`.
//!
//! A name that is there only later is fine at run time, so each finding is a warning.

use rhai::{ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};
use std::borrow::Cow;

use super::super::bundle::Bundle;
use super::super::catalog::Catalog;
use super::super::errors;
use super::super::program::full_name;
use super::super::source::Source;
use super::known::{Known, natives};
use super::{parsed, touches};
use crate::diag::{Diagnostic, Edit, Fix, suggest};

/// Names in the files of a bundle that are none of `workflows`. Built-in modules are not looked at.
pub fn unknown(engine: &Engine, bundle: &Bundle, catalog: &Catalog, workflows: &[&str]) -> Vec<Diagnostic> {
    let files = parsed(engine, bundle);
    let known = Known::new(Cow::Owned(natives(engine)), bundle, &files, catalog);
    let mut findings = Vec::new();
    for (path, file) in files.iter().filter(|(path, _)| !path.starts_with("std/")) {
        let mut found = Vec::new();
        let finder = Finder { known: &known, source: &file.source, workflows };
        file.ast.walk(&mut |nodes| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) = nodes.last() {
                found.extend(Named::of(call).and_then(|named| finder.judge(&named)));
            }
            true
        });
        if let Some(source) = bundle.sources.get(path) {
            found.iter_mut().for_each(|finding| file.restore(source, finding));
        }
        findings.extend(found);
    }
    findings
}

/// What names a workflow, and for what.
struct Named<'a> {
    name: &'a Expr,
    what: &'static str,
}

impl<'a> Named<'a> {
    /// The argument of a call that names a workflow.
    fn of(call: &'a FnCallExpr) -> Option<Self> {
        let first = call.args.first()?;
        match full_name(call).as_str() {
            "workflow::run" | "workflow::start" => Some(Self { name: first, what: "started here" }),
            "trigger::run" => Some(Self { name: first, what: "waited for here" }),
            "workflow" => {
                let on_failure = entry(first, "on_failure")?;
                Some(Self { name: entry(on_failure, "workflow")?, what: "started when a run fails" })
            }
            _ => None,
        }
    }
}

struct Finder<'a> {
    known: &'a Known<'a>,
    source: &'a Source,
    workflows: &'a [&'a str],
}

impl Finder<'_> {
    fn judge(&self, named: &Named) -> Option<Diagnostic> {
        let name = touches::text_of(self.known, &self.source.path, named.name)?;
        let is_text = matches!(named.name, Expr::StringConstant(..) | Expr::Variable(..));
        if !is_text || name.contains('*') || self.workflows.contains(&name.as_str()) {
            return None;
        }
        let near = suggest::nearest(&name, self.workflows.iter().copied());
        let hint = near.map_or_else(
            || "a workflow is named by its path below the scripts folder, without `.rhai`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let title = format!("there is no workflow `{name}`, which is {}", named.what);
        let pos = named.name.position();
        let fix = near.and_then(|near| self.fix(named.name, pos, &name, near));
        Some(Diagnostic::new("W0413", title, errors::place(self.source, pos)).hint(hint).maybe_fix(fix))
    }

    /// The near name in place of a text that is written here.
    fn fix(&self, written: &Expr, pos: Position, name: &str, near: &str) -> Option<Fix> {
        let Expr::StringConstant(..) = written else { return None };
        let (line, column) = (pos.line()?, pos.position()?);
        let text: String = self.source.line(line)?.chars().skip(column - 1).collect();
        let quoted = format!("\"{name}\"");
        let edit = Edit::replace(line, column, quoted.chars().count(), format!("\"{near}\""));
        text.starts_with(&quoted).then(|| Fix::new(format!("write `\"{near}\"`"), vec![edit]))
    }
}

/// The value of a key of a map that is written out.
fn entry<'a>(map: &'a Expr, key: &str) -> Option<&'a Expr> {
    let Expr::Map(parts, _) = map else { return None };
    parts.0.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
}
