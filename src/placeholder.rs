//! The text that stands for a secret: how it looks, how it is found, and how it is kept from being seen.
//!
//! `⟦secret:NAME:MARK⟧`. The mark says who made it, and cannot be guessed: whoever has seen one could have the secret's value sent
//! where the run sends things. So none is ever shown; all that leaves the process for eyes passes [`mask`]. Knows no secret.

use std::borrow::Cow;
use std::ops::Range;

const OPEN: &str = "⟦secret:";
const CLOSE: &str = "⟧";
/// What is made of an opening that came from outside.
const DEFUSED: &str = "⟦secret :";
/// What is shown in place of a secret.
pub const SHOWN: &str = "***";

/// The text for a secret of this name, with this mark.
pub fn written(name: &str, mark: &str) -> String {
    format!("{OPEN}{name}:{mark}{CLOSE}")
}

/// What made a placeholder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkKind {
    /// A call of `secret` in a run.
    Run,
    /// A call of `secret` in a workflow's declaration.
    Declared,
}

/// Characters of a mark behind the one that tells its kind. 75 bits: each guess is a whole run, and there is no guessing elsewhere.
const DIGITS: usize = 15;
/// Small letters, so that a text may be made small.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl MarkKind {
    /// No digit of a hexadecimal number: earlier releases wrote sixteen of those.
    fn letter(self) -> char {
        match self {
            Self::Run => 'r',
            Self::Declared => 'w',
        }
    }

    /// The mark that these bytes make.
    pub fn mark(self, bytes: [u8; 32]) -> String {
        let digits = bytes.iter().take(DIGITS).map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        std::iter::once(self.letter()).chain(digits).collect()
    }

    /// The kind of a mark; `None`: it is none that [`Self::mark`] makes.
    pub fn of(mark: &str) -> Option<Self> {
        let (kind, digits) = mark.split_at_checked(1)?;
        let kind = [Self::Run, Self::Declared].into_iter().find(|known| kind.starts_with(known.letter()))?;
        (digits.len() == DIGITS && digits.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(kind)
    }
}

/// A placeholder in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// The secret's name.
    pub name: &'a str,
    /// Its mark; a placeholder with another run's mark stands for nothing.
    pub mark: &'a str,
}

/// All placeholders of a text, from left to right.
pub fn find_placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(OPEN).map(|at| from + at) {
        let inner = start + OPEN.len();
        let Some(end) = text[inner..].find(CLOSE).map(|at| inner + at) else { break };
        from = inner;
        // A name may hold colons, a mark may not; an opening inside means that this one was never closed.
        if let Some((name, mark)) = text[inner..end].rsplit_once(':')
            && !name.contains('⟦')
        {
            from = end + CLOSE.len();
            found.push(Placeholder { range: start..from, name, mark });
        }
    }
    found
}

/// A placeholder may be in there. Quick: most texts have none.
pub fn may_hold(text: &str) -> bool {
    text.as_bytes().contains(&OPEN.as_bytes()[0])
}

/// The text with each placeholder replaced by what `instead` says; `None` leaves it.
pub fn replaced(text: &str, instead: impl Fn(&Placeholder<'_>) -> Option<String>) -> Cow<'_, str> {
    if !may_hold(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut from = 0;
    for placeholder in find_placeholders(text) {
        let Some(other) = instead(&placeholder) else { continue };
        out.push_str(&text[from..placeholder.range.start]);
        out.push_str(&other);
        from = placeholder.range.end;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

/// The text with what looks like a placeholder made plain: what comes from outside must not stand for a secret.
pub fn defuse(text: &str) -> Cow<'_, str> {
    if may_hold(text) && text.contains(OPEN) { Cow::Owned(text.replace(OPEN, DEFUSED)) } else { Cow::Borrowed(text) }
}

/// The text as it may be shown: `***` for each placeholder, also for what is left of one that was cut at its end.
pub fn mask(text: &str) -> Cow<'_, str> {
    if !may_hold(text) || !text.contains(OPEN) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, inner) = (&rest[..start], &rest[start + OPEN.len()..]);
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.:".contains(c))).unwrap_or(inner.len());
        masked.push_str(before);
        let after = inner[end..].strip_prefix(CLOSE);
        masked.push_str(if end == 0 && after.is_none() { OPEN } else { SHOWN });
        rest = after.unwrap_or(&inner[end..]);
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// The same for bytes that may be no text. What is no UTF-8 stays as it is where there is no placeholder.
pub fn mask_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    let open = OPEN.as_bytes();
    let mut masked = Vec::new();
    let mut rest = bytes;
    while let Some(start) = opening(rest) {
        let inner = &rest[start + open.len()..];
        let end = inner.iter().position(|b| !(b.is_ascii_alphanumeric() || b"_-.:".contains(b))).unwrap_or(inner.len());
        masked.extend_from_slice(&rest[..start]);
        let after = inner[end..].strip_prefix(CLOSE.as_bytes());
        masked.extend_from_slice(if end == 0 && after.is_none() { open } else { SHOWN.as_bytes() });
        rest = after.unwrap_or(&inner[end..]);
    }
    if rest.len() == bytes.len() {
        return Cow::Borrowed(bytes);
    }
    masked.extend_from_slice(rest);
    Cow::Owned(masked)
}

/// Where the first placeholder of bytes begins.
fn opening(bytes: &[u8]) -> Option<usize> {
    let open = OPEN.as_bytes();
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == open[0]).map(|at| from + at) {
        if bytes[at..].starts_with(open) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_where_they_are() {
        let text = "⟦secret:⟦secret:a:b:c⟧!";
        let found = find_placeholders(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name, found[0].mark, &text[found[0].range.clone()]), ("a:b", "c", "⟦secret:a:b:c⟧"));
        let shout = |placeholder: &Placeholder<'_>| (placeholder.name == "a").then(|| "A".to_owned());
        assert_eq!(replaced("x ⟦secret:a:1⟧ ⟦secret:b:2⟧", shout), "x A ⟦secret:b:2⟧");
    }

    #[test]
    fn nothing_of_a_mark_is_shown() {
        for (text, shown) in [
            ("a ⟦secret:api:n1⟧ b ⟦secret:x:y⟧", "a *** b ***"),
            ("cut ⟦secret:api:r2345", "cut ***"),
            ("⟦secret:⟦secret:a:b⟧ ⟦secret:⟧", "⟦secret:*** ***"),
            ("plain ⟦secret:", "plain ⟦secret:"),
        ] {
            assert_eq!((mask(text), &*mask_bytes(text.as_bytes())), (shown.into(), shown.as_bytes()), "{text}");
        }
        assert!(matches!(mask("plain"), Cow::Borrowed(_)) && matches!(mask_bytes(b"\xff"), Cow::Borrowed(_)));
        assert_eq!(*mask_bytes(b"\xff\xe2\x9f\xa6secret:a:b\xe2\x9f\xa7\xfe"), *b"\xff***\xfe");
    }
}
