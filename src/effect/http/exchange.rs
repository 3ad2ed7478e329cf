//! One exchange: request, redirects, response.

use std::sync::{Mutex, PoisonError};

use reqwest::header::{CONTENT_LENGTH, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use super::auth::{self, Auth, Unsigned};
use super::message::{self, Header};
use super::upload::Outgoing;
use super::{HttpReply, HttpRequest, MAX_REDIRECTS, Means, fault, response};
use crate::effect::file::Spot;
use crate::effect::scrub::Scrub;
use crate::effect::{Attempt, Failure, net};

/// A request that passed its checks, with its secrets filled in for the first host.
pub(super) struct Exchange<'a> {
    request: &'a HttpRequest,
    attempt: &'a Attempt<'a>,
    means: &'a Means<'a>,
    first: Hop,
    headers: Vec<Header>,
    save_to: Option<Spot>,
    /// What signed a request, or is a token.
    hidden: Mutex<Vec<String>>,
}

/// One request of an exchange.
struct Hop {
    method: Method,
    url: Url,
    has_body: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        request: &'a HttpRequest,
        attempt: &'a Attempt<'a>,
        means: &'a Means<'a>,
    ) -> Result<Self, Failure> {
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Failure::invalid(format!("`{}` is no HTTP method; hint: use `GET`", request.method)))?;
        let first = message::written(&request.url)?;
        net::admit(&first, attempt.allow)?;
        let url = message::address(request, &first, attempt.secrets)?;
        let headers = message::headers(request, &url, attempt.secrets)?;
        let save_to = request.save_to.as_deref().map(|path| means.place.target(path)).transpose()?;
        let first = Hop { method, url, has_body: true };
        let hidden = message::basic(&headers).into_iter().collect::<Vec<_>>().into();
        Ok(Self { request, attempt, means, first, headers, save_to, hidden })
    }

    /// Takes out of what came back what was put in.
    pub(super) fn scrub(&self) -> Scrub<'a> {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Scrub::hiding(self.attempt.secrets, hidden)
    }

    pub(super) async fn run_in_time(&self) -> Result<HttpReply, Failure> {
        let usual = if self.save_to.is_some() { self.means.limits.download } else { self.means.limits.request };
        let limit = self.request.timeout.unwrap_or(usual);
        match tokio::time::timeout(limit, self.run()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fault::timeout(&self.first.url, limit)),
        }
    }

    async fn run(&self) -> Result<HttpReply, Failure> {
        let mut response = self.send(&self.first, None).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(token) = self.token()
        {
            // Who is not known has done nothing: the same once more, with another token.
            response = self.send(&self.first, Some(&token)).await?;
        }
        let mut hop = None;
        for _ in 0..MAX_REDIRECTS {
            let current = hop.as_ref().unwrap_or(&self.first);
            let Some(next) = self.redirect(current, &response)? else {
                return self.receive(current, response).await;
            };
            // The host before has seen the request, whatever becomes of it now.
            response = self.send(&next, None).await.map_err(|failure| redirected(failure, current).maybe_sent())?;
            hop = Some(next);
        }
        let current = hop.as_ref().unwrap_or(&self.first);
        if self.redirect(current, &response)?.is_none() {
            return self.receive(current, response).await;
        }
        let message = format!("more than {MAX_REDIRECTS} redirects; hint: call the address that has the answer");
        Err(fault::at(Failure::new("http", message), &current.url).maybe_sent())
    }

    async fn send(&self, hop: &Hop, refused: Option<&str>) -> Result<Response, Failure> {
        let reach = net::admit(&hop.url, self.attempt.allow)?;
        let client = self.means.clients.get(&hop.url, reach)?;
        let auth = self.request.auth.as_ref().filter(|_| hop.url.origin() == self.first.url.origin());
        let url = auth.map_or_else(|| hop.url.clone(), |auth| auth.address(&hop.url));
        let passage = self.means.breakers.admit(&fault::peer_with_port(&hop.url))?;
        let body = match &self.request.body {
            body if hop.has_body => Outgoing::new(body, &url, self.attempt.secrets, self.means.place).await?,
            _ => None,
        };
        let mut headers = self.headers_of(hop, body.as_ref().map(|body| body.content_type.as_str()))?;
        if let Some(auth) = auth {
            let (hash, length) = body
                .as_ref()
                .map_or_else(|| (Some(hex::encode(Sha256::digest(b""))), 0), |body| (body.hash.clone(), body.length));
            let method = &hop.method;
            let unsigned = Unsigned { method, url: &url, headers: &headers, hash, length };
            for (name, value) in auth::sign(auth, &unsigned, self.attempt, self.means, refused).await? {
                headers.retain(|header| header.name != name);
                headers.push(message::header(name, &value, true)?);
                self.hide(name, &value);
            }
        }
        let mut builder = client.request(hop.method.clone(), url);
        for Header { name, value, .. } in headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = body {
            if body.is_streamed() {
                builder = builder.header(CONTENT_LENGTH, body.length);
            }
            builder = builder.body(body.into_body());
        }
        let sent = builder.send().await.map_err(|error| fault::sending(&error, &hop.url, self.attempt.allow));
        match &sent {
            // What the script takes for an answer is none of a service that is down.
            Ok(response) if response.status().is_server_error() && !self.accepts(response.status()) => passage.failed(),
            Ok(_) => passage.succeeded(),
            Err(failure) if matches!(failure.kind, "network" | "timeout") => passage.failed(),
            // A check of ours said no: that says nothing of the service.
            Err(_) => drop(passage),
        }
        sent
    }

    /// All headers of a hop but those that sign it.
    fn headers_of(&self, hop: &Hop, content_type: Option<&str>) -> Result<Vec<Header>, Failure> {
        let foreign = hop.url.origin() != self.first.url.origin();
        let stays = |header: &&Header| {
            let about_body = !hop.has_body && header.name.as_str().starts_with("content-");
            !(about_body || foreign && header.confidential)
        };
        let mut headers: Vec<_> = self.headers.iter().filter(stays).cloned().collect();
        let mut add = |name: &str, value: &str| {
            let is_there = message::has(&self.headers, name);
            if !is_there {
                headers.push(message::header(name, value, false)?);
            }
            Ok::<_, Failure>(is_there)
        };
        if !hop.method.is_safe() {
            add("idempotency-key", self.attempt.idempotency_key)?;
        }
        if let Some(trace) = self.attempt.trace
            && !add("traceparent", &trace.parent)?
            && let Some(state) = &trace.state
        {
            add("tracestate", state)?;
        }
        content_type.map(|content_type| add("content-type", content_type)).transpose()?;
        Ok(headers)
    }

    /// Remembers what must not come back, beside the secrets themselves: a signature counts for some minutes.
    fn hide(&self, name: &str, value: &str) {
        if name != "authorization" {
            return;
        }
        let signature = match &self.request.auth {
            Some(Auth::Aws(_)) => value.rsplit_once("Signature="),
            Some(Auth::Azure(_)) => value.rsplit_once(':'),
            _ => value.split_once(' '),
        };
        let hidden = signature.map_or(value, |(_, signature)| signature).to_owned();
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).push(hidden);
    }

    /// Where the response sends us, unless its status is accepted as an answer.
    fn redirect(&self, hop: &Hop, response: &Response) -> Result<Option<Hop>, Failure> {
        let status = response.status();
        let follows = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response.headers().get(LOCATION).filter(|_| follows && !self.accepts(status)) else {
            return Ok(None);
        };
        let url = location.to_str().ok().and_then(|text| hop.url.join(text).ok()).ok_or_else(|| {
            let message = "the redirect names no address that can be read; hint: `accept` the status to see it";
            fault::at(Failure::new("http", message), &hop.url).maybe_sent()
        })?;
        // As browsers do, and so what servers expect: a form that was posted is answered by a page to get.
        let becomes_get = match status {
            StatusCode::SEE_OTHER => hop.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => hop.method == Method::POST,
            _ => false,
        };
        let method = if becomes_get { Method::GET } else { hop.method.clone() };
        Ok(Some(Hop { method, url, has_body: hop.has_body && !becomes_get }))
    }

    async fn receive(&self, hop: &Hop, response: Response) -> Result<HttpReply, Failure> {
        let status = response.status();
        if status.as_u16() >= 400 && !self.accepts(status) {
            return Err(response::refused(response, &hop.method, &hop.url, self.means.limits, &self.scrub()).await);
        }
        let usual = if self.save_to.is_some() && status.is_success() {
            self.means.limits.saved_bytes
        } else {
            self.means.limits.body_bytes
        };
        let max_bytes = self.request.max_bytes.unwrap_or(usual);
        match &self.save_to {
            // What an accepted refusal says is not the file that was asked for.
            Some(spot) if status.is_success() => {
                response::save(response, &hop.url, max_bytes, spot, self.attempt.idempotency_key).await
            }
            _ => response::read(response, &hop.url, max_bytes).await,
        }
    }

    /// The token that was sent, where it can be got anew.
    fn token(&self) -> Option<String> {
        let Some(Auth::OAuth2(_)) = &self.request.auth else { return None };
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    fn accepts(&self, status: StatusCode) -> bool {
        self.request.accept.contains(&status.as_u16())
    }
}

fn redirected(failure: Failure, from: &Hop) -> Failure {
    let message = format!("redirected by `{}`: {}", from.url.host_str().unwrap_or_default(), failure.message);
    Failure { message, ..failure }
}
