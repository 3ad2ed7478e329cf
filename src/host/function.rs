//! How a function that scripts can call describes itself, and how it gets its arguments.

use std::any::TypeId;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, Engine, FnPtr, FuncRegistration, ImmutableString, Map, Module, NativeCallContext};

use super::fail::Fail;
use super::session::{Session, Strand};
use crate::replay::Site;
use crate::script::guard;
use crate::time::Timestamp;

/// What a function does to the world; decides whether it is recorded and when it has to wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Depends on its arguments alone. Not recorded.
    Pure,
    /// Looks at the outside. Recorded.
    Reading,
    /// Changes the outside: its intent is durable before it starts.
    Mutating,
    /// Changes or asks the engine; exactly once.
    Internal,
    /// Calls its closures: steps, branches, retries.
    Control,
    /// Only describes: allowed at the top level of a file with `fn main`.
    Declarative,
}

/// A function that scripts can call.
#[derive(Debug)]
pub struct Function {
    /// Name as scripts write it: `sleep`, `http::get`.
    pub name: &'static str,
    /// `name: type`, in order; a type that ends in `?` may be left out.
    pub params: &'static [&'static str],
    /// Options of its last map, each with its type and what it does.
    pub options: &'static [Choice],
    /// The type of what it returns.
    pub returns: &'static str,
    /// What it does to the world.
    pub nature: Nature,
    /// Kinds of errors that it throws, beside `invalid` for bad arguments.
    pub errors: &'static [&'static str],
    /// The line of `allow` that it needs: `http`, `files`, `mail`, ….
    pub capability: Option<&'static str>,
    /// One or two sentences.
    pub doc: &'static str,
    /// A line that can be parsed; most can be run.
    pub example: &'static str,
    /// The function itself.
    pub call: fn(&mut Call<'_>) -> Result<Dynamic, Fail>,
}

/// An option of a function.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Its key in the map; of a map below an option, the path to it: `batch.size`.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// What it does, in a few words.
    pub doc: &'static str,
}

impl Choice {
    /// An option: its key, its type, what it does.
    pub const fn new(name: &'static str, kind: &'static str, doc: &'static str) -> Self {
        Self { name, kind, doc }
    }
}

impl Function {
    /// What a function is unless it says otherwise.
    pub const BASE: Self = Self {
        name: "",
        params: &[],
        options: &[],
        returns: "any",
        nature: Nature::Pure,
        errors: &[],
        capability: None,
        doc: "",
        example: "",
        call: |_| Ok(Dynamic::UNIT),
    };

    /// The smallest and the largest number of arguments.
    pub fn arity(&self) -> (usize, usize) {
        let optional = self.params.iter().filter(|p| p.ends_with('?')).count();
        (self.params.len() - optional, self.params.len())
    }

    /// Which argument has the options: the one of that name, else the one that may be a map.
    pub fn options_at(&self) -> Option<usize> {
        let find = |wanted: &dyn Fn(&str) -> bool| self.params.iter().position(|param| wanted(param));
        let named = find(&|param| param.starts_with("options:"));
        named.or_else(|| if self.options.is_empty() { None } else { find(&|param| param.contains("map")) })
    }

    /// Keys of the map of options; with `within`, of the map below that option.
    pub fn keys(&self, within: Option<&str>) -> Vec<&'static str> {
        let below = |name: &'static str| match within {
            None => Some(name),
            Some(within) => name.strip_prefix(within)?.strip_prefix('.'),
        };
        self.options.iter().filter_map(|option| below(option.name)).filter(|name| !name.contains('.')).collect()
    }
}

/// One call of a [`Function`].
pub struct Call<'a> {
    /// Where the call stands; closures are called within it.
    pub context: NativeCallContext<'a>,
    /// The function.
    pub function: &'static Function,
    /// The arguments; shared values are copied.
    pub args: Vec<Dynamic>,
}

impl Call<'_> {
    /// Line of the call in its file; 0 where unknown.
    pub fn line(&self) -> u32 {
        self.context.call_position().line().map_or(0, |line| u32::try_from(line).unwrap_or(0))
    }

    /// The run and the strand that call. An error at the top level of a declaration, and in a pure closure of a trigger.
    pub fn session(&self) -> Result<(Rc<Session>, Rc<Strand>), Fail> {
        super::session::current().ok_or_else(|| {
            if !super::declare::is_collecting() {
                return super::impure(self);
            }
            self.invalid("cannot be called here: the top level of a file with `fn main` only describes; hint: call it inside `fn main`")
        })
    }

    /// The error of a bad argument: names the function.
    pub fn invalid(&self, problem: impl std::fmt::Display) -> Fail {
        Fail::error("invalid", format!("`{}`: {problem}", self.function.name))
    }

    /// The n-th argument, if given.
    pub fn arg(&self, n: usize) -> Option<&Dynamic> {
        self.args.get(n)
    }

    fn wrong(&self, n: usize, expected: &str) -> Fail {
        let name = self.function.params.get(n).and_then(|p| p.split(':').next()).unwrap_or("value");
        let found = self.args.get(n).map_or("nothing", type_of);
        self.invalid(format!("`{name}` must be {expected}, not {found}"))
    }

    /// A text.
    pub fn text(&self, n: usize) -> Result<String, Fail> {
        match self.args.get(n) {
            Some(value) if value.is_string() => Ok(value.to_string()),
            Some(value) => secret_text(value).ok_or_else(|| self.wrong(n, "a text")),
            None => Err(self.wrong(n, "a text")),
        }
    }

    /// A text that is kept as a name.
    pub fn name(&self, n: usize) -> Result<Arc<str>, Fail> {
        match self.args.get(n).and_then(rhai::Dynamic::read_lock::<ImmutableString>) {
            Some(name) => Ok(Arc::from(name.as_str())),
            None => self.text(n).map(Into::into),
        }
    }

    /// An integer.
    pub fn int(&self, n: usize) -> Result<i64, Fail> {
        self.args.get(n).and_then(|v| v.as_int().ok()).ok_or_else(|| self.wrong(n, "an integer"))
    }

    /// A closure or the pointer to a function.
    pub fn closure(&self, n: usize) -> Result<FnPtr, Fail> {
        self.args
            .get(n)
            .and_then(|v| v.read_lock::<FnPtr>().map(|closure| closure.clone()))
            .ok_or_else(|| self.wrong(n, "a closure such as `|| …`"))
    }

    /// The map of options; empty if not given. A key that the function does not list is an error.
    pub fn options(&self, n: usize) -> Result<Options, Fail> {
        let (options, unknown) = self.sifted(n)?;
        unknown.into_iter().next().map_or(Ok(options), Err)
    }

    /// The map of options, without the keys that the function does not list: each is an error of its own.
    pub(super) fn sifted(&self, n: usize) -> Result<(Options, Vec<Fail>), Fail> {
        let map = match self.args.get(n) {
            None => return Ok((Options { map: Map::new(), function: self.function.name.into() }, Vec::new())),
            Some(value) => {
                value.clone().try_cast::<Map>().ok_or_else(|| self.wrong(n, "a map of options such as `#{ … }`"))?
            }
        };
        Ok(Options::sifted(map, self.function.name, &self.function.keys(None)))
    }

    /// The map below an option, if given. A key that the function does not list there is an error.
    pub fn nested(&self, options: &Options, key: &str) -> Result<Option<Options>, Fail> {
        let Some(map) = options.map(key)? else { return Ok(None) };
        Options::checked(map, format!("{}: {key}", self.function.name), &self.function.keys(Some(key))).map(Some)
    }

    /// A duration or a point in time, as the time when it is over.
    pub fn due(&self, value: &Dynamic, now: Timestamp) -> Result<Timestamp, Fail> {
        due(self.function.name, value, now)
    }
}

/// Options of a call, read key by key.
pub struct Options {
    /// What was given.
    pub map: Map,
    function: Cow<'static, str>,
}

impl Options {
    /// Options of a function; a key that is not in `known` is an error that names the nearest.
    pub fn checked(map: Map, function: impl Into<Cow<'static, str>>, known: &[&str]) -> Result<Self, Fail> {
        let (options, unknown) = Self::sifted(map, function, known);
        unknown.into_iter().next().map_or(Ok(options), Err)
    }

    /// Those that are known, and an error for each of the others.
    pub(super) fn sifted(mut map: Map, function: impl Into<Cow<'static, str>>, known: &[&str]) -> (Self, Vec<Fail>) {
        let function = function.into();
        let mut unknown = Vec::new();
        map.retain(|key, _| {
            let is_known = known.contains(&key.as_str());
            if !is_known {
                let hint = crate::diag::suggest::nearest(key, known.iter().copied())
                    .map_or_else(|| format!("known: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
                unknown.push(Fail::error("invalid", format!("`{function}`: has no option `{key}`; hint: {hint}")));
            }
            is_known
        });
        (Self { map, function }, unknown)
    }

    fn wrong(&self, key: &str, expected: &str) -> Fail {
        let found = self.map.get(key).map_or("nothing", type_of);
        Fail::error("invalid", format!("`{}`: option `{key}` must be {expected}, not {found}", self.function))
    }

    /// The value of an option; `()` counts as not given.
    pub fn get(&self, key: &str) -> Option<&Dynamic> {
        self.map.get(key).filter(|value| !value.is_unit())
    }

    fn typed<T>(&self, key: &str, expected: &str, cast: impl Fn(&Dynamic) -> Option<T>) -> Result<Option<T>, Fail> {
        self.get(key).map(|value| cast(value).ok_or_else(|| self.wrong(key, expected))).transpose()
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<String>, Fail> {
        self.typed(key, "a text", |v| if v.is_string() { Some(v.to_string()) } else { secret_text(v) })
    }

    /// An integer.
    pub fn int(&self, key: &str) -> Result<Option<i64>, Fail> {
        self.typed(key, "an integer", |v| v.as_int().ok())
    }

    /// A number, whole or not.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Fail> {
        self.typed(key, "a number", |v| {
            v.as_float().ok().or_else(|| v.as_int().ok().map(|i| i as f64)).filter(|f| f.is_finite())
        })
    }

    /// `true` or `false`; `false` if not given.
    pub fn flag(&self, key: &str) -> Result<bool, Fail> {
        Ok(self.typed(key, "true or false", |v| v.as_bool().ok())?.unwrap_or(false))
    }

    /// A closure.
    pub fn closure(&self, key: &str) -> Result<Option<FnPtr>, Fail> {
        self.typed(key, "a closure such as `|| …`", |v| v.clone().try_cast::<FnPtr>())
    }

    /// A map.
    pub fn map(&self, key: &str) -> Result<Option<Map>, Fail> {
        self.typed(key, "a map", |v| v.clone().try_cast::<Map>())
    }

    /// A list.
    pub fn list(&self, key: &str) -> Result<Option<Vec<Dynamic>>, Fail> {
        self.typed(key, "a list", |v| v.clone().try_cast::<rhai::Array>())
    }

    /// A duration.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, Fail> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        crate::time::parse_duration(&text)
            .map(Some)
            .map_err(|e| Fail::error("invalid", format!("`{}`: option `{key}`: {e}", self.function)))
    }

    /// A duration or a point in time, as the time when it is over.
    pub fn due(&self, key: &str, now: Timestamp) -> Result<Option<Timestamp>, Fail> {
        self.get(key).map(|value| due(&self.function, value, now)).transpose()
    }
}

fn due(function: &str, value: &Dynamic, now: Timestamp) -> Result<Timestamp, Fail> {
    if !value.is_string() {
        return Err(Fail::error(
            "invalid",
            format!(
                "`{function}`: expected a duration such as \"90s\" or a time, not {}; hint: write it as text",
                type_of(value)
            ),
        ));
    }
    let text = value.to_string();
    let as_time = text.contains(':') && text.len() >= 16;
    let parsed = if let Some(begins) = crate::time::start_of_date(&text) {
        begins
    } else if as_time {
        crate::time::parse_time(&text)
    } else {
        crate::time::parse_duration(&text).map(|duration| now.plus(duration))
    };
    parsed.map_err(|e| Fail::error("invalid", format!("`{function}`: {e}")))
}

fn secret_text(value: &Dynamic) -> Option<String> {
    value.clone().try_cast::<crate::script::secret::SecretRef>().map(|secret| secret.placeholder())
}

/// The kind of a value in the words of this documentation.
pub fn type_of(value: &Dynamic) -> &'static str {
    match value.type_name() {
        "()" => "`()`",
        "i64" => "an integer",
        "f64" => "a float",
        "bool" => "true or false",
        "char" => "a character",
        "string" => "a text",
        "array" => "a list",
        "map" => "a map",
        "blob" => "bytes",
        "Fn" => "a closure",
        "decimal" => "a decimal",
        name if name.contains("SecretRef") => "a secret",
        _ => "a value of another kind",
    }
}

/// Makes functions known to a script engine: plain names globally, `ns::name` as members of static modules.
pub fn register(engine: &mut Engine, tables: &[&'static [Function]]) {
    let mut modules: std::collections::BTreeMap<&str, Module> = std::collections::BTreeMap::new();
    for function in tables.iter().copied().flatten() {
        let (namespace, name) = function.name.split_once("::").unwrap_or(("", function.name));
        let module = modules.entry(namespace).or_default();
        let (least, most) = function.arity();
        for count in least..=most {
            set(module, name, function, count);
        }
    }
    for (namespace, module) in modules {
        if namespace.is_empty() {
            engine.register_global_module(module.into());
        } else {
            engine.register_static_module(namespace, module.into());
        }
    }
}

/// Tells the run which call has stopped it: a journal keeps the line of a call, and not the file.
fn tell_where(call: &Call<'_>) {
    let Some((session, _)) = super::session::current() else { return };
    session.stopped_by(call.line(), || Site {
        file: call.context.call_source().unwrap_or_default().into(),
        column: call.context.call_position().position().unwrap_or(1),
        function: call.function.name,
    });
}

fn set(module: &mut Module, name: &str, function: &'static Function, count: usize) {
    let native = move |context: Option<NativeCallContext<'_>>, args: &mut [&mut Dynamic]| {
        guard::raise()?;
        let context = context.expect("host functions are registered with a context");
        let position = context.call_position();
        let args = args.iter_mut().map(|arg| std::mem::take(*arg).flatten()).collect();
        let mut call = Call { context, function, args };
        let returned = (function.call)(&mut call);
        if matches!(returned, Err(Fail::Stopped)) {
            tell_where(&call);
        }
        returned.or_else(|fail| super::declare::noted(&call, fail)).map_err(|fail| fail.into_error(position))
    };
    let func =
        rhai::RhaiFunc::Pure { func: rhai::Shared::new(native), has_context: true, is_pure: false, is_volatile: true };
    // Under the very types of its parameters, too, where these have one: that is found at the first look, and Rhai looks anew
    // in each closure.
    for types in [Some(vec![TypeId::of::<Dynamic>(); count]), exact(function, count)].into_iter().flatten() {
        let registration = FuncRegistration::new(name);
        let registration = if function.name.contains("::") { registration } else { registration.in_global_namespace() };
        registration.set_into_module_raw(module, types, func.clone());
    }
}

/// The types of so many arguments, where all have one. Those that may be left out are there from the left.
fn exact(function: &Function, count: usize) -> Option<Vec<TypeId>> {
    let mut spare = count.checked_sub(function.arity().0)?;
    let given = function.params.iter().filter(|param| {
        let is_given = !param.ends_with('?') || spare > 0;
        spare -= usize::from(is_given && param.ends_with('?'));
        is_given
    });
    let types: Option<Vec<_>> = given.map(|param| type_id(param)).collect();
    types.filter(|types| !types.is_empty())
}

fn type_id(param: &str) -> Option<TypeId> {
    let (_, kind) = param.split_once(": ")?;
    Some(match kind.trim_end_matches('?') {
        "string" => TypeId::of::<ImmutableString>(),
        "closure" => TypeId::of::<FnPtr>(),
        "map" => TypeId::of::<Map>(),
        "list" => TypeId::of::<rhai::Array>(),
        "int" => TypeId::of::<i64>(),
        _ => return None,
    })
}
