//! Calls of host functions as nodes: what each is in a picture, and which of its arguments say what it is about.

use rhai::{Expr, Position};

use super::super::catalog;
use super::build::{Builder, Out, Outside, Value};
use super::text::{address, one_line};
use super::{Block, Kind, Lane, Node, Shape};

/// Internal functions that say or ask something and change nothing: not shown.
const QUIET: &[&str] = &[
    "now",
    "uuid",
    "random",
    "random_int",
    "run_id",
    "attempt_number",
    "config",
    "secret",
    "trigger::info",
    "progress",
    "print",
    "debug",
];

/// Options that are shown, in this order, each with the words in front of its value.
const OPTIONS: &[(&str, &str)] = &[
    ("key", "key "),
    ("to", "to "),
    ("every", "every "),
    ("timeout", "at most "),
    ("due", "due "),
    ("remind", "remind after "),
    ("at", "at "),
    ("retry", "retry "),
    ("limit", "limit "),
    ("attempts", "attempts "),
    ("at_most_once", "at most once: "),
];

impl<'a> Builder<'a> {
    /// The blocks of a call, if it is one of the host. Whether it was.
    pub(super) fn host(&mut self, name: &str, args: &'a [Expr], pos: Position, out: &mut Out) -> bool {
        if self.control_call(name, args, pos, out) {
            return true;
        }
        let Some((kind, what)) = self.leaf_kind(name) else { return false };
        let closures: Vec<_> = args.iter().map(|arg| (arg, self.closure_at(arg).is_some())).collect();
        closures.iter().filter(|(_, closure)| !closure).for_each(|(arg, _)| self.argument(arg, out));
        let inner = closures.iter().filter(|(_, closure)| *closure);
        let blocks: Out = inner.flat_map(|(arg, _)| self.closure_body(arg)).collect();
        let mut node = self.node(kind, &what, &self.subject(name, args), pos);
        node.detail = self.details(name, args);
        node.entry = entry(name, args);
        // It ends this run.
        let leaves = name == "workflow::continue_as";
        out.push(Block { leaves, ..Block::inside(node, blocks) });
        true
    }

    /// Options may hold closures of their own (`undo`, `when`), which are no part of the sequence.
    fn argument(&mut self, arg: &'a Expr, out: &mut Out) {
        let Expr::Map(parts, _) = arg else { return self.expr(arg, out) };
        let values = parts.0.iter().map(|(_, value)| value).filter(|value| self.closure_at(value).is_none());
        values.collect::<Vec<_>>().into_iter().for_each(|value| self.expr(value, out));
    }

    /// Functions that take closures and decide how they run.
    fn control_call(&mut self, name: &str, args: &'a [Expr], pos: Position, out: &mut Out) -> bool {
        let (kind, what) = match name {
            "step" => (Kind::Step, "step"),
            "once" => (Kind::Step, "once"),
            "retry" => (Kind::Retry, "try again on error"),
            "timeout" => (Kind::Timeout, "at most"),
            "attempt" => (Kind::Try, "attempt"),
            "scope" => (Kind::Scope, "scope"),
            "lock" => (Kind::Lock, "lock"),
            "parallel_map" => (Kind::Parallel, "for each, side by side"),
            "parallel" | "race" => {
                self.branches(name, args, pos, out);
                return true;
            }
            "on_rollback" | "on_exit" => {
                self.registered(name, args, pos, out);
                return true;
            }
            _ => return false,
        };
        let Some((body, given)) = args.split_last() else { return false };
        // What `once` looks with comes before what it makes.
        let (before, given_values): (Vec<_>, Vec<_>) = given.iter().partition(|arg| self.closure_at(arg).is_some());
        given_values.into_iter().for_each(|arg| self.argument(arg, out));
        let label = given.first().map(|first| self.shown(first)).unwrap_or_default();
        let mut node = self.node(kind, what, &label, pos);
        if kind == Kind::Retry {
            node.label = self.policy(&given[0]);
        } else {
            node.detail = self.details(name, given);
        }
        node.entry = entry(name, args);
        let mut blocks: Out = before.into_iter().flat_map(|arg| self.closure_body(arg)).collect();
        blocks.extend(self.closure_body(body));
        let mut block = Block::inside(node, blocks);
        block.undo = self.undo(given);
        out.push(block);
        true
    }

    fn branches(&mut self, name: &str, args: &'a [Expr], pos: Position, out: &mut Out) {
        let what = if name == "race" { "first of" } else { "side by side" };
        let kind = if name == "race" { Kind::Race } else { Kind::Parallel };
        let node = self.node(kind, what, "", pos);
        let named: Vec<(String, &'a Expr)> = match args.first() {
            Some(Expr::Array(items, _)) => {
                items.iter().enumerate().map(|(n, item)| (format!("branch {n}"), item)).collect()
            }
            Some(Expr::Map(parts, _)) => parts.0.iter().map(|(key, item)| (key.name.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        let mut lanes = Vec::new();
        for (label, item) in named {
            let lane = self.node(Kind::Lane, "", &label, self.closure_at(item).unwrap_or(pos));
            lanes.push(Lane { node: Some(lane), blocks: self.closure_body(item), ..Lane::default() });
        }
        if lanes.is_empty() {
            let mut node = node;
            node.label = args.first().map(|arg| self.shown(arg)).unwrap_or_default();
            return out.push(Block::leaf(node));
        }
        out.push(Block { node, shape: Shape::Beside, lanes, undo: None, leaves: false });
    }

    /// A compensation or clean-up: drawn where it is registered, with what it will do.
    fn registered(&mut self, name: &str, args: &'a [Expr], pos: Position, out: &mut Out) {
        let (kind, what) =
            if name == "on_exit" { (Kind::Exit, "at the end, always") } else { (Kind::Undo, "if the run fails") };
        let label = args.first().map(|first| self.shown(first)).unwrap_or_default();
        let mut node = self.node(kind, what, &label, pos);
        node.detail = args.last().map(|body| self.summary(body)).unwrap_or_default();
        node.entry.clone_from(&label);
        out.push(Block::leaf(node));
    }

    /// The compensation among a step's options.
    fn undo(&mut self, given: &'a [Expr]) -> Option<Node> {
        let closure = given.iter().find_map(|arg| self.option(arg, "undo"))?;
        let pos = closure.start_position();
        let label = self.summary(closure);
        Some(self.node(Kind::Undo, "undo", if label.is_empty() { "undo" } else { &label }, pos))
    }

    /// What a closure does, as a list.
    fn summary(&mut self, closure: &'a Expr) -> String {
        fn collect(blocks: &[Block], parts: &mut Vec<String>) {
            for block in blocks {
                let node = &block.node;
                match node.kind {
                    Kind::Function | Kind::Branch => {}
                    Kind::Step => parts.push(node.label.clone()),
                    _ => parts.push(format!("{} {}", node.what, node.label).trim().to_owned()),
                }
                block.lanes.iter().for_each(|lane| collect(&lane.blocks, parts));
            }
        }
        // What is only named here is still to be drawn where it is called.
        let outside = self.outside();
        self.restore(Outside::default());
        let mut parts = Vec::new();
        collect(&self.closure_body(closure), &mut parts);
        self.restore(outside);
        one_line(&parts.join(", "))
    }

    /// What a host function is in a picture; `None` where it is not shown.
    fn leaf_kind(&self, name: &str) -> Option<(Kind, String)> {
        let words = |kind, what: &str| Some((kind, what.to_owned()));
        match name {
            "sleep" | "sleep_until" => words(Kind::Wait, if name == "sleep" { "wait" } else { "wait until" }),
            "wait_for" => words(Kind::Wait, "wait for event"),
            "wait_until" => words(Kind::Wait, "poll"),
            "rate_limit" => words(Kind::Wait, "rate limit"),
            "workflow::wait" => words(Kind::Wait, "wait for run"),
            "workflow::run" => words(Kind::Child, "run workflow"),
            "workflow::start" => words(Kind::Child, "start workflow"),
            "workflow::continue_as" => words(Kind::Child, "begin anew"),
            "workflow::cancel" => words(Kind::Child, "cancel run"),
            "event::emit" => words(Kind::Emit, "emit event"),
            "task::ask" => words(Kind::Task, "ask a person"),
            "mail::send" => words(Kind::Call, "mail"),
            "shell::run" => words(Kind::Call, "run program"),
            "rollback" => words(Kind::Rollback, "undo what was done"),
            name if QUIET.contains(&name) || name.starts_with("log::") => None,
            name => self.by_nature(name),
        }
    }

    fn by_nature(&self, name: &str) -> Option<(Kind, String)> {
        let what = match name.split_once("::") {
            Some(("http", "pages")) => "GET page by page".to_owned(),
            Some(("http", "request")) => "HTTP".to_owned(),
            Some(("http", method)) => method.to_uppercase(),
            Some((topic, verb)) => format!("{topic} {}", verb.replace('_', " ")),
            None => name.replace('_', " "),
        };
        match self.catalog.find(name).first()?.kind {
            catalog::Kind::Reading | catalog::Kind::Mutating | catalog::Kind::Control => Some((Kind::Call, what)),
            catalog::Kind::Internal => Some((Kind::State, what)),
            catalog::Kind::Pure | catalog::Kind::Declarative => None,
        }
    }

    /// What it is about: a URL, a path, a name.
    fn subject(&self, name: &str, args: &'a [Expr]) -> String {
        let first = args.first();
        let text = |arg: Option<&'a Expr>| arg.map(|arg| self.shown(arg)).unwrap_or_default();
        match name {
            "task::ask" => text(first.and_then(|map| self.option(map, "title"))),
            "mail::send" => text(first.and_then(|map| self.option(map, "subject"))),
            "wait_until" | "workflow::continue_as" => String::new(),
            "http::request" => {
                let method = text(first.and_then(|map| self.option(map, "method")));
                let url = text(first.and_then(|map| self.option(map, "url")));
                format!("{method} {}", address(&url)).trim().to_owned()
            }
            name if name.starts_with("http::") => address(&text(first)).to_owned(),
            "file::move" | "file::copy" => format!("{} → {}", text(first), text(args.get(1))),
            "shell::run" | "sql::query" | "sql::execute" | "sql::transaction" => {
                format!("{} {}", text(first), text(args.get(1)))
            }
            "message::publish" => format!("{} {}", address(&text(first)), text(args.get(1))),
            _ => text(first),
        }
    }

    fn details(&self, name: &str, args: &'a [Expr]) -> String {
        // The payload of an event or of a child is no option.
        let from = match name {
            "event::emit" | "workflow::run" | "workflow::start" | "http::post" | "http::put" | "http::patch" => 2,
            _ => 0,
        };
        let mut parts = Vec::new();
        for (option, words) in OPTIONS {
            let Some(value) = args.iter().skip(from).find_map(|arg| self.option(arg, option)) else { continue };
            let shown = if *option == "retry" { self.policy(value) } else { self.shown(value) };
            parts.push(format!("{words}{shown}"));
        }
        one_line(&parts.join(" · "))
    }

    /// A policy in words: `5 attempts`.
    fn policy(&self, policy: &'a Expr) -> String {
        let count = |text: &str| match text {
            "0" => "without end".to_owned(),
            "1" => "1 attempt".to_owned(),
            text => format!("{text} attempts"),
        };
        let Some(attempts) = self.option(policy, "attempts") else { return count(&self.shown(policy)) };
        let mut parts = vec![count(&self.shown(attempts))];
        parts.extend(self.option(policy, "delay").map(|delay| format!("after {}", self.shown(delay))));
        parts.extend(self.option(policy, "within").map(|within| format!("within {}", self.shown(within))));
        parts.join(", ")
    }

    /// The value of a key of a map, literal or in a variable.
    fn option(&self, map: &'a Expr, key: &str) -> Option<&'a Expr> {
        match map {
            Expr::Map(parts, _) => parts.0.iter().find(|(name, _)| name.name == key).map(|(_, value)| value),
            Expr::Variable(parts, ..) if parts.2.is_empty() => match self.variable(&parts.1)? {
                Value::Expr(expr) if matches!(expr, Expr::Map(..)) => self.option(expr, key),
                _ => None,
            },
            _ => None,
        }
    }

    /// An expression as a label: texts without quotes, names of literal constants replaced by what they are.
    pub(super) fn shown(&self, expr: &'a Expr) -> String {
        match expr {
            Expr::StringConstant(text, _) => one_line(text),
            Expr::InterpolatedString(parts, _) => {
                let part = |part: &'a Expr| match part {
                    Expr::StringConstant(text, _) => text.to_string(),
                    other => self.placed(other),
                };
                one_line(&parts.iter().map(part).collect::<String>())
            }
            Expr::Variable(parts, ..) if parts.2.is_empty() => {
                self.literal(&parts.1).unwrap_or_else(|| parts.1.to_string())
            }
            other => self.file.text.expression(other),
        }
    }

    fn literal(&self, name: &str) -> Option<String> {
        let text = |expr: &Expr| match expr {
            Expr::StringConstant(text, _) => Some(one_line(text)),
            _ => None,
        };
        match self.variable(name) {
            Some(Value::Expr(expr)) => text(expr),
            Some(_) => None,
            None => text(self.file.constant(name)?),
        }
    }

    /// A value in the middle of a text.
    fn placed(&self, expr: &'a Expr) -> String {
        fn path(expr: &Expr) -> Option<String> {
            match expr {
                Expr::Variable(parts, ..) => Some(parts.1.to_string()),
                Expr::Property(parts, _) => Some(parts.2.to_string()),
                Expr::Dot(parts, ..) => Some(format!("{}.{}", path(&parts.lhs)?, path(&parts.rhs)?)),
                // What an interpolation holds is a block.
                Expr::Stmt(block) => match block.statements() {
                    [rhai::Stmt::Expr(only)] => path(only),
                    _ => None,
                },
                _ => None,
            }
        }
        let Some(path) = path(expr) else { return "{…}".to_owned() };
        self.literal(&path).unwrap_or_else(|| format!("{{{path}}}"))
    }
}

/// What the journal calls it.
fn entry(name: &str, args: &[Expr]) -> String {
    match (name, args.first()) {
        ("step" | "once" | "wait_for" | "workflow::run" | "workflow::start", Some(Expr::StringConstant(text, _))) => {
            text.to_string()
        }
        // The journal names a task by its title and a lock by its name, which may be made when it runs.
        ("step" | "once" | "wait_for" | "workflow::run" | "workflow::start" | "task::ask" | "lock", _) => String::new(),
        _ => name.to_owned(),
    }
}
