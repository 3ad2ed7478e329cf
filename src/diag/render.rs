//! The one place where a diagnostic becomes text.

use std::fmt::Write;

use super::width::{is_unsafe, shown};
use super::{Diagnostic, Place, Severity};

/// Columns of source shown: fits a terminal of 120 beside the gutter.
const MAX_COLUMNS: usize = 100;
/// Columns kept before the caret when a long line is cut.
const CONTEXT: usize = 40;

/// Whether a rendering carries ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Text alone.
    Plain,
    /// ANSI escape sequences, for a terminal.
    Ansi,
}

#[derive(Clone, Copy)]
enum Paint {
    Error,
    Warning,
    Note,
    Gutter,
    Bold,
}

impl Color {
    fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Error => "1;31",
            Paint::Warning => "1;33",
            Paint::Note => "1;36",
            Paint::Gutter => "1;34",
            Paint::Bold => "1",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

pub(super) fn render(diagnostic: &Diagnostic, color: Color) -> String {
    let mut out = String::new();
    let level = match diagnostic.severity {
        Severity::Error => Paint::Error,
        Severity::Warning => Paint::Warning,
        Severity::Note => Paint::Note,
    };
    let head = format!("{}[{}]", diagnostic.severity, diagnostic.code);
    let title = clean(&diagnostic.title, "  ");
    let _ = writeln!(out, "{}{}", color.paint(level, &head), color.paint(Paint::Bold, &format!(": {title}")));
    let digits = diagnostic.place.line.max(1).to_string().len();
    snippet(&mut out, &diagnostic.place, digits, level, color);
    notes(&mut out, diagnostic, digits, color);
    out
}

/// The ` --> file:line:column` line, and the source line with its caret.
fn snippet(out: &mut String, place: &Place, digits: usize, level: Paint, color: Color) {
    let indent = " ".repeat(digits);
    let arrow = color.paint(Paint::Gutter, "-->");
    let file = clean(&place.file, "");
    if place.line == 0 {
        if !file.is_empty() {
            let _ = writeln!(out, "{indent}{arrow} {file}");
        }
        return;
    }
    let _ = writeln!(out, "{indent}{arrow} {file}:{}:{}", place.line, place.column);
    let bar = color.paint(Paint::Gutter, "|");
    let number = color.paint(Paint::Gutter, &format!("{:>digits$}", place.line));
    let (text, start, width) = window(place);
    let caret = color.paint(level, &"^".repeat(width));
    let _ = writeln!(out, "{indent} {bar}");
    let line = format!("{number} {bar} {text}");
    let _ = writeln!(out, "{}", line.trim_end());
    let _ = writeln!(out, "{indent} {bar} {}{caret}", " ".repeat(start));
}

fn notes(out: &mut String, diagnostic: &Diagnostic, digits: usize, color: Color) {
    let indent = " ".repeat(digits);
    let equals = color.paint(Paint::Gutter, "=");
    let under = format!("{indent}   ");
    if let Some(text) = &diagnostic.text {
        let _ = writeln!(out, "{indent} {equals} {}", clean(text, &under));
    }
    for frame in &diagnostic.calls {
        let function = if frame.function == "closure" { "closure".to_owned() } else { format!("`{}`", frame.function) };
        let (function, file) = (clean(&function, ""), clean(&frame.file, ""));
        let place = if frame.line == 0 { file } else { format!("{file}:{}:{}", frame.line, frame.column) };
        let _ = writeln!(out, "{indent} {equals} {function} called from here: {place}");
    }
    if let Some(hint) = &diagnostic.hint {
        let label = color.paint(Paint::Bold, "hint");
        let _ = writeln!(out, "{indent} {equals} {label}: {}", clean(hint, &under));
    }
}

/// Text from a script or a service, made safe for a terminal; further lines are indented.
fn clean(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => {
                out.push('\n');
                out.push_str(indent);
            }
            '\r' => {}
            '\t' => out.push('\t'),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// The part of the source line that is shown, the column at which the caret starts, and its width.
fn window(place: &Place) -> (String, usize, usize) {
    let cells: Vec<(String, usize)> = cells(&place.source);
    let first = place.column.saturating_sub(1).min(cells.len());
    let last = (first + place.width.max(1)).min(cells.len());
    let columns = |range: &[(String, usize)]| range.iter().map(|(_, columns)| columns).sum::<usize>();
    let total = columns(&cells);
    if total <= MAX_COLUMNS {
        let text = cells.iter().map(|(text, _)| text.as_str()).collect();
        return (text, columns(&cells[..first]), columns(&cells[first..last]).max(1));
    }
    let mut from = first;
    let mut before = 0;
    while from > 0 && before + cells[from - 1].1 <= CONTEXT {
        from -= 1;
        before += cells[from].1;
    }
    let mut to = from;
    let mut shown = 0;
    while to < cells.len() && shown + cells[to].1 <= MAX_COLUMNS {
        shown += cells[to].1;
        to += 1;
    }
    let lead = if from > 0 { "…" } else { "" };
    let tail = if to < cells.len() { "…" } else { "" };
    let text: String = cells[from..to].iter().map(|(text, _)| text.as_str()).collect();
    let start = before + lead.chars().count();
    let width = columns(&cells[first..last.clamp(first, to.max(first))]).max(1);
    (format!("{lead}{text}{tail}"), start, width)
}

/// One cell a character; what follows a zero-width joiner takes no column of its own.
fn cells(line: &str) -> Vec<(String, usize)> {
    let mut joined = false;
    line.chars()
        .map(|c| {
            let (text, columns) = shown(c);
            let columns = if joined { 0 } else { columns };
            joined = c == '\u{200d}';
            (text, columns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::Frame;
    use super::*;

    fn place(source: &str, column: usize, width: usize) -> Place {
        Place { file: "orders/invoice.rhai".into(), line: 12, column, width, source: source.into() }
    }

    fn plain(place: Place) -> String {
        Diagnostic::new("E0301", "unknown function `http::gte`", place)
            .hint("did you mean `http::get`?")
            .render(Color::Plain)
    }

    #[test]
    fn a_caret_as_wide_as_the_token() {
        assert_snapshot!(plain(place("    let r = http::gte(url);", 13, 9)), @r"
        error[E0301]: unknown function `http::gte`
          --> orders/invoice.rhai:12:13
           |
        12 |     let r = http::gte(url);
           |             ^^^^^^^^^
           = hint: did you mean `http::get`?
        ");
    }

    #[test]
    fn tabs_and_wide_characters() {
        assert_snapshot!(plain(place("\tlog(\"日本🚀\"); foo()", 14, 3)), @r#"
        error[E0301]: unknown function `http::gte`
          --> orders/invoice.rhai:12:14
           |
        12 |     log("日本🚀"); foo()
           |                    ^^^
           = hint: did you mean `http::get`?
        "#);
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        let escaped = plain(place("\u{1b}[31mfoo()", 6, 3));
        assert_snapshot!(escaped, @r"
        error[E0301]: unknown function `http::gte`
          --> orders/invoice.rhai:12:6
           |
        12 | \u{1b}[31mfoo()
           |           ^^^
           = hint: did you mean `http::get`?
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("let text = \"{}\"; foo({});", "x".repeat(300), "y".repeat(300));
        let column = line.find("foo").unwrap() + 1;
        assert_snapshot!(plain(place(&line, column, 3)), @r#"
        error[E0301]: unknown function `http::gte`
          --> orders/invoice.rhai:12:316
           |
        12 | …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; foo(yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
           |                                          ^^^
           = hint: did you mean `http::get`?
        "#);
    }

    #[test]
    fn a_caret_past_the_end_of_the_line() {
        assert_snapshot!(plain(place("let x = 1", 10, 1)), @r"
        error[E0301]: unknown function `http::gte`
          --> orders/invoice.rhai:12:10
           |
        12 | let x = 1
           |          ^
           = hint: did you mean `http::get`?
        ");
    }

    #[test]
    fn the_chain_of_calls() {
        let mut diagnostic =
            Diagnostic::new("E0501", "no stock\nat all\u{7}", place("    throw 1", 5, 5)).text("kind: `stock`");
        let frame =
            |function: &str, line| Frame { function: function.into(), file: "main.rhai".into(), line, column: 3 };
        diagnostic.calls = vec![frame("reserve", 7), frame("closure", 3)];
        assert_snapshot!(diagnostic.render(Color::Plain), @r"
        error[E0501]: no stock
          at all\u{7}
          --> orders/invoice.rhai:12:5
           |
        12 |     throw 1
           |     ^^^^^
           = kind: `stock`
           = `reserve` called from here: main.rhai:7:3
           = closure called from here: main.rhai:3:3
        ");
    }

    #[test]
    fn a_call_as_text_comes_back() {
        for text in ["reserve (orders/invoice.rhai:7:3)", "closure (a:b.rhai:1:12)"] {
            assert_eq!(Frame::parse(text).map(|frame| frame.to_string()).as_deref(), Some(text));
        }
        let older = Frame::parse("f (a.rhai:7)").map(|frame| (frame.file, frame.line, frame.column));
        assert_eq!((older, Frame::parse("f")), (Some(("a.rhai".to_owned(), 7, 1)), None));
    }

    #[test]
    fn a_file_as_a_whole_in_colour() {
        let text = Diagnostic::new("E0101", "not text", Place::file("a.rhai")).render(Color::Ansi);
        assert_eq!(
            text,
            "\u{1b}[1;31merror[E0101]\u{1b}[0m\u{1b}[1m: not text\u{1b}[0m\n \u{1b}[1;34m-->\u{1b}[0m a.rhai\n"
        );
    }

    #[test]
    fn json_is_flat_and_comes_back() {
        let diagnostic = Diagnostic::new("W0401", "never runs", place("x", 1, 1));
        let json = serde_json::to_value(&diagnostic).unwrap();
        assert_eq!(
            (&json["severity"], &json["line"], &json["file"]),
            (&"warning".into(), &12.into(), &"orders/invoice.rhai".into())
        );
        assert_eq!(serde_json::from_value::<Diagnostic>(json).unwrap(), diagnostic);
    }
}
