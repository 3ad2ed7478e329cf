//! Where settings and secrets come from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::effect::{Failure, Secrets, Target};
use crate::payload::Payload;
use crate::script::secret::find_placeholders;

/// Plain settings for scripts.
pub trait Settings: Send + Sync {
    /// The value of a setting.
    fn get(&self, name: &str) -> Option<Payload>;
}

/// None at all.
#[derive(Clone, Copy, Debug)]
pub struct NoSettings;

impl Settings for NoSettings {
    fn get(&self, _: &str) -> Option<Payload> {
        None
    }
}

impl Settings for BTreeMap<String, Payload> {
    fn get(&self, name: &str) -> Option<Payload> {
        BTreeMap::get(self, name).cloned()
    }
}

/// Secrets from the environment: `PANTA_SECRET_NAME` for the secret `name` (letters in capitals, `-` and `.` as `_`).
#[derive(Clone, Debug, Default)]
pub struct EnvironmentSecrets {
    values: BTreeMap<String, String>,
}

const PREFIX: &str = "PANTA_SECRET_";
/// Shorter values are not taken out of texts: they would hit by chance.
const SHORTEST: usize = 6;

impl EnvironmentSecrets {
    /// From the variables of this process.
    pub fn from_process() -> Self {
        Self::from_pairs(std::env::vars())
    }

    /// From names and values; others than `PANTA_SECRET_…` are left out.
    pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let values = pairs.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value)));
        Self { values: values.collect() }
    }

    fn variable(name: &str) -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    }

    /// The value of a secret.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(&Self::variable(name)).map(String::as_str)
    }
}

impl Secrets for RunSecrets<'_> {
    fn resolve<'t>(&self, text: &'t str, _: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        let found = find_placeholders(text);
        if found.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for placeholder in found {
            if placeholder.nonce != (self.nonce)(placeholder.name) && placeholder.nonce != DECLARED {
                continue;
            }
            let value = self.all.value(placeholder.name).ok_or_else(|| missing(placeholder.name))?;
            out.push_str(&text[from..placeholder.range.start]);
            out.push_str(value);
            from = placeholder.range.end;
        }
        out.push_str(&text[from..]);
        Ok(Cow::Owned(out))
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        for (name, value) in &self.all.values {
            if value.len() >= SHORTEST && shown.contains(value.as_str()) {
                shown = Cow::Owned(shown.replace(value.as_str(), &format!("⟦secret:{}:echo⟧", name.to_lowercase())));
            }
        }
        shown
    }
}

const DECLARED: &str = "declared";

/// The secrets of one run: only placeholders that it made are replaced.
pub(super) struct RunSecrets<'a> {
    pub(super) all: &'a EnvironmentSecrets,
    pub(super) nonce: Box<dyn Fn(&str) -> String + Send + Sync + 'a>,
}

fn missing(name: &str) -> Failure {
    let variable = EnvironmentSecrets::variable(name);
    Failure::new(
        "not_found",
        format!("there is no secret `{name}`; hint: set the environment variable `{PREFIX}{variable}` for the process"),
    )
}
