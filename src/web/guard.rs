//! Who may ask: those who call this server by a name of its own, from no other site's page, and with the role that the route
//! wants, by token, by session, or by being on this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, LOCATION, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::failures::Peer;
use super::hosts::{is_this_machine, name_of};
use super::request::header;
use super::routes::Need;
use super::viewer::Viewer;
use super::{Access, Problem, Shared, content, login};
use crate::audit::Actor;
use crate::engine::tokens::{self, Role};

/// The name of the token that comes by option or environment.
const GIVEN: &str = "PANTA_TOKEN";

/// Somebody who is known, and what they may do.
pub(super) struct Caller {
    /// Who.
    pub(super) actor: Actor,
    /// SHA-256 of their token; `None`: they need none.
    pub(super) token: Option<String>,
    roles: Allowed,
}

enum Allowed {
    Everything,
    As(tokens::Token),
}

impl Caller {
    fn allows(&self, role: Role) -> bool {
        match &self.roles {
            Allowed::Everything => true,
            Allowed::As(token) => token.allows(role),
        }
    }
}

/// Turns away what must not reach a route.
pub(super) async fn guard(State((shared, need)): State<(Shared, Need)>, mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let role = match need {
        Need::Own => None,
        Need::Named => match asked.is_meant(&shared.app.access) {
            Ok(()) => None,
            Err(problem) => return problem.into_response(),
        },
        Need::Role(role) | Need::Page(role) => Some(role),
    };
    if let Some(role) = role {
        match asked.is_data().and_then(|()| somebody(&shared, &asked, role)) {
            Ok(caller) => {
                let viewer = Viewer::new(caller.actor.person(), |role| caller.allows(role));
                request.extensions_mut().insert(caller.actor);
                request.extensions_mut().insert(viewer.clone());
                return viewer.shown(&shared.app.handle, next.run(request).await).await;
            }
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && matches!(need, Need::Page(_)) => {
                return to_login(&asked).unwrap_or_else(|| problem.into_response());
            }
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}

/// A browser is sent to where it can sign in, and comes back.
fn to_login(asked: &Asked<'_>) -> Option<Response> {
    header(asked.headers, "accept").filter(|kinds| kinds.contains("text/html"))?;
    let location = HeaderValue::from_str(&login::address(asked.uri.path())).ok()?;
    Some((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

/// Headers of every answer.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // What is no page of ours is none.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
    response
}

/// A request as far as it matters here.
pub(super) struct Asked<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
    pub(super) peer: Peer,
}

impl<'r> Asked<'r> {
    fn of(request: &'r Request) -> Self {
        let peer = request.extensions().get().copied();
        Self { method: request.method(), uri: request.uri(), headers: request.headers(), peer: peer_or_none(peer) }
    }

    /// The same of a request that was taken apart.
    pub(super) fn of_parts(parts: &'r axum::http::request::Parts) -> Self {
        let peer = parts.extensions.get().copied();
        Self { method: &parts.method, uri: &parts.uri, headers: &parts.headers, peer: peer_or_none(peer) }
    }

    /// Whether this server is meant, and no page of another site acts through somebody's browser.
    pub(super) fn is_meant(&self, access: &Access) -> Result<(), Problem> {
        let host = self.host();
        if !host.is_some_and(|host| access.hosts.allow(host)) {
            let shown = host.unwrap_or("(none)");
            let hint = if access.local {
                "ask for `localhost` or `127.0.0.1`, or add the name to `hosts` in the config"
            } else {
                "set `url` or `hosts` in the config"
            };
            let detail = format!("`{shown}` is no name of this server; hint: {hint}");
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        if self.is_of_another_site(host) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site must not act here"));
        }
        Ok(())
    }

    fn is_change(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// What browsers say of where a request comes from. Following a link from elsewhere to a page is no act.
    fn is_of_another_site(&self, host: Option<&str>) -> bool {
        if self.is_change() && !is_own_page(host, self.headers) {
            return true;
        }
        let is_link = !self.is_change() && header(self.headers, "sec-fetch-mode") == Some("navigate");
        let site = header(self.headers, "sec-fetch-site");
        !is_link && site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
    }

    /// The body is of no kind that a form of any site can send. An event in binary form bears headers that no form can.
    fn is_data(&self) -> Result<(), Problem> {
        let kind = content::kind(self.headers);
        let of_form = matches!(&*kind, "text/plain" | "application/x-www-form-urlencoded" | "multipart/form-data");
        if !self.is_change() || !of_form || self.headers.contains_key("ce-specversion") {
            return Ok(());
        }
        let detail = format!("a body of kind `{kind}` is not taken here; hint: send `Content-Type: application/json`");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
    }

    /// What the client takes this server for; `None` where it does not say, or says it twice.
    pub(super) fn host(&self) -> Option<&'r str> {
        let mut all = self.headers.get_all(HOST).iter();
        let one = all.next().and_then(|host| host.to_str().ok());
        match (one, all.next(), self.uri.authority()) {
            (_, Some(_), _) => None,
            (Some(host), None, Some(named)) if host != named.as_str() => None,
            (host, None, named) => host.or(named.map(axum::http::uri::Authority::as_str)),
        }
    }

    /// Somebody on this machine, as far as can be seen: by its name, and not passed on by a proxy.
    fn is_local(&self) -> bool {
        let passed_on = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
        self.host().is_some_and(|host| is_this_machine(name_of(host)))
            && !passed_on.iter().any(|name| self.headers.contains_key(*name))
    }

    fn bearer(&self) -> Option<&'r str> {
        let (scheme, token) = self.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

fn peer_or_none(peer: Option<Peer>) -> Peer {
    peer.unwrap_or(Peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// Who asks, where they may do what takes this role.
pub(super) fn admit(shared: &Shared, asked: &Asked<'_>, role: Role) -> Result<Actor, Problem> {
    somebody(shared, asked, role).map(|caller| caller.actor)
}

fn somebody(shared: &Shared, asked: &Asked<'_>, role: Role) -> Result<Caller, Problem> {
    asked.is_meant(&shared.app.access)?;
    let caller = caller(shared, asked)?.ok_or_else(|| refused(shared, asked))?;
    if !caller.allows(role) {
        let detail = format!(
            "`{}` may not do this: it takes the role `{role}`; hint: ask for a token made with `--role {role}`",
            caller.actor,
            role = role.name()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).with("role", role.name()));
    }
    Ok(caller)
}

/// Who asks; `None`: nobody who is known.
pub(super) fn caller(shared: &Shared, asked: &Asked<'_>) -> Result<Option<Caller>, Problem> {
    if let Some(caller) = asked.bearer().map(|secret| holder(shared, secret)).transpose()?.flatten() {
        return Ok(Some(caller));
    }
    if let Some(caller) = signed_in(shared, asked)? {
        return Ok(Some(caller));
    }
    let is_local = shared.app.access.local && asked.is_local();
    Ok(is_local.then_some(Caller { actor: Actor::LOCAL, token: None, roles: Allowed::Everything }))
}

/// Whose token this is.
pub(super) fn holder(shared: &Shared, secret: &str) -> Result<Option<Caller>, Problem> {
    if let Some(given) = &shared.app.access.given
        && bool::from(given.as_bytes().ct_eq(secret.as_bytes()))
    {
        return Ok(Some(with_given(given)));
    }
    Ok(shared.app.handle.token_of(secret)?.map(with_token))
}

fn with_given(given: &Arc<str>) -> Caller {
    let actor = Actor::Token { name: GIVEN.into(), person: None };
    Caller { actor, token: Some(tokens::hash(given)), roles: Allowed::Everything }
}

fn with_token(token: tokens::Token) -> Caller {
    Caller { actor: token.actor(), token: Some(token.hash().to_owned()), roles: Allowed::As(token) }
}

/// Whose session this is: it opens what its token opens now.
fn signed_in(shared: &Shared, asked: &Asked<'_>) -> Result<Option<Caller>, Problem> {
    let Some(cookie) = login::cookie(asked.headers) else { return Ok(None) };
    let Some(hash) = shared.app.handle.session(cookie)? else { return Ok(None) };
    if let Some(given) = shared.app.access.given.as_ref().filter(|given| tokens::hash(given) == hash) {
        return Ok(Some(with_given(given)));
    }
    Ok(shared.app.handle.token_with_hash(&hash)?.map(with_token))
}

/// What somebody unknown is told. Tokens that are none are counted.
fn refused(shared: &Shared, asked: &Asked<'_>) -> Problem {
    let now = shared.app.handle.clock().now();
    if asked.bearer().is_some() {
        if shared.failures.is_over(asked.peer, now) {
            return too_many();
        }
        shared.failures.count(asked.peer, now);
    }
    let said = if asked.bearer().is_some() { "this token does not count" } else { "a token is needed" };
    let detail = format!(
        "{said}; hint: `Authorization: Bearer TOKEN`, of commands `--token` or `PANTA_TOKEN`; `panta token create` makes one"
    );
    Problem::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, "Bearer")
}

/// Somebody failed too often.
pub(super) fn too_many() -> Problem {
    let detail = "too many wrong tokens from this address; hint: wait a minute";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).header(RETRY_AFTER, "60")
}

/// No page at all, or one of this very server.
fn is_own_page(host: Option<&str>, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter().map(|origin| origin.to_str().unwrap_or_default());
    origins.all(|origin| {
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        site.is_some_and(|site| host.is_some_and(|host| host.eq_ignore_ascii_case(site)))
    })
}
