//! Tokens of `OAuth2` clients, kept as secrets under `oauth2.NAME`: all of one client are one secret, so what is rotated together
//! is replaced together. They are bound to nothing: only the client that they belong to sends them, to its own hosts.

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Error, Refusal, Vault};
use crate::effect::oauth::Keeper;
use crate::effect::{Failure, Field, Target};

/// How their names begin.
const PREFIX: &str = "oauth2.";

/// What is searched for in what comes back: the tokens in one.
const HIDDEN: [&str; 3] = ["access_token", "refresh_token", "id_token"];

/// Values of one name that were replaced and are searched for on: a request that is on its way has the last one, or the one
/// before. More would only fill the memory, as a client gets some each hour.
const RETIRED: usize = 3;

/// The name under which the tokens of a client are kept.
pub(super) fn name(client: &str) -> String {
    format!("{PREFIX}{client}")
}

/// Whether a secret is the tokens of a client.
pub(super) fn is_one(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// What must not be seen of a secret: its value, or the tokens in it.
pub(super) fn hidden<'a>(name: &str, value: &'a str) -> Vec<std::borrow::Cow<'a, str>> {
    let tokens = is_one(name).then(|| serde_json::from_str::<Value>(value).ok()).flatten();
    match tokens {
        Some(tokens) => HIDDEN.iter().filter_map(|key| Some(tokens[*key].as_str()?.to_owned().into())).collect(),
        None => vec![value.into()],
    }
}

/// Leaves the newest of what was replaced.
pub(super) fn thin(retired: &mut Vec<(String, Zeroizing<String>)>) {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for at in (0..retired.len()).rev() {
        if is_one(&retired[at].0) {
            let count = seen.entry(retired[at].0.clone()).or_default();
            *count += 1;
            if *count > RETIRED {
                retired.remove(at);
            }
        }
    }
}

impl Vault {
    /// Removes the tokens of a client.
    pub fn forget_tokens(&self, client: &str) -> Result<(), Error> {
        self.remove(&name(client))
    }
}

impl Keeper for Vault {
    fn kept(&self, client: &str) -> Option<String> {
        self.now().stored.get(&name(client)).map(|stored| stored.opened.value.to_string())
    }

    fn keep(&self, client: &str, text: &str, at: &str) -> Result<(), String> {
        let value = Zeroizing::new(text.to_owned());
        self.set(&name(client), value, Some(Vec::new()), at).map_err(|error| error.to_string())
    }

    fn secret(&self, name: &str, target: Target<'_>) -> Result<String, Failure> {
        self.value_for(name, target).map(|value| value.to_string()).map_err(|refusal| match refusal {
            Refusal::Unknown(why) => Failure::new("not_found", why).with("secret", Field::Text(name.to_owned())),
            Refusal::NotFor(why) => Failure::denied(why),
        })
    }
}
