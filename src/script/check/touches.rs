//! What a workflow touches, read from its source: functions by what they do, and the hosts, secrets, programs, files,
//! databases, brokers, workflows and events that it names in plain text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rhai::{ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use super::super::bundle::Bundle;
use super::super::catalog::{Catalog, Kind};
use super::super::errors;
use super::super::program::full_name;
use super::known::{Known, natives};
use super::parsed;
use crate::diag::Place;

/// Names, each with the first place where it stands.
pub type Named = BTreeMap<String, Place>;

/// What a workflow touches.
#[derive(Clone, Debug, Default)]
pub struct Touches {
    /// Host functions that look at the outside.
    pub reads: Named,
    /// Host functions that change the outside.
    pub changes: Named,
    /// Host functions of the engine: waits, state, events, tasks.
    pub engine: Named,
    /// Hosts, with a port where one is written.
    pub hosts: Named,
    /// Secrets.
    pub secrets: Named,
    /// Programs.
    pub programs: Named,
    /// Files, paths and patterns.
    pub files: Named,
    /// Databases.
    pub databases: Named,
    /// Brokers, by their addresses.
    pub brokers: Named,
    /// Workflows that it starts.
    pub starts: Named,
    /// Events that it emits.
    pub emits: Named,
    /// Events that it waits for.
    pub awaits: Named,
    /// Which of these are also computed when it runs: `hosts`, `files`, ….
    pub computed: BTreeSet<&'static str>,
}

/// Reads what a bundle touches; what does not parse is left out.
pub fn touches(engine: &Engine, bundle: &Bundle, catalog: &Catalog) -> Touches {
    let files = parsed(engine, bundle);
    let known = Known::new(Cow::Owned(natives(engine)), bundle, &files, catalog);
    let mut touches = Touches::default();
    for (path, file) in &files {
        let source = &file.source;
        file.ast.walk(&mut |nodes| {
            let called = match nodes.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, pos)) | ASTNode::Stmt(Stmt::FnCall(call, pos))) => {
                    Some((call, *pos))
                }
                _ => None,
            };
            if let Some((call, pos)) = called.filter(|(call, _)| call.op_token.is_none()) {
                let pos = if call.namespace.is_empty() { pos } else { call.namespace.position() };
                let place = |pos: Position| errors::place(source, pos);
                touches.call(catalog, call, place(pos), |arg| {
                    Some((text_of(&known, path, arg)?, place(arg.start_position())))
                });
            }
            true
        });
    }
    touches
}

impl Touches {
    fn call(
        &mut self,
        catalog: &Catalog,
        call: &FnCallExpr,
        place: Place,
        text: impl Fn(&Expr) -> Option<(String, Place)>,
    ) {
        let name = full_name(call);
        let kind = catalog.find(&name).first().map(|form| form.kind);
        let functions = match kind {
            Some(Kind::Reading) => Some(&mut self.reads),
            Some(Kind::Mutating) => Some(&mut self.changes),
            Some(Kind::Internal) => Some(&mut self.engine),
            _ if matches!(name.as_str(), "secret" | "oauth2") => None,
            _ => return,
        };
        if let Some(functions) = functions {
            functions.entry(name.clone()).or_insert(place);
        }
        let (Some((what, named)), Some(arg)) = (self.named(&name), call.args.first()) else { return };
        match text(arg) {
            Some((text, place)) => {
                let text = match what {
                    "hosts" => host(&text),
                    "brokers" => broker(&text),
                    // A client's tokens are in the list of secrets under this name.
                    _ if name == "oauth2" => Some(format!("oauth2:{text}")),
                    _ => Some(text),
                };
                if let Some(text) = text {
                    named.entry(text).or_insert(place);
                }
            }
            None => {
                self.computed.insert(what);
            }
        }
    }

    /// What the first argument of a function names, and where that is kept.
    fn named(&mut self, function: &str) -> Option<(&'static str, &mut Named)> {
        Some(match function {
            "secret" | "oauth2" => ("secrets", &mut self.secrets),
            "shell::run" => ("programs", &mut self.programs),
            "event::emit" => ("emits", &mut self.emits),
            "wait_for" => ("awaits", &mut self.awaits),
            "workflow::run" | "workflow::start" => ("starts", &mut self.starts),
            name if name.starts_with("http::") => ("hosts", &mut self.hosts),
            name if name.starts_with("file::") => ("files", &mut self.files),
            name if name.starts_with("sql::") => ("databases", &mut self.databases),
            name if name.starts_with("message::") => ("brokers", &mut self.brokers),
            _ => return None,
        })
    }
}

/// A text that is known without running: a literal, a constant, or what a text in backticks or a sum starts with where
/// that is a whole host.
pub(super) fn text_of(known: &Known, path: &str, arg: &Expr) -> Option<String> {
    let start = |parts: &[Expr]| {
        let mut text = text_of(known, path, parts.first()?)?;
        if let Some(Expr::StringConstant(second, _)) = parts.get(1) {
            text.push_str(second);
        }
        text.split_once("://")?.1.contains(['/', '?', '#']).then_some(text)
    };
    match arg {
        Expr::StringConstant(text, _) => Some(text.to_string()),
        Expr::Variable(parts, ..) if parts.2.is_empty() && parts.0.is_none() => {
            known.text(path, &parts.1).map(str::to_owned)
        }
        Expr::InterpolatedString(parts, _) => start(parts),
        Expr::FnCall(call, _) if call.op_token.is_some() && call.name == "+" => start(&call.args),
        // A part of a text in backticks is a block with one statement.
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Expr(only)] => text_of(known, path, only),
            _ => None,
        },
        _ => None,
    }
}

/// The address of a broker, without what is behind it.
fn broker(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    Some(format!("{scheme}://{}", host(url)?))
}

/// Host and port of an address.
fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    (!host.is_empty()).then(|| host.to_lowercase())
}
