//! Names of events, and patterns over names.

/// A name or a pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an event name: {reason}")]
pub struct Error {
    /// What was written.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead.
    pub hint: String,
}

/// The longest name: it is a key in the store and stands in one line of a list.
pub const NAME_MAX: usize = 200;

/// A name such as `payment.received`: words of letters, digits, `_`, `-`, `:` and `/`, with dots between.
pub fn validate_name(name: &str) -> Result<(), Error> {
    check(name, |c| is_plain(c) || c == '/').map_err(|(reason, hint)| fault(name, reason, hint))
}

/// A pattern over names: in `payment.*` the star stands for any text within its word, `**` for any number of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    separator: char,
}

impl Pattern {
    /// Reads a pattern over names of events, whose words have dots between.
    pub fn events(text: &str) -> Result<Self, Error> {
        Self::new(text, '.')
    }

    /// Reads a pattern over names of workflows, such as `orders/*`.
    pub fn workflows(text: &str) -> Result<Self, Error> {
        Self::new(text, '/')
    }

    fn new(text: &str, separator: char) -> Result<Self, Error> {
        let allowed = |c: char| is_plain(c) || "./*".contains(c);
        check(&text.replace(separator, "."), allowed).map_err(|(reason, hint)| fault(text, reason, hint))?;
        if text.split(separator).any(|word| word.contains("**") && word != "**") {
            return Err(fault(text, "`**` stands for whole words", format!("write `**` alone between `{separator}`")));
        }
        Ok(Self { text: text.to_owned(), separator })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a plain name: then it can be looked up instead of compared.
    pub fn is_name(&self) -> bool {
        !self.text.contains('*')
    }

    /// Whether `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<&str> = self.text.split(self.separator).collect();
        let words: Vec<&str> = name.split(self.separator).collect();
        fits(&pattern, &words, &|word| *word == "**", &|pattern, word| {
            let (pattern, word): (Vec<char>, Vec<char>) = (pattern.chars().collect(), word.chars().collect());
            fits(&pattern, &word, &|c| *c == '*', &|a, b| a == b)
        })
    }
}

/// Whether `items` fit a pattern in which a wild item stands for any number of them. Looks at each pair at most once a
/// wild item: a star that took too little takes one more.
fn fits<T>(pattern: &[T], items: &[T], is_wild: &dyn Fn(&T) -> bool, same: &dyn Fn(&T, &T) -> bool) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut last_wild = None;
    while i < items.len() {
        if p < pattern.len() && is_wild(&pattern[p]) {
            last_wild = Some((p, i));
            p += 1;
        } else if p < pattern.len() && same(&pattern[p], &items[i]) {
            (p, i) = (p + 1, i + 1);
        } else if let Some((wild, taken)) = last_wild {
            last_wild = Some((wild, taken + 1));
            (p, i) = (wild + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_wild)
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-:".contains(c)
}

fn check(name: &str, allowed: impl Fn(char) -> bool) -> Result<(), (String, &'static str)> {
    if name.is_empty() {
        return Err(("it is empty".to_owned(), "write a name such as `payment.received`"));
    }
    if name.chars().count() > NAME_MAX {
        return Err((
            format!("it is longer than {NAME_MAX} characters"),
            "put what varies into the key or the payload",
        ));
    }
    if name.split('.').any(str::is_empty) {
        return Err(("a word is empty".to_owned(), "write words with single dots between: `payment.received`"));
    }
    match name.chars().find(|c| *c != '.' && !allowed(*c)) {
        None => Ok(()),
        Some('*') => Err(("`*` is for patterns".to_owned(), "name one event")),
        Some(c) => Err((format!("`{c}` cannot be part of it"), "use letters, digits, `_`, `-`, `:`, `/` and dots")),
    }
}

fn fault(name: &str, reason: impl Into<String>, hint: impl Into<String>) -> Error {
    Error { name: name.to_owned(), reason: reason.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, names: &[&str]) -> bool {
        let pattern = Pattern::events(pattern).unwrap();
        names.iter().all(|name| pattern.matches(name))
    }

    fn matches_none(pattern: &str, names: &[&str]) -> bool {
        let pattern = Pattern::events(pattern).unwrap();
        !names.iter().any(|name| pattern.matches(name))
    }

    #[test]
    fn a_star_stays_within_its_word_and_two_cross() {
        assert!(matches("payment.*", &["payment.received", "payment.x-1"]));
        assert!(matches_none("payment.*", &["payment", "payment.card.received", "payments.x", "xpayment.y"]));
        assert!(matches("payment.**", &["payment.received", "payment.card.received"]));
        assert!(matches("**.failed", &["a.failed", "a.b.failed", "failed"]));
        assert!(matches("a.*.c", &["a.b.c"]) && matches_none("a.*.c", &["a.c", "a.b.b.c"]));
        assert!(matches("order-*.p*d", &["order-7.paid"]) && matches("*", &["x"]) && matches_none("*", &["x.y"]));
    }

    #[test]
    fn a_pattern_without_star_is_the_name_itself() {
        assert!(Pattern::events("site.down").unwrap().is_name() && !Pattern::events("site.*").unwrap().is_name());
        assert!(
            matches("site.down", &["site.down"]) && matches_none("site.down", &["site.dow", "site.downs", "sitexdown"])
        );
    }

    #[test]
    fn workflows_have_slashes_between() {
        let below = Pattern::workflows("orders/*").unwrap();
        assert!(below.matches("orders/invoice") && !below.matches("orders/eu/invoice") && !below.matches("orders"));
    }

    #[test]
    fn bad_names_and_patterns_are_refused() {
        for name in ["", ".", "a..b", ".a", "a.", "a b", "a.*", "a\n", &"x".repeat(201)] {
            assert!(validate_name(name).is_err(), "{name}");
        }
        for pattern in ["", "a..*", "a.b**", "a b.*"] {
            assert!(Pattern::events(pattern).is_err(), "{pattern}");
        }
        for name in ["payment.received", "com.github.pull/create:v1", "größe.geändert"] {
            assert!(validate_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_text_is_long() {
        let pattern = Pattern::events(&format!("{}b", "a*".repeat(90))).unwrap();
        assert!(!pattern.matches(&"a".repeat(200)));
    }
}
