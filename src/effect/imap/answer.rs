//! What a server answers, from bytes to tokens. Pure.
//!
//! A response is text with counted literals in between. What a status says is for people, so it stays as it is; all else is
//! words, texts and lists, and whoever asked looks for what was asked for.

/// How deep lists may nest: none that is asked for goes beyond three.
const DEEPEST: usize = 16;

/// One piece of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A bare word, with what stands in brackets behind it: `UID`, `BODY[HEADER]`, `NIL`.
    Word(String),
    /// Quoted, or counted.
    Text(Vec<u8>),
    /// `(…)`.
    List(Vec<Token>),
}

/// How a command, or the connection, fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// One response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// `+ …`: the server waits for more.
    Continue(String),
    /// `TAG OK …` or `* OK …`.
    Status { tag: Option<String>, status: Status, text: String },
    /// `* …`.
    Data(Vec<Token>),
}

impl Answer {
    /// Reads a whole response, without the line's end. The error says what is wrong.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let head = |count: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(count)]).into_owned();
        let (first, rest) = split(bytes);
        if first == b"+" {
            return Ok(Self::Continue(String::from_utf8_lossy(rest).into_owned()));
        }
        let (second, text) = split(rest);
        let tag = (first != b"*").then(|| String::from_utf8_lossy(first).into_owned());
        if let Some(status) = status(second) {
            return Ok(Self::Status { tag, status, text: String::from_utf8_lossy(text).into_owned() });
        }
        if tag.is_some() {
            return Err(format!("`{}` is no answer", head(80)));
        }
        let mut reader = Reader { bytes: rest, at: 0 };
        let tokens = reader.list(0, None).map_err(|why| format!("{why} in `{}`", head(80)))?;
        Ok(Self::Data(tokens))
    }
}

/// How many bytes follow a line, where it ends in `{N}` (or `{N+}`).
pub(super) fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = inner.split_at(inner.len() - digits);
    if !before.ends_with(b"{") {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b' ') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

fn status(word: &[u8]) -> Option<Status> {
    Some(match word.to_ascii_uppercase().as_slice() {
        b"OK" => Status::Ok,
        b"NO" => Status::No,
        b"BAD" => Status::Bad,
        b"BYE" => Status::Bye,
        b"PREAUTH" => Status::PreAuth,
        _ => return None,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn list(&mut self, depth: usize, end: Option<u8>) -> Result<Vec<Token>, String> {
        if depth > DEEPEST {
            return Err(format!("lists deeper than {DEEPEST}"));
        }
        let mut tokens = Vec::new();
        loop {
            match self.bytes.get(self.at).copied() {
                None if end.is_none() => return Ok(tokens),
                None => return Err("a list without an end".to_owned()),
                found if found == end => {
                    self.at += 1;
                    return Ok(tokens);
                }
                Some(b' ') => self.at += 1,
                Some(b'(') => {
                    self.at += 1;
                    tokens.push(Token::List(self.list(depth + 1, Some(b')'))?));
                }
                Some(b'"') => tokens.push(Token::Text(self.quoted()?)),
                Some(b'{') => tokens.push(Token::Text(self.counted()?)),
                Some(b')') => return Err("`)` without `(`".to_owned()),
                Some(_) => tokens.push(Token::Word(self.word())),
            }
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at).copied() {
            self.at += 1;
            match byte {
                b'"' => return Ok(text),
                b'\\' => {
                    text.extend(self.bytes.get(self.at));
                    self.at += 1;
                }
                byte => text.push(byte),
            }
        }
        Err("a quote without an end".to_owned())
    }

    fn counted(&mut self) -> Result<Vec<u8>, String> {
        let rest = &self.bytes[self.at..];
        let line = rest.iter().position(|byte| *byte == b'\n').ok_or("a count without its text")?;
        let count = literal(rest[..line].strip_suffix(b"\r").unwrap_or(&rest[..line])).ok_or("no count in `{}`")?;
        let text = rest.get(line + 1..line + 1 + count).ok_or("a count that is larger than its text")?;
        self.at += line + 1 + count;
        Ok(text.to_vec())
    }

    /// Up to a space or the end of a list; brackets go together with what is in them.
    fn word(&mut self) -> String {
        let (begin, mut open) = (self.at, 0usize);
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'[' => open += 1,
                b']' => open = open.saturating_sub(1),
                b' ' | b'(' | b')' | b'"' if open == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[begin..self.at]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    #[test]
    fn responses_are_read_as_words_texts_and_lists() {
        let fetched =
            b"* 12 FETCH (UID 5 INTERNALDATE \"a \\\" b\" BODY[HEADER.FIELDS (DATE)] {5}\r\nx)\r\ny FLAGS (\\Seen))";
        let expected = vec![
            word("12"),
            word("FETCH"),
            Token::List(vec![
                word("UID"),
                word("5"),
                word("INTERNALDATE"),
                Token::Text(b"a \" b".to_vec()),
                word("BODY[HEADER.FIELDS (DATE)]"),
                Token::Text(b"x)\r\ny".to_vec()),
                word("FLAGS"),
                Token::List(vec![word("\\Seen")]),
            ]),
        ];
        assert_eq!(Answer::parse(fetched), Ok(Answer::Data(expected)));
        let no = Answer::Status { tag: Some("a1".to_owned()), status: Status::No, text: "[X] not (now".to_owned() };
        assert_eq!(Answer::parse(b"a1 no [X] not (now"), Ok(no));
        assert_eq!(Answer::parse(b"+ go on"), Ok(Answer::Continue("go on".to_owned())));
    }

    #[test]
    fn what_is_no_response_is_an_error_and_no_panic() {
        let deep = format!("* {}", "(".repeat(50_000));
        let bad: [&[u8]; 8] = [
            b"",
            b"a1 what",
            b"* (",
            b"* )",
            b"* \"x",
            b"* {9}\r\nx",
            b"* {99999999999999999999}\r\nx",
            deep.as_bytes(),
        ];
        for bytes in bad.iter().skip(1) {
            assert!(Answer::parse(bytes).is_err(), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(30)]));
        }
        assert!(Answer::parse(bad[0]).is_err());
        assert_eq!(
            (literal(b"* x {12}"), literal(b"{3+}"), literal(b"{}"), literal(b"12}")),
            (Some(12), Some(3), None, None)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), kind in 0usize..3) {
            let head: [&[u8]; 3] = [b"* ", b"* 1 FETCH (", b"a1 "];
            let _ = Answer::parse(&[head[kind], &bytes].concat());
        }
    }
}
