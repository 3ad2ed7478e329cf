//! Tokens of OAuth 2.0, for requests that say `oauth2("name")`.
//!
//! What a client is, is configuration ([`Client`]). Its tokens are kept by a [`Keeper`], encrypted; a token that is about to
//! expire, or was refused, is got anew by one for all runs: whoever comes meanwhile waits for that. What the server handed out
//! is durable before it is used, since a refresh token may count once. A token goes to the hosts of its client alone.

mod ask;
mod sign_in;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::http::{Clients, fault};
use super::net::{HostPattern, Reach, host_and_port};
use super::{Failure, Target};
use crate::time::{Clock as _, SystemClock, Timestamp};

pub use sign_in::{Device, Polled, SignIn};

/// How much earlier than it expires a token is got anew, at most: clocks differ, and requests take time.
const MARGIN: Duration = Duration::from_mins(1);

/// A client that is registered at an authorization server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Client {
    /// How tokens are got.
    pub grant: Grant,
    /// Where tokens are handed out.
    pub token_url: String,
    /// Where people sign in.
    pub auth_url: Option<String>,
    /// Where a sign-in by a code begins.
    pub device_url: Option<String>,
    /// The client's name there.
    pub client_id: Option<String>,
    /// The name of the secret that is its password, or the API key.
    pub client_secret: Option<String>,
    /// Whose password is given, where that is how tokens are got.
    pub username: Option<String>,
    /// The name of the secret that is this password.
    pub secret: Option<String>,
    /// How a request for a token is written.
    pub body: Coding,
    /// The name of the secret that is a refresh token to begin with.
    pub refresh_token: Option<String>,
    /// What may be done with a token.
    pub scopes: Vec<String>,
    /// For whom a token is.
    pub audience: Option<String>,
    /// Further parameters of each request for a token, and of the address where people sign in.
    pub extra: BTreeMap<String, String>,
    /// Where the password stands in a request.
    pub login: Login,
    /// Where its tokens may go.
    pub hosts: Vec<HostPattern>,
    /// The port of this machine to which people are sent back; any free one where it is not said.
    pub redirect_port: Option<u16>,
}

/// How tokens are got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Grant {
    /// The client asks for itself.
    #[default]
    ClientCredentials,
    /// A person signs in with a browser.
    AuthorizationCode,
    /// A person types a code on another device.
    DeviceCode,
    /// There is a refresh token already.
    RefreshToken,
    /// IBM Cloud: an API key is exchanged.
    IbmApikey,
    /// The name and password of a user are exchanged: for services that have nothing better.
    Password,
}

impl Grant {
    /// As the configuration writes them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("client_credentials", Self::ClientCredentials),
        ("authorization_code", Self::AuthorizationCode),
        ("device", Self::DeviceCode),
        ("refresh_token", Self::RefreshToken),
        ("ibm_apikey", Self::IbmApikey),
        ("password", Self::Password),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, grant)| *grant == self).map_or("", |(name, _)| name)
    }

    /// Whether a person has to sign in once.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::DeviceCode)
    }
}

/// Where the password of a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Login {
    /// Among the parameters.
    #[default]
    Body,
    /// In the header `Authorization`.
    Basic,
}

/// How a request for a token is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Coding {
    /// As a form: what the standard says.
    #[default]
    Form,
    /// As a JSON map, without `grant_type`.
    Json,
}

impl Client {
    /// What its tokens were got for: with another, they do not count any more.
    fn fingerprint(&self) -> String {
        let mut about = serde_json::json!([
            self.grant.name(),
            self.token_url,
            self.client_id,
            self.client_secret,
            self.scopes,
            self.audience,
            self.extra
        ]);
        // Those that were kept before there were users stay what they are.
        if let Some(list) = about.as_array_mut().filter(|_| self.grant == Grant::Password) {
            list.extend([serde_json::json!(self.username), serde_json::json!(self.secret)]);
        }
        hex::encode(&Sha256::digest(about.to_string())[..8])
    }
}

/// Tokens as they are kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// What is sent.
    pub(super) access_token: String,
    /// What gets the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// When they were got.
    pub(super) got_at: Timestamp,
    /// When the access token expires, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    /// What may be done with them, as the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// The client that they were got for.
    #[serde(default)]
    client: String,
}

impl Tokens {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let Some(expires) = self.expires_at else { return true };
        let margin = MARGIN.min(expires.since(self.got_at) / 5);
        now < expires.minus(margin)
    }
}

/// Who keeps tokens, encrypted, and knows secrets by name.
pub trait Keeper: Send + Sync {
    /// What is kept under this name.
    fn kept(&self, name: &str) -> Option<String>;
    /// Keeps it, durably.
    fn keep(&self, name: &str, text: &str, at: &str) -> Result<(), String>;
    /// The value of a secret that is about to be sent there.
    fn secret(&self, name: &str, target: Target<'_>) -> Result<String, Failure>;
}

/// All clients of the configuration.
pub struct OAuth {
    clients: BTreeMap<String, Client>,
    keeper: Arc<dyn Keeper>,
    /// One for each client: who holds it gets tokens.
    locks: BTreeMap<String, Arc<Mutex<()>>>,
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuth").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// What is said where the configuration has no such client.
pub(super) fn unknown(name: &str, near: Option<&str>) -> Failure {
    let hint = near.map_or_else(
        || format!("add `[oauth2.{name}]` to `panta.toml`, and start anew"),
        |near| format!("did you mean `{near}`?"),
    );
    Failure::denied(format!("there is no OAuth2 client `{name}`; hint: {hint}"))
}

impl OAuth {
    /// For these clients.
    pub fn new(clients: BTreeMap<String, Client>, keeper: Arc<dyn Keeper>) -> Self {
        let locks = clients.keys().map(|name| (name.clone(), Arc::default())).collect();
        Self { clients, keeper, locks }
    }

    /// A client, by name.
    pub fn client(&self, name: &str) -> Result<&Client, Failure> {
        self.clients.get(name).ok_or_else(|| {
            let near = self.clients.keys().find(|known| known.eq_ignore_ascii_case(name));
            unknown(name, near.map(String::as_str))
        })
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.clients.iter().map(|(name, client)| (name.as_str(), client))
    }

    /// The tokens that are kept for a client and count for it as it is configured now.
    pub fn tokens(&self, name: &str) -> Option<Tokens> {
        let client = self.clients.get(name)?;
        let kept: Tokens = serde_json::from_str(&self.keeper.kept(name)?).ok()?;
        (kept.client == client.fingerprint()).then_some(kept)
    }

    /// A token that counts now, for a request to `target`. `refused` is one that the service did not take.
    pub(super) async fn token(
        self: &Arc<Self>,
        name: &str,
        target: &Url,
        refused: Option<&str>,
        clients: &Clients,
    ) -> Result<String, Failure> {
        let client = self.client(name)?;
        admit(name, client, target)?;
        if let Some(token) = self.fresh(name, refused) {
            return Ok(token);
        }
        let lock = Arc::clone(&self.locks[name]).lock_owned().await;
        if let Some(token) = self.fresh(name, refused) {
            return Ok(token);
        }
        let http = clients.get(&address(&client.token_url)?, Reach::Named)?;
        let (oauth, name) = (Arc::clone(self), name.to_owned());
        // Whoever waits may go: what the server has handed out is kept all the same.
        let asked = tokio::spawn(async move {
            let tokens = oauth.renew(&name, &http).await;
            drop(lock);
            tokens
        });
        let tokens = asked.await.map_err(|error| Failure::new("network", format!("no token was got: {error}")))?;
        tokens.map(|tokens| tokens.access_token)
    }

    fn fresh(&self, name: &str, refused: Option<&str>) -> Option<String> {
        let tokens = self.tokens(name)?;
        let counts = tokens.is_fresh(SystemClock.now()) && refused != Some(tokens.access_token.as_str());
        counts.then_some(tokens.access_token)
    }

    /// Gets tokens anew, by what is kept or configured, and keeps them.
    async fn renew(&self, name: &str, http: &reqwest::Client) -> Result<Tokens, Failure> {
        let client = self.client(name)?;
        let refresh = match client.grant {
            Grant::ClientCredentials | Grant::IbmApikey | Grant::Password => None,
            Grant::AuthorizationCode | Grant::DeviceCode | Grant::RefreshToken => Some(self.refresh_token(name)?),
        };
        let form = match (client.grant, &refresh) {
            (Grant::IbmApikey, _) => vec![("grant_type", "urn:ibm:params:oauth:grant-type:apikey".to_owned())],
            (Grant::Password, _) => self.with_password(client)?,
            (_, Some(token)) => vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.clone())],
            (_, None) => vec![("grant_type", "client_credentials".to_owned())],
        };
        let tokens = self.ask(name, http, form).await?;
        self.keep(name, Tokens { refresh_token: tokens.refresh_token.clone().or(refresh), ..tokens }).await
    }

    /// The user's name and password, for the server that hands out tokens alone.
    fn with_password(&self, client: &Client) -> Result<Vec<(&'static str, String)>, Failure> {
        let target = address(&client.token_url)?;
        let mut form = vec![("grant_type", "password".to_owned())];
        form.extend(client.username.clone().map(|name| ("username", name)));
        if let Some(secret) = &client.secret {
            form.push(("password", self.keeper.secret(secret, target_of(&target))?));
        }
        Ok(form)
    }

    fn refresh_token(&self, name: &str) -> Result<String, Failure> {
        let client = self.client(name)?;
        if let Some(token) = self.tokens(name).and_then(|tokens| tokens.refresh_token) {
            return Ok(token);
        }
        let target = address(&client.token_url)?;
        match (&client.refresh_token, client.grant) {
            (Some(secret), _) => self.keeper.secret(secret, target_of(&target)),
            (None, _) => Err(Failure::denied(format!(
                "nobody has signed in for `{name}`, or what was got does not count any more; hint: `panta connect {name}`"
            ))),
        }
    }

    /// Keeps tokens. What is returned is durable.
    async fn keep(&self, name: &str, tokens: Tokens) -> Result<Tokens, Failure> {
        let tokens = Tokens { client: self.client(name)?.fingerprint(), ..tokens };
        let text = serde_json::to_string(&tokens).expect("texts and numbers");
        let (keeper, owned, at) = (Arc::clone(&self.keeper), name.to_owned(), SystemClock.now().to_string());
        let kept = super::file::off_thread(move || Ok(keeper.keep(&owned, &text, &at))).await?;
        kept.map_err(|why| Failure::new("file", format!("the token of `{name}` cannot be kept: {why}")).retryable())?;
        Ok(tokens)
    }
}

/// Whether a token of this client may go there.
fn admit(name: &str, client: &Client, target: &Url) -> Result<(), Failure> {
    let (host, port) = host_and_port(target).unwrap_or_default();
    if client.hosts.iter().any(|pattern| pattern.matches(host, port)) {
        return Ok(());
    }
    let shown = target.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let message = format!("the tokens of `{name}` are not for `{shown}`");
    Err(Failure::denied(format!(
        "{message}; hint: add \"{shown}\" to `hosts` of `[oauth2.{name}]`, if they are meant to go there"
    )))
}

fn address(text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| Failure::invalid(format!("`{text}` is no address: {error}")))
}

fn target_of(url: &Url) -> Target<'_> {
    let (name, port) = host_and_port(url).unwrap_or_default();
    Target::Host { name, port }
}

/// The host, for messages.
fn host(url: &Url) -> String {
    fault::peer(url)
}
