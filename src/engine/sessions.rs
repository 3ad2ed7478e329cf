//! Sessions of browsers: who signed in with a token need not send it again for some hours.
//!
//! A session is a random secret in a cookie; the store keeps its hash, the hash of the token that it was begun with, and its end.
//! It opens what that token opens now: a token that is taken back, or ends, ends its sessions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::handle::{Error, Handle};
use super::tokens;
use crate::audit::Actor;
use crate::payload::Payload;
use crate::store::Change;
use crate::time::Timestamp;

/// The scope of their rows, by hash.
const SCOPE: &str = "$sessions";
/// How long one lasts: a working day, so that a browser left open is not signed in the next morning.
pub const LASTS: Duration = Duration::from_hours(12);

impl Handle {
    /// Begins a session with a token, by its hash; the secret for the cookie. Those that have ended are removed.
    pub async fn open_session(&self, token_hash: &str, by: &Actor) -> Result<String, Error> {
        let now = self.clock().now();
        for (key, value) in self.store().states(SCOPE, "")? {
            if ends(&value).is_none_or(|end| end <= now) {
                self.write(vec![row(key, None)]).await?;
            }
        }
        let secret = tokens::secret().map_err(Error::Stopped)?;
        let value = Payload::from_json(&json!({ "token": token_hash, "ends": now.plus(LASTS).0 }));
        let change = row(tokens::hash(&secret).into(), Some(value));
        self.act(by, "session.open", by, &json!(null), change).await?;
        Ok(secret)
    }

    /// The hash of the token that a session was begun with, where the session lasts.
    pub fn session(&self, secret: &str) -> Result<Option<String>, Error> {
        let found = self.store().state(SCOPE, &tokens::hash(secret))?;
        let now = self.clock().now();
        let lasting = found.filter(|value| ends(value).is_some_and(|end| now < end));
        Ok(lasting.and_then(|value| value.to_json()["token"].as_str().map(str::to_owned)))
    }

    /// Ends a session.
    pub async fn close_session(&self, secret: &str) -> Result<(), Error> {
        self.write(vec![row(tokens::hash(secret).into(), None)]).await.map(drop)
    }
}

fn row(key: Arc<str>, value: Option<Payload>) -> Change {
    Change::SetState { scope: SCOPE.into(), key, value }
}

fn ends(value: &Payload) -> Option<Timestamp> {
    value.to_json()["ends"].as_i64().map(Timestamp)
}
