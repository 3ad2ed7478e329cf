//! `csv::parse` and `csv::encode`: tables as text (RFC 4180, and what spreadsheets make of it). Pure.
//!
//! Fields stay texts, since a table does not say what they are; `validate(row, schema, #{ from_text: true })` does.
//! With `decimal: ","`, fields that are numbers in that notation (`1.234,50`) are read as `1234.50`, and numbers are written so.

mod read;
mod write;

use rhai::{Array, Dynamic, Identifier, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options};
use crate::script::guard;
use read::{Fault, Reader};

const SEPARATOR: Choice =
    Choice::new("separator", "string", "between two fields: one character, or `\"tab\"`; a comma unless given");
const DECIMAL: Choice =
    Choice::new("decimal", "string", "`\",\"` where numbers are written as `1.234,50`; `\".\"` unless given");

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "csv::parse",
        params: &["text: string", "options: map?"],
        options: &[
            SEPARATOR,
            DECIMAL,
            Choice::new(
                "header",
                "bool or list of string",
                "`false`: rows are lists, of any length; a list: the names, for a table without a first line of names",
            ),
        ],
        returns: "list",
        nature: Nature::Pure,
        doc: "Reads a table into a list of maps by the names in its first line. All fields are texts. A broken row throws `invalid` with its line. \
              A file that is not UTF-8 is read by `file::read(path, #{ encoding: \"windows-1252\" })`.",
        example: "csv::parse(\"sku,qty\\nA1,3\")[0].qty",
        call: parse,
        ..Function::BASE
    },
    Function {
        name: "csv::encode",
        params: &["rows: list", "options: map?"],
        options: &[
            SEPARATOR,
            DECIMAL,
            Choice::new(
                "header",
                "bool or list of string",
                "`false` leaves the line of names out; a list: the columns",
            ),
        ],
        returns: "string",
        nature: Nature::Pure,
        doc: "Writes a list of maps (columns in the order of first appearance, or as `header` lists them) or of lists.",
        example: "csv::encode([#{ sku: \"A1\", qty: 3 }])",
        call: write::encode,
        ..Function::BASE
    },
];

/// How a table is written.
struct Dialect {
    separator: u8,
    comma: bool,
    header: Header,
}

enum Header {
    Yes,
    No,
    Names(Vec<Identifier>),
}

impl Dialect {
    fn of(call: &Call<'_>, n: usize) -> Result<Self, Fail> {
        let options = call.options(n)?;
        let separator = match options.text("separator")?.as_deref() {
            None => b',',
            Some("\t" | "tab") => b'\t',
            Some(text) if text.len() == 1 && text.is_ascii() && !"\"\r\n".contains(text) => text.as_bytes()[0],
            Some(other) => {
                return Err(call
                    .invalid(format!("option `separator` is one character such as \";\" or \"tab\", not {other:?}")));
            }
        };
        let comma = match options.text("decimal")?.as_deref() {
            None | Some(".") => false,
            Some(",") => true,
            Some(other) => return Err(call.invalid(format!("option `decimal` is \".\" or \",\", not {other:?}"))),
        };
        Ok(Self { separator, comma, header: header(call, &options)? })
    }
}

fn header(call: &Call<'_>, options: &Options) -> Result<Header, Fail> {
    match options.get("header") {
        None => Ok(Header::Yes),
        Some(value) if value.is_bool() => Ok(if options.flag("header")? { Header::Yes } else { Header::No }),
        Some(value) => {
            let wrong = || call.invalid("option `header` is true, false or a list of names");
            let names = value.clone().into_array().map_err(|_| wrong())?;
            let names = names.into_iter().map(Dynamic::into_immutable_string).collect::<Result<Vec<_>, _>>();
            let names: Vec<Identifier> = names.map_err(|_| wrong())?.iter().map(|name| name.as_str().into()).collect();
            check_names(&names).map_err(|problem| call.invalid(problem))?;
            Ok(Header::Names(names))
        }
    }
}

fn check_names(names: &[Identifier]) -> Result<(), String> {
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            Err(format!("the column `{twice}` is there twice; hint: name the columns with `header: [\"…\"]`"))
        }
        None => Ok(()),
    }
}

fn parse(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let dialect = Dialect::of(call, 1)?;
    let text = call.text(0)?;
    let mut reader = Reader::new(&text, dialect.separator, dialect.comma);
    let rows = match dialect.header {
        Header::No => lists(call, &mut reader)?,
        Header::Names(names) => maps(call, &mut reader, &names)?,
        Header::Yes => {
            let mut names = Vec::new();
            let first = reader.line();
            reader.row(|name| names.push(Identifier::from(name.trim()))).map_err(|fault| broken(call, &fault))?;
            check_names(&names).map_err(|what| broken(call, &Fault { line: first, what }))?;
            maps(call, &mut reader, &names)?
        }
    };
    Ok(Dynamic::from_array(rows))
}

fn broken(call: &Call<'_>, fault: &Fault) -> Fail {
    call.invalid(format!("line {}: {}", fault.line, fault.what)).with("path", format!("line {}", fault.line))
}

fn lists(call: &Call<'_>, reader: &mut Reader<'_>) -> Result<Array, Fail> {
    let mut rows = Array::new();
    loop {
        guard::check()?;
        let mut row = Array::new();
        if !reader.row(|field| row.push(field.into())).map_err(|fault| broken(call, &fault))? {
            return Ok(rows);
        }
        rows.push(Dynamic::from_array(row));
    }
}

fn maps(call: &Call<'_>, reader: &mut Reader<'_>, names: &[Identifier]) -> Result<Array, Fail> {
    let mut rows = Array::new();
    loop {
        guard::check()?;
        let line = reader.next_line();
        let mut row = Map::new();
        let mut count = 0;
        let found = reader.row(|field| {
            if let Some(name) = names.get(count) {
                row.insert(name.clone(), field.into());
            }
            count += 1;
        });
        if !found.map_err(|fault| broken(call, &fault))? {
            return Ok(rows);
        }
        if count != names.len() {
            let what = format!("has {count} fields, and there are {} columns", names.len());
            return Err(broken(call, &Fault { line, what }));
        }
        rows.push(Dynamic::from_map(row));
    }
}

#[cfg(test)]
mod tests;
