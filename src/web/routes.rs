//! All routes, in one table: what is asked for, who may ask, and who answers. The router is made of it, and so is the test that
//! walks every route with every role: a route cannot be there without saying what it takes.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler as _;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, any, on};

use super::{
    Shared, answers, audit, backfill, control, events, gate, guard, heads, hooks, links, live, locks, login, masked,
    metrics, problem, replay, run_page, runs, secrets, stream, system, tasks, tokens, upkeep, workflows,
};
use crate::engine::tokens::Role;

/// What a request must bear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// Nothing, or what the route itself looks at: a signature, a signed address.
    Own,
    /// A name of this server, and no page of another site. For signing in.
    Named,
    /// Besides, somebody with this role.
    Role(Role),
    /// The same; a browser is sent to where it can sign in.
    Page(Role),
}

/// A route.
pub(super) struct Route {
    /// `GET`, …; `None`: any.
    pub(super) method: Option<Method>,
    /// Its path, with `{parts}`.
    pub(super) path: &'static str,
    /// What it takes.
    pub(super) need: Need,
    /// Who answers.
    answer: fn(MethodFilter) -> MethodRouter<Shared>,
}

const fn get(path: &'static str, need: Need, answer: fn(MethodFilter) -> MethodRouter<Shared>) -> Route {
    Route { method: Some(Method::GET), path, need, answer }
}

const fn post(path: &'static str, need: Need, answer: fn(MethodFilter) -> MethodRouter<Shared>) -> Route {
    Route { method: Some(Method::POST), path, need, answer }
}

const fn put(path: &'static str, need: Need, answer: fn(MethodFilter) -> MethodRouter<Shared>) -> Route {
    Route { method: Some(Method::PUT), path, need, answer }
}

const fn delete(path: &'static str, need: Need, answer: fn(MethodFilter) -> MethodRouter<Shared>) -> Route {
    Route { method: Some(Method::DELETE), path, need, answer }
}

const READ: Need = Need::Role(Role::Read);
const RUN: Need = Need::Role(Role::Run);
const APPROVE: Need = Need::Role(Role::Approve);
const ADMIN: Need = Need::Role(Role::Admin);

/// Whether the daemon works.
const HEALTH: &str = "/healthz";

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    get("/api/v1/stream", READ, |method| on(method, live::stream)),
    get("/api/v1/workflows", READ, |method| on(method, workflows::list)),
    get("/api/v1/workflows/{name}", READ, |method| on(method, workflows::one)),
    post("/api/v1/workflows/{name}/runs", RUN, |method| on(method, workflows::start)),
    post("/api/v1/workflows/{name}/backfill", RUN, |method| on(method, backfill::backfill)),
    post("/api/v1/workflows/{name}/gate", RUN, |method| on(method, gate::attempt)),
    get("/api/v1/runs", READ, |method| on(method, runs::list)),
    get("/api/v1/runs/{id}", READ, |method| on(method, runs::one)),
    get("/api/v1/runs/{id}/journal", READ, |method| on(method, runs::journal)),
    get("/api/v1/runs/{id}/sources", READ, |method| on(method, runs::sources)),
    get("/api/v1/runs/{id}/replay", READ, |method| on(method, replay::replay)),
    get("/api/v1/runs/{id}/recording", READ, |method| on(method, replay::recording)),
    get("/api/v1/runs/{id}/logs", READ, |method| on(method, runs::logs)),
    get("/api/v1/runs/{id}/stream", READ, |method| on(method, stream::stream)),
    get("/api/v1/runs/{id}/locks", READ, |method| on(method, locks::of_run)),
    post("/api/v1/runs/{id}/cancel", RUN, |method| on(method, control::cancel)),
    post("/api/v1/runs/{id}/pause", RUN, |method| on(method, control::pause)),
    post("/api/v1/runs/{id}/resume", RUN, |method| on(method, control::resume)),
    post("/api/v1/runs/{id}/retry", RUN, |method| on(method, control::retry)),
    post("/api/v1/runs/{id}/fork", RUN, |method| on(method, control::fork)),
    post("/api/v1/runs/{id}/skip", ADMIN, |method| on(method, control::skip)),
    post("/api/v1/runs/{id}/set-result", ADMIN, |method| on(method, control::set_result)),
    post("/api/v1/runs/cancel", RUN, |method| on(method, control::cancel_many)),
    post("/api/v1/runs/pause", RUN, |method| on(method, control::pause_many)),
    post("/api/v1/runs/resume", RUN, |method| on(method, control::resume_many)),
    post("/api/v1/runs/retry", RUN, |method| on(method, control::retry_many)),
    post("/api/v1/workflows/{name}/pause", RUN, |method| on(method, control::hold_workflow)),
    post("/api/v1/workflows/{name}/resume", RUN, |method| on(method, control::let_go_workflow)),
    post("/api/v1/pause", ADMIN, |method| on(method, control::hold_all)),
    post("/api/v1/resume", ADMIN, |method| on(method, control::let_go_all)),
    post("/api/v1/runs/{id}/upgrade", RUN, |method| on(method, gate::upgrade)),
    post("/api/v1/runs/{id}/events", RUN, |method| on(method, events::emit_to)),
    get("/api/v1/locks/{name}", READ, |method| on(method, locks::one)),
    post("/api/v1/locks/{name}/unlock", ADMIN, |method| on(method, locks::unlock)),
    get("/api/v1/events", READ, |method| on(method, events::list)),
    post("/api/v1/events", RUN, |method| on(method, events::emit)),
    get("/api/v1/tasks", READ, |method| on(method, tasks::list)),
    get("/api/v1/tasks/{id}", READ, |method| on(method, tasks::one)),
    post("/api/v1/tasks/{id}/answer", APPROVE, |method| on(method, tasks::answer)),
    get("/api/v1/reloads", READ, |method| on(method, system::reloads)),
    get("/api/v1/secrets", ADMIN, |method| on(method, secrets::list)),
    put("/api/v1/secrets/{name}", ADMIN, |method| on(method, secrets::set)),
    delete("/api/v1/secrets/{name}", ADMIN, |method| on(method, secrets::remove)),
    get("/api/v1/audit", ADMIN, |method| on(method, audit::list)),
    get("/api/v1/audit/verify", ADMIN, |method| on(method, audit::verify)),
    post("/api/v1/backup", ADMIN, |method| on(method, upkeep::backup)),
    post("/api/v1/prune", ADMIN, |method| on(method, upkeep::prune)),
    get("/api/v1/tokens", ADMIN, |method| on(method, tokens::list)),
    post("/api/v1/tokens", ADMIN, |method| on(method, tokens::create)),
    delete("/api/v1/tokens/{name}", ADMIN, |method| on(method, tokens::revoke)),
    get("/metrics", READ, |method| on(method, metrics::metrics)),
    get("/openapi.json", READ, |method| on(method, system::openapi)),
    get("/readyz", READ, |method| on(method, system::readyz)),
    get("/", Need::Page(Role::Read), |method| on(method, system::root)),
    get("/runs/{id}", Need::Page(Role::Read), |method| on(method, run_page::show)),
    get("/login", Need::Named, |method| on(method, login::show)),
    post("/login", Need::Named, |method| on(method, login::sign_in)),
    post("/logout", Need::Named, |method| on(method, login::sign_out)),
    get("/t/{token}", Need::Own, |method| on(method, links::show)),
    post("/t/{token}", Need::Own, |method| on(method, links::decide)),
    post("/e/{token}", Need::Own, |method| on(method, links::emit)),
    get(HEALTH, Need::Own, |method| on(method, system::healthz)),
    Route { method: None, path: "/hooks/{*path}", need: Need::Own, answer: |_| any(hooks::hook) },
];

/// The router that the table describes.
pub(super) fn router(shared: Shared) -> Router {
    let guarded = |need| axum::middleware::from_fn_with_state((shared.clone(), need), guard::guard);
    let mut router = Router::new();
    for route in ROUTES {
        let method = route.method.clone().map(MethodFilter::try_from);
        let method = method.transpose().expect("the methods of the table are known").unwrap_or(MethodFilter::GET);
        let answer = (route.answer)(method);
        router = router.route(
            route.path,
            match route.method {
                // Who watches over the daemon is never asked to wait.
                _ if route.path == HEALTH => answer,
                Some(_) => answer.route_layer(guarded(route.need)),
                None => answer.layer(guarded(route.need)),
            },
        );
    }
    router
        // That there is nothing is told to those who may look.
        .fallback(system::nothing_here.layer(guarded(READ)))
        .method_not_allowed_fallback(system::not_this_method.layer(guarded(READ)))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), around))
        .with_state(shared)
}

/// What is done with every request and its answer. One layer: each makes a copy of all that it is around, for every request.
async fn around(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let route = metrics::route(&request);
    let response = match heads::bound(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    metrics::count(&shared, route, &response);
    let response = masked::masked(problem::ensure(response).await).await;
    guard::headers(answers::bounded(&shared, response).await)
}
