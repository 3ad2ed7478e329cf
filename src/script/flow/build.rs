//! The walk that makes blocks of statements and expressions, in the order in which they are evaluated.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{ASTFlags, Expr, FlowControl, FnCallExpr, FnPtr, Position, Stmt, SwitchCasesCollection};

use super::super::catalog::{Catalog, is_trigger};
use super::super::program::{full_name, is_declaration};
use super::files::{File, Files, Function};
use super::text::one_line;
use super::{Block, Graph, Kind, Lane, Node, Shape};

/// Deepest nesting that is looked at; the parser's own limit is lower, and functions add theirs.
const MAX_DEPTH: usize = 120;
/// Most nodes: a picture of more shows nothing.
const MAX_NODES: usize = 5_000;

/// What is known of a variable.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// What it was defined as, in the file that is walked.
    Expr(&'a Expr),
    /// A closure or function.
    Closure(&'a File<'a>, &'a Function),
    Unknown,
}

pub(super) struct Builder<'a> {
    files: &'a Files<'a>,
    pub(super) catalog: &'a Catalog,
    pub(super) file: &'a File<'a>,
    variables: Vec<(String, Value<'a>)>,
    /// Functions that are being followed.
    stack: Vec<(&'a str, &'a str, usize)>,
    /// Functions that have been drawn.
    drawn: BTreeSet<(&'a str, &'a str, usize)>,
    ids: BTreeMap<String, usize>,
    nodes: usize,
    depth: usize,
}

/// What is to be forgotten again after a look into something that is not drawn.
#[derive(Default)]
pub(super) struct Outside<'a> {
    drawn: BTreeSet<(&'a str, &'a str, usize)>,
    ids: BTreeMap<String, usize>,
}

/// A sequence that is being made.
pub(super) type Out = Vec<Block>;

impl Block {
    /// A node without lanes.
    pub(super) fn leaf(node: Node) -> Self {
        let leaves = node.kind.leaves();
        Self { node, shape: Shape::Leaf, lanes: Vec::new(), undo: None, leaves }
    }

    /// A node around one sequence; a leaf where nothing is in it.
    pub(super) fn inside(node: Node, blocks: Out) -> Self {
        if blocks.is_empty() {
            return Self::leaf(node);
        }
        let lanes = vec![Lane { blocks, ..Lane::default() }];
        Self { node, shape: Shape::Inside, lanes, undo: None, leaves: false }
    }

    fn choice(node: Node, lanes: Vec<Lane>) -> Self {
        let leaves = lanes.iter().all(Lane::leaves);
        Self { node, shape: Shape::Choice, lanes, undo: None, leaves }
    }
}

/// Whether there is more than deciding and computing.
fn matters(blocks: &[Block]) -> bool {
    blocks.iter().any(|block| match block.node.kind {
        Kind::Compute => false,
        kind if kind.leaves() => false,
        Kind::Branch | Kind::Loop | Kind::Try | Kind::Lane => block.lanes.iter().any(|lane| matters(&lane.blocks)),
        _ => true,
    })
}

impl<'a> Builder<'a> {
    pub(super) fn new(files: &'a Files<'a>, catalog: &'a Catalog, main: &str) -> Self {
        let file = files.get(main).expect("a bundle has its main file");
        let (variables, stack, drawn, ids) = (Vec::new(), Vec::new(), BTreeSet::new(), BTreeMap::new());
        Self { files, catalog, file, variables, stack, drawn, ids, nodes: 0, depth: 0 }
    }

    pub(super) fn graph(mut self, workflow: &str) -> Graph {
        let file = self.file;
        let triggers: Vec<Node> = file.statements.iter().filter_map(|stmt| self.trigger(stmt)).collect();
        let (main, top) = (file.named("main"), Position::new(1, 1));
        let at = main.map_or(top, |main| main.at);
        let mut start = self.named("start", Kind::Start, workflow, at);
        let mut blocks = Out::new();
        let statements = main.map_or(file.statements, |main| &main.body);
        if let Some(main) = main {
            start.detail = main.params.join(", ");
            self.stack.push((file.path, "main", main.params.len()));
        }
        self.statements(statements.iter().filter(|stmt| !is_declaration(stmt)), &mut blocks);
        let body = Lane { blocks, ..Lane::default() };
        let end = (!body.leaves()).then(|| self.end(statements.last()));
        Graph { workflow: workflow.to_owned(), file: file.path.to_owned(), triggers, start, body, end }
    }

    fn end(&mut self, last: Option<&Stmt>) -> Node {
        let pos = last.map_or(Position::NONE, Stmt::position);
        let mut end = self.named("done", Kind::Done, "done", pos);
        if let Some(Stmt::Expr(expr)) = last
            && matches!(**expr, Expr::Map(..) | Expr::Variable(..) | Expr::Dot(..) | Expr::InterpolatedString(..))
        {
            end.detail = self.shown(expr);
        }
        end
    }

    fn trigger(&mut self, stmt: &'a Stmt) -> Option<Node> {
        let (call, pos) = match stmt {
            Stmt::FnCall(call, pos) => (&**call, *pos),
            Stmt::Expr(expr) => match &**expr {
                Expr::FnCall(call, pos) => (&**call, *pos),
                _ => return None,
            },
            _ => return None,
        };
        is_trigger(&full_name(call)).then(|| {
            let label = call.args.first().map(|arg| self.shown(arg)).unwrap_or_default();
            self.node(Kind::Trigger, &call.name, &label, named_at(call, pos))
        })
    }

    /// A node with an id of its own, whatever its place.
    fn named(&mut self, id: &str, kind: Kind, label: &str, pos: Position) -> Node {
        let mut node = self.node(kind, kind.name(), label, Position::NONE);
        id.clone_into(&mut node.id);
        (node.line, node.column) = (pos.line().unwrap_or(0), pos.position().unwrap_or(1));
        node
    }

    /// A node at a place; its id is made from it.
    pub(super) fn node(&mut self, kind: Kind, what: &str, label: &str, pos: Position) -> Node {
        self.nodes += 1;
        let (line, column) = (pos.line().unwrap_or(0), pos.position().unwrap_or(1));
        let file = self.file.path;
        let own = self.files.get(file).is_some_and(|_| self.stack.first().is_none_or(|(main, ..)| *main == file));
        let stem: String = if own { "n".to_owned() } else { format!("{}_", letters(file.trim_end_matches(".rhai"))) };
        let base = format!("{stem}{line}_{column}");
        let count = self.ids.entry(base.clone()).or_default();
        *count += 1;
        let id = if *count == 1 { base } else { format!("{base}_{count}") };
        Node {
            id,
            kind,
            what: what.to_owned(),
            label: one_line(label),
            detail: String::new(),
            file: file.to_owned(),
            line,
            column,
            entry: String::new(),
            mark: None,
        }
    }

    fn is_full(&self) -> bool {
        self.depth > MAX_DEPTH || self.nodes > MAX_NODES
    }

    fn statements(&mut self, statements: impl IntoIterator<Item = &'a Stmt>, out: &mut Out) {
        for stmt in statements {
            if out.last().is_some_and(|block| block.leaves) {
                return;
            }
            self.statement(stmt, out);
        }
    }

    /// A sequence of its own, with its own variables.
    fn nested(&mut self, statements: impl IntoIterator<Item = &'a Stmt>) -> Out {
        let known = self.variables.len();
        let mut out = Out::new();
        self.statements(statements, &mut out);
        self.variables.truncate(known);
        out
    }

    fn statement(&mut self, stmt: &'a Stmt, out: &mut Out) {
        if self.is_full() {
            return;
        }
        self.depth += 1;
        match stmt {
            Stmt::Expr(expr) => self.expr(expr, out),
            Stmt::FnCall(call, pos) => self.call(call, *pos, out),
            Stmt::Block(block) => {
                let blocks = self.nested(block.iter());
                out.extend(blocks);
            }
            Stmt::Var(parts, ..) => {
                self.expr(&parts.1, out);
                let value = self.value(&parts.1);
                self.variables.push((parts.0.name.to_string(), value));
            }
            Stmt::Assignment(parts) => {
                self.expr(&parts.1.rhs, out);
                self.expr(&parts.1.lhs, out);
                if let Expr::Variable(name, ..) = &parts.1.lhs {
                    self.variables.push((name.1.to_string(), Value::Unknown));
                }
            }
            Stmt::Return(value, flags, pos) => {
                let throws = flags.contains(ASTFlags::BREAK);
                let (kind, what) = if throws { (Kind::Throw, "throw") } else { (Kind::Return, "return") };
                self.leave(kind, what, value.as_deref(), *pos, out);
            }
            Stmt::BreakLoop(value, flags, pos) => {
                let breaks = flags.contains(ASTFlags::BREAK);
                let (kind, what) = if breaks { (Kind::Break, "break") } else { (Kind::Continue, "continue") };
                self.leave(kind, what, value.as_deref(), *pos, out);
            }
            stmt => self.control(stmt, out),
        }
        self.depth -= 1;
    }

    fn leave(&mut self, kind: Kind, what: &str, value: Option<&'a Expr>, pos: Position, out: &mut Out) {
        let mut label = String::new();
        if let Some(value) = value {
            self.expr(value, out);
            label = self.shown(value);
        }
        let node = self.node(kind, what, &label, pos);
        out.push(Block::leaf(node));
    }

    fn control(&mut self, stmt: &'a Stmt, out: &mut Out) {
        match stmt {
            Stmt::If(flow, pos) => self.condition(flow, *pos, out),
            Stmt::While(flow, pos) => {
                let mut blocks = Out::new();
                self.expr(&flow.expr, &mut blocks);
                let endless = matches!(flow.expr, Expr::Unit(_) | Expr::BoolConstant(true, _));
                let what = if endless { "repeat" } else { "while" };
                let label = if endless { String::new() } else { self.header(flow, *pos) };
                self.repeat(what, &label, *pos, blocks, flow, out);
            }
            Stmt::Do(flow, flags, pos) => {
                let what = if flags.contains(ASTFlags::NEGATED) { "until" } else { "while" };
                let label = self.file.text.expression(&flow.expr);
                let mut body = self.nested(flow.body.iter());
                self.expr(&flow.expr, &mut body);
                self.looped(what, &label, *pos, body, out);
            }
            Stmt::For(parts, pos) => {
                self.expr(&parts.2.expr, out);
                let label = self.header(&parts.2, *pos);
                self.repeat("for each", &label, *pos, Out::new(), &parts.2, out);
            }
            Stmt::Switch(parts, pos) => self.switch(&parts.0, &parts.1, *pos, out),
            Stmt::TryCatch(flow, pos) => self.try_catch(flow, *pos, out),
            _ => {}
        }
    }

    fn header(&self, flow: &FlowControl, pos: Position) -> String {
        self.file.text.header(pos, flow.body.position())
    }

    fn repeat(&mut self, what: &str, label: &str, pos: Position, head: Out, flow: &'a FlowControl, out: &mut Out) {
        let mut body = head;
        let blocks = self.nested(flow.body.iter());
        body.extend(blocks);
        self.looped(what, label, pos, body, out);
    }

    fn looped(&mut self, what: &str, label: &str, pos: Position, body: Out, out: &mut Out) {
        if !matters(&body) && !body.iter().any(leaves_more_than_a_loop) {
            return;
        }
        let node = self.node(Kind::Loop, what, label, pos);
        let endless = what == "repeat" && !body.iter().any(breaks);
        out.push(Block { leaves: endless, ..Block::inside(node, body) });
    }

    fn condition(&mut self, flow: &'a FlowControl, pos: Position, out: &mut Out) {
        self.expr(&flow.expr, out);
        let label = came(&flow.expr).map_or_else(|| self.header(flow, pos), str::to_owned);
        let lanes = [("yes", &flow.body), ("no", &flow.branch)].map(|(label, block)| Lane {
            label: label.to_owned(),
            blocks: self.nested(block.iter()),
            ..Lane::default()
        });
        if lanes.iter().any(|lane| !lane.blocks.is_empty()) {
            let node = self.node(Kind::Branch, "if", &label, pos);
            out.push(Block::choice(node, lanes.into()));
        }
    }

    fn switch(&mut self, of: &'a Expr, cases: &'a SwitchCasesCollection, pos: Position, out: &mut Out) {
        self.expr(of, out);
        let mut lanes = Vec::new();
        for case in &cases.expressions {
            let mut blocks = Out::new();
            let known = self.variables.len();
            self.expr(&case.lhs, &mut blocks);
            self.expr(&case.rhs, &mut blocks);
            self.variables.truncate(known);
            let label = self.file.text.case(case.rhs.start_position());
            lanes.push(Lane { label: if label == "_" { "else".to_owned() } else { label }, blocks, node: None });
        }
        if lanes.iter().all(|lane| lane.blocks.is_empty()) {
            return;
        }
        if cases.def_case.is_none() {
            lanes.push(Lane { label: "else".to_owned(), ..Lane::default() });
        }
        let label = self.file.text.expression(of);
        let label = label.split(" {").next().unwrap_or_default().to_owned();
        let node = self.node(Kind::Branch, "switch", &label, pos);
        out.push(Block::choice(node, lanes));
    }

    fn try_catch(&mut self, flow: &'a FlowControl, pos: Position, out: &mut Out) {
        let body = self.nested(flow.body.iter());
        let known = self.variables.len();
        if let Expr::Variable(parts, ..) = &flow.expr {
            self.variables.push((parts.1.to_string(), Value::Unknown));
        }
        let caught = self.nested(flow.branch.iter());
        self.variables.truncate(known);
        if !matters(&body) && !matters(&caught) {
            return;
        }
        let node = self.node(Kind::Try, "try", "", pos);
        let first = self.node(Kind::Lane, "", "try", flow.body.position());
        let second = self.node(Kind::Lane, "", "on error", flow.branch.position());
        let leaves = body.last().is_some_and(|b| b.leaves) && caught.last().is_some_and(|b| b.leaves);
        let lane = |node, blocks| Lane { node: Some(node), blocks, ..Lane::default() };
        let lanes = vec![lane(first, body), lane(second, caught)];
        out.push(Block { node, shape: Shape::Beside, lanes, undo: None, leaves });
    }

    /// What an expression does, in the order of evaluation.
    pub(super) fn expr(&mut self, expr: &'a Expr, out: &mut Out) {
        if self.is_full() {
            return;
        }
        self.depth += 1;
        match expr {
            Expr::FnCall(call, pos) => self.call(call, *pos, out),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => self.chain(&parts.lhs, &parts.rhs, out),
            Expr::MethodCall(call, pos) => self.method(None, call, *pos, out),
            Expr::Array(items, _) | Expr::InterpolatedString(items, _) => {
                items.iter().for_each(|item| self.expr(item, out));
            }
            Expr::Map(parts, _) => parts.0.iter().for_each(|(_, value)| self.expr(value, out)),
            Expr::And(parts, pos) => self.short(parts, *pos, ("and", "yes", "no"), out),
            Expr::Or(parts, pos) => self.short(parts, *pos, ("or", "no", "yes"), out),
            Expr::Coalesce(parts, pos) => self.short(parts, *pos, ("is there", "no", "yes"), out),
            Expr::Stmt(block) if self.closure_of(expr).is_none() => {
                let blocks = self.nested(block.iter());
                out.extend(blocks);
            }
            _ => {}
        }
        self.depth -= 1;
    }

    /// Operators that may leave out their second operand.
    fn short(&mut self, parts: &'a [Expr], pos: Position, (what, then, not): (&str, &str, &str), out: &mut Out) {
        let Some((first, rest)) = parts.split_first() else { return };
        self.expr(first, out);
        let mut blocks = Out::new();
        rest.iter().for_each(|part| self.expr(part, &mut blocks));
        if blocks.is_empty() {
            return;
        }
        let label = self.file.text.operand(first, &rest[0]);
        let node = self.node(Kind::Branch, what, &label, pos);
        let then = Lane { label: then.to_owned(), blocks, node: None };
        out.push(Block::choice(node, vec![then, Lane { label: not.to_owned(), ..Lane::default() }]));
    }

    fn chain(&mut self, left: &'a Expr, right: &'a Expr, out: &mut Out) {
        self.expr(left, out);
        match right {
            Expr::MethodCall(call, pos) => self.method(Some(left), call, *pos, out),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
                if let Expr::MethodCall(call, pos) = &parts.lhs {
                    self.method(Some(left), call, *pos, out);
                    self.chain_rest(&parts.rhs, out);
                } else {
                    self.chain(&parts.lhs, &parts.rhs, out);
                }
            }
            other => self.expr(other, out),
        }
    }

    fn chain_rest(&mut self, right: &'a Expr, out: &mut Out) {
        match right {
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
                self.chain_rest(&parts.lhs, out);
                self.chain_rest(&parts.rhs, out);
            }
            other => self.expr(other, out),
        }
    }

    /// `receiver.name(…)`: the call of a closure, a function of the script, or something like `map` with closures.
    fn method(&mut self, receiver: Option<&'a Expr>, call: &'a FnCallExpr, pos: Position, out: &mut Out) {
        if call.name == "call"
            && let Some((file, function)) = receiver.and_then(|receiver| self.closure_of(receiver))
        {
            call.args.iter().for_each(|arg| self.expr(arg, out));
            return self.follow(file, function, &[], call.args.len(), pos, out);
        }
        call.args.iter().for_each(|arg| self.expr(arg, out));
        if let Some(function) = self.file.function(&call.name, call.args.len()) {
            return self.follow(self.file, function, &call.args, 0, pos, out);
        }
        let of = self.file.text.receiver(pos);
        self.callbacks(&call.args, &of, pos, out);
    }

    /// Closures given to what is no host function, such as `map`: called once for each item.
    fn callbacks(&mut self, args: &'a [Expr], of: &str, pos: Position, out: &mut Out) {
        for arg in args {
            let blocks = self.closure_body(arg);
            if matters(&blocks) {
                let node = self.node(Kind::Loop, "for each", of, pos);
                out.push(Block::inside(node, blocks));
            }
        }
    }

    fn call(&mut self, call: &'a FnCallExpr, pos: Position, out: &mut Out) {
        let args = &call.args[..];
        if call.op_token.is_some() {
            return args.iter().for_each(|arg| self.expr(arg, out));
        }
        let at = named_at(call, pos);
        let aliases: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let files = self.files;
        let target = if aliases.is_empty() { Some(self.file) } else { files.imported(self.file, &aliases) };
        if let Some(file) = target
            && let Some(function) = file.function(&call.name, args.len()).filter(|function| !function.is_closure())
        {
            args.iter().for_each(|arg| self.expr(arg, out));
            return self.follow(file, function, args, 0, at, out);
        }
        if !self.host(&full_name(call), args, at, out) {
            args.iter().for_each(|arg| self.expr(arg, out));
            self.callbacks(args, &call.name, at, out);
        }
    }

    /// Into a function: once as a box, then by its name.
    fn follow(
        &mut self,
        file: &'a File<'a>,
        function: &'a Function,
        args: &'a [Expr],
        skipped: usize,
        pos: Position,
        out: &mut Out,
    ) {
        let shown = if function.is_closure() { "closure" } else { &function.name };
        let key = (file.path, function.name.as_str(), function.params.len());
        if self.stack.contains(&key) {
            let node = self.node(Kind::Again, "call again", shown, pos);
            return out.push(Block::leaf(node));
        }
        if self.drawn.contains(&key) {
            let mut node = self.node(Kind::Again, "function", shown, pos);
            "as drawn above".clone_into(&mut node.detail);
            return out.push(Block::leaf(node));
        }
        let values = args.iter().map(|arg| self.closure_of(arg).map_or(Value::Unknown, |(f, c)| Value::Closure(f, c)));
        let values: Vec<_> = values.chain(std::iter::repeat_n(Value::Unknown, skipped)).collect();
        let blocks = self.body(file, function, &values);
        if matters(&blocks) {
            self.drawn.insert(key);
            let shown = if function.is_closure() {
                shown.to_owned()
            } else {
                format!("{shown}({})", function.params.join(", "))
            };
            let node = self.node(Kind::Function, "function", &shown, pos);
            out.push(Block::inside(node, blocks));
        } else if !function.is_closure() && function.body.len() > 1 {
            let node = self.node(Kind::Compute, "compute", shown, pos);
            out.push(Block::leaf(node));
        }
    }

    /// The blocks of a function or closure, walked in its own file.
    fn body(&mut self, file: &'a File<'a>, function: &'a Function, values: &[Value<'a>]) -> Out {
        let key = (file.path, function.name.as_str(), function.params.len());
        if self.stack.contains(&key) {
            return Out::new();
        }
        let outer = (self.file, std::mem::take(&mut self.variables));
        // A closure sees what is around it.
        if function.is_closure() && std::ptr::eq(file, self.file) {
            self.variables.clone_from(&outer.1);
        }
        self.file = file;
        let missing = std::iter::repeat(Value::Unknown);
        let own: Vec<_> = function.params.iter().cloned().zip(values.iter().copied().chain(missing)).collect();
        // Captured variables come first among the parameters of a closure, under their own names.
        let own = own.into_iter().filter(|(name, value)| {
            let captured = self.variables.iter().any(|(known, _)| known == name) || file.constant(name).is_some();
            !(matches!(value, Value::Unknown) && function.is_closure() && captured)
        });
        self.variables.extend(own.collect::<Vec<_>>());
        self.stack.push(key);
        let mut out = Out::new();
        self.statements(&function.body, &mut out);
        self.stack.pop();
        (self.file, self.variables) = outer;
        out
    }

    /// The blocks of the closure that an argument is.
    pub(super) fn closure_body(&mut self, arg: &'a Expr) -> Out {
        let Some((file, function)) = self.closure_of(arg) else { return Out::new() };
        self.body(file, function, &[])
    }

    /// The same, for a closure that stands in a map.
    pub(super) fn closure_at(&self, arg: &'a Expr) -> Option<Position> {
        self.closure_of(arg).map(|(_, function)| function.at)
    }

    /// The closure or function that an expression is: a literal one, a variable, or a name.
    fn closure_of(&self, expr: &'a Expr) -> Option<(&'a File<'a>, &'a Function)> {
        match expr {
            Expr::DynamicConstant(value, _) => {
                let pointer = value.read_lock::<FnPtr>()?;
                Some((self.file, self.file.named(pointer.fn_name())?))
            }
            Expr::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(made)] => match &**made {
                    Expr::FnCall(curry, _) => self.closure_of(curry.args.first()?),
                    _ => None,
                },
                _ => None,
            },
            Expr::Variable(parts, ..) if parts.2.is_empty() => match self.variable(&parts.1) {
                Some(Value::Closure(file, function)) => Some((file, function)),
                Some(_) => None,
                None => Some((self.file, self.file.named(&parts.1)?)),
            },
            Expr::FnCall(call, _) if call.name == "Fn" => match call.args.first()? {
                Expr::StringConstant(name, _) => Some((self.file, self.file.named(name)?)),
                _ => None,
            },
            _ => None,
        }
    }

    fn value(&self, expr: &'a Expr) -> Value<'a> {
        match self.closure_of(expr) {
            Some((file, function)) => Value::Closure(file, function),
            None if matches!(expr, Expr::Map(..) | Expr::StringConstant(..)) => Value::Expr(expr),
            None => Value::Unknown,
        }
    }

    /// What has been drawn and named so far.
    pub(super) fn outside(&self) -> Outside<'a> {
        Outside { drawn: self.drawn.clone(), ids: self.ids.clone() }
    }

    /// As if nothing had been drawn since.
    pub(super) fn restore(&mut self, outside: Outside<'a>) {
        (self.drawn, self.ids) = (outside.drawn, outside.ids);
    }

    pub(super) fn variable(&self, name: &str) -> Option<Value<'a>> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Where the name of a call begins, its namespace included.
fn named_at(call: &FnCallExpr, pos: Position) -> Position {
    if call.namespace.is_empty() { pos } else { call.namespace.position() }
}

/// A condition on whether something came that is waited for in the condition itself: the node in front says what.
fn came(condition: &Expr) -> Option<&'static str> {
    let Expr::FnCall(compared, _) = condition else { return None };
    let [Expr::FnCall(call, _), Expr::Unit(_)] = &compared.args[..] else { return None };
    if !matches!(full_name(call).as_str(), "wait_for" | "wait_until" | "task::ask") {
        return None;
    }
    match &*compared.name {
        "==" => Some("nothing came in time"),
        "!=" => Some("it came in time"),
        _ => None,
    }
}

/// Letters and digits of a path.
fn letters(path: &str) -> String {
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Whether a block leaves more than the loop around it.
fn leaves_more_than_a_loop(block: &Block) -> bool {
    matches!(block.node.kind, Kind::Return | Kind::Throw)
        || block.lanes.iter().flat_map(|lane| &lane.blocks).any(leaves_more_than_a_loop)
}

/// Whether a block can leave the loop that it stands in.
fn breaks(block: &Block) -> bool {
    match block.node.kind {
        Kind::Break => true,
        // Of an inner loop.
        Kind::Loop => false,
        _ => block.lanes.iter().flat_map(|lane| &lane.blocks).any(breaks),
    }
}
