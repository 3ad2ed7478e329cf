//! Rows → text.

use std::collections::HashSet;
use std::fmt::Write as _;

use rhai::{Array, Dynamic, Identifier, ImmutableString, Map};

use super::{Dialect, Header};
use crate::host::fail::Fail;
use crate::host::function::{Call, type_of};
use crate::host::json::check_length;
use crate::script::guard;
use crate::script::secret::SecretRef;

pub(super) fn encode(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    crate::host::declare::refuse(call)?;
    let dialect = Dialect::of(call, 1)?;
    let Some(rows) = call.args[0].read_lock::<Array>() else {
        return Err(call.invalid(format!("`rows` must be a list of maps or lists, not {}", type_of(&call.args[0]))));
    };
    let columns = columns(&dialect.header, &rows)?;
    let mut writer = Writer { call, dialect: &dialect, out: String::new(), scratch: String::new() };
    if !matches!(dialect.header, Header::No) && !columns.is_empty() {
        writer.names(&columns);
    }
    for (index, row) in rows.iter().enumerate() {
        guard::check()?;
        writer.row(index, row, &columns)?;
        check_length(call, writer.out.len())?;
    }
    Ok(writer.out.into())
}

/// The names of the columns: given, or as the maps have them, in the order of first appearance.
fn columns(header: &Header, rows: &Array) -> Result<Vec<Identifier>, Fail> {
    if let Header::Names(names) = header {
        return Ok(names.clone());
    }
    let mut names: Vec<Identifier> = Vec::new();
    let mut seen: HashSet<Identifier> = HashSet::new();
    for row in rows {
        guard::check()?;
        let Some(row) = row.read_lock::<Map>() else { continue };
        for key in row.keys() {
            if !seen.contains(key) {
                seen.insert(key.clone());
                names.push(key.clone());
            }
        }
    }
    Ok(names)
}

struct Writer<'a, 'b> {
    call: &'a Call<'b>,
    dialect: &'a Dialect,
    out: String,
    scratch: String,
}

impl Writer<'_, '_> {
    fn names(&mut self, names: &[Identifier]) {
        for (n, name) in names.iter().enumerate() {
            self.separate(n);
            self.quoted(name);
        }
        self.out.push('\n');
    }

    fn row(&mut self, index: usize, row: &Dynamic, columns: &[Identifier]) -> Result<(), Fail> {
        let start = self.out.len();
        if let Some(map) = row.read_lock::<Map>() {
            self.known(index, &map, columns)?;
            for (n, name) in columns.iter().enumerate() {
                self.separate(n);
                self.field(index, name, map.get(name).unwrap_or(&Dynamic::UNIT))?;
            }
        } else if let Some(list) = row.read_lock::<Array>() {
            for (n, value) in list.iter().enumerate() {
                self.separate(n);
                self.field(index, &n.to_string(), value)?;
            }
        } else {
            return Err(self.call.invalid(format!("row {index} must be a map or a list, not {}", type_of(row))));
        }
        // An empty line would be no row.
        if self.out.len() == start {
            self.out.push_str("\"\"");
        }
        self.out.push('\n');
        Ok(())
    }

    fn known(&self, index: usize, map: &Map, columns: &[Identifier]) -> Result<(), Fail> {
        let Header::Names(_) = self.dialect.header else { return Ok(()) };
        // Only the given names can leave a part of a row out; that is what they are for. A row without any of them is a mistake.
        if !columns.is_empty() && !map.is_empty() && !columns.iter().any(|name| map.contains_key(name)) {
            return Err(self.call.invalid(format!("row {index} has none of the columns in `header`")));
        }
        Ok(())
    }

    fn separate(&mut self, n: usize) {
        if n > 0 {
            self.out.push(char::from(self.dialect.separator));
        }
    }

    fn field(&mut self, row: usize, column: &str, value: &Dynamic) -> Result<(), Fail> {
        if value.is_unit() {
            return Ok(());
        }
        if let Some(text) = value.read_lock::<ImmutableString>() {
            check_length(self.call, self.out.len() + text.len())?;
            self.quoted(&text);
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let is_number = value.is_float() || value.is_decimal();
        if let Some(secret) = value.read_lock::<SecretRef>() {
            text.push_str(&secret.placeholder());
        } else if is_number || value.is_int() || value.is_bool() || value.is_char() {
            let _ = write!(text, "{value}");
        } else {
            let problem =
                format!("row {row}, column `{column}`: {} cannot be a field; hint: `json::encode` it", type_of(value));
            return Err(self.call.invalid(problem));
        }
        if is_number && self.dialect.comma {
            text = text.replace('.', ",");
        }
        self.quoted(&text);
        self.scratch = text;
        Ok(())
    }

    /// A text, in quotes where it needs them.
    fn quoted(&mut self, text: &str) {
        let separator = self.dialect.separator;
        let special = |byte: u8| byte == separator || matches!(byte, b'"' | b'\n' | b'\r');
        let blank_ends = text.starts_with([' ', '\t', '\u{feff}']) || text.ends_with([' ', '\t']);
        if !blank_ends && !text.bytes().any(special) {
            self.out.push_str(text);
            return;
        }
        self.out.push('"');
        for (n, part) in text.split('"').enumerate() {
            self.out.push_str(if n > 0 { "\"\"" } else { "" });
            self.out.push_str(part);
        }
        self.out.push('"');
    }
}
