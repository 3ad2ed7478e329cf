//! A daemon over HTTP.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use reqwest::{Client as Http, ClientBuilder, Method};
use serde_json::Value;

use super::output::{Exit, Fault, text};

/// A request of a person is answered within this, or not at all: `wait` is at most a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Items of a page: as many as a daemon gives.
const PAGE: usize = 1_000;
/// All of a store over a slow line.
const DOWNLOAD: Duration = Duration::from_hours(6);

/// How long a stream may last: as long as somebody looks.
const STREAM: Duration = Duration::from_hours(24 * 365);

/// A daemon.
#[derive(Clone)]
pub(super) struct Client {
    http: Http,
    base: String,
    token: Option<String>,
}

/// Why there is no stream.
pub(super) enum NoStream {
    /// Now; later there may be.
    Broken(String),
    /// The daemon does not give it.
    Refused(Fault),
}

/// An answer: its status, and its body as JSON.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A client of HTTP.
pub(super) fn http(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Http, Fault> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says that some provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = Http::builder().timeout(PATIENCE).connect_timeout(Duration::from_secs(5));
    let built = change(builder).build();
    built.map_err(|error| Fault::unreachable(format!("no HTTP client can be made: {error}")))
}

impl Client {
    /// The daemon at an address: `127.0.0.1:7262`, or a URL.
    pub(super) fn new(server: &str, token: Option<String>) -> Result<Self, Fault> {
        let base = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        // Without TLS no certificates are read, so that a machine without any can talk to its own daemon.
        let plain = |builder: ClientBuilder| builder.no_proxy().tls_certs_only([]);
        let http = http(|builder| if base.starts_with("https:") { builder } else { plain(builder) })?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Where it is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Asks, and takes any answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Fault> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let body = parsed(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status, body })
    }

    /// Reads; anything but success is a fault.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.send(Method::GET, path, None, &[]).await?.success()
    }

    /// So many items of a list at most, page by page. An older daemon gives some lists whole.
    pub(super) async fn pages_from(
        &self,
        path: &str,
        query: &[String],
        cursor: Option<String>,
        field: &str,
        most: usize,
    ) -> Result<Vec<Value>, Fault> {
        let (mut all, mut cursor) = (Vec::new(), cursor);
        loop {
            let limit = (most - all.len()).min(PAGE);
            let mut query = query.to_vec();
            query.push(format!("limit={limit}"));
            query.extend(cursor.as_deref().map(|cursor| format!("cursor={}", escaped(cursor))));
            let mut page = self.get(&format!("{path}?{}", query.join("&"))).await?;
            let Some(items) = page.get_mut(field).and_then(Value::as_array_mut) else {
                let problem = format!("the daemon at {} answers without `{field}`", self.base);
                return Err(Fault::usage(format!(
                    "{problem}; hint: is it a daemon of another version, or another program?"
                )));
            };
            all.append(items);
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() || all.len() >= most {
                return Ok(all);
            }
        }
    }

    /// The sources that a run is pinned to, where they can be had.
    pub(super) async fn sources(&self, run: crate::id::RunId) -> Option<crate::script::bundle::Bundle> {
        let answer = self.get(&format!("/api/v1/runs/{run}/sources")).await.ok()?;
        crate::script::bundle::Bundle::from_stored(answer.to_string().as_bytes()).ok()
    }

    /// Acts; anything but success is a fault.
    pub(super) async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Value, Fault> {
        self.send(Method::POST, path, Some(body), headers).await?.success()
    }

    /// Has something sent that is written to a file, which is there only when it is whole. Answers its length.
    pub(super) async fn download(&self, path: &str, file: &Path) -> Result<u64, Fault> {
        let mut request = self.http.post(format!("{}{path}", self.base)).timeout(DOWNLOAD);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            return Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() }.success().map(|_| 0);
        }
        let failed = |error: std::io::Error| Fault::usage(format!("`{}` cannot be written: {error}", file.display()));
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut part = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        let mut length = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            std::io::Write::write_all(&mut part, &chunk).map_err(failed)?;
            length += chunk.len() as u64;
        }
        part.as_file().sync_all().map_err(failed)?;
        part.persist_noclobber(file).map_err(|error| failed(error.error))?;
        Ok(length)
    }

    /// A stream of events; `None`: there is nothing more in it.
    pub(super) async fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<reqwest::Response>, NoStream> {
        let mut request = self.http.get(format!("{}{path}", self.base)).timeout(STREAM);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let broken = |error: &reqwest::Error| NoStream::Broken(self.unreachable(error).text);
        let response = request.send().await.map_err(|error| broken(&error))?;
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            204 => Ok(None),
            status => {
                let body = response.bytes().await.map_err(|error| broken(&error))?;
                match (Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() }).success() {
                    Err(fault) if status < 500 => Err(NoStream::Refused(fault)),
                    Err(fault) => Err(NoStream::Broken(fault.text)),
                    Ok(_) => Ok(None),
                }
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Fault {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            why = inner.to_string();
            source = inner.source();
        }
        Fault::unreachable(format!("the daemon at {} cannot be reached: {why}", self.base))
    }
}

/// JSON of any depth: what a run may hold is nested as deep as JSON is usually read at all, and stands in an answer.
fn parsed(bytes: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer.disable_recursion_limit();
    let value = serde::Deserialize::deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

impl Answer {
    pub(super) fn success(self) -> Result<Value, Fault> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let exit = match self.status {
            401 | 403 | 500.. => Exit::Unreachable,
            409 => Exit::Failed,
            _ => Exit::Usage,
        };
        let (detail, title) = (text(&self.body, "detail"), text(&self.body, "title"));
        let what = if detail.is_empty() { title } else { detail };
        let what = if what.is_empty() { format!("the daemon answered {}", self.status) } else { what.to_owned() };
        // Every fault has its path, so that the sentence need not name some of them.
        let faults = self.body["errors"].as_array().into_iter().flatten();
        let faults: Vec<_> = faults.map(|f| format!("\n  {}: {}", text(f, "path"), text(f, "message"))).collect();
        let named = what.split_once(": ").map_or(what.as_str(), |(what, _)| what);
        let what = if faults.is_empty() { what.clone() } else { format!("{named}:") };
        Err(Fault::new(exit, format!("{what}{}", faults.concat())))
    }
}

/// A name as one part of a path.
pub(super) fn escaped(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
