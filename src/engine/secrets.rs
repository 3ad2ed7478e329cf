//! Secrets of runs: a run's placeholders become values at the moment of sending, and values that come back become
//! placeholders.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::effect::{Allow, Failure, Field, Secrets, Target};
use crate::host::session::hash_text;
use crate::id::RunId;
use crate::script::secret::{SecretRef, defuse, find_placeholders};
use crate::vault::{Refusal, Vault};

/// The nonce of placeholders that a declaration made.
const DECLARED: &str = "declared";
/// The nonce of placeholders that stand for an echo, and for no value.
const ECHO: &str = "echo";

/// The secrets of one run: only placeholders that it made are replaced, and only of secrets that it may use.
pub(super) struct RunSecrets<'a> {
    pub(super) vault: &'a Vault,
    pub(super) run: RunId,
    pub(super) allow: &'a Allow,
}

impl RunSecrets<'_> {
    fn nonce(&self, name: &str) -> String {
        format!("{:016x}", hash_text(&format!("{}/{name}", self.run)))
    }

    /// What stands for an echo of a secret: what the run itself writes for it, where it may use it.
    fn echo(&self, name: &str) -> String {
        let listed = self.allow.secrets.iter().find(|listed| listed.eq_ignore_ascii_case(name));
        match listed {
            Some(name) => placeholder(name, self.nonce(name)),
            None => placeholder(name, ECHO.to_owned()),
        }
    }
}

impl Secrets for RunSecrets<'_> {
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        let found = find_placeholders(text);
        if found.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for placeholder in found {
            let name = placeholder.name;
            if placeholder.nonce != self.nonce(name) && placeholder.nonce != DECLARED {
                continue;
            }
            self.allow.admit_secret(name)?;
            let value = self.vault.value_for(name, target).map_err(|refusal| match refusal {
                Refusal::Unknown(why) => Failure::new("not_found", why).with("secret", Field::Text(name.to_owned())),
                Refusal::NotFor(why) => Failure::denied(why),
            })?;
            out.push_str(&text[from..placeholder.range.start]);
            out.push_str(&value);
            from = placeholder.range.end;
        }
        out.push_str(&text[from..]);
        Ok(Cow::Owned(out))
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let echo = |name: &str| self.echo(name);
        match defuse(text) {
            Cow::Borrowed(text) => self.vault.redact(text, &echo),
            Cow::Owned(text) => Cow::Owned(self.vault.redact(&text, &echo).into_owned()),
        }
    }

    fn redact_bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        self.vault.redact_bytes(bytes, &|name| self.echo(name))
    }
}

/// What comes from outside to start, wake or answer something: without values of secrets, and without what looks like a
/// placeholder.
pub(super) fn from_outside(vault: &Vault, value: Value) -> Value {
    let clean = |text: String| {
        let echo = |name: &str| placeholder(name, ECHO.to_owned());
        let defused = defuse(&text);
        match vault.redact(&defused, &echo) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => match defused {
                Cow::Owned(defused) => defused,
                Cow::Borrowed(_) => text,
            },
        }
    };
    cleaned(value, &clean)
}

/// The same for a text alone.
pub(super) fn text_from_outside(vault: &Vault, text: &str) -> String {
    match from_outside(vault, Value::from(text)) {
        Value::String(clean) => clean,
        other => other.to_string(),
    }
}

/// A value with each of its texts, keys and numbers as `clean` has them.
pub(super) fn cleaned(value: Value, clean: &dyn Fn(String) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(|item| cleaned(item, clean)).collect(),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, value)| (clean(key), cleaned(value, clean))).collect::<Map<_, _>>(),
        ),
        Value::Number(number) => {
            let shown = number.to_string();
            let clean = clean(shown.clone());
            if clean == shown { Value::Number(number) } else { Value::String(clean) }
        }
        other => other,
    }
}

fn placeholder(name: &str, nonce: String) -> String {
    SecretRef { name: name.into(), nonce: nonce.into() }.placeholder()
}
