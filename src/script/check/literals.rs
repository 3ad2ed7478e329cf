//! Arguments that are written out: durations and times, values of the wrong kind, options that there are not, and what
//! the declaration does not allow.

use rhai::{Expr, FnCallExpr, FnPtr, Ident, Position, Stmt};

use super::super::catalog::{Param, RETRY_POLICY, Signature};
use super::super::errors;
use super::walk::Walker;
use super::{allow, touches};
use crate::diag::{Diagnostic, suggest};

impl Walker<'_> {
    /// Looks at the arguments of a call of a host function.
    pub(super) fn literals(&mut self, name: &str, call: &FnCallExpr) {
        let known = self.known;
        let own = known.functions(&self.source.path).any(|function| function.name == name);
        let Some(signature) = known.catalog.find(name).first().filter(|_| !own) else { return };
        let params = given(&signature.params, call.args.len());
        for (index, arg) in call.args.iter().enumerate() {
            let param = params.get(index).copied();
            let fine = param.is_none_or(|param| self.kind(name, param, arg));
            if fine {
                self.literal(name, index, arg);
            }
            self.allowed(name, index, arg);
            if let Expr::Map(parts, _) = arg {
                self.options_of(signature, index, "", &parts.0);
            }
        }
    }

    /// The literal map of options of a call, or the one below the option `within`.
    fn options_of(&mut self, function: &Signature, index: usize, within: &str, map: &[(Ident, Expr)]) {
        if function.options_at != Some(index) {
            return;
        }
        for (key, value) in map {
            let path = if within.is_empty() { key.name.to_string() } else { format!("{within}.{}", key.name) };
            self.option(function, within, &key.name, key.pos);
            self.literal(&format!("{}.{path}", function.name), index, value);
            let Expr::Map(parts, _) = value else { continue };
            if function.option(&path).is_some_and(|option| option.kind == RETRY_POLICY) {
                let catalog = self.known.catalog;
                let Some(retry) = catalog.find("retry").first() else { continue };
                self.options_of(retry, 0, "", &parts.0);
            } else if function.keys(&path).next().is_some() {
                self.options_of(function, index, &path, &parts.0);
            }
        }
    }

    fn option(&mut self, function: &Signature, within: &str, key: &str, pos: Position) {
        let keys = function.keys(within);
        if keys.clone().next().is_none() || keys.clone().any(|known| known == key) {
            return;
        }
        let hint = suggest::did_you_mean(key, keys.clone())
            .unwrap_or_else(|| format!("known: {}", keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")));
        let of = if within.is_empty() { String::new() } else { format!(" in `{within}`") };
        self.find("E0308", format!("`{}` has no option `{key}`{of}", function.name), pos, Some(hint));
    }

    fn literal(&mut self, name: &str, index: usize, arg: &Expr) {
        let problem = match arg {
            Expr::StringConstant(text, _) => (self.options.literal)(name, index, text),
            // `timeout: 30`: thirty of what?
            Expr::IntegerConstant(number, _) if name.contains('.') => {
                (self.options.literal)(name, index, &number.to_string())
            }
            _ => None,
        };
        let Some(problem) = problem else { return };
        let hint = match arg {
            Expr::IntegerConstant(number, _) => Some(format!("say the unit: `\"{number}s\"`, `\"{number}m\"`")),
            _ => None,
        };
        let (problem, told) =
            problem.split_once("; hint: ").map_or((problem.as_str(), None), |(p, h)| (p, Some(h.to_owned())));
        self.find("E0307", problem, arg.position(), hint.or(told));
    }

    /// A literal of a kind that the parameter does not take; says whether it does.
    fn kind(&mut self, name: &str, param: &Param, arg: &Expr) -> bool {
        let Some(found) = kind_of(arg) else { return true };
        let wanted = param.kind.trim_end_matches('?');
        if takes(wanted, found) {
            return true;
        }
        let title = format!("`{name}` takes {} as `{}`, not {}", article(wanted), param.name, article(found));
        let hint = match arg {
            Expr::IntegerConstant(number, _) if matches!(param.name, "duration" | "interval") => {
                Some(format!("say the unit: `\"{number}s\"`, `\"{number}m\"`"))
            }
            Expr::FloatConstant(number, _) if matches!(param.name, "duration" | "interval") => {
                Some(format!("say the unit: `\"{number}s\"`, `\"{number}m\"`"))
            }
            _ if wanted.contains("closure") => Some("write it as a closure: `|| ...`".to_owned()),
            _ => None,
        };
        self.find("E0307", title, arg.start_position(), hint);
        false
    }

    /// Asks whether the declaration allows what a text names.
    fn allowed(&mut self, name: &str, index: usize, arg: &Expr) {
        let Some(text) = touches::text_of(self.known, &self.source.path, arg) else { return };
        let Some(missing) = (self.options.allowed)(name, index, &text) else { return };
        let place = errors::place(self.source, start(arg));
        let main = self.options.declares.filter(|main| main.path != self.source.path);
        let Some(main) = main else {
            let (hint, fix) = (allow::line(self.source, &missing), allow::fix(self.source, &missing));
            self.findings.push(Diagnostic::new("W0410", missing.title, place).hint(hint).maybe_fix(fix));
            return;
        };
        // A module is allowed what the workflow that imports it is. What mends it is in another file.
        let title = format!("{}, in `{}`", missing.title, main.path);
        let hint = format!("in `{}`: {}", main.path, allow::line(main, &missing));
        self.findings.push(Diagnostic::new("W0410", title, place).hint(hint));
    }
}

/// The parameters that a call with so many arguments fills: optional ones in the middle are left out first.
fn given(params: &[Param], count: usize) -> Vec<&Param> {
    let mut filled: Vec<&Param> = params.iter().collect();
    while filled.len() > count {
        let last_needed = filled.iter().rposition(|param| !param.kind.ends_with('?'));
        let middle = filled.iter().position(|param| param.kind.ends_with('?'));
        match (middle, last_needed) {
            (Some(middle), Some(needed)) if middle < needed => filled.remove(middle),
            _ => {
                filled.truncate(count);
                break;
            }
        };
    }
    filled
}

/// Where an argument begins; a sum is positioned at its operator.
fn start(arg: &Expr) -> Position {
    match arg {
        Expr::FnCall(call, _) if call.op_token.is_some() => call.args.first().map_or(Position::NONE, start),
        arg => arg.start_position(),
    }
}

/// The kind of a value that is written out.
fn kind_of(arg: &Expr) -> Option<&'static str> {
    match arg {
        Expr::IntegerConstant(..) => Some("int"),
        Expr::FloatConstant(..) => Some("float"),
        Expr::BoolConstant(..) => Some("bool"),
        Expr::StringConstant(..) | Expr::InterpolatedString(..) => Some("string"),
        Expr::Array(..) => Some("list"),
        Expr::Map(..) => Some("map"),
        Expr::DynamicConstant(value, _) if value.read_lock::<FnPtr>().is_some() => Some("closure"),
        Expr::Stmt(block) if matches!(block.statements(), [Stmt::Share(_), Stmt::Expr(_)]) => Some("closure"),
        _ => None,
    }
}

/// Whether a kind in words, such as `int or map`, takes a literal of this kind. Unknown words take everything.
fn takes(wanted: &str, found: &str) -> bool {
    wanted.split(" or ").any(|kind| match kind.trim() {
        "string" | "duration" | "time" | "url" | "path" => found == "string",
        "int" => found == "int",
        "float" => found == "float",
        "number" => matches!(found, "int" | "float"),
        "bool" => found == "bool",
        "map" => found == "map",
        "list" => found == "list",
        "closure" => found == "closure",
        _ => true,
    })
}

fn article(kind: &str) -> String {
    let one = |kind: &str| match kind {
        "int" => "an integer".to_owned(),
        "string" => "a text".to_owned(),
        "bool" => "true or false".to_owned(),
        kind => format!("a {kind}"),
    };
    kind.split(" or ").map(|kind| one(kind.trim())).collect::<Vec<_>>().join(" or ")
}
