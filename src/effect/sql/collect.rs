//! Where rows go: into memory, within bounds, or into a CSV file as they come.

use base64::Engine as _;

use super::{Rows, SqlReply, Value};
use crate::effect::Failure;
use crate::effect::file::Inflow;

/// Takes rows.
pub(super) struct Collect {
    rows: Rows,
    bytes: u64,
    count: u64,
    most_rows: u64,
    most_bytes: u64,
    file: Option<Box<Inflow>>,
}

impl Collect {
    /// In memory.
    pub(super) fn bounded(most_rows: u64, most_bytes: u64) -> Self {
        Self { rows: Rows::default(), bytes: 0, count: 0, most_rows, most_bytes, file: None }
    }

    /// Into a file, however many they are.
    pub(super) fn into_file(file: Inflow) -> Self {
        Self { file: Some(Box::new(file)), ..Self::bounded(u64::MAX, u64::MAX) }
    }

    /// The names of the columns: before the first row, also where none follows.
    pub(super) async fn head(&mut self, columns: Vec<String>) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            let mut line = String::new();
            columns.iter().for_each(|name| cell(&mut line, name));
            file.push(ended(line).as_bytes()).await?;
            return Ok(());
        }
        let twice = columns.iter().enumerate().find(|(index, name)| columns[..*index].contains(name));
        if let Some((_, name)) = twice {
            let hint = format!("give one of them another name: `… as other_{name}`");
            return Err(Failure::invalid(format!("two columns of the result are called `{name}`; hint: {hint}")));
        }
        self.rows.columns = columns;
        Ok(())
    }

    /// One row.
    pub(super) async fn row(&mut self, row: Vec<Value>) -> Result<(), Failure> {
        self.count += 1;
        if let Some(file) = &mut self.file {
            let mut line = String::new();
            row.iter().for_each(|value| cell(&mut line, &written(value)));
            return file.push(ended(line).as_bytes()).await;
        }
        self.bytes += row.iter().map(Value::size).sum::<u64>();
        let hint = "narrow it with `where` or `limit`, raise `max_rows`, or stream it to a file with `save_to`";
        if self.count > self.most_rows {
            let most = self.most_rows;
            return Err(Failure::limit(format!("the result has more than {most} rows; hint: {hint}")));
        }
        if self.bytes > self.most_bytes {
            let most = self.most_bytes;
            return Err(Failure::limit(format!("the result takes more than {most} bytes; hint: {hint}")));
        }
        self.rows.rows.push(row);
        Ok(())
    }

    /// What was taken so far, and from here on nothing.
    pub(super) fn take(&mut self) -> Rows {
        std::mem::take(&mut self.rows)
    }

    /// All that was taken.
    pub(super) async fn finish(mut self) -> Result<SqlReply, Failure> {
        match self.file.take() {
            Some(file) => Ok(SqlReply::Saved { file: file.finish().await?, rows: self.count }),
            None => Ok(SqlReply::Rows(self.rows)),
        }
    }
}

/// A value as it stands in a file.
fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Decimal(text) | Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(plain).collect();
            serde_json::Value::from(items).to_string()
        }
    }
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::List(list) => list.iter().map(plain).collect(),
        other => written(other).into(),
    }
}

/// Adds a cell: in quotes where it must be.
fn cell(line: &mut String, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        line.push_str(&format!("\"{}\",", text.replace('"', "\"\"")));
    } else {
        line.push_str(text);
        line.push(',');
    }
}

/// The line without its last comma, as `csv::encode` ends lines.
fn ended(mut line: String) -> String {
    line.pop();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_bounded_and_columns_are_told_apart() {
        let mut few = Collect::bounded(1, 1_000);
        few.head(vec!["a".to_owned()]).await.expect("is good");
        few.row(vec![Value::Int(1)]).await.expect("fits");
        assert_eq!(few.row(vec![Value::Int(2)]).await.expect_err("is too much").kind, "limit");
        let mut small = Collect::bounded(10, 100);
        let long = small.row(vec![Value::Text("x".repeat(200))]).await.expect_err("is too long");
        assert!(long.message.contains("100 bytes"), "{long}");
        let twice = few.head(vec!["a".to_owned(), "a".to_owned()]).await.expect_err("is there twice");
        assert!(twice.message.contains("`… as other_a`"), "{twice}");
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut line = String::new();
        for value in [
            Value::Text("a,\"b\"\n".to_owned()),
            Value::Null,
            Value::Decimal("1.20".to_owned()),
            Value::Bytes(vec![1, 2]),
            Value::List(vec![Value::Int(1), Value::Text("x".to_owned())]),
        ] {
            cell(&mut line, &written(&value));
        }
        assert_eq!(ended(line), "\"a,\"\"b\"\"\n\",,1.20,AQI=,\"[1,\"\"x\"\"]\"\n");
    }
}
