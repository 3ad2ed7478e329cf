//! What is sent, made from a request and its secrets.

use std::borrow::Cow;
use std::cell::RefCell;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Body, HttpRequest};
use crate::effect::net::host_and_port;
use crate::effect::{Failure, Secrets, Target};

/// Set by the connection, from URL and body; a script that sets them would smuggle requests or evade `allow`.
const OWN_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];

/// A header as it is sent.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    /// Not for another host than the first.
    pub(super) confidential: bool,
}

/// The target of a request to `url`, which was admitted and so has a host.
pub(in crate::effect) fn target(url: &Url) -> Target<'_> {
    let (name, port) = host_and_port(url).unwrap_or_default();
    Target::Host { name, port }
}

/// The address to call, its secrets and query filled in. `first` is its text with placeholders, parsed and admitted.
pub(super) fn address(request: &HttpRequest, first: &Url, secrets: &dyn Secrets) -> Result<Url, Failure> {
    let target = target(first);
    let mut url = match secrets.resolve(&request.url, target)? {
        Cow::Borrowed(_) => first.clone(),
        Cow::Owned(text) => parse(&text)?,
    };
    if url.origin() != first.origin() {
        let why = "a secret in the URL changes its host";
        return Err(Failure::denied(format!("{why}; hint: write scheme, host and port of the URL in plain")));
    }
    let query = resolve_pairs(&request.query, target, secrets)?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url.set_fragment(None);
    Ok(url)
}

thread_local! {
    /// The address that was read last: most requests go where the one before has gone.
    static LAST: RefCell<Option<(String, Url)>> = const { RefCell::new(None) };
}

/// Addresses that are kept are not longer, in bytes.
const LONGEST_KEPT: usize = 2 << 10;

/// Reads the address of a request as its script wrote it, with placeholders where secrets are to be.
pub(super) fn written(text: &str) -> Result<Url, Failure> {
    let known = LAST.with_borrow(|last| last.as_ref().filter(|(known, _)| known == text).map(|(_, url)| url.clone()));
    if let Some(url) = known {
        return Ok(url);
    }
    let url = parse(text)?;
    if text.len() <= LONGEST_KEPT {
        LAST.set(Some((text.to_owned(), url.clone())));
    }
    Ok(url)
}

/// Reads a URL. The error does not show it: it may hold a secret.
pub(in crate::effect) fn parse(text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| {
        Failure::invalid(format!("the URL cannot be read: {error}; hint: it looks like `https://example.com/path`"))
    })
}

/// The headers of the script and of `auth`.
pub(super) fn headers(request: &HttpRequest, url: &Url, secrets: &dyn Secrets) -> Result<Vec<Header>, Failure> {
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        let resolved = secrets.resolve(value, target(url))?;
        headers.push(header(name, &resolved, resolved != *value)?);
    }
    if let Some(auth) = &request.auth {
        headers.retain(|header: &Header| header.name != AUTHORIZATION);
        headers.extend(auth.fixed(url, secrets)?.map(|value| header("authorization", &value, true)).transpose()?);
    }
    Ok(headers)
}

/// A header, checked. `secret`: it goes to no other host than the first.
pub(super) fn header(name: &str, value: &str, secret: bool) -> Result<Header, Failure> {
    let bad = |why: &str, hint: &str| Failure::invalid(format!("the header `{name}` {why}; hint: {hint}"));
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is no header name", "use letters, digits and `-`"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(bad("is set by the connection", "leave it out"));
    }
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        bad("has a line break or control character in its value", "remove it, for example with `trim()`")
    })?;
    let confidential = secret || matches!(parsed.as_str(), "authorization" | "cookie" | "proxy-authorization");
    value.set_sensitive(confidential);
    Ok(Header { name: parsed, value, confidential })
}

/// The bytes of a body for this host, and the content type that they have unless a header says otherwise.
pub(super) fn body(body: &Body, url: &Url, secrets: &dyn Secrets) -> Result<Option<(Vec<u8>, &'static str)>, Failure> {
    let target = target(url);
    Ok(Some(match body {
        // What is streamed is made in `upload`.
        Body::None | Body::File(_) | Body::Multipart(_) => return Ok(None),
        Body::Json(text) => (resolve_json(text, target, secrets)?.into_bytes(), "application/json"),
        Body::Text(text) => (secrets.resolve(text, target)?.into_owned().into_bytes(), "text/plain; charset=utf-8"),
        Body::Form(fields) => {
            let fields = resolve_pairs(fields, target, secrets)?;
            let pairs = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
            (encode_form(pairs).into_bytes(), "application/x-www-form-urlencoded")
        }
        Body::Bytes(bytes) => (bytes.clone(), "application/octet-stream"),
    }))
}

/// Whether there is a header of this name.
pub(super) fn has(headers: &[Header], name: &str) -> bool {
    headers.iter().any(|header| header.name == name)
}

type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

fn resolve_pairs<'t>(
    pairs: &'t [(String, String)],
    target: Target<'_>,
    secrets: &dyn Secrets,
) -> Result<Vec<Pair<'t>>, Failure> {
    pairs.iter().map(|(name, value)| Ok((secrets.resolve(name, target)?, secrets.resolve(value, target)?))).collect()
}

/// Names and values as a form has them.
pub(in crate::effect) fn encode_form<'t>(fields: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut url = Url::parse("http://form.invalid/").expect("a literal URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// Placeholders in JSON are replaced string by string: a value may hold quotes.
fn resolve_json(text: &str, target: Target<'_>, secrets: &dyn Secrets) -> Result<String, Failure> {
    if secrets.resolve(text, target)? == *text {
        return Ok(text.to_owned());
    }
    let mut value: Value = serde_json::from_str(text)
        .map_err(|error| Failure::invalid(format!("the body is no JSON: {error}; hint: send it as text")))?;
    each_string(&mut value, &mut |text| {
        let resolved = secrets.resolve(text, target)?.into_owned();
        *text = resolved;
        Ok(())
    })?;
    Ok(value.to_string())
}

fn each_string<E>(value: &mut Value, act: &mut impl FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
    match value {
        Value::String(text) => act(text),
        Value::Array(items) => items.iter_mut().try_for_each(|item| each_string(item, act)),
        Value::Object(map) => map.values_mut().try_for_each(|item| each_string(item, act)),
        _ => Ok(()),
    }
}

/// User and password among these headers, as they are sent.
pub(super) fn basic(headers: &[Header]) -> Option<String> {
    let header = headers.iter().find(|header| header.name == AUTHORIZATION)?;
    let text = header.value.to_str().ok()?.strip_prefix("Basic ")?;
    (!text.is_empty()).then(|| text.to_owned())
}
