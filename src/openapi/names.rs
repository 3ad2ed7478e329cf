//! Names of functions and parameters: snake case, none that the language or the module has taken.

use std::collections::BTreeSet;

/// Words that Rhai keeps, and those of its operators and functions that cannot be defined anew.
const RESERVED: &[&str] = &[
    "Fn",
    "as",
    "async",
    "await",
    "break",
    "call",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "else",
    "eval",
    "exit",
    "export",
    "false",
    "fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "print",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "type_of",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Whether a text is a name as modules have it.
pub(super) fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&text)
}

/// The name of a module for an API: `Swagger Petstore - OpenAPI 3.0` gives `swagger_petstore`.
pub(super) fn of_api(title: &str) -> String {
    let filler = ["api", "rest", "http", "openapi", "swagger", "the", "reference", "specification", "spec"];
    let snake = snake(title);
    let words: Vec<_> = snake.split('_').filter(|word| !word.chars().all(|c| c.is_ascii_digit())).collect();
    let telling: Vec<_> = words.iter().copied().filter(|word| !filler.contains(word)).take(2).collect();
    let name = if telling.is_empty() { words.join("_") } else { telling.join("_") };
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned();
    if is_plain(&name) { name } else { "api".to_owned() }
}

/// `listPets`, `list-pets`, `pets/list`, `ListHTTPPets` in snake case.
pub(super) fn snake(text: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = i.checked_sub(1).map(|i| chars[i]);
        let begins = c.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_ascii_uppercase() && chars.get(i + 1).is_some_and(char::is_ascii_lowercase))
            });
        if begins && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out.trim_end_matches('_').to_owned()
}

/// Gives out names, each once.
pub(super) struct Names<'a> {
    used: BTreeSet<String>,
    taken: &'a dyn Fn(&str) -> bool,
}

impl<'a> Names<'a> {
    /// None given out yet, but for these.
    pub(super) fn new(used: &[&str], taken: &'a dyn Fn(&str) -> bool) -> Self {
        Self { used: used.iter().map(|name| (*name).to_owned()).collect(), taken }
    }

    /// A name like this that nothing else has.
    pub(super) fn give(&mut self, wanted: &str) -> String {
        let mut base = snake(wanted);
        if base.is_empty() {
            base.push_str("value");
        }
        if base.starts_with(|c: char| c.is_ascii_digit()) {
            base.insert_str(0, "n_");
        }
        if RESERVED.contains(&base.as_str()) || (self.taken)(&base) {
            base.push('_');
        }
        let numbered = (2..).map(|n| format!("{}_{n}", base.trim_end_matches('_')));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !self.used.contains(name));
        let name = free.expect("there is always a next number");
        self.used.insert(name.clone());
        name
    }
}
