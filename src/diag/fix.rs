//! How a fault is mended, as data: edits with exact places, for `panta check --fix` and for editors.
//!
//! Places are lines and columns in characters, as everywhere in diagnostics, so they fit the file as it is on disk: a
//! byte-order mark and Windows line ends change none of them.

use serde::{Deserialize, Serialize};

/// Edits that belong together: all of them or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What is done, in a few words: "write `==`".
    pub title: String,
    /// What is replaced, in any order; they never overlap.
    pub edits: Vec<Edit>,
}

/// A part of a text and what comes in its place; an insertion where both ends are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edit {
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character, from 1.
    pub column: usize,
    /// Line of the character behind the last.
    pub end_line: usize,
    /// Column of the character behind the last.
    pub end_column: usize,
    /// What takes its place; line ends are `\n`.
    pub text: String,
}

impl Edit {
    /// Replaces `width` characters of one line.
    pub fn replace(line: usize, column: usize, width: usize, text: impl Into<String>) -> Self {
        Self { line, column, end_line: line, end_column: column + width, text: text.into() }
    }

    /// Inserts in front of a character.
    pub fn insert(line: usize, column: usize, text: impl Into<String>) -> Self {
        Self::replace(line, column, 0, text)
    }
}

impl Fix {
    /// A fix of these edits.
    pub fn new(title: impl Into<String>, edits: Vec<Edit>) -> Self {
        Self { title: title.into(), edits }
    }

    /// The text with this fix alone; `None` where it does not fit the text.
    pub fn apply(&self, text: &str) -> Option<String> {
        let (fixed, applied) = apply(text, &[self]);
        (applied == [true]).then_some(fixed)
    }
}

/// The text with all fixes that do not overlap earlier ones, and which of them those were.
pub fn apply(text: &str, fixes: &[&Fix]) -> (String, Vec<bool>) {
    let lines = Lines::of(text);
    let mut chosen: Vec<(usize, usize, &str)> = Vec::new();
    let mut applied = Vec::new();
    for fix in fixes {
        let spans: Option<Vec<_>> = fix.edits.iter().map(|edit| lines.span(edit)).collect();
        let spans = spans.filter(|spans| !spans.is_empty() && spans.iter().all(|span| is_free(&chosen, span)));
        applied.push(spans.is_some());
        chosen.extend(spans.into_iter().flatten());
    }
    chosen.sort_unstable();
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut mended = text.to_owned();
    for (start, end, replacement) in chosen.into_iter().rev() {
        mended.replace_range(start..end, &replacement.replace('\n', line_end));
    }
    (mended, applied)
}

/// Whether a span touches none that is taken; two insertions at one place would have no order.
fn is_free(chosen: &[(usize, usize, &str)], (start, end, _): &(usize, usize, &str)) -> bool {
    chosen.iter().all(|(from, to, _)| end <= from || to <= start) && !chosen.iter().any(|(from, ..)| from == start)
}

/// Where the lines of a text are, as scripts count them.
struct Lines<'a> {
    text: &'a str,
    /// Byte offsets of line starts.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut starts = vec![if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }];
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        Self { text, starts }
    }

    fn span<'e>(&self, edit: &'e Edit) -> Option<(usize, usize, &'e str)> {
        let (start, end) = (self.offset(edit.line, edit.column)?, self.offset(edit.end_line, edit.end_column)?);
        (start <= end).then_some((start, end, edit.text.as_str()))
    }

    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let rest = &self.text[start..];
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        let ends = line.char_indices().map(|(at, _)| at).chain(std::iter::once(line.len()));
        ends.clone().nth(column.checked_sub(1)?).map(|at| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(edits: &[(usize, usize, usize, &str)]) -> Fix {
        Fix::new(
            "x",
            edits.iter().map(|(line, column, width, text)| Edit::replace(*line, *column, *width, *text)).collect(),
        )
    }

    #[test]
    fn edits_are_made_from_the_bottom_up() {
        let both = fix(&[(1, 1, 1, "long"), (1, 3, 1, ""), (2, 2, 0, ";")]);
        assert_eq!(both.apply("a b\nc"), Some("long \nc;".into()));
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_stay() {
        let text = "\u{feff}日 x\r\ny\r\n";
        assert_eq!(fix(&[(1, 3, 1, "z\nz"), (2, 2, 0, ";")]).apply(text), Some("\u{feff}日 z\r\nz\r\ny;\r\n".into()));
    }

    #[test]
    fn a_fix_that_overlaps_an_earlier_one_waits() {
        let (one, two, three) =
            (fix(&[(1, 1, 2, "x")]), fix(&[(1, 2, 1, "y"), (1, 4, 0, "z")]), fix(&[(1, 3, 1, "w")]));
        assert_eq!(apply("abcd", &[&one, &two, &three]), ("xwd".into(), vec![true, false, true]));
        let (a, b) = (fix(&[(1, 1, 0, "x")]), fix(&[(1, 1, 0, "y")]));
        assert_eq!(apply("a", &[&a, &b]), ("xa".into(), vec![true, false]));
    }

    #[test]
    fn a_place_that_is_not_there_changes_nothing() {
        assert_eq!(fix(&[(9, 1, 0, "x")]).apply("a"), None);
        assert_eq!(fix(&[(1, 1, 5, "x")]).apply("a"), None);
    }
}
