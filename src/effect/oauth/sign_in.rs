//! How a person signs in once: with a browser and a code that comes back (PKCE), or by typing a code on another device.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{OAuth, Tokens, address};
use crate::effect::Failure;
use crate::effect::http::Clients;
use crate::effect::net::Reach;

/// Until a connection stands, as for other requests.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two looks whether somebody has typed the code, unless the server says otherwise (RFC 8628, 3.5).
const INTERVAL: u64 = 5;

/// Signs in one client.
pub struct SignIn {
    oauth: Arc<OAuth>,
    name: String,
    http: reqwest::Client,
    verifier: String,
    state: String,
}

/// A code that somebody types on another device.
#[derive(Debug)]
pub struct Device {
    /// What is typed.
    pub user_code: String,
    /// Where.
    pub address: String,
    /// How long it counts.
    pub expires_in: Duration,
    interval: u64,
    code: String,
}

/// What a look at a sign-in by code found.
pub enum Polled {
    /// It is done, and kept.
    Done(Tokens),
    /// Nobody has typed it yet: look again after so long.
    Wait(Duration),
}

impl SignIn {
    /// For the client of this name. `random` are 64 bytes that nobody can guess.
    pub fn new(oauth: &Arc<OAuth>, name: &str, random: &[u8; 64]) -> Result<Self, Failure> {
        let client = oauth.client(name)?;
        let http = Clients::new(CONNECT).get(&address(&client.token_url)?, Reach::Named)?;
        let (verifier, state) = random.split_at(32);
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self { oauth: Arc::clone(oauth), name: name.to_owned(), http, verifier: text(verifier), state: text(state) })
    }

    /// The address that a person opens in a browser; `redirect` is where the code comes back.
    pub fn address(&self, redirect: &str) -> Result<String, Failure> {
        let client = self.oauth.client(&self.name)?;
        let missing = |key: &str| {
            Failure::invalid(format!(
                "`[oauth2.{}]` has no `{key}`; hint: a sign-in with a browser needs it",
                self.name
            ))
        };
        let mut url = address(client.auth_url.as_deref().ok_or_else(|| missing("auth_url"))?)?;
        let id = client.client_id.as_deref().ok_or_else(|| missing("client_id"))?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", id)
            .append_pair("redirect_uri", redirect)
            .append_pair("state", &self.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !client.scopes.is_empty() {
            url.query_pairs_mut().append_pair("scope", &client.scopes.join(" "));
        }
        if let Some(audience) = &client.audience {
            url.query_pairs_mut().append_pair("audience", audience);
        }
        url.query_pairs_mut().extend_pairs(&client.extra);
        Ok(url.into())
    }

    /// The code in what came back: the whole address, or its path and query. An error where it is of another sign-in, or says
    /// that it was refused.
    pub fn code(&self, came_back: &str) -> Result<String, Failure> {
        let base = address("http://127.0.0.1/")?;
        let url = base.join(came_back.trim()).map_err(|_| Failure::invalid("what came back is no address"))?;
        let value = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        let state = value("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err(Failure::denied(
                "what came back is of another sign-in; hint: open the address that was shown last",
            ));
        }
        if let Some(error) = value("error") {
            let said = value("error_description").map(|said| format!(" ({said})")).unwrap_or_default();
            return Err(Failure::denied(format!("the sign-in was refused: {error}{said}")));
        }
        value("code").ok_or_else(|| Failure::invalid("what came back has no `code`; hint: give the whole address"))
    }

    /// Exchanges the code for tokens, and keeps them.
    pub async fn exchange(&self, code: String, redirect: &str) -> Result<Tokens, Failure> {
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", redirect.to_owned()),
            ("code_verifier", self.verifier.clone()),
        ];
        let tokens = self.oauth.ask(&self.name, &self.http, form).await?;
        self.oauth.keep(&self.name, tokens).await
    }

    /// Gets tokens without a person, to see that it works.
    pub async fn renew(&self) -> Result<Tokens, Failure> {
        self.oauth.renew(&self.name, &self.http).await
    }

    /// Begins a sign-in by a code.
    pub async fn device(&self) -> Result<Device, Failure> {
        let client = self.oauth.client(&self.name)?;
        let url = client.device_url.as_deref().ok_or_else(|| {
            Failure::invalid(format!("`[oauth2.{}]` has no `device_url`; hint: a sign-in by code needs it", self.name))
        })?;
        let mut form = Vec::new();
        if !client.scopes.is_empty() {
            form.push(("scope", client.scopes.join(" ")));
        }
        let answer = self.oauth.post(&self.name, &self.http, url, form).await?;
        let text = |key: &str| answer.json[key].as_str().map(str::to_owned);
        let place = text("verification_uri").or_else(|| text("verification_url"));
        match (answer.error(), text("device_code"), text("user_code"), place) {
            (None, Some(code), Some(user_code), Some(address)) => Ok(Device {
                user_code,
                address,
                expires_in: Duration::from_secs(answer.json["expires_in"].as_u64().unwrap_or(600)),
                interval: answer.json["interval"].as_u64().unwrap_or(INTERVAL),
                code,
            }),
            (error, ..) => {
                let why = error.unwrap_or("the answer has no code");
                Err(Failure::denied(format!("`{url}` begins no sign-in: {why}; hint: check `[oauth2.{}]`", self.name)))
            }
        }
    }

    /// Looks whether somebody has typed the code.
    pub async fn poll(&self, device: &mut Device) -> Result<Polled, Failure> {
        let form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code".to_owned()),
            ("device_code", device.code.clone()),
        ];
        let client = self.oauth.client(&self.name)?;
        let answer = self.oauth.post(&self.name, &self.http, &client.token_url, form).await?;
        match answer.error() {
            Some("authorization_pending") => {}
            Some("slow_down") => device.interval += 5,
            Some(error) => return Err(super::ask::refused(&self.name, client, error, &answer)),
            None => {
                let tokens = super::ask::tokens(&answer.json, crate::time::Clock::now(&crate::time::SystemClock));
                let tokens = tokens.ok_or_else(|| Failure::denied("the answer has no `access_token`"))?;
                return self.oauth.keep(&self.name, tokens).await.map(Polled::Done);
            }
        }
        Ok(Polled::Wait(Duration::from_secs(device.interval)))
    }
}

impl Tokens {
    /// When the access token expires, where it is known.
    pub fn expires_at(&self) -> Option<crate::time::Timestamp> {
        self.expires_at
    }

    /// When they were got.
    pub fn got_at(&self) -> crate::time::Timestamp {
        self.got_at
    }

    /// Whether the next token can be got without a person.
    pub fn renews(&self) -> bool {
        self.refresh_token.is_some()
    }

    /// What may be done with them, as the server says.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }
}
