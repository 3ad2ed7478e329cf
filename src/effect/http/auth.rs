//! How a request says who asks. A token or a password is a header like others; what signs a request looks at all of it, so it
//! is done for each hop, when the rest is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Url};
use serde::Serialize;

use super::azure::{self, Scheme};
use super::message::{self, Header};
use super::{Means, aws};
use crate::effect::{Attempt, Failure, Secrets};
use crate::time::{Clock as _, SystemClock};

/// How a request says who asks. Texts may hold placeholders for secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A token.
    Bearer(String),
    /// User and password.
    Basic(String, String),
    /// The signature of AWS, version 4.
    Aws(Box<AwsKeys>),
    /// The shared key of an Azure storage account.
    Azure(Box<AzureKey>),
    /// A token of `[oauth2.NAME]` of the configuration.
    #[serde(rename = "oauth2")]
    OAuth2(String),
}

/// Credentials of AWS, and what they are used for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AwsKeys {
    /// `s3`, `sqs`, …
    pub service: String,
    /// `eu-central-1`, …
    pub region: String,
    /// The id of the access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Of temporary credentials.
    pub token: Option<String>,
}

/// A key of an Azure storage account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AzureKey {
    /// The account's name.
    pub account: String,
    /// Its key, in base64.
    pub key: String,
    /// Whether it is the table service.
    pub scheme: Scheme,
}

impl Auth {
    /// The address as this way of signing wants it sent.
    pub(super) fn address(&self, url: &Url) -> Url {
        if matches!(self, Self::Aws(_)) { aws::canonical(url) } else { url.clone() }
    }

    /// The `Authorization` header of a way that does not look at the request.
    pub(super) fn fixed(&self, url: &Url, secrets: &dyn Secrets) -> Result<Option<String>, Failure> {
        let resolve = |text| secrets.resolve(text, message::target(url));
        Ok(match self {
            Self::Bearer(token) => Some(format!("Bearer {}", resolve(token)?)),
            Self::Basic(user, password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{}:{}", resolve(user)?, resolve(password)?))))
            }
            Self::Aws(_) | Self::Azure(_) | Self::OAuth2(_) => None,
        })
    }
}

/// A request that is ready but for what says who asks.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a [Header],
    /// The SHA-256 of the body in hex; `None`: nobody knows it beforehand.
    pub(super) hash: Option<String>,
    /// Bytes of the body.
    pub(super) length: u64,
}

impl Unsigned<'_> {
    /// Headers whose values are signed: what the services look at, and what they are told.
    fn signed(&self) -> Vec<(String, String)> {
        let text = |header: &Header| String::from_utf8_lossy(header.value.as_bytes()).into_owned();
        let others = ["idempotency-key", "traceparent", "tracestate", "authorization", "user-agent"];
        let kept = self.headers.iter().filter(|header| !others.contains(&header.name.as_str()));
        kept.map(|header| (header.name.as_str().to_owned(), text(header))).collect()
    }
}

/// What signs a request: its headers. Empty where the way of saying who asks is [`Auth::fixed`].
pub(super) async fn sign(
    auth: &Auth,
    request: &Unsigned<'_>,
    attempt: &Attempt<'_>,
    means: &Means<'_>,
    refused: Option<&str>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let resolve = |text| attempt.secrets.resolve(text, message::target(request.url));
    let (url, at) = (request.url, SystemClock.now());
    match auth {
        Auth::Bearer(_) | Auth::Basic(..) => Ok(Vec::new()),
        Auth::Aws(keys) => {
            let (key, secret) = (resolve(&keys.key)?, resolve(&keys.secret)?);
            let token = keys.token.as_deref().map(resolve).transpose()?;
            let (service, region) = (keys.service.as_str(), keys.region.as_str());
            let signer = aws::Signer { key: &key, secret: &secret, token: token.as_deref(), service, region, at };
            let payload = request.hash.as_deref().unwrap_or(aws::UNSIGNED);
            let headers = request.signed();
            Ok(signer.sign(&aws::Signed { method: request.method.as_str(), url, headers: &headers, payload }))
        }
        Auth::Azure(azure) => {
            let (account, key) = (resolve(&azure.account)?, resolve(&azure.key)?);
            let signer = azure::Signer { account: &account, key: &key, scheme: azure.scheme, at };
            let (method, length) = (request.method.as_str(), request.length);
            signer.sign(&azure::Signed { method, url, headers: &request.signed(), length })
        }
        Auth::OAuth2(name) => {
            attempt.allow.admit_secret(&format!("oauth2:{name}"))?;
            let oauth = means.oauth.ok_or_else(|| crate::effect::oauth::unknown(name, None))?;
            let token = oauth.token(name, url, refused, means.clients).await?;
            Ok(vec![("authorization", format!("Bearer {token}"))])
        }
    }
}
