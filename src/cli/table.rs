//! Tables and short texts for people: as wide as the terminal, and cut only there. What goes to a file or a program is whole.

use serde_json::Value;

use super::output::{Paint, Stream, line, text};
use crate::diag::columns;
use crate::time::{Clock as _, SystemClock, Timestamp, clock_time, dated, spoken};

/// Columns between two columns.
const GAP: usize = 2;
/// A column is not made narrower than this while another one is wider.
const NARROW: usize = 8;
/// Characters of a cell that goes to a program: more is data, which `--json` has.
const MOST: usize = 2_000;
/// Characters of an id that tell it from others: its last ones are random.
const SHORT_ID: usize = 8;

/// How wide stdout is, where somebody looks at it.
pub(super) fn terminal_width() -> Option<usize> {
    if !Stream::Out.is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(width, _)| usize::from(width)).filter(|width| *width > 0)
}

/// How many columns a text takes.
pub(super) fn width_of(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Text on one line, without control characters, in so many columns at most.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c }).peekable();
    while let Some(c) = chars.next() {
        // The last column is for the sign that something is missing.
        let rest = usize::from(chars.peek().is_some());
        if width + columns(c) + rest > most {
            if !(rest == 0 && width + columns(c) <= most) && most > 0 {
                out.push('…');
            }
            return out;
        }
        width += columns(c);
        out.push(c);
    }
    out
}

/// A run's or task's id as it is shown: enough of it for commands where a person looks, all of it else.
pub(super) fn id(id: &str) -> &str {
    if Stream::Out.is_terminal() { short_id(id) } else { id }
}

/// Enough of an id for commands.
pub(super) fn short_id(id: &str) -> &str {
    id.len().checked_sub(SHORT_ID).and_then(|at| id.get(at..)).unwrap_or(id)
}

/// A time as people say it where they look, in full else.
pub(super) fn when(time: &str) -> String {
    match Timestamp::from_text(time) {
        Some(at) if Stream::Out.is_terminal() => spoken(at, SystemClock.now(), &jiff::tz::TimeZone::system()),
        _ => time.to_owned(),
    }
}

/// A sentence with its times as people say them, where they look.
pub(super) fn told(sentence: &str) -> String {
    if !Stream::Out.is_terminal() {
        return sentence.to_owned();
    }
    told_at(sentence, SystemClock.now(), &jiff::tz::TimeZone::system())
}

fn told_at(sentence: &str, now: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ')', ';']);
        let at = Timestamp::from_text(bare).filter(|_| bare.ends_with('Z'));
        at.map_or_else(|| word.to_owned(), |at| format!("{}{}", dated(at, now, zone), &word[bare.len()..]))
    };
    sentence.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The hour of a time in the zone of who looks; in full where nobody does.
pub(super) fn hour(time: &str) -> String {
    match Timestamp::from_text(time) {
        Some(at) if Stream::Out.is_terminal() => clock_time(at, SystemClock.now(), &jiff::tz::TimeZone::system()),
        _ => time.to_owned(),
    }
}

/// A value on one line: text as it is, the rest as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The first line of a field.
pub(super) fn first_line<'a>(value: &'a Value, field: &str) -> &'a str {
    text(value, field).lines().next().unwrap_or_default()
}

/// Rows as aligned columns, as wide as the terminal.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let lines = lines(head, rows, terminal_width());
    for (n, laid_out) in lines.iter().enumerate() {
        if n == 0 {
            line(&Paint::Dim.on(Stream::Out, laid_out));
        } else {
            line(laid_out);
        }
    }
}

fn lines(head: &[&str], rows: &[Vec<String>], most: Option<usize>) -> Vec<String> {
    let head: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    let clean = |row: &Vec<String>| row.iter().map(|cell| cut(cell, MOST)).collect::<Vec<_>>();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(clean)).collect();
    let mut widths = vec![0; all[0].len()];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = width_of(cell).max(*width);
        }
    }
    if let Some(most) = most {
        narrow(&mut widths, most);
    }
    all.iter().map(|row| laid_out(row, &widths)).collect()
}

/// Takes from the widest column until all fit.
fn narrow(widths: &mut [usize], most: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(most);
        let Some(widest) = widths.iter_mut().filter(|width| **width > NARROW).max_by_key(|width| **width) else {
            return;
        };
        if over == 0 {
            return;
        }
        *widest -= 1;
    }
}

fn laid_out(cells: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| {
            let cell = cut(cell, *width);
            let space = width.saturating_sub(width_of(&cell));
            format!("{cell}{}", " ".repeat(space))
        })
        .collect();
    cells.join(&" ".repeat(GAP)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![vec!["a".to_owned(), "waits for event `payment.received` with key `42`".to_owned()]]
    }

    #[test]
    fn a_table_is_as_wide_as_the_terminal_and_whole_elsewhere() {
        assert_eq!(lines(&["N", "WHY"], &rows(), Some(20)), ["N  WHY", "a  waits for event …"]);
        assert_eq!(lines(&["N", "WHY"], &rows(), None)[1], "a  waits for event `payment.received` with key `42`");
    }

    #[test]
    fn wide_characters_take_two_columns_and_control_characters_none_of_the_terminal() {
        assert_eq!((cut("日本語", 6), cut("日本語", 5)), ("日本語".to_owned(), "日本…".to_owned()));
        assert_eq!(cut("a\u{1b}[31mb\nc", 99), "a [31mb c");
        assert_eq!((cut("abc", 0), cut("", 3)), (String::new(), String::new()));
    }

    #[test]
    fn times_in_a_sentence_are_said() {
        let now = Timestamp::from_text("2026-11-27T22:00:00Z").expect("a time");
        let sentence = "the event `x` until 2026-11-27T23:30:00.000Z (line 8, since 2026-11-27T21:57:00.000Z)";
        let said = told_at(sentence, now, &jiff::tz::TimeZone::UTC);
        assert_eq!(said, "the event `x` until 23:30:00 (line 8, since 21:57:00)");
    }

    #[test]
    fn an_id_is_told_by_its_end() {
        assert_eq!(short_id("0198f000-0000-7000-8000-0000abcd1234"), "abcd1234");
        assert_eq!(short_id("x"), "x");
    }
}
