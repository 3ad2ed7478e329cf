//! Signing in and out with a browser: a form for a token, and a cookie for a session.
//!
//! The cookie is sent only with requests of this server's own pages (`SameSite=Strict`), and no script can read it (`HttpOnly`).

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::guard::{self, Asked};
use super::hosts::name_of;
use super::html::{escaped, page};
use super::{Problem, Shared, content, request};
use crate::engine::sessions::LASTS;

/// The name of the cookie.
pub(super) const COOKIE_NAME: &str = "panta_session";

/// Bytes of the form: a token has some fifty, and anybody may send it.
const FORM_MAX: u64 = 4 << 10;

#[derive(Deserialize)]
struct Parameters {
    next: Option<String>,
}

/// `GET /login`: the form; whoever needs none is sent on.
pub(super) async fn show(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let next = next(&parts.uri);
    match guard::caller(&shared, &Asked::of_parts(&parts))? {
        Some(caller) if caller.token.is_none() => Ok(go(&next)),
        Some(caller) => {
            let name = escaped(&caller.actor.to_string());
            let body = format!(
                "<p>You are signed in as {name}.</p>\n<form method=\"post\" action=\"/logout\">\n<button>Sign out</button>\n</form>\n"
            );
            Ok(page(StatusCode::OK, "panta", &body))
        }
        None => Ok(form(StatusCode::OK, &next, "")),
    }
}

/// `POST /login`: begins a session.
pub(super) async fn sign_in(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let asked = Asked::of_parts(&parts);
    let (next, now) = (next(&parts.uri), shared.app.handle.clock().now());
    if shared.failures.is_over(asked.peer, now) {
        return Ok(form(StatusCode::TOO_MANY_REQUESTS, &next, "Too many wrong tokens. Wait a minute."));
    }
    let body = request::body_within(&shared.flood, &parts.headers, body, FORM_MAX).await?;
    let sent = content::pairs(&String::from_utf8_lossy(&body));
    let token = sent.get("token").and_then(|token| token.as_str()).unwrap_or_default().trim();
    let caller = guard::holder(&shared, token)?;
    let Some((actor, hash)) = caller.and_then(|caller| Some((caller.actor, caller.token?))) else {
        shared.failures.count(asked.peer, now);
        return Ok(form(StatusCode::UNAUTHORIZED, &next, "This token does not count."));
    };
    let handle = &shared.app.handle;
    let secret = request::durable(handle, handle.open_session(&hash, &actor)).await?;
    let mut response = go(&next);
    set_cookie(&mut response, &secret, LASTS.as_secs(), is_secure(&shared, &asked));
    Ok(response)
}

/// `POST /logout`: ends the session.
pub(super) async fn sign_out(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    if let Some(secret) = cookie(&parts.headers) {
        let handle = &shared.app.handle;
        request::durable(handle, handle.close_session(secret)).await?;
    }
    let mut response = go("/login");
    set_cookie(&mut response, "", 0, is_secure(&shared, &Asked::of_parts(&parts)));
    Ok(response)
}

/// The session's secret in the request's cookies.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// The address of the form that leads back to a page.
pub(super) fn address(path: &str) -> String {
    if path == "/" { "/login".to_owned() } else { format!("/login?next={path}") }
}

/// The page to go to: of this server, and nothing else.
fn next(uri: &Uri) -> String {
    let given = request::query::<Parameters>(uri).ok().and_then(|given| given.next);
    let is_own = |path: &String| {
        path.starts_with('/') && !path.starts_with("//") && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    given.filter(is_own).unwrap_or_else(|| "/".to_owned())
}

fn go(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

fn set_cookie(response: &mut Response, secret: &str, seconds: u64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::from_str(&cookie).expect("a secret is plain text");
    response.headers_mut().insert(SET_COOKIE, cookie);
}

/// The browser came by `https`: by the name of the configured URL, which has it, or as the proxy says. A cookie that is marked so
/// would be lost on plain `http`.
fn is_secure(shared: &Shared, asked: &Asked<'_>) -> bool {
    let by_name =
        |host: &str| shared.app.access.https.as_deref().is_some_and(|https| https.eq_ignore_ascii_case(name_of(host)));
    asked.host().is_some_and(by_name) || request::header(asked.headers, "x-forwarded-proto") == Some("https")
}

fn form(status: StatusCode, next: &str, fault: &str) -> Response {
    let fault = if fault.is_empty() {
        String::new()
    } else {
        format!("<p class=\"fault\" id=\"fault\" role=\"alert\">{}</p>\n", escaped(fault))
    };
    let described = if fault.is_empty() { "hint" } else { "fault hint" };
    let action = if next == "/" { "/login".to_owned() } else { format!("/login?next={next}") };
    let body = format!(
        "{fault}<form method=\"post\" action=\"{}\">\n<label for=\"token\">Token</label>\n\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" spellcheck=\"false\" \
         required autofocus aria-describedby=\"{described}\">\n\
         <p class=\"small\" id=\"hint\">It begins with <code>panta_</code>, and is made by <code>panta token create</code>.</p>\n\
         <button>Sign in</button>\n</form>\n",
        escaped(&action)
    );
    page(status, "Sign in to panta", &body)
}
