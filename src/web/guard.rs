//! Who may ask: names of this machine, pages of this server, holders of the token.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, ORIGIN, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::{Access, Problem, Shared};

use crate::audit::Actor;

/// Turns away what must not reach the API.
pub(super) async fn guard(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    match check(&shared.app.access, request.method(), request.uri(), request.headers()) {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Headers of every answer.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(access: &Access, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Actor, Problem> {
    let host = host(uri, headers);
    if matches!(access, Access::Loopback) && !host.is_some_and(is_this_machine) {
        let shown = host.unwrap_or("(none)");
        let detail = format!("`{shown}` is no name of this machine; hint: ask for `localhost` or `127.0.0.1`");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_own_page(host, headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site must not act here"));
    }
    authorized(access, headers)?;
    Ok(Actor::LOCAL)
}

/// Whether the request bears the token, where one is needed.
pub(super) fn authorized(access: &Access, headers: &HeaderMap) -> Result<(), Problem> {
    let Access::Token(token) = access else { return Ok(()) };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
    let fits = given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer") && bool::from(given.trim().as_bytes().ct_eq(token.as_bytes()))
    });
    if fits {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "a token is needed; hint: `Authorization: Bearer TOKEN`");
    Err(problem.header(WWW_AUTHENTICATE, "Bearer"))
}

/// Whether the request comes from this machine, and says so: not through a tunnel or a proxy under another name.
pub(super) fn is_local(access: &Access, uri: &Uri, headers: &HeaderMap) -> bool {
    matches!(access, Access::Loopback) && host(uri, headers).is_some_and(is_this_machine)
}

/// What the client takes this server for; `None` where it does not say, or says it twice.
fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let mut all = headers.get_all(HOST).iter();
    let one = all.next().and_then(|host| host.to_str().ok());
    match (one, all.next(), uri.authority()) {
        (_, Some(_), _) => None,
        (Some(host), None, Some(named)) if host != named.as_str() => None,
        (host, None, named) => host.or(named.map(axum::http::uri::Authority::as_str)),
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// No page at all, or one of this very server.
fn is_own_page(host: Option<&str>, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter().map(|origin| origin.to_str().unwrap_or_default());
    origins.all(|origin| {
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        site.is_some_and(|site| host.is_some_and(|host| host.eq_ignore_ascii_case(site)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:7262", "127.0.0.1:1", "[::1]", "[::1]:7262"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.nip.io:80", "localhost:x", "[::1", "user@localhost"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
