//! Errors of a running script.

use std::collections::BTreeMap;

use rhai::{Dynamic, Engine, EvalAltResult, Position};

use super::super::catalog::Catalog;
use super::super::lex;
use super::super::program::Program;
use super::super::rewrite::own;
use super::super::source::Source;
use super::super::unwind;
use super::parse::lower;
use super::{habits, place, wrong_count};
use crate::diag::{Diagnostic, Frame, Place, codes, suggest};

/// Longest text of a thrown value in a title; the whole value is in the run.
const MAX_SHOWN: usize = 300;
/// Frames shown of a chain of calls: of a deep recursion the innermost say enough.
const MAX_FRAMES: usize = 20;

/// What is needed to explain an error: where functions and sources are, and which names there are.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The program that was evaluated.
    pub program: &'a Program,
    /// The engine that evaluated it.
    pub engine: &'a Engine,
    /// The host functions, for "did you mean".
    pub catalog: &'a Catalog,
}

/// An error of the evaluation of the file `path`, with the chain of calls that led to it.
pub fn from_eval(error: &EvalAltResult, path: &str, context: Context) -> Diagnostic {
    let mut chain = Chain { program: context.program, file: path.to_owned(), frames: Vec::new() };
    let error = unwind::plain(error);
    let inner = chain.unwrap(&error);
    let source = context.program.bundle().sources.get(&chain.file);
    let told = Told { source, context, error: inner }.tell();
    let mut diagnostic = Diagnostic::new(told.code, told.title, chain.place(inner.position(), source, inner));
    diagnostic.hint = told.hint.map(Into::into);
    diagnostic.text = told.text.map(Into::into);
    chain.frames.reverse();
    // A native function with a callback is a frame of its own, at the same place as that of the callback.
    chain
        .frames
        .dedup_by(|outer, inner| (&outer.file, outer.line, outer.column) == (&inner.file, inner.line, inner.column));
    // Nobody's call: the run itself calls `main` and the closures of branches.
    chain.frames.retain(|frame| frame.line > 0);
    chain.frames.truncate(MAX_FRAMES);
    diagnostic.calls = chain.frames;
    diagnostic
}

struct Chain<'a> {
    program: &'a Program,
    /// The file in which the error at hand happened.
    file: String,
    /// The outermost first.
    frames: Vec<Frame>,
}

impl Chain<'_> {
    /// Goes in to the error itself, noting the calls on the way.
    fn unwrap<'e>(&mut self, error: &'e EvalAltResult) -> &'e EvalAltResult {
        let mut error = error;
        loop {
            match error {
                EvalAltResult::ErrorInFunctionCall(name, source, inner, pos) => {
                    let function = if name.starts_with("anon$") { "closure" } else { own::shown(name) };
                    self.frames.push(Frame {
                        function: function.to_owned(),
                        file: self.file.clone(),
                        line: pos.line().unwrap_or(0),
                        column: pos.position().unwrap_or(1),
                    });
                    self.enter(name, source, inner.position());
                    error = inner;
                }
                EvalAltResult::ErrorInModule(name, inner, _) => {
                    if !name.is_empty() {
                        self.file.clone_from(name);
                    }
                    error = inner;
                }
                error => return error,
            }
        }
    }

    /// Goes to the file of a called function; `at` is where in it the error came from. A closure that a module calls is
    /// reported as if it were the module's, and so is what a native function calls that takes it.
    fn enter(&mut self, function: &str, source: &str, at: Position) {
        let is_closure = function.starts_with("anon$");
        if !source.is_empty() && (is_closure || self.program.defines(source, function)) {
            source.clone_into(&mut self.file);
        }
        if is_closure && let Some(file) = self.program.file_of_closure(function, at, &self.file) {
            self.file = file.to_owned();
        }
    }

    fn place(&self, pos: Position, source: Option<&Source>, error: &EvalAltResult) -> Place {
        let Some(source) = source else { return Place::file(&self.file) };
        if !pos.is_none() {
            return place(source, pos);
        }
        if let EvalAltResult::ErrorDataRace(what, _) = error
            && let Some(found) = only_method(source, what)
        {
            return found;
        }
        match self.frames.last().filter(|frame| frame.file == source.path && frame.line > 0) {
            Some(frame) => super::place_at(source, frame.line, frame.column),
            None => Place::file(&self.file),
        }
    }
}

/// Some errors come without a position, but name a method: if it is called in one place only, that is it.
fn only_method(source: &Source, what: &str) -> Option<Place> {
    let name = what.split('\'').nth(1)?;
    let tokens = lex::code(&source.text);
    let mut calls = tokens.windows(2).filter(|pair| pair[0].text == "." && pair[1].text == name);
    let found = calls.next()?;
    calls.next().is_none().then(|| super::place_of(source, &found[1]))
}

/// What is said about an error.
struct Said {
    code: &'static str,
    title: String,
    hint: Option<String>,
    text: Option<String>,
}

fn say(code: &'static str, title: impl Into<String>) -> Said {
    Said { code, title: title.into(), hint: None, text: None }
}

impl Said {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

struct Told<'a> {
    source: Option<&'a Source>,
    context: Context<'a>,
    error: &'a EvalAltResult,
}

impl Told<'_> {
    fn tell(&self) -> Said {
        use EvalAltResult as E;
        match self.error {
            E::ErrorRuntime(value, _) => thrown(value),
            E::ErrorVariableNotFound(name, _) => self.unknown_variable(name),
            E::ErrorFunctionNotFound(signature, _) => self.unknown_function(signature),
            E::ErrorModuleNotFound(name, _) => self.unknown_module(name),
            E::ErrorDotExpr(message, _) => property(message),
            E::ErrorPropertyNotFound(name, _) => say("E0505", format!("there is no property `{name}`")),
            E::ErrorIndexNotFound(index, _) => say("E0504", format!("there is no element `{index}`")),
            E::ErrorMismatchDataType(wanted, found, _) | E::ErrorMismatchOutputType(wanted, found, _) => {
                say("E0502", format!("{} is needed here, not {}", kind(wanted), kind(found)))
            }
            E::ErrorIndexingType(what, _) => say("E0502", format!("this cannot be indexed: {}", kind(what))),
            E::ErrorArrayBounds(len, index, _) => bounds("array", "elements", *len, *index),
            E::ErrorStringBounds(len, index, _) => bounds("string", "characters", *len, *index),
            E::ErrorBitFieldBounds(len, index, _) => bounds("number", "bits", *len, *index),
            E::ErrorFor(_) => say("E0509", "`for` cannot go over this value")
                .hint("it takes an array, a range, a string or a blob; of a map `map.keys()` or `map.values()`"),
            E::ErrorDataRace(_, _) => say("E0507", "the value is in use while its own method runs")
                .hint("copy what the closure needs into a variable before the call: `let id = order.id;`"),
            E::ErrorAssignmentToConstant(name, _) => {
                say("E0508", format!("constant `{name}` cannot be changed")).hint("copy it into a `let` variable")
            }
            E::ErrorNonPureMethodCallOnConstant(name, _) => method_on_constant(name),
            E::ErrorArithmetic(message, _) => say("E0506", lower(message)),
            E::ErrorUnboundThis(_) => {
                say("E0512", "`this` has no value here").hint("call the function as a method: `value.name()`")
            }
            error => beyond(error),
        }
    }

    fn unknown_variable(&self, name: &str) -> Said {
        let said = say("E0302", format!("unknown variable `{name}`"));
        if let Some(hint) = habits::of_name(name) {
            return said.hint(hint);
        }
        if name == "input" {
            return said.hint("`input` is visible at the top level of a bare script; functions take it as a parameter");
        }
        let words = self.source.map(|source| lex::code(&source.text)).unwrap_or_default();
        let names = words.windows(2).filter(|pair| matches!(pair[0].text, "let" | "const" | "|" | "for"));
        let hint = suggest::did_you_mean(name, names.map(|pair| pair[1].text));
        Said { hint, ..said }
    }

    fn unknown_module(&self, name: &str) -> Said {
        let aliases = self.context.catalog.names().filter_map(|name| name.split_once("::")).map(|(space, _)| space);
        let near = suggest::did_you_mean(name, aliases);
        let hint =
            near.unwrap_or_else(|| format!("import it at the top of the file: `import \"lib/{name}\" as {name};`"));
        say("E0304", format!("unknown module `{name}`")).hint(hint)
    }

    fn unknown_function(&self, signature: &str) -> Said {
        let (name, args) = parse_signature(signature);
        if name.starts_with("anon$") {
            let given = super::count(args.len(), "argument");
            let hint = "a closure takes exactly the arguments between its bars: `|a, b| ...`";
            return say("E0503", format!("closure does not take {given}")).hint(hint);
        }
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return operator(name, &args);
        }
        if let Some(range) = self.context.catalog.range(name)
            && !(range.0..=range.1).contains(&args.len())
        {
            return say("E0303", wrong_count(name, range, args.len()));
        }
        let own = self.own_functions();
        if let Some(range) = own.get(name)
            && !(range.0..=range.1).contains(&args.len())
        {
            return say("E0303", wrong_count(name, *range, args.len()));
        }
        let given = if args.is_empty() { "no arguments".to_owned() } else { args.join(", ") };
        if args.first().is_some_and(|first| first.starts_with("range")) && natives_of_arrays(name) {
            let hint = "a range is for `for`; a list of it: `let list = []; for i in 0..n { list.push(i); }`";
            return say("E0503", format!("`{name}` is not for a range")).hint(hint);
        }
        let natives = super::natives(self.context.engine);
        if own.contains_key(name) || self.context.catalog.range(name).is_some() || natives.contains_key(name) {
            return say("E0503", format!("`{name}` does not take {given}"));
        }
        let names = self
            .context
            .catalog
            .names()
            .chain(own.keys().map(String::as_str))
            .chain(natives.keys().map(String::as_str));
        let habit = habits::of_function(name).or_else(|| habits::of_method(name).map(|here| format!("write `{here}`")));
        let hint = habit.or_else(|| suggest::did_you_mean(name, names));
        Said { hint, ..say("E0503", format!("there is no function `{name}` for {given}")) }
    }

    /// The functions of the script, with their fewest and most parameters.
    fn own_functions(&self) -> BTreeMap<String, (usize, usize)> {
        let Some(ast) = self.source.and_then(|source| self.context.program.ast(&source.path)) else {
            return BTreeMap::new();
        };
        let mut functions = BTreeMap::new();
        for function in ast.iter_functions().filter(|function| !own::is_given(function.name)) {
            let params = function.params.len();
            let range = functions.entry(function.name.to_owned()).or_insert((params, params));
            *range = (range.0.min(params), range.1.max(params));
        }
        functions
    }
}

/// Whether lists have a method of that name which goes over all of them.
fn natives_of_arrays(name: &str) -> bool {
    [
        "map",
        "filter",
        "reduce",
        "reduce_rev",
        "all",
        "some",
        "any",
        "find",
        "find_map",
        "for_each",
        "len",
        "sort",
        "index_of",
        "zip",
    ]
    .contains(&name)
}

fn method_on_constant(name: &str) -> Said {
    let name = name.trim_start_matches("get$").trim_start_matches("set$");
    say("E0508", format!("`{name}` would change a constant")).hint("copy it into a `let` variable")
}

/// The last few, which end a run whatever it does.
fn beyond(error: &EvalAltResult) -> Said {
    use EvalAltResult as E;
    match error {
        E::ErrorTooManyOperations(_) => say("E0510", "the script computed for too long without a host call"),
        E::ErrorTooManyVariables(_) => {
            say("E0510", "too many variables at once").hint("keep values that belong together in a map or an array")
        }
        E::ErrorTooManyModules(_) => {
            say("E0510", "too many modules imported").hint("import at the top of the file, not in a loop")
        }
        E::ErrorStackOverflow(_) => {
            say("E0510", "functions call each other too deeply").hint("is there a recursion without an end?")
        }
        E::ErrorDataTooLarge(what, _) => say("E0510", format!("{} is too large", lower(what))),
        E::ErrorTerminated(token, _) if token.is_map() => {
            let said = thrown(token);
            Said { text: None, hint: said.hint.or_else(|| limit_hint(&said.title).map(Into::into)), ..said }
        }
        E::ErrorTerminated(..) => say("E0511", "the run was stopped"),
        E::ErrorSystem(message, inner) if message.is_empty() => say("E0501", inner.to_string()),
        E::ErrorSystem(message, inner) => say("E0501", format!("{message}: {inner}")),
        E::ErrorParsing(kind, _) => say("E0201", lower(&kind.to_string())),
        error => say("E0501", lower(error.to_string().lines().next().unwrap_or_default())),
    }
}

/// What to do about a limit that was passed.
fn limit_hint(title: &str) -> Option<&'static str> {
    let hints = [
        ("(CPU limit)", "does a loop never end? work of that length belongs in a program that the workflow calls"),
        ("(memory limit)", "does a loop add to a value without an end? go through large data in parts"),
        ("(nesting limit)", "does a loop put a value into itself? keep a flat list"),
        ("(string limit)", "go through large data in parts, or leave it in a file"),
        ("(blob limit)", "go through large data in parts, or leave it in a file"),
        ("(array limit)", "go through large data in parts"),
        ("(stack limit)", "is there a recursion without an end?"),
    ];
    hints.iter().find(|(limit, _)| title.ends_with(limit)).map(|(_, hint)| *hint)
}

/// A thrown value: a map with `message` and `kind`, as host functions throw them, or anything.
fn thrown(value: &Dynamic) -> Said {
    let Some(map) = value.read_lock::<rhai::Map>() else {
        let text = if value.is_unit() { "error without a message".to_owned() } else { value.to_string() };
        return say("E0501", shorten(&text));
    };
    let shown = |key: &str| map.get(key).filter(|value| !value.is_unit()).map(ToString::to_string);
    let message = shown("message").unwrap_or_else(|| value.to_string());
    // What the script's own code threw inside a step has been explained there.
    let explained =
        shown("code").filter(|_| shown("kind").as_deref() == Some("script")).and_then(|it| codes::find(&it));
    let details = ["kind", "status", "code", "path", "step", "attempt"];
    let details = details.into_iter().filter(|key| explained.is_none() || *key != "code");
    let details = details.filter_map(|key| shown(key).map(|value| format!("{key}: `{}`", shorten(&value))));
    let details = details.collect::<Vec<_>>().join(", ");
    // Host functions end their messages with what to do.
    let (message, hint) = match message.split_once("; hint: ") {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (message, None),
    };
    let code = match shown("kind").as_deref() {
        Some("invalid") => "E0513",
        Some("denied") => "E0514",
        Some("limit") => "E0510",
        _ => explained.map_or("E0501", |known| known.code),
    };
    let text = (!details.is_empty()).then_some(details);
    Said { text, hint: hint.or_else(|| shown("hint")), ..say(code, shorten(&message)) }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn bounds(what: &str, parts: &str, len: usize, index: i64) -> Said {
    let has = if len == 0 {
        format!("the {what} is empty")
    } else {
        format!("the {what} has {len} {parts}, 0 to {}", len - 1)
    };
    say("E0504", format!("there is no element {index}: {has}"))
}

/// `Unknown property 'b' - a getter is not registered for type '()'`.
fn property(message: &str) -> Said {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let (Some(name), Some(of)) = (quoted.next(), quoted.next()) else { return say("E0505", lower(message)) };
    let said = say("E0505", format!("{} has no property `{name}`", kind(of)));
    if of != "()" {
        let counts = matches!(name, "length" | "size" | "count");
        return if counts { said.hint("write `.len()` for the number of elements or characters") } else { said };
    }
    said.hint(format!(
        "the value before `.{name}` is `()`; write `?.{name}` if it may be missing, or test it with `== ()`"
    ))
}

fn operator(name: &str, args: &[String]) -> Said {
    let said = say("E0502", format!("`{name}` is not defined for {}", args.join(" and ")));
    let has = |kind: &str| args.iter().any(|arg| arg == kind);
    if has("()") {
        return said.hint("`()` means that there is no value: test it with `== ()`, or write `value ?? other`");
    }
    if has("string") && (has("int") || has("float")) {
        return said.hint("turn text into a number with `parse_int(text)` or `parse_float(text)`, a number into text with `` `${n}` ``");
    }
    said
}

/// `foo (array, i64)` → the name, and the kinds of the arguments in words.
fn parse_signature(signature: &str) -> (&str, Vec<String>) {
    let (name, args) = signature.split_once(" (").unwrap_or((signature, ")"));
    let args = args.strip_suffix(')').unwrap_or(args);
    (name, args.split(", ").filter(|arg| !arg.is_empty()).map(kind).collect())
}

/// The name of a type as people say it.
fn kind(name: &str) -> String {
    match name {
        "i64" => "int",
        "f64" => "float",
        "&str | ImmutableString | String" | "&str" | "ImmutableString" | "String" => "string",
        "Fn" | "FnPtr" => "function",
        "()" => "`()`",
        "" => "something else",
        name => name.rsplit("::").next().unwrap_or(name),
    }
    .to_owned()
}
