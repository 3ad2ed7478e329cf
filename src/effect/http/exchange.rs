//! One exchange: request, redirects, response.

use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::clients::Clients;
use super::message::{self, Header};
use super::{HttpReply, HttpRequest, MAX_REDIRECTS, fault, response};
use crate::effect::file::{Place, Spot};
use crate::effect::scrub::Scrub;
use crate::effect::{Attempt, Failure, Limits, net};

/// A request that passed its checks, with its secrets filled in for the first host.
pub(super) struct Exchange<'a> {
    request: &'a HttpRequest,
    attempt: &'a Attempt<'a>,
    clients: &'a Clients,
    limits: &'a Limits,
    first: Hop,
    headers: Vec<Header>,
    save_to: Option<Spot>,
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
        clients: &'a Clients,
        limits: &'a Limits,
        place: &Place,
    ) -> Result<Self, Failure> {
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Failure::invalid(format!("`{}` is no HTTP method; hint: use `GET`", request.method)))?;
        let first = message::written(&request.url)?;
        net::admit(&first, attempt.allow)?;
        let url = message::address(request, &first, attempt.secrets)?;
        let headers = message::headers(request, &url, attempt.secrets)?;
        let save_to = request.save_to.as_deref().map(|path| place.target(path)).transpose()?;
        let first = Hop { method, url, has_body: true };
        Ok(Self { request, attempt, clients, limits, first, headers, save_to })
    }

    /// Takes out of what came back what was put in.
    pub(super) fn scrub(&self) -> Scrub<'a> {
        Scrub::hiding(self.attempt.secrets, message::basic(&self.headers))
    }

    pub(super) async fn run_in_time(&self) -> Result<HttpReply, Failure> {
        let usual = if self.save_to.is_some() { self.limits.download } else { self.limits.request };
        let limit = self.request.timeout.unwrap_or(usual);
        match tokio::time::timeout(limit, self.run()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fault::timeout(&self.first.url, limit)),
        }
    }

    async fn run(&self) -> Result<HttpReply, Failure> {
        let mut response = self.send(&self.first).await?;
        let mut hop = None;
        for _ in 0..MAX_REDIRECTS {
            let current = hop.as_ref().unwrap_or(&self.first);
            let Some(next) = self.redirect(current, &response)? else {
                return self.receive(current, response).await;
            };
            // The host before has seen the request, whatever becomes of it now.
            response = self.send(&next).await.map_err(|failure| redirected(failure, current).maybe_sent())?;
            hop = Some(next);
        }
        let current = hop.as_ref().unwrap_or(&self.first);
        if self.redirect(current, &response)?.is_none() {
            return self.receive(current, response).await;
        }
        let message = format!("more than {MAX_REDIRECTS} redirects; hint: call the address that has the answer");
        Err(fault::at(Failure::new("http", message), &current.url).maybe_sent())
    }

    async fn send(&self, hop: &Hop) -> Result<Response, Failure> {
        let reach = net::admit(&hop.url, self.attempt.allow)?;
        let client = self.clients.get(&hop.url, reach)?;
        let mut builder = client.request(hop.method.clone(), hop.url.clone());
        let foreign = hop.url.origin() != self.first.url.origin();
        for header in &self.headers {
            let about_body = !hop.has_body && header.name.as_str().starts_with("content-");
            if !(about_body || foreign && header.confidential) {
                builder = builder.header(header.name.clone(), header.value.clone());
            }
        }
        if !hop.method.is_safe() && !self.headers.iter().any(|header| header.name == "idempotency-key") {
            builder = builder.header("idempotency-key", self.attempt.idempotency_key);
        }
        if let Some(trace) = self.attempt.trace
            && !self.headers.iter().any(|header| header.name == "traceparent")
        {
            builder = builder.header("traceparent", &trace.parent);
            if let Some(state) = trace.state.as_ref().filter(|_| !self.has_state()) {
                builder = builder.header("tracestate", state);
            }
        }
        if hop.has_body
            && let Some((bytes, content_type)) = message::body(&self.request.body, &hop.url, self.attempt.secrets)?
        {
            if !message::has_content_type(&self.headers) {
                builder = builder.header(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            builder = builder.body(bytes);
        }
        builder.send().await.map_err(|error| fault::sending(&error, &hop.url, self.attempt.allow))
    }

    /// Whether the script has set `tracestate`.
    fn has_state(&self) -> bool {
        self.headers.iter().any(|header| header.name == "tracestate")
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
            return Err(response::refused(response, &hop.method, &hop.url, self.limits, &self.scrub()).await);
        }
        let usual = if self.save_to.is_some() && status.is_success() {
            self.limits.saved_bytes
        } else {
            self.limits.body_bytes
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

    fn accepts(&self, status: StatusCode) -> bool {
        self.request.accept.contains(&status.as_u16())
    }
}

fn redirected(failure: Failure, from: &Hop) -> Failure {
    let message = format!("redirected by `{}`: {}", from.url.host_str().unwrap_or_default(), failure.message);
    Failure { message, ..failure }
}
