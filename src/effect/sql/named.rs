//! Named parameters: `:name` becomes the placeholder that the database has, and the values stand in its order.
//!
//! Nothing is ever put into the text: what is in quotes, comments and casts (`::int`) is left alone.

use super::Value;
use crate::effect::Failure;

/// How a database writes placeholders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// `$1`: a name that stands several times is one parameter.
    Dollar,
    /// `?`.
    Question,
}

/// The text with placeholders in place of names, and the values for them.
pub(super) fn positional(text: &str, named: &[(String, Value)], style: Style) -> Result<(String, Vec<Value>), Failure> {
    let mut out = String::with_capacity(text.len());
    let (mut values, mut order) = (Vec::new(), Vec::<&str>::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skip(rest);
        if skipped > 0 {
            out.push_str(&rest[..skipped]);
            rest = &rest[skipped..];
            continue;
        }
        let name = if first == ':' { name(&rest[1..]) } else { "" };
        if name.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[1 + name.len()..];
        let value = named.iter().find(|(known, _)| known == name).map(|(_, value)| value).ok_or_else(|| {
            let known = named.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Failure::invalid(format!("the statement wants `:{name}`, which is not given; given: {known}"))
        })?;
        let before = order.iter().position(|known| *known == name);
        let number = before.filter(|_| style == Style::Dollar).unwrap_or(order.len());
        if number == order.len() {
            order.push(name);
            values.push(value.clone());
        }
        match style {
            Style::Dollar => out.push_str(&format!("${}", number + 1)),
            Style::Question => out.push('?'),
        }
    }
    match named.iter().find(|(name, _)| !order.contains(&name.as_str())) {
        Some((name, _)) => Err(Failure::invalid(format!(
            "`{name}` is given, and the statement has no `:{name}`; hint: leave it out, or write it"
        ))),
        None => Ok((out, values)),
    }
}

/// The name at the beginning, empty where there is none.
fn name(text: &str) -> &str {
    let is_first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if is_first { &text[..end] } else { "" }
}

/// How much at the beginning is nothing to look into: a quoted text, a comment, a cast.
fn skip(text: &str) -> usize {
    let until = |open: usize, close: &str| text[open..].find(close).map_or(text.len(), |at| open + at + close.len());
    match text.as_bytes() {
        [b':', b':' | b'=', ..] => 2,
        [b'-', b'-', ..] => until(2, "\n"),
        [b'/', b'*', ..] => until(2, "*/"),
        [b'\'', ..] => until(1, "'"),
        [b'"', ..] => until(1, "\""),
        [b'`', ..] => until(1, "`"),
        [b'$', ..] => dollar_quoted(text),
        _ => 0,
    }
}

/// `$tag$ … $tag$`, as PostgreSQL quotes bodies of functions.
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$').map(|at| at + 2) else { return 0 };
    let tag = &text[..end];
    let inner = &tag[1..tag.len() - 1];
    if !inner.is_empty() && name(inner) != inner {
        return 0;
    }
    text[end..].find(tag).map_or(text.len(), |at| end + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Vec<(String, Value)> {
        vec![("id".to_owned(), Value::Int(7)), ("who".to_owned(), Value::Text("ann".to_owned()))]
    }

    #[test]
    fn names_become_what_the_database_has() {
        let text = "select * from t where id = :id and (a = :who or b = :id)";
        let (dollar, values) = positional(text, &named(), Style::Dollar).expect("is good");
        assert_eq!(dollar, "select * from t where id = $1 and (a = $2 or b = $1)");
        assert_eq!(values, [Value::Int(7), Value::Text("ann".to_owned())]);
        let (question, values) = positional(text, &named(), Style::Question).expect("is good");
        assert_eq!(question, "select * from t where id = ? and (a = ? or b = ?)");
        assert_eq!(values, [Value::Int(7), Value::Text("ann".to_owned()), Value::Int(7)]);
    }

    #[test]
    fn quotes_comments_and_casts_are_left_alone() {
        let text = "select ':id', \":id\", `:id`, '2026'::date, a := 1 /* :id */ -- :id\n, $x$ :id $x$, ':who'':who', 'ü:', :id, :who";
        let (out, values) = positional(text, &named(), Style::Question).expect("is good");
        assert_eq!(out, text.replace(", :id, :who", ", ?, ?"));
        assert_eq!(values.len(), 2);
        let open = "select :id, :who, ':id";
        assert_eq!(positional(open, &named(), Style::Dollar).expect("is good").0, "select $1, $2, ':id");
    }

    #[test]
    fn each_name_is_given_and_used() {
        let missing = positional("select :id, :who, :other", &named(), Style::Dollar).expect_err("is missing");
        assert!(missing.message.contains("`:other`") && missing.message.contains("`id`, `who`"), "{missing}");
        let unused = positional("select :id", &named(), Style::Dollar).expect_err("is unused");
        assert!(unused.message.contains("no `:who`"), "{unused}");
    }
}
