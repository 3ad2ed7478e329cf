//! `html::table`: rows as a table for mails and pages. Pure; everything is escaped.

use rhai::{Array, Dynamic, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options, type_of};
use super::json::{bounded, check_length};
use super::lists::{items, plain};
use crate::script::guard;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "html::table",
    params: &["rows: list", "options: map?"],
    options: &[
        Choice::new(
            "columns",
            "list of string",
            "which keys, in which order; all, in the order of their names, unless given",
        ),
        Choice::new("titles", "map or list of string", "what stands above: by key, or in the order of the columns"),
        Choice::new("header", "bool", "`false` leaves the line of titles out"),
        Choice::new("caption", "string", "above the table"),
        Choice::new("class", "string", "of the table, for style sheets"),
    ],
    returns: "string",
    nature: Nature::Pure,
    doc: "A list of maps, or of lists, as an HTML table. Numbers are set to the right, `()` is an empty cell, nested values are JSON.",
    example: "html::table([#{ sku: \"A1\", qty: 3 }], #{ titles: #{ sku: \"Article\", qty: \"Pieces\" } })",
    call: table,
    ..Function::BASE
}];

/// A text as HTML and SVG show it, in attributes too.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML, which SVG is.
            c if c.is_control() && !"\t\n\r".contains(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn texts(call: &Call<'_>, options: &Options, key: &str) -> Result<Option<Vec<String>>, Fail> {
    let Some(list) = options.list(key)? else { return Ok(None) };
    list.iter().map(|item| plain(call, item)).collect::<Result<_, _>>().map(Some)
}

fn table(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    super::declare::refuse(call)?;
    let rows = items(call, 0)?;
    let options = call.options(1)?;
    let columns = match texts(call, &options, "columns")? {
        Some(columns) => columns,
        None => all_columns(&rows)?,
    };
    let lists = rows.first().is_some_and(Dynamic::is_array);
    let titles = titles(call, &options, &columns)?;
    let class = options.text("class")?.map_or(String::new(), |class| format!(" class=\"{}\"", escaped(&class)));
    let mut out = format!("<table{class}>\n");
    if let Some(caption) = options.text("caption")? {
        out.push_str(&format!("<caption>{}</caption>\n", escaped(&caption)));
    }
    let wanted = options.get("header").is_none() || options.flag("header")?;
    if wanted && !titles.is_empty() {
        let cells: String =
            titles.iter().flat_map(|title| ["<th>".to_owned(), escaped(title), "</th>".to_owned()]).collect();
        out.push_str(&format!("<thead>\n<tr>{cells}</tr>\n</thead>\n"));
    }
    out.push_str("<tbody>\n");
    for (index, row) in rows.iter().enumerate() {
        guard::check()?;
        check_length(call, out.len())?;
        out.push_str(&line(call, index, row, &columns, lists)?);
    }
    out.push_str("</tbody>\n</table>\n");
    bounded(call, out)
}

fn all_columns(rows: &Array) -> Result<Vec<String>, Fail> {
    let mut names = std::collections::BTreeSet::new();
    for row in rows {
        guard::check()?;
        if let Some(map) = row.read_lock::<Map>() {
            names.extend(
                map.keys().filter(|key| !names.contains(key.as_str())).map(ToString::to_string).collect::<Vec<_>>(),
            );
        }
    }
    Ok(names.into_iter().collect())
}

fn titles(call: &Call<'_>, options: &Options, columns: &[String]) -> Result<Vec<String>, Fail> {
    match options.get("titles") {
        Some(given) if given.is_map() => {
            let given = options.map("titles")?.unwrap_or_default();
            let title = |column: &String| match given.get(column.as_str()) {
                Some(title) => plain(call, title),
                None => Ok(column.clone()),
            };
            columns.iter().map(title).collect()
        }
        Some(_) => Ok(texts(call, options, "titles")?.unwrap_or_default()),
        None => Ok(columns.to_vec()),
    }
}

fn line(call: &Call<'_>, index: usize, row: &Dynamic, columns: &[String], lists: bool) -> Result<String, Fail> {
    let mut cells = String::new();
    let mut add = |value: Option<&Dynamic>| -> Result<(), Fail> {
        let number = value.is_some_and(|value| value.is_int() || value.is_float() || value.is_decimal());
        let text = value.map(|value| plain(call, value)).transpose()?.unwrap_or_default();
        let side = if number { " style=\"text-align:right\"" } else { "" };
        cells.push_str(&format!("<td{side}>{}</td>", escaped(&text)));
        Ok(())
    };
    match (row.read_lock::<Map>(), row.read_lock::<Array>()) {
        (Some(map), _) if !lists => columns.iter().try_for_each(|column| add(map.get(column.as_str())))?,
        (_, Some(list)) if lists => list.iter().try_for_each(|value| add(Some(value)))?,
        _ => {
            let expected = if lists { "a list" } else { "a map" };
            return Err(call.invalid(format!("row {index} must be {expected} as the others, not {}", type_of(row))));
        }
    }
    Ok(format!("<tr>{cells}</tr>\n"))
}

#[cfg(test)]
mod tests {
    use crate::host::declare::testing::shown;

    #[test]
    fn rows_become_a_table_and_are_escaped() {
        assert_eq!(
            shown("html::table([#{ b: \"<x>\", a: 1 }, #{ a: (), c: [1] }], #{ titles: #{ a: \"A&B\" } })"),
            "<table>\n<thead>\n<tr><th>A&amp;B</th><th>b</th><th>c</th></tr>\n</thead>\n<tbody>\n\
             <tr><td style=\"text-align:right\">1</td><td>&lt;x&gt;</td><td></td></tr>\n\
             <tr><td></td><td></td><td>[1]</td></tr>\n</tbody>\n</table>\n"
        );
        assert_eq!(
            shown("html::table([[\"a\"]], #{ titles: [\"T\"], class: \"x\\\"y\", caption: \"c\" })"),
            "<table class=\"x&quot;y\">\n<caption>c</caption>\n<thead>\n<tr><th>T</th></tr>\n</thead>\n<tbody>\n<tr><td>a</td></tr>\n</tbody>\n</table>\n"
        );
        assert_eq!(
            shown("html::table([#{ a: 1, b: 2 }], #{ columns: [\"b\"], header: false })").matches("<td").count(),
            1
        );
    }

    #[test]
    fn other_rows_are_told() {
        assert!(shown("html::table([#{}, 3])").contains("row 1 must be a map"));
        assert!(shown("html::table([[1], #{}])").contains("row 1 must be a list"));
        assert!(shown("html::table(3)").contains("`rows` must be a list"));
    }
}
