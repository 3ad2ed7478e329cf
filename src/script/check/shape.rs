//! What is known of the shape of values: of the declared input, its parts, and variables that hold them; and the properties
//! that such a value does not have.
//!
//! Nothing is said of what may have another shape by then: a variable that is assigned anywhere in the file, and a property
//! that is assigned, or put into, under any variable.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, FnPtr, Position, Stmt};

use super::super::errors;
use super::super::source::Source;
use super::walk::Walker;
use crate::diag::{Diagnostic, Edit, Fix, suggest};

/// What a value looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    #[default]
    Any,
    /// A list of such values.
    List(Box<Shape>),
    /// A map with these keys and no others.
    Map(BTreeMap<String, Shape>),
}

/// A value of the input, and where in it: `lines[]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracked {
    pub(super) shape: Shape,
    path: String,
}

impl Tracked {
    /// The input itself.
    pub(super) fn input(shape: &Shape) -> Self {
        Self { shape: shape.clone(), path: String::new() }
    }

    /// What the closures get that a function or method of this name takes which goes over this list.
    pub(super) fn items_for(&self, name: &str) -> Vec<Self> {
        match name {
            "reduce" | "reduce_rev" => vec![Self::default(), self.item()],
            name if OVER_ITEMS.contains(&name) => vec![self.item()],
            _ => Vec::new(),
        }
    }

    /// An item of the list that it is.
    pub(super) fn item(&self) -> Self {
        match &self.shape {
            Shape::List(item) => Self { shape: (**item).clone(), path: format!("{}[]", self.path) },
            _ => Self::default(),
        }
    }

    fn part(&self, name: &str) -> Self {
        let shape = match &self.shape {
            Shape::Map(fields) => fields.get(name).cloned().unwrap_or_default(),
            _ => Shape::Any,
        };
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { shape, path: format!("{}{dot}{name}", self.path) }
    }
}

/// What comes after a value: `.name`, `[index]`, `.method(…)`.
enum Link<'e> {
    Property(&'e str, Position),
    Index(&'e Expr),
    Method(&'e FnCallExpr, Position),
}

/// A value and what comes after it. Rhai nests to the right: `a.b[c]` is `a` and (`b` and `c`).
fn chain(expr: &Expr) -> (&Expr, Vec<Link<'_>>) {
    let (Expr::Dot(parts, flags, _) | Expr::Index(parts, flags, _)) = expr else { return (expr, Vec::new()) };
    let mut links = Vec::new();
    let (mut rest, mut flags, mut is_index) = (&parts.rhs, *flags, matches!(expr, Expr::Index(..)));
    loop {
        match rest {
            Expr::Dot(parts, next, _) | Expr::Index(parts, next, _) if !flags.contains(rhai::ASTFlags::BREAK) => {
                links.push(link(&parts.lhs, is_index));
                is_index = matches!(rest, Expr::Index(..));
                (rest, flags) = (&parts.rhs, *next);
            }
            last => {
                links.push(link(last, is_index));
                return (&parts.lhs, links);
            }
        }
    }
}

fn link(expr: &Expr, is_index: bool) -> Link<'_> {
    match expr {
        Expr::Property(parts, pos) if !is_index => Link::Property(parts.2.as_str(), *pos),
        Expr::MethodCall(call, pos) if !is_index => Link::Method(call, *pos),
        expr => Link::Index(expr),
    }
}

/// Methods whose closure gets one item after the other.
const OVER_ITEMS: &[&str] = &[
    "map",
    "filter",
    "some",
    "all",
    "find",
    "find_map",
    "index_of",
    "retain",
    "drain",
    "extract",
    "group_by",
    "sum",
    "unique",
    "parallel_map",
];

/// Methods that put something into their value.
const PUT: &[&str] = &["push", "append", "insert", "pad", "splice", "set", "mixin", "fill_with"];

/// What a file changes.
#[derive(Default)]
pub(super) struct Changed {
    variables: BTreeSet<String>,
    /// Properties, under whatever value.
    properties: BTreeSet<String>,
    /// Something may change any variable.
    is_open: bool,
}

impl Changed {
    pub(super) fn in_file(ast: &AST) -> Self {
        let own: BTreeSet<&str> = ast.iter_fn_def().map(|def| def.name.as_str()).collect();
        let mut changed = Self::default();
        ast.walk(&mut |nodes| {
            match nodes.last() {
                Some(ASTNode::Stmt(Stmt::Assignment(parts))) => changed.assigned(&parts.1.lhs),
                Some(ASTNode::Expr(expr @ (Expr::Dot(..) | Expr::Index(..)))) => changed.called(expr, &own),
                Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                    changed.is_open |= call.capture_parent_scope;
                }
                _ => {}
            }
            true
        });
        changed
    }

    fn assigned(&mut self, target: &Expr) {
        let (root, links) = chain(target);
        match links.last() {
            Some(Link::Property(name, _)) => drop(self.properties.insert((*name).to_owned())),
            Some(Link::Index(Expr::StringConstant(name, _))) => drop(self.properties.insert(name.to_string())),
            _ => self.holder(root, &links[..links.len().saturating_sub(1)]),
        }
    }

    /// Methods that change their value: those that put into it, and functions of the script.
    fn called(&mut self, expr: &Expr, own: &BTreeSet<&str>) {
        let (root, links) = chain(expr);
        for (at, link) in links.iter().enumerate() {
            if let Link::Method(call, _) = link
                && (PUT.contains(&call.name.as_str()) || own.contains(call.name.as_str()))
            {
                self.holder(root, &links[..at]);
            }
        }
    }

    /// What holds the value that such a chain ends at.
    fn holder(&mut self, root: &Expr, links: &[Link]) {
        let name = links.iter().rev().find_map(|link| match link {
            Link::Property(name, _) => Some((*name).to_owned()),
            Link::Index(Expr::StringConstant(name, _)) => Some(name.to_string()),
            _ => None,
        });
        // Through an index or a method the variable itself may be what is changed.
        if let (None, Expr::Variable(parts, ..)) = (&name, root) {
            self.variables.insert(parts.1.to_string());
        }
        self.properties.extend(name);
    }
}

impl Walker<'_> {
    /// A value with what comes after it: each part is looked at once, and properties that it does not have are found.
    pub(super) fn chain(&mut self, expr: &Expr) {
        let (root, links) = chain(expr);
        let mut at = self.tracked(root);
        let root_name = match root {
            Expr::Variable(parts, ..) => parts.1.as_str(),
            _ => "",
        };
        let told = self.findings.len();
        self.expr(root);
        // Of something that is not there, no method can be known: `JSON.parse(text)`.
        let is_unknown = self.findings.get(told).is_some_and(|finding| finding.code == "E0302");
        for (n, link) in links.iter().enumerate() {
            if let (Link::Method(call, pos), Some(_)) = (link, links.get(n + 1)) {
                self.method_used(call, *pos);
            }
            match link {
                Link::Property(name, pos) => self.property(&at, name, *pos, (n == 0).then_some(root_name)),
                Link::Index(Expr::StringConstant(name, pos)) => {
                    self.property(&at, name, *pos, (n == 0).then_some(root_name));
                }
                Link::Index(index) => self.expr(index),
                Link::Method(call, _) if is_unknown => call.args.iter().for_each(|arg| self.expr(arg)),
                Link::Method(call, pos) => self.method(call, *pos, &at),
            }
            at = self.step(&at, link);
        }
    }

    /// What is known of the value of an expression.
    pub(super) fn tracked(&self, expr: &Expr) -> Tracked {
        match expr {
            Expr::Variable(parts, ..) if parts.2.is_empty() => {
                let is_changed = self.changed.is_open || self.changed.variables.contains(&*parts.1);
                self.shapes.get(&*parts.1).filter(|_| !is_changed).cloned().unwrap_or_default()
            }
            Expr::Dot(..) | Expr::Index(..) => {
                let (root, links) = chain(expr);
                links.iter().fold(self.tracked(root), |at, link| self.step(&at, link))
            }
            _ => Tracked::default(),
        }
    }

    fn step(&self, at: &Tracked, link: &Link) -> Tracked {
        match link {
            Link::Property(name, _) if !self.changed.properties.contains(*name) => at.part(name),
            Link::Index(Expr::StringConstant(name, _)) if !self.changed.properties.contains(name.as_str()) => {
                at.part(name)
            }
            Link::Index(Expr::IntegerConstant(..) | Expr::Variable(..)) => at.item(),
            Link::Method(call, _) => match call.name.as_str() {
                "filter" if matches!(at.shape, Shape::List(_)) => at.clone(),
                "find" => at.item(),
                _ => Tracked::default(),
            },
            _ => Tracked::default(),
        }
    }

    /// An argument; where it is a closure, its parameters are these.
    pub(super) fn argument(&mut self, arg: &Expr, given: &[Tracked]) {
        if is_closure(arg) {
            self.given = given.to_vec();
        }
        self.expr(arg);
        self.given.clear();
    }

    /// A property of a part of the input that its declaration does not have; `variable` where it is that of a variable.
    fn property(&mut self, of: &Tracked, name: &str, pos: Position, variable: Option<&str>) {
        let Shape::Map(fields) = &of.shape else { return };
        if fields.contains_key(name) || self.changed.properties.contains(name) {
            return;
        }
        let near = suggest::nearest(name, fields.keys().map(String::as_str));
        let place = errors::place(self.source, pos);
        let (title, missing) = if of.path.is_empty() {
            (format!("the declared input has no property `{name}`"), format!("declare it: `input: #{{ {name}: ... }}`"))
        } else {
            let (title, hint) = ("in the declared input", "declare it there");
            (format!("`{}` {title} has no property `{name}`", of.path), format!("{hint}: `{name}: ...`"))
        };
        let hint = match (near, variable.filter(|variable| !variable.is_empty())) {
            (Some(near), Some(variable)) => format!("did you mean `{variable}.{near}`?"),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, _) => missing,
        };
        let fix = near.and_then(|near| renamed(self.source, pos, name, near));
        self.findings.push(Diagnostic::new("W0404", title, place).hint(hint).maybe_fix(fix));
    }
}

/// The near name in place of a property, or of a key in quotes.
fn renamed(source: &Source, pos: Position, name: &str, near: &str) -> Option<Fix> {
    let (line, column) = (pos.line()?, pos.position()?);
    let text: String = source.line(line)?.chars().skip(column - 1).collect();
    let is_word = near.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let (old, new) = if text.starts_with('"') {
        (format!("\"{name}\""), format!("\"{near}\""))
    } else {
        (name.to_owned(), near.to_owned())
    };
    let edit = Edit::replace(line, column, old.chars().count(), new);
    (is_word && text.starts_with(&old)).then(|| Fix::new(format!("write `{near}`"), vec![edit]))
}

fn is_closure(arg: &Expr) -> bool {
    match arg {
        Expr::DynamicConstant(value, _) => value.read_lock::<FnPtr>().is_some(),
        Expr::Stmt(block) => matches!(block.statements(), [Stmt::Share(_), Stmt::Expr(_)]),
        _ => false,
    }
}
