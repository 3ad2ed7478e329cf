//! A value against a schema: what it becomes, and every fault.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Bounds, Extra, Fault, Kind, Node, Texts, read_decimal};
use crate::payload::Payload;
use crate::script::guard;

/// More faults than this help nobody, and a large bad list would make an answer larger than itself.
const MOST_FAULTS: usize = 1_000;

/// So much of a value is shown in a message.
const SHOWN: usize = 40;

/// What a fitting value is returned as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// Typed JSON, as the journal has it; keys are not in order yet.
    Typed,
}

pub(super) fn fit(node: &Node, value: &Value, form: Form, texts: Texts) -> Result<Value, Vec<Fault>> {
    let mut fitter = Fitter { faults: Vec::new(), path: String::new(), form, texts };
    let result = fitter.value(node, value);
    if fitter.faults.is_empty() { Ok(result) } else { Err(fitter.faults) }
}

struct Fitter {
    faults: Vec<Fault>,
    path: String,
    form: Form,
    texts: Texts,
}

impl Fitter {
    fn fault(&mut self, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { path: self.path.clone(), message: message.into() });
        } else if self.faults.len() == MOST_FAULTS {
            let message = format!("has more than {MOST_FAULTS} faults; the rest is not listed");
            self.faults.push(Fault { path: String::new(), message });
        }
    }

    fn within<R>(&mut self, step: impl FnOnce(&mut String), act: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        step(&mut self.path);
        let result = act(self);
        self.path.truncate(length);
        result
    }

    /// The value as it is returned, or `null` after a fault.
    fn value(&mut self, node: &Node, value: &Value) -> Value {
        // Gives other runs their turn. A stop shows at the script's next operation.
        let _ = guard::check();
        if node.nullable && self.is_nothing(value) {
            return Value::Null;
        }
        let Some(fitted) = self.kind(node, value) else {
            self.fault(format!("must be {}, not {}", expected(node), shown(value)));
            return Value::Null;
        };
        self.constraints(node, value, &fitted);
        match value {
            Value::Array(items) if !is_file(node) => self.list(node, items),
            Value::Object(map) if !is_file(node) => self.map(node, map),
            _ if self.form == Form::Typed => fitted.into_typed(),
            _ => fitted.into_plain(),
        }
    }

    fn is_nothing(&self, value: &Value) -> bool {
        value.is_null() || self.texts == Texts::Read && value.as_str().is_some_and(|text| text.trim().is_empty())
    }

    fn kind(&self, node: &Node, value: &Value) -> Option<Fitted> {
        if node.kinds.is_empty() {
            return Some(Fitted::Json(value.clone()));
        }
        node.kinds.iter().find_map(|kind| of_kind(*kind, value)).or_else(|| match (self.texts, value) {
            (Texts::Read, Value::String(text)) => node.kinds.iter().find_map(|kind| of_text(*kind, text.trim())),
            _ => None,
        })
    }

    fn constraints(&mut self, node: &Node, value: &Value, fitted: &Fitted) {
        if let Some(values) = &node.values
            && !values.iter().any(|allowed| is_same(allowed, value))
        {
            let all = values.iter().map(shown).collect::<Vec<_>>().join(", ");
            self.fault(format!("must be one of {all}, not {}", shown(value)));
        }
        if let Some(number) = fitted.number() {
            self.bounds(node.range, &number, ("be", ""));
        }
        match value {
            Value::String(text) => {
                self.bounds(node.characters, &(text.chars().count() as u64), ("have", " characters"));
            }
            Value::Array(items) => self.bounds(node.count, &(items.len() as u64), ("have", " items")),
            _ => {}
        }
    }

    fn bounds<T: PartialOrd + std::fmt::Display>(&mut self, bounds: Bounds<T>, found: &T, (verb, unit): (&str, &str)) {
        if let Some(least) = bounds.least.filter(|least| found < least) {
            self.fault(format!("must {verb} at least {least}{unit}, not {found}"));
        }
        if let Some(most) = bounds.most.filter(|most| found > most) {
            self.fault(format!("must {verb} at most {most}{unit}, not {found}"));
        }
    }

    fn list(&mut self, node: &Node, items: &[Value]) -> Value {
        let any = Node::default();
        let item = node.items.as_deref().unwrap_or(&any);
        let fit_one = |(index, value): (usize, &Value)| {
            self.within(|path| _ = write!(path, "[{index}]"), |fitter| fitter.value(item, value))
        };
        items.iter().enumerate().map(fit_one).collect()
    }

    fn map(&mut self, node: &Node, map: &Map<String, Value>) -> Value {
        for field in node.fields.iter().filter(|field| field.required && !map.contains_key(&field.name)) {
            self.within(|path| push_key(path, &field.name), |fitter| fitter.fault("is missing"));
        }
        let mut fitted = Map::new();
        for (key, value) in map {
            let found = self.within(|path| push_key(path, key), |fitter| fitter.part(node, key, value));
            if let Some(found) = found {
                let tagged = self.form == Form::Typed && key.starts_with('$');
                fitted.insert(if tagged { format!("${key}") } else { key.clone() }, found);
            }
        }
        Value::Object(fitted)
    }

    /// A part of a map; `None` leaves it out.
    fn part(&mut self, node: &Node, key: &str, value: &Value) -> Option<Value> {
        if let Some(field) = node.fields.iter().find(|field| field.name == key) {
            let absent = !field.required && self.is_nothing(value) && (field.node.nullable || value.is_null());
            return (!absent).then(|| self.value(&field.node, value));
        }
        match &node.extra {
            Extra::Keep => Some(self.value(&Node::default(), value)),
            Extra::Of(other) => Some(self.value(other, value)),
            Extra::Refuse => {
                let near = crate::diag::suggest::nearest(key, node.fields.iter().map(|field| field.name.as_str()));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.fault(format!("is not expected{hint}"));
                None
            }
        }
    }
}

/// A value that is of its kind.
enum Fitted {
    Json(Value),
    Decimal(rust_decimal::Decimal),
}

impl Fitted {
    fn into_plain(self) -> Value {
        match self {
            Self::Json(value) => value,
            Self::Decimal(number) => number.to_string().into(),
        }
    }

    fn into_typed(self) -> Value {
        match self {
            Self::Json(value) => escaped(value),
            Self::Decimal(number) => json!({ "$decimal": number.to_string() }),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Json(value) => value.as_f64(),
            Self::Decimal(number) => number.to_string().parse().ok(),
        }
    }
}

/// Keys that begin with `$` are data here. Only a file comes with parts; all else is fitted part by part.
fn escaped(value: Value) -> Value {
    if value.is_object() {
        return serde_json::from_str(Payload::from_json(&value).text()).unwrap_or(value);
    }
    value
}

fn of_kind(kind: Kind, value: &Value) -> Option<Fitted> {
    let fits = match kind {
        Kind::Int => return integer(value).map(|number| Fitted::Json(number.into())),
        Kind::Decimal => return decimal(value).map(Fitted::Decimal),
        Kind::Text => value.is_string(),
        Kind::Number => value.is_number(),
        Kind::Bool => value.is_boolean(),
        Kind::List => value.is_array(),
        Kind::Map => value.is_object(),
        Kind::Date => value.as_str().is_some_and(is_date),
        Kind::DateTime => value.as_str().is_some_and(|text| crate::time::parse_time(text).is_ok()),
        Kind::Email => value.as_str().is_some_and(is_email),
        Kind::Url => value.as_str().is_some_and(is_url),
        Kind::File => value.get("path").unwrap_or(value).as_str().is_some_and(|path| !path.is_empty()),
    };
    fits.then(|| Fitted::Json(value.clone()))
}

fn of_text(kind: Kind, text: &str) -> Option<Fitted> {
    let value = match kind {
        Kind::Int => text.parse::<i64>().ok()?.into(),
        Kind::Number => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => serde_json::Number::from_f64(text.parse().ok()?)?.into(),
        },
        Kind::Bool if text.eq_ignore_ascii_case("true") => true.into(),
        Kind::Bool if text.eq_ignore_ascii_case("false") => false.into(),
        Kind::Decimal => return decimal_of_text(text).map(Fitted::Decimal),
        _ => return None,
    };
    Some(Fitted::Json(value))
}

/// Floats beyond this are not exact integers: 2⁵³.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT)?;
        Some(float as i64)
    })
}

/// Texts of an input have no exponent: what people write has none, and what is no amount is found so.
fn decimal_of_text(text: &str) -> Option<rust_decimal::Decimal> {
    read_decimal(text).filter(|_| !text.contains(['e', 'E']))
}

fn decimal(value: &Value) -> Option<rust_decimal::Decimal> {
    match value {
        Value::String(text) => decimal_of_text(text),
        Value::Number(number) => {
            let text = number.to_string();
            read_decimal(&text).or_else(|| rust_decimal::Decimal::from_scientific(&text).ok())
        }
        _ => None,
    }
}

/// `2026-12-24`, and that day exists.
fn is_date(text: &str) -> bool {
    let digit_places = [0, 1, 2, 3, 5, 6, 8, 9];
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    shape
        && digit_places.iter().all(|&at| bytes[at].is_ascii_digit())
        && crate::time::parse_time(&format!("{text}T00:00:00Z")).is_ok()
}

/// What browsers take for one: something, `@`, a host name. Whether somebody reads it, only a mail shows.
fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let bad = |c: char| c.is_whitespace() || c.is_control() || "<>(),;:\"[]\\@".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    !local.is_empty() && !local.contains(bad) && text.len() <= 254 && host.split('.').all(label)
}

/// A scheme, `://`, a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !host.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_file(node: &Node) -> bool {
    node.kinds == [Kind::File]
}

/// Equal as JSON Schema has it: `1` is `1.0`.
fn is_same(a: &Value, b: &Value) -> bool {
    a == b || a.is_number() && b.is_number() && a.as_f64() == b.as_f64()
}

fn expected(node: &Node) -> String {
    let name = |kind: &Kind| match kind {
        Kind::Text => "a text",
        Kind::Int => "an integer",
        Kind::Number => "a number",
        Kind::Decimal => "a decimal such as \"12.50\"",
        Kind::Bool => "true or false",
        Kind::Date => "a date such as \"2026-12-24\"",
        Kind::DateTime => "a time such as \"2026-12-24T08:00:00Z\"",
        Kind::Email => "an email address",
        Kind::Url => "a URL",
        Kind::File => "a file",
        Kind::List => "a list",
        Kind::Map => "a map",
    };
    node.kinds.iter().map(name).collect::<Vec<_>>().join(" or ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => {
            let text = other.to_string();
            if text.chars().count() <= SHOWN {
                return text;
            }
            format!("{}…", text.chars().take(SHOWN).collect::<String>())
        }
    }
}

pub(super) fn push_key(path: &mut String, key: &str) {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !plain {
        let _ = write!(path, "[{key:?}]");
    } else if path.is_empty() {
        path.push_str(key);
    } else {
        let _ = write!(path, ".{key}");
    }
}
