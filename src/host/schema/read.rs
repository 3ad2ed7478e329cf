//! The shorthand and JSON Schema → a schema.

use rhai::{Array, Dynamic, Map as Script};
use serde_json::{Map, Value};

use super::fit::push_key;
use super::{Bounds, Extra, Field, Kind, Node, ONE_OF, TYPES};
use crate::diag::suggest::nearest;
use crate::host::function::type_of;
use crate::script::value::to_json_text;

/// Schemas may be nested this deep: more than any form has, and little enough to recurse over.
const MOST_NESTED: usize = 32;

/// Notes for people, which change no value.
const NOTES: [&str; 10] = [
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
];

const KEYWORDS: [&str; 17] = [
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "additionalProperties",
    "format",
    "title",
    "description",
    "default",
];

pub(super) fn shorthand(schema: &Dynamic) -> Result<Node, Vec<String>> {
    Reader::read(|reader| reader.short(schema))
}

pub(super) fn json_schema(schema: &Value) -> Result<Node, Vec<String>> {
    Reader::read(|reader| reader.json(schema))
}

#[derive(Default)]
struct Reader {
    path: String,
    depth: usize,
    /// Of parts; what is beside them is read all the same.
    faults: Vec<String>,
}

impl Reader {
    /// Reads the whole, or says all that is wrong with it.
    fn read(act: impl FnOnce(&mut Self) -> Result<Node, String>) -> Result<Node, Vec<String>> {
        let mut reader = Self::default();
        let read = act(&mut reader);
        match read {
            Ok(node) if reader.faults.is_empty() => Ok(node),
            read => {
                reader.faults.extend(read.err());
                Err(reader.faults)
            }
        }
    }

    /// A part; its fault is noted, so that those of its neighbours are found, too.
    fn part(&mut self, name: &str, act: impl FnOnce(&mut Self) -> Result<Node, String>) -> Node {
        match self.within(|path| push_key(path, name), act) {
            Ok(node) => node,
            Err(fault) => {
                self.faults.push(fault);
                Node::default()
            }
        }
    }

    fn fault<T>(&self, problem: impl std::fmt::Display) -> Result<T, String> {
        if self.path.is_empty() { Err(problem.to_string()) } else { Err(format!("`{}`: {problem}", self.path)) }
    }

    fn within<R>(
        &mut self,
        step: impl FnOnce(&mut String),
        act: impl FnOnce(&mut Self) -> Result<R, String>,
    ) -> Result<R, String> {
        if self.depth == MOST_NESTED {
            return self.fault(format!("a schema may not be nested deeper than {MOST_NESTED}"));
        }
        let length = self.path.len();
        self.depth += 1;
        step(&mut self.path);
        let result = act(self);
        self.path.truncate(length);
        self.depth -= 1;
        result
    }

    fn short(&mut self, schema: &Dynamic) -> Result<Node, String> {
        if schema.is_string() {
            return self.name(&schema.to_string());
        }
        if let Some(list) = schema.read_lock::<Array>() {
            return self.list_of(&list);
        }
        let Some(map) = schema.read_lock::<Script>() else {
            return self.fault(format!(
                "a type is a text such as \"string\", a list such as [\"string\"] or a map, not {}",
                type_of(schema)
            ));
        };
        match map.iter().next() {
            Some((key, values)) if map.len() == 1 && key == ONE_OF => self.one_of(values),
            Some((key, whole)) if map.len() == 1 && key == "schema" && whole.is_map() => self.whole(whole),
            _ => Ok(self.map_of(&map)),
        }
    }

    fn name(&self, text: &str) -> Result<Node, String> {
        let (name, nullable) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
        let kind = match name {
            "any" => return Ok(Node { nullable, ..Node::default() }),
            "string" => Kind::Text,
            "int" => Kind::Int,
            "number" => Kind::Number,
            "decimal" => Kind::Decimal,
            "bool" => Kind::Bool,
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "email" => Kind::Email,
            "url" => Kind::Url,
            "file" => Kind::File,
            _ => return self.fault(format!("`{text}` is no type; hint: {}", type_hint(name))),
        };
        Ok(Node { nullable, ..Node::of(kind) })
    }

    fn list_of(&mut self, list: &Array) -> Result<Node, String> {
        let [item] = list.as_slice() else {
            let count = list.len();
            let hint = "write [\"string\"] for a list of texts, one_of(\"a\", \"b\") for a choice";
            return self.fault(format!("a list type names one type, not {count}; hint: {hint}"));
        };
        let items = self.within(|path| path.push_str("[]"), |reader| reader.short(item))?;
        Ok(Node { items: Some(Box::new(items)), ..Node::of(Kind::List) })
    }

    fn one_of(&self, values: &Dynamic) -> Result<Node, String> {
        let values = to_json_text(values, false).ok().and_then(|text| serde_json::from_str::<Vec<Value>>(&text).ok());
        match values {
            Some(values) if !values.is_empty() => Ok(Node { values: Some(values), ..Node::default() }),
            _ => self.fault("`one_of` needs values; hint: write one_of(\"a\", \"b\")"),
        }
    }

    fn whole(&mut self, schema: &Dynamic) -> Result<Node, String> {
        let text = to_json_text(schema, false).map_err(|e| e.within("schema"))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        self.json(&json)
    }

    fn map_of(&mut self, map: &Script) -> Node {
        let mut fields = Vec::with_capacity(map.len());
        for (key, schema) in map {
            let (name, optional) = key.strip_suffix('?').map_or((key.as_str(), false), |name| (name, true));
            let node = self.part(name, |reader| reader.short(schema));
            fields.push(Field { name: name.to_owned(), required: !optional && !node.nullable, node });
        }
        Node { fields, ..Node::of(Kind::Map) }
    }

    fn json(&mut self, schema: &Value) -> Result<Node, String> {
        let schema = match schema {
            Value::Object(map) => map,
            Value::Bool(true) => return Ok(Node::default()),
            other => return self.fault(format!("a JSON Schema is a map, not {other}")),
        };
        self.known(schema)?;
        let mut node = Node { raw: Some(Value::Object(schema.clone())), ..Node::default() };
        self.types(schema, &mut node)?;
        node.values = self.values(schema)?.or(node.values);
        node.range = Bounds { least: self.number(schema, "minimum")?, most: self.number(schema, "maximum")? };
        node.characters = Bounds { least: self.count(schema, "minLength")?, most: self.count(schema, "maxLength")? };
        node.count = Bounds { least: self.count(schema, "minItems")?, most: self.count(schema, "maxItems")? };
        if let Some(items) = schema.get("items") {
            node.items = Some(Box::new(self.within(|path| path.push_str("[]"), |reader| reader.json(items))?));
        }
        node.fields = self.properties(schema)?;
        node.extra = self.extra(schema)?;
        Ok(node)
    }

    fn known(&self, schema: &Map<String, Value>) -> Result<(), String> {
        for key in schema.keys() {
            if KEYWORDS.contains(&key.as_str()) || NOTES.contains(&key.as_str()) {
                continue;
            }
            let hint = match nearest(key, KEYWORDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}; check the rest in the script", KEYWORDS.join(", ")),
            };
            return self.fault(format!("the JSON Schema keyword `{key}` is not supported; hint: {hint}"));
        }
        Ok(())
    }

    fn types(&self, schema: &Map<String, Value>, node: &mut Node) -> Result<(), String> {
        let names: Vec<&str> = match schema.get("type") {
            None => Vec::new(),
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) if !names.is_empty() => names.iter().map(|n| n.as_str().unwrap_or("?")).collect(),
            Some(other) => return self.fault(format!("`type` is a text or a list of texts, not {other}")),
        };
        let format = self.format(schema)?;
        for name in names {
            let kind = match name {
                "string" => format.unwrap_or(Kind::Text),
                "number" | "object" if matches!(format, Some(Kind::Decimal | Kind::File)) => continue,
                "integer" => Kind::Int,
                "number" => Kind::Number,
                "boolean" => Kind::Bool,
                "array" => Kind::List,
                "object" => Kind::Map,
                "null" => {
                    node.nullable = true;
                    continue;
                }
                other => {
                    return self.fault(format!("`{other}` is no `type` of JSON Schema; hint: {}", json_hint(other)));
                }
            };
            node.kinds.push(kind);
        }
        if node.kinds.is_empty() && node.nullable {
            node.values = Some(vec![Value::Null]);
        }
        Ok(())
    }

    fn format(&self, schema: &Map<String, Value>) -> Result<Option<Kind>, String> {
        let Some(format) = schema.get("format") else { return Ok(None) };
        Ok(Some(match format.as_str().unwrap_or_default() {
            "date" => Kind::Date,
            "date-time" => Kind::DateTime,
            "email" => Kind::Email,
            "uri" => Kind::Url,
            "decimal" => Kind::Decimal,
            "file" => Kind::File,
            "int32" | "int64" | "float" | "double" | "password" => return Ok(None),
            _ => {
                let hint = "known are date, date-time, email, uri, decimal, file";
                return self.fault(format!("the format {format} is not supported; hint: {hint}"));
            }
        }))
    }

    fn values(&self, schema: &Map<String, Value>) -> Result<Option<Vec<Value>>, String> {
        if let Some(value) = schema.get("const") {
            return Ok(Some(vec![value.clone()]));
        }
        match schema.get("enum") {
            None => Ok(None),
            Some(Value::Array(values)) if !values.is_empty() => Ok(Some(values.clone())),
            Some(other) => self.fault(format!("`enum` is a list of values, not {other}")),
        }
    }

    fn number(&self, schema: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
        let number = |value: &Value| value.as_f64().map_or_else(|| self.fault(not_a(key, "number", value)), Ok);
        schema.get(key).map(number).transpose()
    }

    fn count(&self, schema: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
        let count = |value: &Value| value.as_u64().map_or_else(|| self.fault(not_a(key, "count", value)), Ok);
        schema.get(key).map(count).transpose()
    }

    fn properties(&mut self, schema: &Map<String, Value>) -> Result<Vec<Field>, String> {
        let required = self.required(schema)?;
        let mut fields = Vec::new();
        match schema.get("properties") {
            None => {}
            Some(Value::Object(properties)) => {
                for (name, schema) in properties {
                    let node = self.part(name, |reader| reader.json(schema));
                    fields.push(Field { name: name.clone(), required: required.contains(&name.as_str()), node });
                }
            }
            Some(other) => return self.fault(not_a("properties", "map", other)),
        }
        let rest = required.into_iter().filter(|name| !fields.iter().any(|field| field.name == *name));
        let rest: Vec<Field> =
            rest.map(|name| Field { name: name.to_owned(), required: true, node: Node::default() }).collect();
        fields.extend(rest);
        Ok(fields)
    }

    fn required<'a>(&self, schema: &'a Map<String, Value>) -> Result<Vec<&'a str>, String> {
        match schema.get("required") {
            None => Ok(Vec::new()),
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
                Ok(names.iter().filter_map(Value::as_str).collect())
            }
            Some(other) => self.fault(not_a("required", "list of names", other)),
        }
    }

    fn extra(&mut self, schema: &Map<String, Value>) -> Result<Extra, String> {
        Ok(match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => Extra::Keep,
            Some(Value::Bool(false)) => Extra::Refuse,
            Some(other) => Extra::Of(Box::new(self.within(|path| path.push_str("{}"), |reader| reader.json(other))?)),
        })
    }
}

fn not_a(key: &str, expected: &str, found: &Value) -> String {
    format!("`{key}` must be a {expected}, not {found}")
}

fn type_hint(name: &str) -> String {
    let foreign = match name.to_lowercase().as_str() {
        "str" | "text" => Some("string"),
        "integer" | "i64" | "long" => Some("int"),
        "float" | "double" | "f64" => Some("number"),
        "boolean" => Some("bool"),
        "time" | "timestamp" | "date-time" => Some("datetime"),
        "uri" => Some("url"),
        "money" => Some("decimal"),
        "object" | "map" => return "write a map of its parts, such as #{ id: \"string\" }, or \"any\"".to_owned(),
        "array" | "list" => return "write [\"string\"] for a list of texts".to_owned(),
        _ => None,
    };
    match foreign.or_else(|| nearest(name, TYPES)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("types are {}; for a choice write one_of(\"a\", \"b\")", TYPES.join(", ")),
    }
}

fn json_hint(name: &str) -> String {
    let names = ["string", "integer", "number", "boolean", "array", "object", "null"];
    nearest(name, names)
        .map_or_else(|| format!("known are {}", names.join(", ")), |near| format!("did you mean `{near}`?"))
}
