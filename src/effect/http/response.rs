//! Reading a response: bounded, decoded by its content type, or streamed to a file.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::{HttpBody, HttpReply, fault};
use crate::effect::file::{FileStat, Spot, Staged, off_thread};
use crate::effect::scrub::Scrub;
use crate::effect::{Failure, Field, Limits};
use crate::time::{Clock, SystemClock, Timestamp};

/// A day: a peer must not park a run for years.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Bytes that are handed to the disk at a time: few enough to hold, enough to be worth a change of thread.
const CHUNK_BYTES: usize = 256 << 10;

/// The response as a value.
pub(super) async fn read(mut response: Response, url: &Url, max_bytes: u64) -> Result<HttpReply, Failure> {
    let hint = "raise `max_bytes`, or stream it to a file with `save_to`";
    announced(&response, url, max_bytes, hint)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault::interrupted(&error, url))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > max_bytes {
            return Err(too_large(url, max_bytes, hint));
        }
    }
    let body = decode(response.headers(), bytes).await;
    Ok(reply(&response, url, body))
}

/// The response, its body in a file.
pub(super) async fn save(
    mut response: Response,
    url: &Url,
    max_bytes: u64,
    spot: &Spot,
    key: &str,
) -> Result<HttpReply, Failure> {
    let hint = "raise `max_bytes`";
    announced(&response, url, max_bytes, hint)?;
    let mut download = Download::start(spot.clone(), key.to_owned()).await.map_err(Failure::maybe_sent)?;
    while let Some(chunk) = response.chunk().await.map_err(|error| fault::interrupted(&error, url))? {
        download.size += chunk.len() as u64;
        if download.size > max_bytes {
            return Err(too_large(url, max_bytes, hint));
        }
        download.buffer.extend_from_slice(&chunk);
        if download.buffer.len() >= CHUNK_BYTES {
            download = download.write().await.map_err(Failure::maybe_sent)?;
        }
    }
    let stat = download.finish().await.map_err(Failure::maybe_sent)?;
    Ok(reply(&response, url, HttpBody::Saved(stat)))
}

/// A file on its way in.
struct Download {
    staged: Staged,
    hash: Sha256,
    size: u64,
    buffer: Vec<u8>,
}

impl Download {
    async fn start(spot: Spot, key: String) -> Result<Self, Failure> {
        let staged = off_thread(move || Staged::create(&spot, &key)).await?;
        Ok(Self { staged, hash: Sha256::new(), size: 0, buffer: Vec::with_capacity(CHUNK_BYTES) })
    }

    async fn write(mut self) -> Result<Self, Failure> {
        off_thread(move || {
            self.hash.update(&self.buffer);
            self.staged.write(&self.buffer)?;
            self.buffer.clear();
            Ok(self)
        })
        .await
    }

    async fn finish(self) -> Result<FileStat, Failure> {
        let Self { staged, hash, .. } = self.write().await?;
        off_thread(move || staged.finish(Some(hex::encode(hash.finalize())))).await
    }
}

/// The failure that a status of 400 and up is, without secrets: what is cut off must not leave the beginning of one.
pub(super) async fn refused(
    mut response: Response,
    method: &Method,
    url: &Url,
    limits: &Limits,
    scrub: &Scrub<'_>,
) -> Failure {
    let most = usize::try_from(limits.error_body_bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    // What is there of the body is shown, also when the connection breaks in it: the status is the news.
    let is_whole = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            ended => break ended.is_ok(),
        }
        if bytes.len() > most {
            bytes.truncate(most);
            break false;
        }
    };
    let status = response.status().as_u16();
    let body = decode(response.headers(), bytes).await;
    let body = match if is_whole { body } else { scrub.cut(body) } {
        HttpBody::Json(text) => Field::Json(text),
        HttpBody::Text(text) => Field::Text(text),
        HttpBody::Bytes(bytes) => Field::Bytes(bytes),
        HttpBody::Empty | HttpBody::Saved(_) => Field::Unit,
    };
    let reason = response.status().canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default();
    let message = format!("{method} `{}` answered {status}{reason}; hint: {}", fault::shown(url), hint(status));
    let failure = Failure::new("http", message)
        .with("status", Field::Int(status.into()))
        .with("body", body)
        .with("headers", Field::Map(headers(response.headers())));
    Failure {
        retryable: matches!(status, 408 | 425 | 429 | 500..),
        retry_after: retry_after(response.headers()),
        ..fault::at(failure, url).maybe_sent()
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "check `auth` and what the credentials may do",
        404 | 410 => "check the address, or `accept: [404]` where nothing is an answer",
        408 | 425 | 429 => "it asks for a later try: give the step a `retry`",
        500.. => "the service failed: give the step a `retry`",
        _ => "`body` says what the service did not like",
    }
}

fn announced(response: &Response, url: &Url, max_bytes: u64, hint: &str) -> Result<(), Failure> {
    match response.content_length() {
        Some(length) if length > max_bytes => Err(too_large(url, max_bytes, hint)),
        _ => Ok(()),
    }
}

fn too_large(url: &Url, max_bytes: u64, hint: &str) -> Failure {
    let message = format!("the response of `{}` has more than {max_bytes} bytes; hint: {hint}", fault::shown(url));
    fault::at(Failure::limit(message), url).maybe_sent()
}

fn reply(response: &Response, url: &Url, body: HttpBody) -> HttpReply {
    HttpReply { status: response.status().as_u16(), headers: headers(response.headers()), body, url: fault::shown(url) }
}

fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert(value.into());
    }
    joined.into_iter().collect()
}

async fn decode(headers: &HeaderMap, bytes: Vec<u8>) -> HttpBody {
    if bytes.is_empty() {
        return HttpBody::Empty;
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if is_json(&essence) {
        let text = text(content_type, bytes).await;
        let valid = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        return if valid { HttpBody::Json(text) } else { HttpBody::Text(text) };
    }
    if is_text(&essence) { HttpBody::Text(text(content_type, bytes).await) } else { HttpBody::Bytes(bytes) }
}

fn is_json(essence: &str) -> bool {
    matches!(essence, "application/json" | "text/json") || essence.ends_with("+json")
}

fn is_text(essence: &str) -> bool {
    let others =
        ["xml", "x-www-form-urlencoded", "javascript", "x-ndjson", "jsonl", "yaml", "x-yaml", "toml", "graphql"];
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+yaml")
        || essence.strip_prefix("application/").is_some_and(|kind| others.contains(&kind))
}

/// Text by the charset of its content type, UTF-8 where it has none; what cannot be decoded becomes U+FFFD.
async fn text(content_type: &str, bytes: Vec<u8>) -> String {
    let lower = content_type.to_ascii_lowercase();
    let text = if !lower.contains("charset") || lower.contains("utf-8") || lower.contains("utf8") {
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    } else {
        decode_charset(content_type, bytes).await
    };
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// The client knows the charsets; it only takes them from a response.
async fn decode_charset(content_type: &str, bytes: Vec<u8>) -> String {
    let mut whole = axum::http::Response::new(bytes);
    if let Ok(value) = content_type.parse() {
        whole.headers_mut().insert(CONTENT_TYPE, value);
    }
    Response::from(whole).text().await.unwrap_or_default()
}

/// `Retry-After` in seconds, or as a date: measured from the peer's own `Date`, as its clock may differ from ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        http_date(text)?.since(now.unwrap_or_else(|| SystemClock.now()))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|time| Timestamp(time.timestamp().as_millisecond()))
}
