//! Text → fields, in one pass.

use std::borrow::Cow;

/// A row that is none.
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: String,
}

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    separator: u8,
    comma: bool,
}

/// What follows a field.
#[derive(PartialEq, Eq)]
enum After {
    Field,
    Row,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, separator: u8, comma: bool) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { text, at: 0, line: 1, separator, comma }
    }

    /// The line that is read next.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The line on which the next row begins.
    pub(super) fn next_line(&mut self) -> usize {
        self.skip_empty();
        self.line
    }

    /// Hands over the fields of the next row; `false` at the end. Empty lines are no rows.
    pub(super) fn row(&mut self, mut take: impl FnMut(&str)) -> Result<bool, Fault> {
        self.skip_empty();
        if self.at == self.text.len() {
            return Ok(false);
        }
        loop {
            let (field, after) = if self.peek() == Some(b'"') { self.quoted()? } else { self.plain()? };
            match number(self.comma, &field) {
                Some(number) => take(&number),
                None => take(&field),
            }
            if after == After::Row {
                return Ok(true);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_empty(&mut self) {
        while matches!(self.peek(), Some(b'\r' | b'\n')) {
            self.end_line();
        }
    }

    /// At a line break, or at the end.
    fn end_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
        self.line += 1;
    }

    fn plain(&mut self) -> Result<(Cow<'a, str>, After), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let separator = self.separator;
        let ends = |byte: &u8| *byte == separator || matches!(byte, b'\n' | b'\r' | b'"');
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let field = &self.text[self.at..self.at + length];
        if rest.get(length) == Some(&b'"') {
            let what = "a quote in a field that does not begin with one; hint: write `\"a \"\"b\"\" c\"`";
            return Err(Fault { line: self.line, what: what.to_owned() });
        }
        self.at += length;
        Ok((Cow::Borrowed(field), self.after()))
    }

    /// At a separator, a line break or the end.
    fn after(&mut self) -> After {
        if self.peek() == Some(self.separator) {
            self.at += 1;
            return After::Field;
        }
        self.end_line();
        After::Row
    }

    fn quoted(&mut self) -> Result<(Cow<'a, str>, After), Fault> {
        let first = self.line;
        let mut field = Cow::Borrowed("");
        loop {
            self.at += 1;
            let rest = &self.text[self.at..];
            let Some(length) = rest.find('"') else {
                return Err(Fault { line: first, what: "a quoted field that begins here has no end".to_owned() });
            };
            let part = &rest[..length];
            self.line += part.matches('\n').count();
            if field.is_empty() {
                field = Cow::Borrowed(part);
            } else {
                field.to_mut().push_str(part);
            }
            self.at += length + 1;
            if self.peek() != Some(b'"') {
                break;
            }
            field.to_mut().push('"');
        }
        match self.peek() {
            None | Some(b'\n' | b'\r') => {}
            Some(byte) if byte == self.separator => {}
            Some(_) => {
                let what = "something follows the quote that ends a field; hint: write a quote inside of it twice";
                return Err(Fault { line: self.line, what: what.to_owned() });
            }
        }
        Ok((field, self.after()))
    }
}

/// A number with a decimal comma, and perhaps points between groups of three digits, with a decimal point instead.
fn number(comma: bool, field: &str) -> Option<String> {
    if !comma || !field.bytes().any(|byte| byte == b',' || byte == b'.') {
        return None;
    }
    let trimmed = field.trim();
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let (whole, fraction) = unsigned.split_once(',').map_or((unsigned, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.split('.');
    let first = groups.next().unwrap_or_default();
    let grouped = whole.contains('.');
    let fits = digits(first)
        && (!grouped || first.len() <= 3 && groups.all(|group| group.len() == 3 && digits(group)))
        && fraction.is_none_or(digits);
    fits.then(|| trimmed.replace('.', "").replace(',', ".").trim_start_matches('+').to_owned())
}
