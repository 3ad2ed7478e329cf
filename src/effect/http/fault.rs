//! What went wrong on the way, in terms of [`Failure`].

use std::error::Error;
use std::time::Duration;

use reqwest::Url;

use crate::effect::net::{Unreachable, denied, host_and_port};
use crate::effect::{Allow, Failure, Field};

/// The innermost cause, which is the one that says something.
pub(in crate::effect) fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Why a request to `url` got no response.
pub(super) fn sending(error: &reqwest::Error, url: &Url, allow: &Allow) -> Failure {
    if let Some(refused) = find::<Unreachable>(error) {
        return denied(url, allow, &refused.to_string());
    }
    if error.is_builder() {
        return Failure::invalid(format!("the request cannot be made: {}; hint: check URL and headers", cause(error)));
    }
    let peer = peer(url);
    if error.is_timeout() {
        let hint = "check that the service is up, and that the URL begins as it should (`http` or `https`)";
        let failure = Failure::new("timeout", format!("`{peer}` did not take the connection in time; hint: {hint}"));
        return at(if error.is_connect() { failure } else { failure.maybe_sent() }, url).retryable();
    }
    if error.is_connect() {
        let hint = if error.is_dns() { "check the name of the host" } else { "check that the service is up" };
        let message = format!("`{peer}` cannot be reached: {}; hint: {hint}", cause(error));
        return at(Failure::new("network", message), url).retryable();
    }
    interrupted(error, url)
}

/// The connection broke after the request, or part of it, was sent.
pub(super) fn interrupted(error: &reqwest::Error, url: &Url) -> Failure {
    let hint = "the request may have been carried out; look before repeating it by hand";
    let message = format!("the connection to `{}` broke: {}; hint: {hint}", peer(url), cause(error));
    at(Failure::new("network", message), url).retryable().maybe_sent()
}

/// The whole exchange took too long.
pub(super) fn timeout(url: &Url, limit: Duration) -> Failure {
    let message = format!("`{}` did not answer within {limit:?}; hint: raise `timeout`", peer(url));
    at(Failure::new("timeout", message), url).retryable().maybe_sent()
}

/// The address as it may be shown: without user and password.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail for a URL that has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Adds where it happened.
pub(super) fn at(failure: Failure, url: &Url) -> Failure {
    failure.with("url", Field::Text(shown(url)))
}

/// Host and port, for messages.
pub(in crate::effect) fn peer(url: &Url) -> String {
    match (host_and_port(url), url.port()) {
        (Some((host, _)), None) => host.to_owned(),
        (Some((host, port)), Some(_)) if host.contains(':') => format!("[{host}]:{port}"),
        (Some((host, port)), Some(_)) => format!("{host}:{port}"),
        (None, _) => url.scheme().to_owned(),
    }
}

/// Host and port, also where the port is the usual one.
pub(super) fn peer_with_port(url: &Url) -> String {
    host_and_port(url).map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
}

fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    std::iter::successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}
