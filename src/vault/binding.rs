//! What a secret may be sent to.

use std::fmt;

use crate::effect::Target;
use crate::effect::net::HostPattern;

const PROGRAM: &str = "program:";
const DATABASE: &str = "database:";

/// One place that a secret is for, as `panta secret set NAME --for …` names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Binding {
    /// `host`, `*.host` or `host:port`.
    Host(HostPattern),
    /// `program:NAME`.
    Program(String),
    /// `database:NAME`.
    Database(String),
}

impl Binding {
    /// Reads one; the error says what is wrong with it, and what it should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |name: &str| {
            let plain = !name.is_empty() && !name.contains(char::is_whitespace);
            plain.then(|| name.to_owned()).ok_or_else(|| format!("`{text}` names nothing; hint: write `{text}NAME`"))
        };
        if let Some(name) = text.strip_prefix(PROGRAM) {
            return named(name).map(Self::Program);
        }
        if let Some(name) = text.strip_prefix(DATABASE) {
            return named(name).map(Self::Database);
        }
        HostPattern::parse(text).map(Self::Host).map_err(|why| format!("{why}; or `program:NAME`, or `database:NAME`"))
    }

    /// Whether it means this target.
    pub fn covers(&self, target: Target<'_>) -> bool {
        match (self, target) {
            (Self::Host(pattern), Target::Host { name, port }) => pattern.matches(name, port),
            (Self::Program(bound), Target::Program(name)) | (Self::Database(bound), Target::Database(name)) => {
                bound == name
            }
            _ => false,
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(pattern) => pattern.fmt(f),
            Self::Program(name) => write!(f, "{PROGRAM}{name}"),
            Self::Database(name) => write!(f, "{DATABASE}{name}"),
        }
    }
}

/// Reads several.
pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Binding>, String> {
    texts.iter().map(|text| Binding::parse(text)).collect()
}

/// What `--for` must say so that the target is covered.
pub(super) fn wanted(target: Target<'_>) -> String {
    match target {
        Target::Host { name, port: 80 | 443 } => name.to_owned(),
        Target::Host { name, port } if name.contains(':') => format!("[{name}]:{port}"),
        Target::Host { name, port } => format!("{name}:{port}"),
        Target::Program(name) => format!("{PROGRAM}{name}"),
        Target::Database(name) => format!("{DATABASE}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written_as_it_was() {
        for text in ["api.example.com", "*.example.com", "127.0.0.1:8080", "program:git", "database:billing"] {
            assert_eq!(Binding::parse(text).map(|binding| binding.to_string()), Ok(text.to_owned()));
        }
        for text in ["https://example.com", "", "program:", "database:a b", "a b"] {
            let why = Binding::parse(text).expect_err(text);
            assert!(why.contains("hint:"), "{text}: {why}");
        }
    }

    #[test]
    fn a_binding_covers_its_target_alone() {
        let host = |name, port| Target::Host { name, port };
        let covers = |text: &str, target| Binding::parse(text).expect(text).covers(target);
        assert!(
            covers("api.example.com", host("api.example.com", 443))
                && covers("*.example.com", host("a.example.com", 80))
        );
        assert!(covers("program:git", Target::Program("git")) && covers("database:crm", Target::Database("crm")));
        assert!(!covers("api.example.com", host("api.example.com.evil.example", 443)));
        assert!(!covers("127.0.0.1:8080", host("127.0.0.1", 8081)) && !covers("program:git", host("git", 80)));
        assert!(!covers("program:git", Target::Database("git")) && !covers("*.example.com", host("example.com", 443)));
    }

    #[test]
    fn what_is_wanted_can_be_given() {
        for target in [
            Target::Host { name: "a.example", port: 443 },
            Target::Host { name: "127.0.0.1", port: 81 },
            Target::Host { name: "::1", port: 81 },
            Target::Program("git"),
            Target::Database("crm"),
        ] {
            assert!(Binding::parse(&wanted(target)).expect("reads").covers(target), "{target:?}");
        }
    }
}
