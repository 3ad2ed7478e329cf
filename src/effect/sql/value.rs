//! Values on their way to and from databases.

use serde_json::{Value as Json, json};

/// A value of a column or a parameter.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `NULL`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A number as it is written, digit for digit.
    Decimal(String),
    /// Text; also dates and times, as ISO 8601 writes them.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// JSON text.
    Json(String),
    /// An array of a column.
    List(Vec<Self>),
}

impl Value {
    /// What it takes in memory, about.
    pub(super) fn size(&self) -> u64 {
        /// Of a value by itself.
        const BASE: u64 = 32;
        BASE + match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => text.len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(list) => list.iter().map(Self::size).sum(),
        }
    }

    /// For arguments' hashes and for what is kept of a transaction: equal values have equal texts.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => json!(flag),
            Self::Int(number) => json!(number),
            Self::Float(number) => json!(["f", number.to_string()]),
            Self::Decimal(text) => json!(["d", text]),
            Self::Text(text) => json!(text),
            Self::Bytes(bytes) => json!(["b", hex::encode(bytes)]),
            Self::Json(text) => json!(["j", text]),
            Self::List(list) => json!(["l", list.iter().map(Self::to_json).collect::<Vec<_>>()]),
        }
    }

    /// What [`to_json`](Self::to_json) wrote; what is none is nothing.
    pub(super) fn from_json(json: &Json) -> Self {
        let marked = json.as_array().and_then(|pair| Some((pair.first()?.as_str()?, pair.get(1)?)));
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        match (json, marked) {
            (Json::Bool(flag), _) => Self::Bool(*flag),
            (Json::Number(number), _) => number.as_i64().map_or(Self::Null, Self::Int),
            (Json::String(text), _) => Self::Text(text.clone()),
            (_, Some(("f", value))) => Self::Float(text(value).parse().unwrap_or(f64::NAN)),
            (_, Some(("d", value))) => Self::Decimal(text(value)),
            (_, Some(("b", value))) => Self::Bytes(hex::decode(text(value)).unwrap_or_default()),
            (_, Some(("j", value))) => Self::Json(text(value)),
            (_, Some(("l", value))) => {
                Self::List(value.as_array().into_iter().flatten().map(Self::from_json).collect())
            }
            _ => Self::Null,
        }
    }
}

/// Rows with their columns.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A value for each column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    pub(super) fn to_json(&self) -> Json {
        let rows: Vec<Vec<_>> = self.rows.iter().map(|row| row.iter().map(Value::to_json).collect()).collect();
        json!({ "columns": self.columns, "rows": rows })
    }

    pub(super) fn from_json(json: &Json) -> Self {
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let columns = list(&json["columns"]).iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let rows = list(&json["rows"]).iter().map(|row| list(row).iter().map(Value::from_json).collect()).collect();
        Self { columns, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let all = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-5),
            Value::Float(0.1),
            Value::Decimal("12.50".to_owned()),
            Value::Text("Grüße".to_owned()),
            Value::Bytes(vec![0, 255]),
            Value::Json("{\"a\":[1]}".to_owned()),
            Value::List(vec![Value::Int(1), Value::Null]),
        ];
        let rows = Rows { columns: vec!["a".to_owned(); all.len()], rows: vec![all] };
        assert_eq!(Rows::from_json(&rows.to_json()), rows);
    }
}
