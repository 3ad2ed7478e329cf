//! What a value must look like: the `input` and `output` of a workflow, the form of a task, `validate`.
//!
//! A schema is written in a shorthand (`#{ id: "string", lines: [#{ qty: "int" }], note: "string?" }`) or, below the single
//! key `schema`, as JSON Schema, of which the part that forms and requests use is understood; the rest is refused, never
//! ignored. Checking collects every fault with the path to it. Owns no state; knows nothing of runs.

mod fit;
mod read;
mod show;

use std::fmt::Write as _;

use rhai::{Dynamic, Map};
use serde::Serialize;
use serde_json::Value;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use crate::payload::Payload;
use crate::script::check::Shape;
use crate::script::value;
pub(super) use crate::script::value::read_decimal;

/// The types of the shorthand.
pub const TYPES: [&str; 11] =
    ["string", "int", "number", "decimal", "bool", "date", "datetime", "email", "url", "file", "any"];

/// The key under which `one_of` keeps its values.
pub(super) const ONE_OF: &str = "$one_of";

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "validate",
    params: &["value: any", "schema: any", "options: map?"],
    options: &[Choice::new(
        "from_text",
        "bool",
        "numbers and booleans may be written as text, as in the rows of a CSV file",
    )],
    returns: "any",
    nature: Nature::Pure,
    doc: "Returns the value as the schema has it: decimals are decimals, absent optional fields are left out. A value that does not fit \
          throws `invalid` with every fault as `#{ path, message }` in `faults`. With `from_text: true` numbers and booleans may be \
          written as text, as in the rows of a CSV file.",
    example: "validate(#{ total: \"12.50\" }, #{ total: \"decimal\" }).total",
    call: validate,
    ..Function::BASE
}];

/// What a value must look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema(Node);

/// What does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From the value to the part at fault: `lines[2].qty`; empty for the value itself.
    pub path: String,
    /// What is wrong there: `must be an integer, not "two"`.
    pub message: String,
}

/// Whether numbers and booleans may come as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// A text is a text.
    Strict,
    /// `"3"` is taken for a number where one is wanted, and an empty text for nothing where that is allowed.
    Read,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Number,
    Decimal,
    Bool,
    Date,
    DateTime,
    Email,
    Url,
    File,
    List,
    Map,
}

/// One place of a schema. A constraint concerns values of its shape alone: a length texts, fields maps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    /// One of these; empty: anything.
    kinds: Vec<Kind>,
    /// `null` and `()` are taken too.
    nullable: bool,
    values: Option<Vec<Value>>,
    range: Bounds<f64>,
    characters: Bounds<u64>,
    count: Bounds<u64>,
    items: Option<Box<Node>>,
    fields: Vec<Field>,
    extra: Extra,
    /// The JSON Schema that it was read from.
    raw: Option<Value>,
}

/// A lower and an upper bound, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds<T> {
    least: Option<T>,
    most: Option<T>,
}

impl<T> Default for Bounds<T> {
    fn default() -> Self {
        Self { least: None, most: None }
    }
}

/// A named part of a map.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    required: bool,
    node: Node,
}

/// What becomes of parts of a map that are not named.
#[derive(Clone, Debug, Default, PartialEq)]
enum Extra {
    /// They stay: a sender may know more than this version.
    #[default]
    Keep,
    Refuse,
    Of(Box<Node>),
}

impl Schema {
    /// From the shorthand, or a JSON Schema under `schema`. The error says where and what to write instead.
    pub fn from_dynamic(schema: &Dynamic) -> Result<Self, String> {
        Self::read(schema).map_err(|mut faults| faults.swap_remove(0))
    }

    /// The same; each fault is an error of its own, and there is at least one where there is no schema.
    pub fn read(schema: &Dynamic) -> Result<Self, Vec<String>> {
        read::shorthand(schema).map(Self)
    }

    /// From JSON Schema: `type`, `properties`, `required`, `items`, `enum`, `const`, bounds, `additionalProperties`, `format`.
    /// `default` and other notes are kept for forms and change no value.
    pub fn from_json_schema(schema: &Value) -> Result<Self, String> {
        read::json_schema(schema).map(Self).map_err(|mut faults| faults.swap_remove(0))
    }

    /// The schema as JSON Schema.
    pub fn to_json_schema(&self) -> Value {
        show::json_schema(&self.0)
    }

    /// The value as the schema has it, as plain JSON: absent optional parts are left out, decimals are texts. Else every fault.
    pub fn validate(&self, value: &Value) -> Result<Value, Vec<Fault>> {
        fit::fit(&self.0, value, fit::Form::Plain, Texts::Strict)
    }

    /// The same as a script gets it: decimals are decimals.
    pub fn accept(&self, value: &Value) -> Result<Payload, Vec<Fault>> {
        self.accept_with(value, Texts::Strict)
    }

    /// As [`Schema::accept`], for rows and forms whose numbers may be texts.
    pub fn accept_with(&self, value: &Value, texts: Texts) -> Result<Payload, Vec<Fault>> {
        let mut typed = fit::fit(&self.0, value, fit::Form::Typed, texts)?;
        typed.sort_all_objects();
        Ok(Payload::from_text(typed.to_string()))
    }

    /// Names of the parts of the map that it describes; `None` when other names are as good.
    pub fn keys(&self) -> Option<Vec<&str>> {
        self.keys_at(&[])
    }

    /// The same for a part; an index into a list is no step: `["lines"]` for `lines[0]`.
    pub fn keys_at(&self, path: &[&str]) -> Option<Vec<&str>> {
        let mut node = self.0.item();
        for step in path {
            node = node.fields.iter().find(|field| field.name == *step)?.node.item();
        }
        let named = !node.fields.is_empty() && !matches!(node.extra, Extra::Of(_));
        named.then(|| node.fields.iter().map(|field| field.name.as_str()).collect())
    }
}

impl Schema {
    /// What checks know of values that fit: lists, and maps whose keys are all named.
    pub fn shape(&self) -> Shape {
        self.0.shape()
    }
}

impl Node {
    fn shape(&self) -> Shape {
        if let (Some(item), [Kind::List]) = (&self.items, self.kinds.as_slice()) {
            return Shape::List(Box::new(item.shape()));
        }
        let named = !self.fields.is_empty() && !matches!(self.extra, Extra::Of(_));
        if named && matches!(self.kinds.as_slice(), [Kind::Map] | []) {
            let fields = self.fields.iter().map(|field| (field.name.clone(), field.node.shape()));
            return Shape::Map(fields.collect());
        }
        Shape::Any
    }

    fn of(kind: Kind) -> Self {
        Self { kinds: vec![kind], ..Self::default() }
    }

    /// What a list is of; else the node itself.
    fn item(&self) -> &Self {
        self.items.as_ref().map_or(self, |item| item.item())
    }
}

fn validate(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let options = call.options(2)?;
    let texts = if options.flag("from_text")? { Texts::Read } else { Texts::Strict };
    let schema = Schema::from_dynamic(&call.args[1]).map_err(|e| call.invalid(e))?;
    let plain = value::to_json_text(&call.args[0], false).map_err(|e| call.invalid(e))?;
    let plain: Value = serde_json::from_str(&plain).map_err(|e| call.invalid(e))?;
    let accepted = schema.accept_with(&plain, texts).map_err(|faults| refusal(call, &faults))?;
    Ok(value::decode(&accepted))
}

fn refusal(call: &Call<'_>, faults: &[Fault]) -> Fail {
    let path = faults.first().map(|fault| fault.path.clone()).unwrap_or_default();
    call.invalid(sentence(faults)).with("path", path).with("faults", listed(faults))
}

/// Faults as scripts see them: `[#{ path, message }]`.
pub(super) fn listed(faults: &[Fault]) -> Dynamic {
    let one = |fault: &Fault| -> Dynamic {
        let pairs = [("path", &fault.path), ("message", &fault.message)];
        Dynamic::from_map(pairs.into_iter().map(|(key, text)| (key.into(), text.as_str().into())).collect::<Map>())
    };
    Dynamic::from_array(faults.iter().map(one).collect())
}

/// How many faults a sentence names: more do not fit on a line.
const NAMED: usize = 3;

/// All faults in one line: "`email` is missing, `lines[2].qty` must be an integer, not "two"".
pub fn sentence(faults: &[Fault]) -> String {
    let one = |fault: &Fault| {
        let subject = if fault.path.is_empty() { "the value".to_owned() } else { format!("`{}`", fault.path) };
        format!("{subject} {}", fault.message)
    };
    let mut text = faults.iter().take(NAMED).map(one).collect::<Vec<_>>().join("; ");
    if faults.len() > NAMED {
        let _ = write!(text, "; and {} more", faults.len() - NAMED);
    }
    text
}

#[cfg(test)]
mod tests;
