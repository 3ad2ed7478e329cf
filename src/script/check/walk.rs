//! The walk over one body: the top level of a file, or a function with the closures in it.

use std::collections::BTreeMap;

use rhai::{ASTFlags, Expr, FnCallExpr, FnPtr, Position, Stmt, StmtBlock};

use super::super::catalog::{Kind, is_declarative, is_trigger};
use super::super::errors;
use super::super::program::full_name;
use super::super::source::Source;
use super::Options;
use super::asked;
use super::known::{Function, Known, Verdict};
use super::shape::{Changed, Shape, Tracked};
use crate::diag::Diagnostic;

/// Deepest nesting that is looked at; the parser's own limit is lower.
const MAX_DEPTH: usize = 200;

/// What the body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The top level of a file with `fn main`, or of a module: it only declares.
    Declaration,
    /// The top level of a bare script.
    Script,
    /// A function or closure.
    Function,
    /// A closure of a declaration, such as `input` of a trigger: it is asked outside of any run.
    Asked,
}

pub(super) struct Walker<'a> {
    pub(super) known: &'a Known<'a>,
    pub(super) source: &'a Source,
    pub(super) options: Options<'a>,
    level: Level,
    /// Names in reach, for suggestions.
    locals: Vec<String>,
    /// Variables that hold the input, or a part of it.
    pub(super) shapes: BTreeMap<String, Tracked>,
    /// What the file changes, under whatever name.
    pub(super) changed: &'a Changed,
    /// What the parameters of the closure at hand are.
    pub(super) given: Vec<Tracked>,
    /// What the closure at hand has captured.
    captured: Vec<String>,
    /// The arguments of a declaration are looked at.
    declaring: bool,
    depth: usize,
    pub(super) findings: Vec<Diagnostic>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        known: &'a Known<'a>,
        source: &'a Source,
        options: Options<'a>,
        changed: &'a Changed,
        level: Level,
    ) -> Self {
        Self {
            known,
            source,
            options,
            level,
            locals: Vec::new(),
            shapes: BTreeMap::new(),
            changed,
            given: Vec::new(),
            captured: Vec::new(),
            declaring: false,
            depth: 0,
            findings: Vec::new(),
        }
    }

    /// Names this variable as the input.
    pub(super) fn input(&mut self, name: &str) {
        if let Some(shape) = self.options.input {
            self.shapes.insert(name.to_owned(), Tracked::input(shape));
        }
        self.locals.push(name.to_owned());
    }

    pub(super) fn locals(&mut self, names: impl Iterator<Item = String>) {
        self.locals.extend(names);
    }

    pub(super) fn find(&mut self, code: &str, title: impl Into<String>, pos: Position, hint: Option<String>) {
        let place = errors::place(self.source, pos);
        self.findings.push(Diagnostic::new(code, title, place).maybe_hint(hint));
    }

    pub(super) fn block(&mut self, statements: &[Stmt]) {
        let mut left = None;
        for stmt in statements {
            if let Some(how) = left.take()
                && !matches!(stmt, Stmt::Noop(_))
            {
                self.find("W0401", format!("this is never reached, after {how}"), start(stmt), None);
            }
            self.stmt(stmt);
            left = leaves(stmt);
        }
    }

    fn nested(&mut self, block: &StmtBlock) {
        let (locals, shapes) = (self.locals.len(), self.shapes.clone());
        self.block(block.statements());
        self.locals.truncate(locals);
        self.shapes = shapes;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        if self.depth > MAX_DEPTH {
            return;
        }
        self.depth += 1;
        match stmt {
            Stmt::Expr(expr) => self.expr(expr),
            Stmt::FnCall(call, pos) => self.call(call, *pos),
            Stmt::Block(block) => self.nested(block),
            Stmt::Var(parts, ..) => self.variable_defined(&parts.0.name, &parts.1),
            Stmt::Assignment(parts) => {
                self.expr(&parts.1.rhs);
                self.value_used(&parts.1.rhs);
                self.expr(&parts.1.lhs);
            }
            Stmt::Return(value, ..) | Stmt::BreakLoop(value, ..) => {
                if let Some(value) = value {
                    self.expr(value);
                }
            }
            Stmt::Share(captured) => {
                self.captured(captured.iter().map(|(name, index)| (&*name.name, index.is_some(), name.pos)));
            }
            stmt => self.control(stmt),
        }
        self.depth -= 1;
    }

    fn control(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.expr(&flow.expr);
                self.nested(&flow.body);
                self.nested(&flow.branch);
            }
            Stmt::TryCatch(flow, _) => {
                self.nested(&flow.body);
                let locals = self.locals.len();
                if let Expr::Variable(parts, ..) = &flow.expr {
                    self.locals.push(parts.1.to_string());
                }
                self.nested(&flow.branch);
                self.locals.truncate(locals);
                self.value_of_catch(&flow.branch);
            }
            Stmt::For(parts, _) => {
                let (variable, counter, flow) = &**parts;
                self.expr(&flow.expr);
                let item = self.tracked(&flow.expr).item();
                let (locals, shapes) = (self.locals.len(), self.shapes.clone());
                self.locals(std::iter::once(variable).chain(counter).map(|name| name.name.to_string()));
                self.hold(&variable.name, item);
                if let Some(counter) = counter {
                    self.hold(&counter.name, Tracked::default());
                }
                self.nested(&flow.body);
                self.locals.truncate(locals);
                self.shapes = shapes;
            }
            Stmt::Switch(parts, _) => {
                self.expr(&parts.0);
                for case in &parts.1.expressions {
                    self.expr(&case.lhs);
                    self.expr(&case.rhs);
                }
            }
            _ => {}
        }
    }

    fn variable_defined(&mut self, name: &str, value: &Expr) {
        self.expr(value);
        self.value_used(value);
        let tracked = self.tracked(value);
        self.locals.push(name.to_owned());
        self.hold(name, tracked);
    }

    /// From here on a variable holds this.
    fn hold(&mut self, name: &str, tracked: Tracked) {
        if tracked.shape == Shape::Any {
            self.shapes.remove(name);
        } else {
            self.shapes.insert(name.to_owned(), tracked);
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        if self.depth > MAX_DEPTH {
            return;
        }
        self.depth += 1;
        match expr {
            Expr::Variable(parts, short, pos) => self.variable(parts.as_ref(), short.is_some(), *pos),
            Expr::FnCall(call, pos) => self.call(call, *pos),
            Expr::MethodCall(call, pos) => self.method(call, *pos, &Tracked::default()),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expr),
            Expr::Array(items, _) => items.iter().for_each(|item| self.expr(item)),
            Expr::Map(parts, _) => parts.0.iter().for_each(|(_, value)| self.expr(value)),
            Expr::InterpolatedString(parts, _) => parts.iter().for_each(|part| {
                self.expr(part);
                self.value_used(part);
            }),
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| self.expr(part));
            }
            Expr::DynamicConstant(value, _) => {
                if let Some(pointer) = value.read_lock::<FnPtr>() {
                    self.closure(pointer.fn_name(), &[]);
                }
            }
            Expr::Stmt(block) => self.inline_block(block),
            _ => {}
        }
        self.depth -= 1;
    }

    /// A block as a value; a closure that captures is one too: what it shares, then the closure with its captured values.
    fn inline_block(&mut self, block: &StmtBlock) {
        let [Stmt::Share(captured), Stmt::Expr(made)] = block.statements() else {
            self.nested(block);
            return;
        };
        self.stmt(&block.statements()[0]);
        let names: Vec<&str> = captured.iter().map(|(name, _)| name.name.as_str()).collect();
        if let Expr::FnCall(curry, _) = &**made
            && let Some(Expr::DynamicConstant(value, _)) = curry.args.first()
            && let Some(pointer) = value.read_lock::<FnPtr>()
        {
            self.closure(pointer.fn_name(), &names);
        }
    }

    fn captured<'n>(&mut self, names: impl Iterator<Item = (&'n str, bool, Position)>) {
        for (name, found, pos) in names {
            if !found {
                self.unresolved(name, pos);
            }
        }
    }

    /// The body of a closure, in the surroundings where it is made.
    fn closure(&mut self, name: &str, captured: &[&str]) {
        let known = self.known;
        let Some(function) = known.closure(&self.source.path, name) else { return };
        let (shapes, given) = (self.shapes.clone(), std::mem::take(&mut self.given));
        let own = function.params.get(captured.len()..).unwrap_or_default();
        self.shapes.retain(|name, _| captured.contains(&name.as_str()) && !own.contains(name));
        own.iter().zip(given).for_each(|(name, tracked)| self.hold(name, tracked));
        let inside = if self.declaring { Level::Asked } else { Level::Function };
        let (level, locals) = (std::mem::replace(&mut self.level, inside), self.locals.len());
        self.locals.extend(own.iter().cloned());
        let captured = captured.iter().map(|name| (*name).to_owned()).collect();
        let outer = std::mem::replace(&mut self.captured, captured);
        self.body(function);
        self.captured = outer;
        self.locals.truncate(locals);
        (self.level, self.shapes) = (level, shapes);
    }

    fn body(&mut self, function: &Function) {
        if self.depth <= MAX_DEPTH {
            self.depth += 1;
            self.block(&function.body);
            self.depth -= 1;
        }
    }

    fn variable<N>(
        &mut self,
        parts: &(Option<N>, rhai::ImmutableString, rhai::Namespace, u64),
        short: bool,
        pos: Position,
    ) {
        let (index, name, space, _) = parts;
        if !space.is_empty() {
            let path: Vec<&str> = space.path.iter().map(|part| part.name.as_str()).collect();
            let verdict = self.known.constant(&self.source.path, &path, name);
            let full = format!("{}::{name}", path.join("::"));
            self.report(verdict, "E0302", &format!("unknown constant `{full}`"), &path.join("::"), space.position());
        } else if !short && index.is_none() && !self.is_hidden(name, pos) {
            self.unresolved(name, pos);
        }
    }

    /// A variable around a closure that has the name of a function: in the closure that is the function, and nothing says so.
    fn is_hidden(&mut self, name: &str, pos: Position) -> bool {
        let has = |names: &[String]| names.iter().any(|known| known == name);
        let is_inside = matches!(self.level, Level::Function | Level::Asked);
        let is_variable = is_inside && has(&self.locals) && !has(&self.captured);
        let hidden = is_variable && self.known.functions(&self.source.path).any(|function| function.name == name);
        if hidden {
            let title = format!("`{name}` is the function here, not the variable around the closure");
            let hint = format!(
                "rename the variable, or the function: a closure does not capture a variable with the name of `fn {name}`"
            );
            self.find("E0310", title, pos, Some(hint));
        }
        hidden
    }

    fn unresolved(&mut self, name: &str, pos: Position) {
        if self.locals.iter().any(|local| local == name) {
            return;
        }
        let verdict = self.known.variable(&self.source.path, name, self.locals.iter().map(String::as_str));
        let verdict = match verdict {
            Verdict::Unknown(None) if name == "input" => Verdict::Unknown(Some(
                "`input` is visible at the top level of a bare script; functions take it as a parameter".to_owned(),
            )),
            verdict => verdict,
        };
        self.report(verdict, "E0302", &format!("unknown variable `{name}`"), "", pos);
    }

    fn report(&mut self, verdict: Verdict, code: &str, unknown: &str, space: &str, pos: Position) {
        match verdict {
            Verdict::Known => {}
            Verdict::Unknown(hint) => {
                self.find(code, unknown, pos, hint);
                let fix = (code == "E0302").then(|| errors::mend_name(self.source, pos)).flatten();
                if let Some(finding) = self.findings.last_mut().filter(|_| fix.is_some()) {
                    finding.fix = fix.map(Box::new);
                }
            }
            Verdict::WrongCount(title) => {
                let prints = title.starts_with("`print`") || title.starts_with("`debug`");
                let hint = prints.then(|| "make one text of it: `` `${a} ${b}` ``".to_owned());
                self.find("E0303", title, pos, hint);
            }
            Verdict::NoModule(hint) => self.find("E0304", format!("unknown module `{space}`"), pos, hint),
        }
    }

    fn call(&mut self, call: &FnCallExpr, pos: Position) {
        if call.op_token.is_none() && call.name != "curry" {
            self.called(call, pos);
        }
        let list = call.args.first().map(|first| self.tracked(first)).unwrap_or_default();
        let given = list.items_for(&call.name);
        let name = full_name(call);
        let declares = self.declaring || name == "workflow" || is_trigger(&name);
        let outer = std::mem::replace(&mut self.declaring, declares);
        call.args.iter().for_each(|arg| {
            self.argument(arg, &given);
            self.value_used(arg);
        });
        self.declaring = outer;
    }

    fn called(&mut self, call: &FnCallExpr, pos: Position) {
        let (path, name, given) = (&self.source.path, full_name(call), call.args.len());
        let space: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let mut verdict = match space.as_slice() {
            [] => self.known.call(path, &name, given),
            space => self.known.qualified(path, space, &call.name, given),
        };
        if matches!(verdict, Verdict::Unknown(_)) && space.is_empty() && self.locals.contains(&name) {
            verdict = Verdict::Unknown(Some(format!("`{name}` is a variable: write `{name}.call(...)`")));
        }
        let pos = if call.namespace.is_empty() { pos } else { call.namespace.position() };
        let fine = matches!(verdict, Verdict::Known);
        self.report(verdict, "E0301", &format!("unknown function `{name}`"), &space.join("::"), pos);
        if fine {
            self.effect(&name, pos);
            if self.level == Level::Asked {
                self.asked(&name, pos);
            }
            self.literals(&name, call);
        }
    }

    /// Host functions in a declaration, but those that describe.
    fn effect(&mut self, name: &str, pos: Position) {
        let declarative = |kind: &Kind| *kind == Kind::Declarative;
        let mut kinds = self.known.catalog.find(name).iter().map(|form| form.kind);
        let describes = is_declarative(name) || kinds.all(|kind| declarative(&kind));
        if self.level == Level::Declaration && !describes {
            let hint = "the top level only declares: move the call into `main`, or into a function that `main` calls";
            self.find("E0306", format!("`{name}` is called at top level"), pos, Some(hint.to_owned()));
        }
    }

    /// What a closure of a declaration cannot call, by itself or by a function of the file: there is no run to record it.
    fn asked(&mut self, name: &str, pos: Position) {
        let Some(found) = asked::needs_run(self.known, &self.source.path, name) else { return };
        let by = if found == name { String::new() } else { format!(", by `{name}`") };
        let title = format!("`{found}` is called in a closure of a declaration{by}: it is asked outside of any run");
        let hint = "it has what the trigger received, and computes with that alone; move the call into `main`";
        self.find("E0306", title, pos, Some(hint.to_owned()));
    }

    /// A method of a value, of which this is known.
    pub(super) fn method(&mut self, call: &FnCallExpr, pos: Position, of: &Tracked) {
        let verdict = self.known.method(&self.source.path, &call.name, call.args.len());
        self.report(verdict, "E0301", &format!("unknown method `{}`", call.name), "", pos);
        let given = of.items_for(&call.name);
        call.args.iter().for_each(|arg| {
            self.argument(arg, &given);
            self.value_used(arg);
        });
    }
}

/// Whether nothing after a statement in its block is reached, and why.
pub(super) fn leaves(stmt: &Stmt) -> Option<&'static str> {
    match stmt {
        Stmt::Return(_, flags, _) if flags.contains(ASTFlags::BREAK) => Some("`throw`"),
        Stmt::Return(..) => Some("`return`"),
        Stmt::BreakLoop(_, flags, _) if flags.contains(ASTFlags::BREAK) => Some("`break`"),
        Stmt::BreakLoop(..) => Some("`continue`"),
        Stmt::Block(block) => block.iter().find_map(leaves),
        Stmt::If(flow, _) => flow.branch.iter().find_map(leaves).and(flow.body.iter().find_map(leaves)),
        Stmt::While(flow, _) if matches!(flow.expr, Expr::Unit(_) | Expr::BoolConstant(true, _)) => {
            (!breaks(flow.body.statements())).then_some("an endless loop")
        }
        _ => None,
    }
}

/// Whether a loop with this body can be left by `break`.
fn breaks(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::BreakLoop(_, flags, _) => flags.contains(ASTFlags::BREAK),
        Stmt::Block(block) => breaks(block.statements()),
        Stmt::If(flow, _) | Stmt::TryCatch(flow, _) => {
            breaks(flow.body.statements()) || breaks(flow.branch.statements())
        }
        Stmt::Switch(parts, _) => parts.1.expressions.iter().any(|case| breaks_in(&case.rhs)),
        Stmt::Expr(expr) => breaks_in(expr),
        _ => false,
    })
}

fn breaks_in(expr: &Expr) -> bool {
    match expr {
        Expr::Stmt(block) => breaks(block.statements()),
        _ => false,
    }
}

/// Where a statement starts; an assignment is positioned at its operator.
fn start(stmt: &Stmt) -> Position {
    match stmt {
        Stmt::Assignment(parts) => parts.1.lhs.start_position(),
        Stmt::Expr(expr) => expr.start_position(),
        Stmt::FnCall(call, _) if !call.namespace.is_empty() => call.namespace.position(),
        stmt => stmt.position(),
    }
}
