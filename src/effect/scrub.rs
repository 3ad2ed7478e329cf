//! What came back, without the secrets that were sent.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::http::HttpBody;
use super::shell::Written;
use super::sql::{Done, Rows, Value as SqlValue};
use super::{Failure, Field, FileReply, HttpReply, Outcome, Reply, Secrets, ShellReply, SqlReply};

/// Takes secrets out of what came back.
pub(super) struct Scrub<'a> {
    secrets: &'a dyn Secrets,
    /// User and password as they were sent, in base64: hidden even where the password is too short to be searched for. And what
    /// signed the request.
    hidden: Vec<String>,
}

impl<'a> Scrub<'a> {
    pub(super) fn new(secrets: &'a dyn Secrets) -> Self {
        Self { secrets, hidden: Vec::new() }
    }

    /// Also hides these texts.
    pub(super) fn hiding(secrets: &'a dyn Secrets, hidden: Vec<String>) -> Self {
        Self { secrets, hidden }
    }

    /// How performing ended, as it may be recorded.
    pub(super) fn outcome(&self, outcome: Outcome) -> Outcome {
        outcome.map(|reply| self.reply(reply)).map_err(|failure| self.failure(failure))
    }

    fn reply(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Http(reply) => Reply::Http(self.http(reply)),
            Reply::File(FileReply::Text(text)) => Reply::File(FileReply::Text(self.text(text))),
            Reply::File(FileReply::Blob(bytes)) => Reply::File(FileReply::Blob(self.bytes(bytes))),
            Reply::Sql(reply) => Reply::Sql(self.sql(reply)),
            Reply::Shell(reply) => Reply::Shell(self.shell(reply)),
            Reply::Mail(id) => Reply::Mail(self.text(id)),
            // A question's answer was an HTTP reply, which was cleaned.
            Reply::Ai(answer) => Reply::Ai(answer),
            // The id is our own, the rest says where the message is.
            Reply::Message(reply) => Reply::Message(reply),
            Reply::File(other) => Reply::File(other),
        }
    }

    /// A body that was cut off, or broke off, also without what begins a secret at its end.
    pub(super) fn cut(&self, body: HttpBody) -> HttpBody {
        match body {
            // What was cut is no JSON any more; what is some by chance is a text all the same.
            HttpBody::Json(text) | HttpBody::Text(text) => {
                let mut text = self.text(text);
                let begun = self.secrets.begun_at_end(text.as_bytes()).max(self.hidden_begun(&text));
                text.truncate(text.floor_char_boundary(text.len() - begun));
                HttpBody::Text(text)
            }
            HttpBody::Bytes(bytes) => {
                let mut bytes = self.bytes(bytes);
                bytes.truncate(bytes.len() - self.secrets.begun_at_end(&bytes));
                HttpBody::Bytes(bytes)
            }
            other @ (HttpBody::Empty | HttpBody::Saved(_)) => other,
        }
    }

    /// How much of what is hidden stands at the end.
    fn hidden_begun(&self, text: &str) -> usize {
        let begun = |hidden: &String| (1..hidden.len()).rev().find(|length| text.ends_with(&hidden[..*length]));
        self.hidden.iter().filter_map(begun).max().unwrap_or_default()
    }

    fn sql(&self, reply: SqlReply) -> SqlReply {
        let done = |done: Done| Done { rows: self.rows(done.rows), ..done };
        match reply {
            SqlReply::Rows(rows) => SqlReply::Rows(self.rows(rows)),
            SqlReply::Done(one) => SqlReply::Done(done(one)),
            SqlReply::All(all) => SqlReply::All(all.into_iter().map(done).collect()),
            saved @ SqlReply::Saved { .. } => saved,
        }
    }

    fn rows(&self, rows: Rows) -> Rows {
        let row = |row: Vec<SqlValue>| row.into_iter().map(|value| self.sql_value(value)).collect();
        let columns = rows.columns.into_iter().map(|name| self.text(name)).collect();
        Rows { columns, rows: rows.rows.into_iter().map(row).collect() }
    }

    fn sql_value(&self, value: SqlValue) -> SqlValue {
        match value {
            SqlValue::Text(text) => SqlValue::Text(self.text(text)),
            SqlValue::Json(text) => SqlValue::Json(self.json(text)),
            SqlValue::Bytes(bytes) => SqlValue::Bytes(self.bytes(bytes)),
            SqlValue::List(list) => SqlValue::List(list.into_iter().map(|value| self.sql_value(value)).collect()),
            SqlValue::Int(number) => self.number(&number.to_string()).unwrap_or(SqlValue::Int(number)),
            SqlValue::Decimal(text) => self.number(&text).unwrap_or(SqlValue::Decimal(text)),
            other @ (SqlValue::Null | SqlValue::Bool(_) | SqlValue::Float(_)) => other,
        }
    }

    /// What stands for a number that is a secret.
    fn number(&self, shown: &str) -> Option<SqlValue> {
        let clean = self.text(shown.to_owned());
        (clean != shown).then_some(SqlValue::Text(clean))
    }

    fn shell(&self, reply: ShellReply) -> ShellReply {
        let stdout = match reply.stdout {
            Written::Text(text) => Written::Text(self.text(text)),
            Written::Bytes(bytes) => Written::Bytes(self.bytes(bytes)),
            saved @ Written::Saved(_) => saved,
        };
        ShellReply { stdout, stderr: self.text(reply.stderr), ..reply }
    }

    fn http(&self, reply: HttpReply) -> HttpReply {
        let body = match reply.body {
            HttpBody::Json(text) => HttpBody::Json(self.json(text)),
            HttpBody::Text(text) => HttpBody::Text(self.text(text)),
            HttpBody::Bytes(bytes) => HttpBody::Bytes(self.bytes(bytes)),
            other @ (HttpBody::Empty | HttpBody::Saved(_)) => other,
        };
        HttpReply { body, headers: self.pairs(reply.headers), url: self.text(reply.url), ..reply }
    }

    fn failure(&self, failure: Failure) -> Failure {
        let fields = failure.fields.into_iter().map(|(name, field)| {
            let field = match field {
                Field::Text(text) => Field::Text(self.text(text)),
                Field::Json(text) => Field::Json(self.json(text)),
                Field::Bytes(bytes) => Field::Bytes(self.bytes(bytes)),
                Field::Map(pairs) => Field::Map(self.pairs(pairs)),
                other @ (Field::Int(_) | Field::Unit) => other,
            };
            (name, field)
        });
        Failure { fields: fields.collect(), message: self.text(failure.message), ..failure }
    }

    fn text(&self, text: String) -> String {
        let text = match self.secrets.redact(&text) {
            Cow::Owned(redacted) => redacted,
            Cow::Borrowed(_) => text,
        };
        let there = self.hidden.iter().filter(|hidden| !hidden.is_empty());
        there.fold(text, |text, hidden| if text.contains(hidden) { text.replace(hidden, "***") } else { text })
    }

    /// A value is looked for in what the texts say, whatever is escaped in their source, and in keys and numbers.
    fn json(&self, text: String) -> String {
        // An escape may hide anything.
        if !text.contains('\\') && self.text(text.clone()) == text {
            return text;
        }
        let Ok(value) = serde_json::from_str::<Value>(&text) else { return self.text(text) };
        let clean = self.value(value.clone());
        if clean == value { text } else { clean.to_string() }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Number(number) => {
                let shown = number.to_string();
                let clean = self.text(shown.clone());
                if clean == shown { Value::Number(number) } else { Value::String(clean) }
            }
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                let clean = map.into_iter().map(|(key, value)| (self.text(key), self.value(value)));
                Value::Object(clean.collect::<Map<_, _>>())
            }
            other => other,
        }
    }

    fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.secrets.redact_bytes(&bytes) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => bytes,
        }
    }

    fn pairs(&self, pairs: Vec<(String, String)>) -> Vec<(String, String)> {
        pairs.into_iter().map(|(name, value)| (self.text(name), self.text(value))).collect()
    }
}
