//! One request for tokens, and what its answer says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::{Client, Coding, Grant, Login, OAuth, Tokens, address, host, target_of};
use crate::effect::Failure;
use crate::effect::http::{encode_form, fault};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// For a request to the authorization server. 30 s: as for other requests.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer. 256 KiB: tokens with many claims have some ten.
const LONGEST: usize = 256 << 10;

/// What an authorization server answers.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Value,
}

impl Answer {
    /// The error code, also of servers that answer 200 with one.
    pub(super) fn error(&self) -> Option<&str> {
        let named = ["error", "errorCode"].iter().find_map(|key| self.json[*key].as_str());
        named.or_else(|| (self.status >= 400).then_some("refused"))
    }
}

type Form = Vec<(&'static str, String)>;

impl OAuth {
    /// Asks for tokens; what is returned is not kept yet.
    pub(super) async fn ask(&self, name: &str, http: &reqwest::Client, form: Form) -> Result<Tokens, Failure> {
        let client = self.client(name)?;
        let answer = self.post(name, http, &client.token_url, form).await?;
        if let Some(error) = answer.error() {
            return Err(refused(name, client, error, &answer));
        }
        tokens(&answer.json, SystemClock.now()).ok_or_else(|| {
            let message = format!("what `{}` answered has no `access_token`", client.token_url);
            Failure::new("network", format!("{message}; hint: check `token_url` of `[oauth2.{name}]`"))
        })
    }

    /// Posts a form with the client's name and password.
    pub(super) async fn post(
        &self,
        name: &str,
        http: &reqwest::Client,
        url: &str,
        mut form: Form,
    ) -> Result<Answer, Failure> {
        let client = self.client(name)?;
        let url = address(url)?;
        let secret = client.client_secret.as_deref().map(|secret| self.keeper.secret(secret, target_of(&url)));
        let secret = secret.transpose()?;
        let mut request = http.post(url.clone()).header(ACCEPT, "application/json");
        match (client.grant, &secret, client.login) {
            (Grant::IbmApikey, Some(key), _) => form.push(("apikey", key.clone())),
            (_, Some(secret), Login::Basic) => {
                let user = client.client_id.clone().unwrap_or_default();
                let login = STANDARD.encode(format!("{}:{}", plus(&user), plus(secret)));
                request = request.header(AUTHORIZATION, format!("Basic {login}"));
            }
            (_, secret, _) => {
                form.extend(client.client_id.clone().map(|id| ("client_id", id)));
                form.extend(secret.clone().map(|secret| ("client_secret", secret)));
            }
        }
        let anew = ["client_credentials", "password"];
        let asks_anew = form.iter().any(|(key, value)| *key == "grant_type" && anew.contains(&value.as_str()));
        if asks_anew && !client.scopes.is_empty() {
            form.push(("scope", client.scopes.join(" ")));
        }
        if asks_anew {
            form.extend(client.audience.clone().map(|audience| ("audience", audience)));
        }
        let extra = client.extra.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let fields = form.iter().map(|(key, value)| (*key, value.as_str())).chain(extra);
        let (mime, body) = match client.body {
            Coding::Form => ("application/x-www-form-urlencoded", encode_form(fields)),
            // What no standard asks for has no `grant_type`.
            Coding::Json => {
                let fields = fields.filter(|(key, _)| *key != "grant_type");
                let map: Map<_, _> = fields.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
                ("application/json", Value::Object(map).to_string())
            }
        };
        let request = request.header(CONTENT_TYPE, mime).body(body);
        let answered = tokio::time::timeout(PATIENCE, read(request, &url));
        answered.await.unwrap_or_else(|_| Err(unreachable(&url, "it did not answer in time")))
    }
}

/// A part of `Authorization: Basic` of a client: encoded as in a form (RFC 6749, 2.3.1).
fn plus(text: &str) -> String {
    encode_form([(text, "")].into_iter()).trim_end_matches('=').to_owned()
}

async fn read(request: reqwest::RequestBuilder, url: &reqwest::Url) -> Result<Answer, Failure> {
    let broke = |error: reqwest::Error| unreachable(url, &fault::cause(&error));
    let mut response = request.send().await.map_err(broke)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broke)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST {
            return Err(unreachable(url, "its answer is too long"));
        }
    }
    let status = response.status().as_u16();
    if status >= 500 || status == 429 {
        return Err(unreachable(url, &format!("it answered {status}")));
    }
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(Answer { status, json })
}

/// Nothing has gone to the service that was to be called, so all of it may be tried again.
fn unreachable(url: &reqwest::Url, why: &str) -> Failure {
    let message = format!("no token can be got of `{}`: {why}", host(url));
    Failure::new("network", format!("{message}; hint: check that the service is up")).retryable()
}

pub(super) fn refused(name: &str, client: &Client, error: &str, answer: &Answer) -> Failure {
    let said = ["error_description", "errorMessage"].iter().find_map(|key| answer.json[*key].as_str());
    let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
    let hint = match error {
        _ if client.grant == Grant::Password => {
            format!("check `username` and the secret that `secret` of `[oauth2.{name}]` names")
        }
        _ if client.grant == Grant::IbmApikey => {
            format!("check the API key, which is the secret that `client_secret` of `[oauth2.{name}]` names")
        }
        "invalid_grant" if client.grant != Grant::ClientCredentials => {
            format!("what was agreed to has ended: `panta connect {name}`")
        }
        "invalid_client" | "unauthorized_client" => {
            format!("check `client_id` and the secret that `client_secret` of `[oauth2.{name}]` names")
        }
        _ => format!("check `[oauth2.{name}]`"),
    };
    let host = address(&client.token_url).map(|url| super::host(&url)).unwrap_or_default();
    Failure::denied(format!("`{host}` gives no token for `{name}`: {error}{said}; hint: {hint}"))
}

/// Tokens of an answer. Slack has those of a person one level deeper.
pub(super) fn tokens(json: &Value, now: Timestamp) -> Option<Tokens> {
    let json = if json["access_token"].is_string() || json["token"].is_string() { json } else { &json["authed_user"] };
    let text = |key: &str| json[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let seconds = match &json["expires_in"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64().map(|seconds| seconds as u64),
    };
    Some(Tokens {
        // Services of their own kind hand out a `token`.
        access_token: text("access_token").or_else(|| text("token"))?,
        // IBM's answer to those that get none.
        refresh_token: text("refresh_token").filter(|token| token != "not_supported"),
        got_at: now,
        expires_at: seconds.map(|seconds: u64| now.plus(Duration::from_secs(seconds))),
        scope: text("scope"),
        client: String::new(),
    })
}
