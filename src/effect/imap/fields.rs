//! What is looked for in a server's answers, and texts as commands have them. Pure.

use super::answer::{Answer, Token};
use super::{Error, Head};
use crate::time::{Timestamp, parse_time};

/// A text within quotes. What no quotes can hold is refused.
pub(super) fn quoted(text: &str) -> Result<String, Error> {
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(Error::Settings("the server takes names and passwords in ASCII alone".to_owned()));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// `[NAME 5]` in the text of a status.
pub(super) fn coded(text: &str, name: &str) -> Option<u32> {
    let code = text.strip_prefix('[')?.split(']').next()?;
    let (found, value) = code.split_once(' ')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim().parse().ok())?
}

/// `5 NAME`.
pub(super) fn counted(tokens: &[Token], name: &str) -> Option<u32> {
    match tokens {
        [Token::Word(count), Token::Word(word), ..] if word.eq_ignore_ascii_case(name) => count.parse().ok(),
        _ => None,
    }
}

/// The fields of a `FETCH`.
pub(super) fn fetched(answer: &Answer) -> Option<&[Token]> {
    match answer {
        Answer::Data(tokens) => match tokens.as_slice() {
            [Token::Word(_), Token::Word(word), Token::List(fields)] if word.eq_ignore_ascii_case("FETCH") => {
                Some(fields)
            }
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn number(fields: &[Token], name: &str) -> Option<u32> {
    match value(fields, name)? {
        Token::Word(word) => word.parse().ok(),
        _ => None,
    }
}

fn value<'a>(fields: &'a [Token], name: &str) -> Option<&'a Token> {
    let is_name = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(name));
    fields.chunks(2).find(|pair| is_name(&pair[0]))?.get(1)
}

pub(super) fn head(fields: &[Token]) -> Option<Head> {
    let date = match value(fields, "INTERNALDATE") {
        Some(Token::Text(text)) => std::str::from_utf8(text).ok().and_then(internal_date),
        _ => None,
    };
    let size = number(fields, "RFC822.SIZE").unwrap_or_default() as usize;
    Some(Head { uid: number(fields, "UID")?, date: date.map_or(0, |date| date.0 / 1_000), size })
}

/// ` 7-Jul-1996 02:44:25 -0700`.
fn internal_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

    let mut words = text.split_whitespace();
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    let mut date = date.split('-');
    let day: u8 = date.next()?.parse().ok()?;
    let named = date.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(named))? + 1;
    let (year, (hours, minutes)) = (date.next()?, zone.split_at_checked(3)?);
    parse_time(&format!("{year}-{month:02}-{day:02}T{time}{hours}:{minutes}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_servers_are_read() {
        let at = |text: &str| internal_date(text).map(|at| at.to_string());
        assert_eq!(at(" 7-Jul-1996 02:44:25 -0700").as_deref(), Some("1996-07-07T09:44:25.000Z"));
        assert_eq!((at("7-Foo-1996 02:44:25 -0700"), at("7-Jul-1996"), at("")), (None, None, None));
    }

    #[test]
    fn what_no_quotes_hold_is_refused() {
        assert_eq!(quoted("a\"b\\c").as_deref(), Ok("\"a\\\"b\\\\c\""));
        assert!(quoted("a\r\nb LOGOUT").is_err());
        assert_eq!(coded("[UIDVALIDITY 7] ok", "uidvalidity"), Some(7));
        assert_eq!(coded("[UIDNEXT] ok", "UIDNEXT"), None);
    }
}
