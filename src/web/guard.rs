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

use super::failures::{Failures, Peer};
use super::hosts::{is_this_machine, name_of};
use super::rates::Who;
use super::request::header;
use super::routes::Need;
use super::standing::{self, Standing};
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
    /// By what they were let in.
    standing: Standing,
    roles: Allowed,
}

enum Allowed {
    Everything,
    As(tokens::Token),
}

impl Caller {
    pub(super) fn allows(&self, role: Role) -> bool {
        match &self.roles {
            Allowed::Everything => true,
            Allowed::As(token) => token.allows(role),
        }
    }
}

/// Turns away what must not reach a route.
pub(super) async fn guard(State((shared, need)): State<(Shared, Need)>, request: Request, next: Next) -> Response {
    let (Need::Role(role) | Need::Page(role)) = need else {
        let asked = Asked::of(&request);
        let meant = if need == Need::Named { asked.is_meant(&shared.app.access) } else { Ok(()) };
        return match meant.and_then(|()| shared.rates.admit(Who::at(asked.peer))) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    };
    let asked = Asked::of(&request);
    match admitted(&shared, &asked, role) {
        Ok(caller) => let_in(&shared, role, caller, request, next).await,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && matches!(need, Need::Page(_)) => {
            to_login(&asked).unwrap_or_else(|| problem.into_response())
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who asks, where nothing is against it: what says who they are comes first, and what is sent last.
fn admitted(shared: &Shared, asked: &Asked<'_>, role: Role) -> Result<Caller, Problem> {
    let caller = match somebody(shared, asked, role) {
        Ok(caller) => caller,
        Err(problem) => {
            shared.rates.admit(Who::at(asked.peer))?;
            return Err(problem);
        }
    };
    let who = caller.token.as_deref().map_or_else(|| Who::at(asked.peer), |hash| Who::Token(hash.into()));
    shared.rates.admit(who)?;
    asked.is_data()?;
    Ok(caller)
}

async fn let_in(shared: &Shared, role: Role, caller: Caller, mut request: Request, next: Next) -> Response {
    let viewer = Viewer::new(caller.actor.person(), |role| caller.allows(role));
    let Caller { actor, standing, .. } = caller;
    request.extensions_mut().insert(actor);
    request.extensions_mut().insert(viewer.clone());
    let answer = viewer.shown(&shared.app.handle, next.run(request).await).await;
    standing.bind(shared, role, answer)
}

/// A browser is sent to where it can sign in, and comes back.
fn to_login(asked: &Asked<'_>) -> Option<Response> {
    header(asked.headers, "accept").filter(|kinds| kinds.contains("text/html"))?;
    let location = HeaderValue::from_str(&login::address(asked.uri.path())).ok()?;
    Some((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

/// Headers of every answer.
pub(super) fn headers(mut response: Response) -> Response {
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
            return Err(of_another_site());
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
        // A page in a frame of another site is no link that somebody follows.
        let is_said = |name: &str, value: &str| header(self.headers, name) == Some(value);
        let is_link =
            !self.is_change() && is_said("sec-fetch-mode", "navigate") && is_said("sec-fetch-dest", "document");
        !is_link && self.is_sent_elsewhere()
    }

    /// A browser says that a page of another site sends this, be it by following a link.
    fn is_sent_elsewhere(&self) -> bool {
        header(self.headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
    }

    /// For addresses at which every method acts: no page of another site sends this, by no way at all.
    pub(super) fn is_no_link(&self) -> Result<(), Problem> {
        let host = self.host();
        if self.is_sent_elsewhere() || !is_own_page(host, self.headers) { Err(of_another_site()) } else { Ok(()) }
    }

    /// The browser says that a page of this server sends it.
    fn is_of_own_page(&self) -> bool {
        let has_origin = self.headers.contains_key(ORIGIN) && is_own_page(self.host(), self.headers);
        has_origin || header(self.headers, "sec-fetch-site") == Some("same-origin")
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

fn of_another_site() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "a page of another site must not act here")
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
    if matches!(caller.standing, Standing::Session(_)) && asked.is_change() && !asked.is_of_own_page() {
        return Err(standing::not_from_a_page());
    }
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
    let (standing, roles) = (Standing::Free, Allowed::Everything);
    Ok(is_local.then_some(Caller { actor: Actor::LOCAL, token: None, standing, roles }))
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
    let hash = tokens::hash(given);
    Caller { actor, standing: Standing::Token(hash.as_str().into()), token: Some(hash), roles: Allowed::Everything }
}

fn with_token(token: tokens::Token) -> Caller {
    let hash = token.hash().to_owned();
    let standing = Standing::Token(hash.as_str().into());
    Caller { actor: token.actor(), token: Some(hash), standing, roles: Allowed::As(token) }
}

/// Whose token has this hash, where it counts.
pub(super) fn with_hash(shared: &Shared, hash: &str) -> Result<Option<Caller>, Problem> {
    if let Some(given) = shared.app.access.given.as_ref().filter(|given| tokens::hash(given) == hash) {
        return Ok(Some(with_given(given)));
    }
    Ok(shared.app.handle.token_with_hash(hash)?.map(with_token))
}

fn signed_in(shared: &Shared, asked: &Asked<'_>) -> Result<Option<Caller>, Problem> {
    login::cookie(asked.headers).map_or(Ok(None), |cookie| of_session(shared, cookie))
}

/// Whose session this is: it opens what its token opens now.
pub(super) fn of_session(shared: &Shared, cookie: &str) -> Result<Option<Caller>, Problem> {
    let Some(hash) = shared.app.handle.session(cookie)? else { return Ok(None) };
    let caller = with_hash(shared, &hash)?;
    Ok(caller.map(|caller| Caller { standing: Standing::Session(cookie.into()), ..caller }))
}

/// Counts that somebody showed a link that does not count; the error says that it was too often. Apart from tokens: whoever follows
/// old links can sign in all the same.
pub(super) fn wrong_link(shared: &Shared, asked: &Asked<'_>) -> Result<(), Problem> {
    failed(shared, &shared.wrong_links, asked)
}

fn failed(shared: &Shared, failures: &Failures, asked: &Asked<'_>) -> Result<(), Problem> {
    let now = shared.app.handle.clock().now();
    if failures.is_over(asked.peer, now) {
        return Err(too_many());
    }
    failures.count(asked.peer, now);
    Ok(())
}

/// What somebody unknown is told. Tokens that are none are counted.
fn refused(shared: &Shared, asked: &Asked<'_>) -> Problem {
    if asked.bearer().is_some()
        && let Err(problem) = failed(shared, &shared.failures, asked)
    {
        return problem;
    }
    let said = if asked.bearer().is_some() { "this token does not count" } else { "a token is needed" };
    let detail = format!(
        "{said}; hint: `Authorization: Bearer TOKEN`, of commands `--token` or `PANTA_TOKEN`; `panta token create` makes one"
    );
    Problem::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, "Bearer")
}

/// Somebody failed too often.
pub(super) fn too_many() -> Problem {
    let detail = "too many wrong tokens or links from this address; hint: wait a minute";
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
