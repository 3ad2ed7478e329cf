//! Queries of triggers: rows of a database, outside of any run.

use serde_json::{Map, Value};

use super::deploy::Deployed;
use super::handle::Handle;
use crate::effect::sql::{Act, Asked, Params, Value as SqlValue};
use crate::effect::{Attempt, NoSecrets, Performer, Reply, Request, SqlReply, SqlRequest};

/// The parameter of a trigger's query: how far it came.
const CURSOR: &str = "cursor";

impl Handle {
    /// The rows that a query of a trigger finds, as plain JSON, within what its workflow may ask. `cursor` stands for
    /// `:cursor`, where the query has it. The error is told to people.
    pub async fn rows(
        &self,
        deployed: &Deployed,
        database: &str,
        text: &str,
        cursor: Option<&Value>,
    ) -> Result<Vec<Map<String, Value>>, String> {
        let options = self.options();
        let named = cursor.map(|cursor| (CURSOR.to_owned(), given(cursor))).into_iter().collect();
        let asked = Asked { text: text.to_owned(), params: Params::Named(named) };
        let act = Act::Query(asked);
        let request = SqlRequest { database: database.to_owned(), act, timeout: None, max_rows: None, save_to: None };
        let attempt = Attempt {
            number: 1,
            idempotency_key: "",
            undo: None,
            again: false,
            allow: &deployed.allow,
            secrets: &NoSecrets,
            trace: None,
        };
        let performer = Performer::new(options.limits).with_databases(options.databases.clone());
        match performer.perform(&Request::Sql(Box::new(request)), attempt).await {
            Ok(Reply::Sql(SqlReply::Rows(rows))) => {
                let row = |row: Vec<SqlValue>| {
                    let fields: Map<_, _> = rows.columns.iter().cloned().zip(row.iter().map(plain)).collect();
                    match self.value_from_outside(&Value::Object(fields)) {
                        Value::Object(clean) => clean,
                        _ => Map::new(),
                    }
                };
                Ok(rows.rows.into_iter().map(row).collect())
            }
            Ok(_) => unreachable!("a query without a file gives rows"),
            Err(failure) => Err(self.text_from_outside(&failure.message)),
        }
    }
}

/// A value that was a row's, as a parameter.
fn given(value: &Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Bool(flag) => SqlValue::Bool(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| SqlValue::Float(number.as_f64().unwrap_or_default()), SqlValue::Int)
        }
        Value::String(text) => SqlValue::Text(text.clone()),
        other => SqlValue::Json(other.to_string()),
    }
}

/// A value of a row, as the payload of a trigger has it: decimals are texts, bytes are base64.
fn plain(value: &SqlValue) -> Value {
    use base64::Engine as _;

    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Bool(flag) => (*flag).into(),
        SqlValue::Int(number) => (*number).into(),
        SqlValue::Float(number) => (*number).into(),
        SqlValue::Decimal(text) | SqlValue::Text(text) => text.as_str().into(),
        SqlValue::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        SqlValue::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        SqlValue::List(list) => list.iter().map(plain).collect(),
    }
}
