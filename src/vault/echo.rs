//! Values of secrets in what comes back, in every form in which services repeat what they were sent.
//!
//! All forms of all values are searched for at once. A value is found raw, escaped for JSON, for URLs, for forms and for HTML,
//! in hexadecimal digits, and in base64, where it may stand at any place of a longer text (`user:value`); each in capitals and small
//! letters alike.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are not searched for: they would be found by chance, and give themselves away by what is missing.
pub const SHORTEST: usize = 6;

/// Finds values of secrets.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// `None`: there is nothing to search for.
    search: Option<AhoCorasick>,
    /// The name for each pattern.
    names: Vec<String>,
    /// The patterns.
    forms: Vec<String>,
}

impl Echoes {
    /// For these names and values.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut forms, mut names) = (Vec::new(), Vec::new());
        for (name, value) in secrets.filter(|(_, value)| value.len() >= SHORTEST) {
            for form in forms_of(value) {
                forms.push(form);
                names.push(name.to_owned());
            }
        }
        if forms.is_empty() {
            return Self::default();
        }
        let mut search = AhoCorasick::builder();
        search.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
        let search = search.build(&forms).expect("some thousand short patterns");
        Self { search: Some(search), names, forms }
    }

    /// Whether nothing is searched for.
    pub(super) fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// The text with each value replaced by what `instead` says for the secret's name.
    pub(super) fn replace<'t>(&self, text: &'t str, instead: &dyn Fn(&str) -> String) -> Cow<'t, str> {
        let Some(search) = &self.search else { return Cow::Borrowed(text) };
        if !search.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        search.replace_all_with(text, &mut out, |found, _, out| {
            out.push_str(&instead(&self.names[found.pattern()]));
            true
        });
        Cow::Owned(out)
    }

    /// The same for bytes that may be no text.
    pub(super) fn replace_bytes<'t>(&self, bytes: &'t [u8], instead: &dyn Fn(&str) -> String) -> Cow<'t, [u8]> {
        let Some(search) = &self.search else { return Cow::Borrowed(bytes) };
        if !search.is_match(bytes) {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        search.replace_all_with_bytes(bytes, &mut out, |found, _, out| {
            out.extend_from_slice(instead(&self.names[found.pattern()]).as_bytes());
            true
        });
        Cow::Owned(out)
    }

    /// Bytes at the end that begin a value: where a text was cut, or broke off, the rest of the value may have followed.
    pub(super) fn begun_at_end(&self, bytes: &[u8]) -> usize {
        self.forms.iter().map(|form| begun(form.as_bytes(), bytes)).max().unwrap_or_default()
    }
}

/// The length of the longest beginning of `form`, short of all of it, with which `bytes` end.
fn begun(form: &[u8], bytes: &[u8]) -> usize {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b);
    // For each beginning of the form, the longest shorter one with which it ends: the search of Knuth, Morris and Pratt.
    let mut borders = vec![0; form.len()];
    let shorten = |borders: &[usize], mut length: usize, byte: u8| {
        while length > 0 && !same(form[length], byte) {
            length = borders[length - 1];
        }
        length + usize::from(same(form[length], byte))
    };
    for at in 1..form.len() {
        borders[at] = shorten(&borders, borders[at - 1], form[at]);
    }
    let tail = &bytes[bytes.len().saturating_sub(form.len() - 1)..];
    tail.iter().fold(0, |length, byte| shorten(&borders, length, *byte))
}

/// All forms of a value, each once, the raw one first.
fn forms_of(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned(), hex::encode(value), hex::encode_upper(value), html(value)];
    all.extend(json(value));
    all.extend(urls(value));
    for start in 0..3 {
        all.extend(base64(value, start));
    }
    let mut forms: Vec<String> = Vec::new();
    for form in all {
        if form.len() >= SHORTEST && !forms.iter().any(|known| known.eq_ignore_ascii_case(&form)) {
            forms.push(form);
        }
    }
    forms
}

/// As JSON writes it: with what must be escaped, with `/` escaped too, with all that is not ASCII escaped.
fn json(value: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(value).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let mut all = vec![plain.replace('/', "\\/")];
    for upper in [false, true] {
        let mut ascii = String::new();
        for unit in plain.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
                _ if upper => ascii.push_str(&format!("\\u{unit:04X}")),
                _ => ascii.push_str(&format!("\\u{unit:04x}")),
            }
        }
        all.push(ascii);
    }
    all.push(plain);
    all
}

/// As URLs and forms write it; which characters are left as they are differs from writer to writer.
fn urls(value: &str) -> Vec<String> {
    const KEPT: [&[u8]; 5] = [b"-._~", b"-._", b"-._~!'()*", b"-._*", b"-._~!$&'()*+,;=:@/?"];
    let mut all = Vec::new();
    for kept in KEPT {
        for (upper, plus) in [(true, false), (false, false), (true, true)] {
            let mut text = String::new();
            for byte in value.bytes() {
                match byte {
                    b' ' if plus => text.push('+'),
                    byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => text.push(char::from(byte)),
                    byte if upper => text.push_str(&format!("%{byte:02X}")),
                    byte => text.push_str(&format!("%{byte:02x}")),
                }
            }
            all.push(text);
        }
    }
    all
}

/// As HTML shows it.
fn html(value: &str) -> String {
    let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    value.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The digits that depend on the value alone where it begins `start` bytes after a multiple of three, in both alphabets.
fn base64(value: &str, start: usize) -> [String; 2] {
    let bytes = [&[0; 3][..start], value.as_bytes()].concat();
    // Of six bits each; one that shares bits with a neighbour is not the value's.
    let (from, to) = ((start * 8).div_ceil(6), bytes.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&bytes)[from..to].to_owned(), URL_SAFE_NO_PAD.encode(&bytes)[from..to].to_owned()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "pä\"ss/w\\ord <&'> 7";

    fn shown(text: &str) -> String {
        Echoes::new([("api", VALUE)].into_iter()).replace(text, &|name| format!("[{name}]")).into_owned()
    }

    #[test]
    fn every_form_is_found() {
        let url = "p%C3%A4%22ss%2Fw%5Cord%20%3C%26%27%3E%207";
        let form = url::form_urlencoded::byte_serialize(VALUE.as_bytes()).collect::<String>();
        for form in [
            VALUE.to_owned(),
            serde_json::Value::from(VALUE).to_string(),
            "p\\u00e4\\\"ss/w\\\\ord <&'> 7".to_owned(),
            hex::encode(VALUE),
            hex::encode_upper(VALUE),
            url.to_owned(),
            url.to_lowercase(),
            form,
            "pä&quot;ss/w\\ord &lt;&amp;&#39;&gt; 7".to_owned(),
        ] {
            let shown = shown(&format!("before {form} after"));
            assert!(shown.contains("[api]") && !shown.contains("ord"), "{form}: {shown}");
        }
        assert_eq!(shown(VALUE), "[api]");
        assert_eq!(shown("nothing here"), "nothing here");
    }

    #[test]
    fn what_is_short_is_left() {
        let echoes = Echoes::new([("pin", "1234")].into_iter());
        assert!(echoes.is_empty());
        assert!(matches!(echoes.replace("1234", &|_| unreachable!()), Cow::Borrowed("1234")));
    }

    #[test]
    fn the_longer_of_two_values_that_begin_alike_is_found() {
        let echoes = Echoes::new([("short", "abcdefgh"), ("long", "abcdefghij")].into_iter());
        assert_eq!(echoes.replace("x abcdefghij y abcdefgh", &str::to_owned), "x long y short");
        assert_eq!(*echoes.replace_bytes(b"\xff abcdefgh", &str::to_owned), *b"\xff short");
    }

    #[test]
    fn capitals_and_small_letters_are_alike() {
        let echoes = Echoes::new([("api", "Abc123xyz")].into_iter());
        for form in ["ABC123XYZ", "abc123xyz", &hex::encode_upper("Abc123xyz")] {
            assert_eq!(echoes.replace(form, &str::to_owned), "api", "{form}");
        }
    }

    #[test]
    fn the_beginning_of_a_value_at_the_end_is_told() {
        let echoes = Echoes::new([("api", "ababac/secret"), ("short", "ab")].into_iter());
        for (text, begun) in [("x ababac/sec", 10), ("x ABABAC", 6), ("abab", 4), ("ababab", 4), ("none", 0), ("", 0)] {
            assert_eq!(echoes.begun_at_end(text.as_bytes()), begun, "{text}");
        }
        let encoded = STANDARD_NO_PAD.encode("user:ababac/secret");
        assert!(echoes.begun_at_end(&encoded.as_bytes()[..16]) >= 7, "in base64 as well");
        assert_eq!(Echoes::default().begun_at_end(b"abc"), 0);
    }

    proptest! {
        /// Wherever it stands in what is encoded, the value cannot be read out of the base64 that is left.
        #[test]
        fn base64_of_a_longer_text_gives_nothing_away(before in ".{0,9}", value in "[ -~]{8,30}", after in ".{0,9}") {
            let echoes = Echoes::new([("api", value.as_str())].into_iter());
            let whole = format!("{before}{value}{after}");
            for text in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let shown = echoes.replace(&text, &|_| "*".to_owned());
                // At each end one digit may hold some bits of the value.
                prop_assert!(shown.contains('*') && shown.len() <= text.len() - (value.len() * 8 / 6 - 2) + 1, "{shown}");
            }
        }
    }
}
