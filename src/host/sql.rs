//! `sql::*`: databases that the configuration names.

use std::rc::Rc;

use rhai::{Array, Dynamic, Map};

use super::effects::{self, Plan};
use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::policy::Policy;
use crate::effect::sql::{Act, Asked, Done, Params, Rows, Value};
use crate::effect::{Reply, Request, SqlReply, SqlRequest};
use crate::script::value;

const ERRORS: &[&str] = &["sql", "network", "timeout", "denied", "not_found", "limit"];

const TIMEOUT: Choice = Choice::new("timeout", "duration", "a minute unless it says otherwise");
const RETRY: Choice = Choice::new("retry", "retry policy", "attempts, as for `retry`");

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "sql::query",
        params: &["database: string", "text: string", "params: list or map?", "options: map?"],
        options: &[
            Choice::new(
                "save_to",
                "string",
                "a path: the rows go into this CSV file as they come, however many they are",
            ),
            Choice::new("max_rows", "int", "more rows are an error; as the config says otherwise"),
            TIMEOUT,
            RETRY,
        ],
        returns: "list of map",
        nature: Nature::Reading,
        errors: ERRORS,
        capability: Some("sql"),
        doc: "Rows of a database of the config, as maps. It only reads: the database refuses to write. Placeholders are those of the database \
              (`?`, `$1`) with a list, or `:name` with a map. Decimals are exact, dates and times are ISO 8601 texts, `NULL` is `()`. With `save_to` it \
              returns the facts of the file and `rows`, their number.",
        example: "sql::query(\"crm\", \"select id, name from customers where city = :city\", #{ city: \"Berlin\" })",
        call: |call| {
            let options = call.options(3)?;
            let act = Act::Query(asked(call, 1)?);
            perform(call, act, &options)
        },
    },
    Function {
        name: "sql::execute",
        params: &["database: string", "text: string", "params: list or map?", "options: map?"],
        options: &[TIMEOUT, RETRY],
        returns: "map: affected, last_id, rows",
        nature: Nature::Mutating,
        errors: ERRORS,
        capability: Some("sql"),
        doc: "One statement that may write, committed by itself. Returns `#{ affected, last_id, rows }`: how many rows it changed, the id of the last \
              one that was added where the database tells it, and what it returned (`returning id`).",
        example: "sql::execute(\"crm\", \"update customers set city = ? where id = ?\", [\"Berlin\", 7])",
        call: |call| {
            let options = call.options(3)?;
            let act = Act::Execute(asked(call, 1)?);
            perform(call, act, &options)
        },
    },
    Function {
        name: "sql::transaction",
        params: &["database: string", "statements: list", "options: map?"],
        options: &[
            Choice::new(
                "once",
                "bool",
                "the database notes in its table `panta_once` that this happened, in the same transaction: a second try finds that, and returns the \
                 same",
            ),
            TIMEOUT,
            RETRY,
            Choice::new("idempotency_key", "string", "in place of the derived one, with `once`"),
        ],
        returns: "list of map: affected, last_id, rows",
        nature: Nature::Mutating,
        errors: ERRORS,
        capability: Some("sql"),
        doc: "Statements that happen together or not at all: each a text, or a list of a text and its parameters. Returns what `sql::execute` returns, \
              for each.",
        example: "sql::transaction(\"crm\", [[\"delete from orders where customer = ?\", [7]], [\"delete from customers where id = ?\", [7]]])",
        call: |call| {
            let options = call.options(2)?;
            let act = Act::Transaction { statements: statements(call)?, once: options.flag("once")? };
            perform(call, act, &options)
        },
    },
];

fn perform(call: &Call<'_>, act: Act, options: &Options) -> Result<Dynamic, Fail> {
    let most = |n: i64| u64::try_from(n).map_err(|_| call.invalid("option `max_rows` must not be negative"));
    let request = SqlRequest {
        database: call.text(0)?,
        act,
        timeout: options.duration("timeout")?,
        max_rows: options.int("max_rows")?.map(most).transpose()?,
        save_to: options.text("save_to")?,
    };
    let plan = Plan {
        request: Rc::new(Request::Sql(Box::new(request))),
        policy: options.get("retry").map(|value| Policy::parse(call, value)).transpose()?,
        shape,
        key: options.text("idempotency_key")?,
    };
    effects::run(call, &plan)
}

/// The text at this argument with the parameters behind it.
fn asked(call: &Call<'_>, at: usize) -> Result<Asked, Fail> {
    statement(call, "params", &call.text(at)?, call.arg(at + 1))
}

fn statements(call: &Call<'_>) -> Result<Vec<Asked>, Fail> {
    let hint = "hint: `[[\"delete from t where id = ?\", [7]], …]`";
    let wrong = |what: &str| call.invalid(format!("`statements` {what}; {hint}"));
    let list = call.arg(1).and_then(|value| value.clone().try_cast::<Array>());
    let list = list.ok_or_else(|| wrong("must be a list"))?;
    if list.is_empty() {
        return Err(wrong("is empty"));
    }
    let one = |(index, value): (usize, Dynamic)| {
        let name = format!("statements[{index}]");
        if value.is_string() {
            return statement(call, &name, &value.to_string(), None);
        }
        let pair = value.try_cast::<Array>().filter(|pair| (1..=2).contains(&pair.len()) && pair[0].is_string());
        let pair = pair.ok_or_else(|| wrong("has in it what is neither a text nor a text with parameters"))?;
        statement(call, &name, &pair[0].to_string(), pair.get(1))
    };
    list.into_iter().enumerate().map(one).collect()
}

fn statement(call: &Call<'_>, name: &str, text: &str, params: Option<&Dynamic>) -> Result<Asked, Fail> {
    if !crate::script::secret::find_placeholders(text).is_empty() {
        return Err(call.invalid("the statement has a secret in it; hint: secrets are parameters"));
    }
    if text.trim().is_empty() || text.contains('\0') {
        return Err(call.invalid("the statement is empty, or has a zero byte in it"));
    }
    let params = match params {
        None => Params::Positional(Vec::new()),
        Some(value) if value.is_unit() => Params::Positional(Vec::new()),
        Some(value) if value.is_map() => {
            let map = value.clone().cast::<Map>();
            let pair = |(key, value): (rhai::Identifier, Dynamic)| Ok((key.to_string(), given(call, &key, &value)?));
            Params::Named(map.into_iter().map(pair).collect::<Result<_, Fail>>()?)
        }
        Some(value) if value.is_array() => {
            let list = value.clone().cast::<Array>();
            let value = |(index, value): (usize, &Dynamic)| given(call, &format!("{name}[{index}]"), value);
            Params::Positional(list.iter().enumerate().map(value).collect::<Result<_, _>>()?)
        }
        Some(other) => {
            let hint = "`[7]` for `?` and `$1`, `#{ id: 7 }` for `:id`";
            return Err(call.invalid(format!("`{name}` must be a list or a map, not {}; hint: {hint}", type_of(other))));
        }
    };
    Ok(Asked { text: text.to_owned(), params })
}

/// A parameter.
fn given(call: &Call<'_>, name: &str, value: &Dynamic) -> Result<Value, Fail> {
    if let Some(secret) = value.clone().try_cast::<crate::script::secret::SecretRef>() {
        return Ok(Value::Text(secret.placeholder()));
    }
    Ok(match value.type_name() {
        "()" => Value::Null,
        "bool" => Value::Bool(value.as_bool().unwrap_or_default()),
        "i64" => Value::Int(value.as_int().unwrap_or_default()),
        "f64" => Value::Float(value.as_float().unwrap_or_default()),
        "decimal" => Value::Decimal(value.to_string()),
        "blob" => Value::Bytes(value.clone().cast::<rhai::Blob>()),
        "string" | "char" => Value::Text(value.to_string()),
        "array" | "map" => {
            let json = value::to_json_text(value, false);
            Value::Json(json.map_err(|problem| call.invalid(format!("`{name}`: {problem}")))?)
        }
        _ => return Err(call.invalid(format!("`{name}` must be data, not {}", type_of(value)))),
    })
}

fn shape(reply: Reply) -> Dynamic {
    let Reply::Sql(reply) = reply else { unreachable!("a database gives the reply of a database") };
    match reply {
        SqlReply::Rows(rows) => list(rows),
        SqlReply::Saved { file, rows } => {
            let mut map = super::file::stat_map(file).cast::<Map>();
            map.insert("rows".into(), (rows as i64).into());
            Dynamic::from_map(map)
        }
        SqlReply::Done(done) => did(done),
        SqlReply::All(all) => all.into_iter().map(did).collect::<Array>().into(),
    }
}

fn did(done: Done) -> Dynamic {
    let last_id = done.last_id.map_or(Dynamic::UNIT, Dynamic::from);
    let fields = [("affected", (done.affected as i64).into()), ("last_id", last_id), ("rows", list(done.rows))];
    Dynamic::from_map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>())
}

/// Rows as maps.
fn list(rows: Rows) -> Dynamic {
    let columns: Vec<rhai::Identifier> = rows.columns.iter().map(|name| name.as_str().into()).collect();
    let map =
        |row: Vec<Value>| Dynamic::from_map(columns.iter().cloned().zip(row.into_iter().map(taken)).collect::<Map>());
    rows.rows.into_iter().map(map).collect::<Array>().into()
}

/// A value of a row.
fn taken(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Int(number) => number.into(),
        Value::Float(number) => number.into(),
        // One with more digits than a decimal has stays what it is, as text.
        Value::Decimal(text) => match rust_decimal::Decimal::from_str_exact(&text) {
            Ok(decimal) => Dynamic::from_decimal(decimal),
            Err(_) => text.into(),
        },
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => Dynamic::from_blob(bytes),
        Value::Json(text) => value::from_json_text(&text).unwrap_or_else(|_| text.into()),
        Value::List(list) => list.into_iter().map(taken).collect::<Array>().into(),
    }
}
