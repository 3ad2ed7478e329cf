//! What scripts can call, as data: the signatures of the host functions, for checks, documentation and suggestions.
//!
//! The host functions describe themselves; this module only holds the form, and must not know any of them but the names
//! that may stand at the top level of a bare script.

use std::collections::BTreeMap;

/// Functions that only describe, and may be part of a declaration.
pub const DECLARATIVE: &[&str] = &[
    "workflow",
    "secret",
    "config",
    "hmac",
    "bearer",
    "basic",
    "token",
    "oauth2",
    "aws",
    "azure_shared_key",
    "list",
    "one_of",
    "decimal",
];

/// The type of an option that takes what `retry` takes first.
pub const RETRY_POLICY: &str = "retry policy";

/// Whether a call may be part of a declaration: one of [`DECLARATIVE`], or a trigger.
pub fn is_declarative(name: &str) -> bool {
    DECLARATIVE.contains(&name) || is_trigger(name)
}

/// Whether a call declares a trigger; `trigger::info` reads what started the run.
pub fn is_trigger(name: &str) -> bool {
    name.starts_with("trigger::") && name != "trigger::info"
}

/// What calling a function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Computes; not recorded.
    Pure,
    /// Reads the outside world.
    Reading,
    /// Changes the outside world.
    Mutating,
    /// An act of the engine itself: state, events, timers, tasks.
    Internal,
    /// Takes closures and decides how they run: `step`, `parallel`.
    Control,
    /// Only describes; allowed at the top level of a file with `fn main`.
    Declarative,
}

/// What a literal argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `"90s"`.
    Duration,
    /// A duration, or a time.
    DurationOrTime,
    /// `"0 8 * * *"`.
    Cron,
    /// An RFC 3339 or RFC 9557 time.
    Time,
    /// A count in a time: `"10/s"`.
    Rate,
    /// An address.
    Url,
    /// A name of an event, lock or step.
    Name,
}

/// A parameter: its name and its type in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// The name.
    pub name: &'static str,
    /// The type, for example `duration`.
    pub kind: &'static str,
}

/// An option of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its key; of a map below an option, the path to it: `batch.size`.
    pub name: &'static str,
    /// The type, for example `duration`.
    pub kind: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// A function that scripts can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name, with its namespace: `http::get`.
    pub name: String,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// What calling it means.
    pub kind: Kind,
    /// One or more sentences, in Markdown.
    pub doc: String,
    /// A script that calls it.
    pub example: String,
    /// The parameters of its longest form.
    pub params: Vec<Param>,
    /// Which argument is the map of options.
    pub options_at: Option<usize>,
    /// Its keys.
    pub options: Vec<Choice>,
    /// The type of what it returns.
    pub returns: &'static str,
    /// Kinds of errors that it throws.
    pub errors: &'static [&'static str],
    /// What literals have to be, by the index of the argument.
    pub literals: BTreeMap<usize, Literal>,
    /// The capability that it needs, for example `http`.
    pub capability: Option<&'static str>,
}

impl Signature {
    /// A function with its range of arguments; the rest is filled in by the methods below.
    pub fn new(name: impl Into<String>, min: usize, max: usize, kind: Kind) -> Self {
        Self {
            name: name.into(),
            min,
            max,
            kind,
            doc: String::new(),
            example: String::new(),
            params: Vec::new(),
            options_at: None,
            options: Vec::new(),
            returns: "any",
            errors: &[],
            literals: BTreeMap::new(),
            capability: None,
        }
    }

    /// The option at a path: `timeout`, `batch.size`.
    pub fn option(&self, path: &str) -> Option<&Choice> {
        self.options.iter().find(|option| option.name == path)
    }

    /// Keys of the map of options, or of the map below the option `within`; empty: any.
    pub fn keys<'a>(&'a self, within: &'a str) -> impl Iterator<Item = &'static str> + Clone + 'a {
        let below = move |name: &'static str| match within {
            "" => Some(name),
            within => name.strip_prefix(within)?.strip_prefix('.'),
        };
        self.options.iter().filter_map(move |option| below(option.name)).filter(|name| !name.contains('.'))
    }

    /// With what the literal at `index` has to be.
    #[must_use]
    pub fn literal(mut self, index: usize, literal: Literal) -> Self {
        self.literals.insert(index, literal);
        self
    }

    /// With its documentation.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = doc.into();
        self
    }
}

/// All host functions.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    functions: BTreeMap<String, Vec<Signature>>,
}

impl Catalog {
    /// A catalog of these functions; a name may occur several times, with other numbers of arguments.
    pub fn new(functions: impl IntoIterator<Item = Signature>) -> Self {
        let mut catalog = Self::default();
        for function in functions {
            catalog.functions.entry(function.name.clone()).or_default().push(function);
        }
        catalog
    }

    /// The forms of a function, by its full name.
    pub fn find(&self, name: &str) -> &[Signature] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// All functions, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.functions.values().flatten()
    }

    /// Whether there are functions under a namespace.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.names().any(|name| name.strip_prefix(namespace).is_some_and(|rest| rest.starts_with("::")))
    }

    /// The fewest and most arguments over all forms of a function.
    pub fn range(&self, name: &str) -> Option<(usize, usize)> {
        let forms = self.find(name);
        Some((forms.iter().map(|form| form.min).min()?, forms.iter().map(|form| form.max).max()?))
    }
}
