//! Requests from outside: where they may come in, and whether they are from whom they say.
//!
//! Signatures are checked over the raw body, in constant time, before anything of the body is read. The secret and the
//! time are handed in. It knows nothing of HTTP servers.

mod request;
mod verify;

pub use request::{Request, envelope, header};
pub use verify::{Algorithm, Checking, Encoding, Refused, Verified, Verify, WINDOW_S};

use super::Error;

/// The longest path of a webhook.
const PATH_MAX: usize = 200;

/// The path of a webhook below `/hooks/`, such as `orders` or `shop/orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookPath(String);

impl HookPath {
    /// Reads what a script declares: segments of letters, digits, `-`, `_`, `.` and `~`, which need no escapes in a URL.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let fault = |reason: String, hint: String| Error::Path { path: path.to_owned(), reason, hint };
        let trimmed = path.trim_matches('/');
        if trimmed.is_empty() {
            return Err(fault("it is empty".to_owned(), "write a path such as `orders`".to_owned()));
        }
        if trimmed != path {
            return Err(fault(
                "it begins or ends with `/`".to_owned(),
                format!("write `{trimmed}`: it is served at `/hooks/{trimmed}`"),
            ));
        }
        if path.len() > PATH_MAX {
            return Err(fault(format!("it is longer than {PATH_MAX} bytes"), "write a shorter one".to_owned()));
        }
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(fault("it has an empty segment, `.` or `..`".to_owned(), "leave that segment out".to_owned()));
        }
        match path.chars().find(|c| !(c.is_ascii_alphanumeric() || "/-_.~".contains(*c))) {
            None => Ok(Self(path.to_owned())),
            Some(c) => Err(fault(
                format!("`{c}` cannot be part of it"),
                "use letters, digits, `-`, `_`, `.`, `~` and `/`".to_owned(),
            )),
        }
    }

    /// Whether a request comes to it; `requested` is what follows `/hooks/`. One slash at the end does not matter.
    pub fn matches(&self, requested: &str) -> bool {
        requested.strip_suffix('/').unwrap_or(requested) == self.0
    }

    /// The path as it was declared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_to_the_path_that_was_declared() {
        let hook = HookPath::parse("shop/orders.v2").unwrap();
        assert!(hook.matches("shop/orders.v2") && hook.matches("shop/orders.v2/"));
        assert!(!hook.matches("shop/orders.v2//") && !hook.matches("shop/orders") && !hook.matches("/shop/orders.v2"));
    }

    #[test]
    fn bad_paths_are_refused_with_a_way_out() {
        for path in ["", "/", "/orders", "orders/", "a//b", "a/../b", ".", "a b", "a%20b", "a?b", "ä", &"x".repeat(201)]
        {
            assert!(HookPath::parse(path).is_err(), "{path}");
        }
        assert_eq!(HookPath::parse("/orders").unwrap_err().hint(), "write `orders`: it is served at `/hooks/orders`");
    }
}
