//! The seam through which secrets enter what is sent, and are taken out of what comes back.
//!
//! Requests hold placeholders. What a placeholder looks like, and where values are kept, is the implementer's business;
//! it should be made of letters, digits, `-`, `.`, `_` and `~` only, so that it survives in URLs, headers and JSON.

use std::borrow::Cow;

use super::Failure;

/// Where a text with a placeholder in it is about to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    /// A host: its name in lower case or its IP address (without brackets), and the port.
    Host {
        /// The host.
        name: &'a str,
        /// The port.
        port: u16,
    },
    /// A program that is run, by the name under which `allow.shell` lists it.
    Program(&'a str),
    /// A database, by its name in the configuration.
    Database(&'a str),
}

/// Puts secrets in and takes them out.
pub trait Secrets: Sync {
    /// `text` with its placeholders replaced by values, when those secrets are bound to `target`; `denied` otherwise.
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure>;

    /// `text` with the values of secrets replaced by their placeholders.
    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str>;

    /// The same for bytes that may be no text.
    fn redact_bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        match std::str::from_utf8(bytes).map(|text| self.redact(text)) {
            Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Ok(Cow::Borrowed(_)) | Err(_) => Cow::Borrowed(bytes),
        }
    }

    /// Bytes at the end of what was cut there, or broke off, which begin the value of a secret: the rest was to follow.
    fn begun_at_end(&self, _: &[u8]) -> usize {
        0
    }
}

/// No secrets: every text is sent and shown as it is.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve<'t>(&self, text: &'t str, _: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        Ok(Cow::Borrowed(text))
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
}
