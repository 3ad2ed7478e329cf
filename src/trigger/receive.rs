//! Requests that come to a declared webhook: whether they are from whom they say, with the secrets of this process.
//!
//! For whoever takes requests: the server, and the command that is given one.

use serde_json::Value;
use zeroize::Zeroizing;

use super::webhook::{Checking, Refused, Verify};
use crate::script::secret::find_placeholders;
use crate::time::Timestamp;
use crate::vault::Vault;

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is not from whom it says. Safe to show to the sender.
    #[error("{0}")]
    Refused(Refused),
    /// This side cannot tell: a fault of the operator, or of the declaration. Not for the sender.
    #[error("{0}")]
    Unusable(String),
}

/// Checks a request by the option `verify`, as it was declared: `#{ scheme, secret, … }` with a placeholder for the secret.
/// Answers the delivery's id, where the scheme has one. `body` is the raw one.
pub fn verified(
    secrets: &Vault,
    now: Timestamp,
    declared: &Value,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Option<String>, Unverified> {
    let mut checking = begin(secrets, now, declared, headers)?;
    checking.update(body);
    checking.finish(Some(body)).map(|verified| verified.delivery_id).map_err(Unverified::Refused)
}

/// The same for a body that is still to come: what cannot be right by the headers is refused at once.
pub fn begin(
    secrets: &Vault,
    now: Timestamp,
    declared: &Value,
    headers: &[(String, String)],
) -> Result<Checking, Unverified> {
    let (scheme, secret) = scheme(secrets, declared).map_err(Unverified::Unusable)?;
    scheme.begin(headers, secret.as_bytes(), now).map_err(|refused| match refused {
        Refused::Secret(_) => Unverified::Unusable(refused.to_string()),
        refused => Unverified::Refused(refused),
    })
}

/// Why requests that are to be checked like this cannot be; `None`: they can.
pub fn unusable(secrets: &Vault, declared: &Value) -> Option<String> {
    scheme(secrets, declared).err()
}

fn scheme(secrets: &Vault, declared: &Value) -> Result<(Verify, Zeroizing<String>), String> {
    let placeholder = declared["secret"].as_str().unwrap_or_default();
    let found = find_placeholders(placeholder);
    let [secret] = found.as_slice() else { return Err("its `secret` is not `secret(\"name\")`".to_owned()) };
    let value = secrets.value(secret.name).ok_or_else(|| secrets.missing(secret.name))?;
    let mut rest = declared.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("secret");
    }
    let scheme = serde_json::from_value(rest).map_err(|error| error.to_string())?;
    Ok((scheme, value))
}
