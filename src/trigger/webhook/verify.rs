//! The ways in which senders prove who they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::Error;
use crate::time::Timestamp;

/// How far a signed time may be from now, either way: what Stripe, Slack and Standard Webhooks prescribe.
pub const WINDOW_S: u64 = 300;

/// How a request proves who sent it. The secret is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "lowercase")]
pub enum Verify {
    /// `X-Hub-Signature-256`; deliveries are told apart by `X-GitHub-Delivery`.
    Github,
    /// `Stripe-Signature` with a time and any number of signatures; the id is that of the event in the body.
    Stripe,
    /// `X-Slack-Signature` over version, time and body; the id is `event_id` in the body, where there is one.
    Slack,
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`; the secret is `whsec_…`.
    Standard,
    /// `X-Shopify-Hmac-Sha256`; deliveries are told apart by `X-Shopify-Webhook-Id`.
    Shopify,
    /// A keyed hash of the body in a header.
    Hmac {
        /// The header's name.
        header: String,
        /// The hash.
        algorithm: Algorithm,
        /// How the hash is written.
        encoding: Encoding,
        /// What stands before it, such as `sha256=`.
        #[serde(default)]
        prefix: String,
    },
    /// `Authorization: Bearer` with the secret.
    Bearer,
    /// `Authorization: Basic` with this user and the secret as password.
    Basic {
        /// The user's name.
        user: String,
    },
    /// The secret as it is, in a header.
    Token {
        /// The header's name.
        header: String,
    },
}

/// A keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// How bytes are written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two hexadecimal digits a byte, in either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// A request that is from whom it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What a repeated delivery has in common with the first one, where the scheme has that.
    pub delivery_id: Option<String>,
}

/// Why a request was turned away. Safe to show to the sender: it says nothing of the secret or of the right signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A header is not there.
    #[error("the header `{0}` is missing")]
    Missing(String),
    /// A header is there more than once.
    #[error("the header `{0}` is there more than once")]
    Repeated(String),
    /// A header cannot be read.
    #[error("the header `{0}` cannot be read")]
    Malformed(String),
    /// The signed time is too far from now.
    #[error("the signed time is more than {WINDOW_S} s from now")]
    OutsideWindow,
    /// The signature, token or password is wrong.
    #[error("the signature does not match")]
    Wrong,
    /// The secret of this side cannot be used: a fault of the operator.
    #[error("the webhook's secret is {0}")]
    Secret(&'static str),
}

/// The schemes with a name of their own.
const NAMED: [(&str, Verify); 5] = [
    ("github", Verify::Github),
    ("stripe", Verify::Stripe),
    ("slack", Verify::Slack),
    ("standard", Verify::Standard),
    ("shopify", Verify::Shopify),
];

impl Verify {
    /// The scheme of `hmac(name, secret)`.
    pub fn named(name: &str) -> Result<Self, Error> {
        if let Some((_, verify)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(verify.clone());
        }
        let names: Vec<_> = NAMED.iter().map(|(known, _)| format!("`{known}`")).collect();
        let hint = format!("schemes are {}; others are `#{{ header, algorithm, encoding, secret }}`", names.join(", "));
        Err(Error::Verify { reason: format!("the scheme `{name}` is unknown"), hint })
    }

    /// A keyed hash of the body in a header, from the script's words.
    pub fn hmac(header: &str, algorithm: &str, encoding: &str, prefix: &str) -> Result<Self, Error> {
        let fault = |reason: String, hint: &str| Error::Verify { reason, hint: hint.to_owned() };
        let algorithm = match algorithm.to_ascii_lowercase().replace('-', "").as_str() {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(fault(format!("the algorithm `{algorithm}` is unknown"), "write `sha256` or `sha512`")),
        };
        let encoding = match encoding.to_ascii_lowercase().as_str() {
            "hex" => Encoding::Hex,
            "base64" => Encoding::Base64,
            _ => return Err(fault(format!("the encoding `{encoding}` is unknown"), "write `hex` or `base64`")),
        };
        if header.is_empty() || !header.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return Err(fault(format!("`{header}` is not the name of a header"), "write a name such as `X-Signature`"));
        }
        Ok(Self::Hmac { header: header.to_owned(), algorithm, encoding, prefix: prefix.to_owned() })
    }

    /// Checks a request whose body is at hand. `headers` as they came, `secret` as it was set.
    pub fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        secret: &[u8],
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let mut checking = self.begin(headers, secret, now)?;
        checking.update(body);
        checking.finish(Some(body))
    }

    /// Begins to check a request by its headers, before anything of its body was read: what cannot be right by them is
    /// refused at once. The body is handed over piece by piece.
    pub fn begin(&self, headers: &[(String, String)], secret: &[u8], now: Timestamp) -> Result<Checking, Refused> {
        if secret.is_empty() {
            return Err(Refused::Secret("empty"));
        }
        let request = Request { headers, now };
        match self {
            Self::Github => {
                let delivery = request.delivery("X-GitHub-Delivery");
                request.plain("X-Hub-Signature-256", "sha256=", Algorithm::Sha256, Encoding::Hex, secret, delivery)
            }
            Self::Shopify => {
                let delivery = request.delivery("X-Shopify-Webhook-Id");
                request.plain("X-Shopify-Hmac-Sha256", "", Algorithm::Sha256, Encoding::Base64, secret, delivery)
            }
            Self::Hmac { header, algorithm, encoding, prefix } => {
                request.plain(header, prefix, *algorithm, *encoding, secret, Delivery::None)
            }
            Self::Stripe => request.stripe(secret),
            Self::Slack => request.slack(secret),
            Self::Standard => request.standard(secret),
            Self::Bearer => request.authorization("Bearer", |token| same_text(token.as_bytes(), secret)),
            Self::Basic { user } => request.authorization("Basic", |given| {
                let expected = [user.as_bytes(), b":", secret].concat();
                STANDARD.decode(given).map_or(Choice::from(0), |given| same_text(&given, &expected))
            }),
            Self::Token { header } => {
                decide(same_text(request.header(header)?.as_bytes(), secret))?;
                Ok(Checking { hash: None, delivery: Delivery::None })
            }
        }
    }
}

/// What came, and when.
struct Request<'a> {
    headers: &'a [(String, String)],
    now: Timestamp,
}

/// Where the id of a delivery is.
enum Delivery {
    None,
    Is(String),
    /// A text of the body, which is looked into only once it is known to be the sender's.
    InBody(&'static str),
}

/// A request whose body is on its way.
pub struct Checking {
    /// The keyed hash so far, and the signatures of which one must be it; nothing where the headers said all.
    hash: Option<(Keyed, Vec<Vec<u8>>)>,
    delivery: Delivery,
}

impl Checking {
    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some((hash, _)) = &mut self.hash {
            hash.update(piece);
        }
    }

    /// Decides. `body` is all of it where it is at hand: some schemes have the id of a delivery in it.
    pub fn finish(self, body: Option<&[u8]>) -> Result<Verified, Refused> {
        if let Some((hash, given)) = self.hash {
            decide(any_matches(&hash.finish(), &given))?;
        }
        let delivery_id = match self.delivery {
            Delivery::None => None,
            Delivery::Is(id) => Some(id),
            Delivery::InBody(key) => body.and_then(|body| text_in(body, key)),
        };
        Ok(Verified { delivery_id })
    }
}

impl<'a> Request<'a> {
    fn header(&self, name: &str) -> Result<&'a str, Refused> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.next().ok_or_else(|| Refused::Missing(name.to_owned()))?;
        if found.next().is_some() {
            return Err(Refused::Repeated(name.to_owned()));
        }
        Ok(value.trim())
    }

    fn delivery(&self, name: &str) -> Delivery {
        let id = self.header(name).ok().filter(|value| !value.is_empty());
        id.map_or(Delivery::None, |id| Delivery::Is(id.to_owned()))
    }

    fn plain(
        &self,
        name: &str,
        prefix: &str,
        algorithm: Algorithm,
        encoding: Encoding,
        secret: &[u8],
        delivery: Delivery,
    ) -> Result<Checking, Refused> {
        let malformed = || Refused::Malformed(name.to_owned());
        let written = self.header(name)?.strip_prefix(prefix).ok_or_else(malformed)?;
        let given = encoding.decode(written).ok_or_else(malformed)?;
        Ok(Checking { hash: Some((algorithm.keyed(secret, &[]), vec![given])), delivery })
    }

    fn stripe(&self, secret: &[u8]) -> Result<Checking, Refused> {
        let name = "Stripe-Signature";
        let malformed = || Refused::Malformed(name.to_owned());
        let fields: Vec<(&str, &str)> =
            self.header(name)?.split(',').filter_map(|field| field.trim().split_once('=')).collect();
        let all = |key: &'static str| fields.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value);
        let (Some(time), None) = (all("t").next(), all("t").nth(1)) else { return Err(malformed()) };
        self.within_window(time, name)?;
        let given = all("v1").filter_map(|signature| Encoding::Hex.decode(signature)).collect();
        let hash = Algorithm::Sha256.keyed(secret, &[time.as_bytes(), b"."]);
        Ok(Checking { hash: Some((hash, given)), delivery: Delivery::InBody("id") })
    }

    fn slack(&self, secret: &[u8]) -> Result<Checking, Refused> {
        let (name, time_name) = ("X-Slack-Signature", "X-Slack-Request-Timestamp");
        let malformed = || Refused::Malformed(name.to_owned());
        let given =
            self.header(name)?.strip_prefix("v0=").and_then(|hex| Encoding::Hex.decode(hex)).ok_or_else(malformed)?;
        let time = self.header(time_name)?;
        self.within_window(time, time_name)?;
        let hash = Algorithm::Sha256.keyed(secret, &[b"v0:", time.as_bytes(), b":"]);
        Ok(Checking { hash: Some((hash, vec![given])), delivery: Delivery::InBody("event_id") })
    }

    fn standard(&self, secret: &[u8]) -> Result<Checking, Refused> {
        let written = secret.strip_prefix(b"whsec_").unwrap_or(secret);
        let key = STANDARD.decode(written).map_err(|_| Refused::Secret("not base64 after `whsec_`"))?;
        let (id, time) = (self.header("webhook-id")?, self.header("webhook-timestamp")?);
        let signatures = self.header("webhook-signature")?;
        self.within_window(time, "webhook-timestamp")?;
        let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        let given = given.filter_map(|signature| Encoding::Base64.decode(signature)).collect();
        let hash = Algorithm::Sha256.keyed(&key, &[id.as_bytes(), b".", time.as_bytes(), b"."]);
        Ok(Checking { hash: Some((hash, given)), delivery: Delivery::Is(id.to_owned()) })
    }

    fn authorization(&self, scheme: &str, check: impl Fn(&str) -> Choice) -> Result<Checking, Refused> {
        let malformed = || Refused::Malformed("Authorization".to_owned());
        let (given_scheme, given) = self.header("Authorization")?.split_once(' ').ok_or_else(malformed)?;
        if !given_scheme.eq_ignore_ascii_case(scheme) {
            return Err(malformed());
        }
        decide(check(given.trim()))?;
        Ok(Checking { hash: None, delivery: Delivery::None })
    }

    fn within_window(&self, time: &str, name: &str) -> Result<(), Refused> {
        let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let signed: i64 =
            digits.then(|| time.parse().ok()).flatten().ok_or_else(|| Refused::Malformed(name.to_owned()))?;
        if self.now.0.div_euclid(1000).abs_diff(signed) > WINDOW_S { Err(Refused::OutsideWindow) } else { Ok(()) }
    }
}

fn text_in(body: &[u8], key: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.get(key)?.as_str().map(str::to_owned)
}

/// A keyed hash on its way.
enum Keyed {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Algorithm {
    /// The hash of these parts, to be gone on with.
    fn keyed(self, secret: &[u8], parts: &[&[u8]]) -> Keyed {
        let mut hash = match self {
            Self::Sha256 => Keyed::Sha256(KeyInit::new_from_slice(secret).expect("a key of any length")),
            Self::Sha512 => Keyed::Sha512(KeyInit::new_from_slice(secret).expect("a key of any length")),
        };
        for part in parts {
            hash.update(part);
        }
        hash
    }
}

impl Keyed {
    fn update(&mut self, part: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(part),
            Self::Sha512(hash) => hash.update(part),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.finalize().into_bytes().to_vec(),
            Self::Sha512(hash) => hash.finalize().into_bytes().to_vec(),
        }
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }
}

/// Whether any of the signatures is the expected one; all are looked at.
fn any_matches(expected: &[u8], given: &[Vec<u8>]) -> Choice {
    given.iter().fold(Choice::from(0), |found, signature| found | expected.ct_eq(signature))
}

/// Compares hashes, so that not even the length of the secret shows in the time taken.
fn same_text(given: &[u8], expected: &[u8]) -> Choice {
    Sha256::digest(given).ct_eq(&Sha256::digest(expected))
}

fn decide(matches: Choice) -> Result<(), Refused> {
    if matches.into() { Ok(()) } else { Err(Refused::Wrong) }
}

#[cfg(test)]
mod tests;
