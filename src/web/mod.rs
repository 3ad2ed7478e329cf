//! The HTTP face: the API, webhooks, health and metrics.
//!
//! It holds the engine's [`Handle`] and shows what that says; it owns no state but the connections that are open. Every error
//! is a problem document (RFC 9457). On loopback, `Host` and `Origin` are checked, so that no web page reaches the daemon
//! through the browser of its user; elsewhere, every route but health, verified webhooks and signed addresses demands a token.
//! It must not know the store's tables, nor what a script means.

mod audit;
mod content;
mod events;
mod feed;
mod gate;
mod guard;
mod hooks;
mod links;
mod live;
mod locks;
mod patience;
mod problem;
mod replay;
mod request;
mod runs;
mod secrets;
mod server;
mod stream;
mod system;
mod tasks;
mod upkeep;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post, put};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::engine::Handle;
pub use audit::verdict_json;
use problem::Problem;
pub use server::serve;

/// What is known of the scripts folder: which files were loaded, and what is wrong with them.
pub trait Reloads: Send + Sync {
    /// The list `{"reloads": […], "next": null}` of what happened to each file, newest first.
    fn reloads(&self) -> Value;
    /// The diagnostics of a workflow whose file does not compile now.
    fn broken(&self, workflow: &str) -> Option<Value>;
    /// What recorded runs made of the version of a workflow that went live last; `None` where nothing was tried.
    fn gate(&self, _workflow: &str) -> Option<Value> {
        None
    }
    /// What happens to files from now on, each as an item of that list; `None` where nothing ever does.
    fn follow(&self) -> Option<broadcast::Receiver<Value>> {
        None
    }
}

/// No scripts folder: nothing is reloaded.
#[derive(Clone, Copy, Debug)]
pub struct NoReloads;

impl Reloads for NoReloads {
    fn reloads(&self) -> Value {
        json!({ "reloads": [], "next": null })
    }

    fn broken(&self, _: &str) -> Option<Value> {
        None
    }
}

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Access {
    /// Only this machine reaches the listener: no token, but `Host` must be a name of this machine.
    Loopback,
    /// Others reach it: `Authorization: Bearer` with this token.
    Token(Arc<str>),
}

/// What the API shows and acts on.
#[derive(Clone)]
pub struct App {
    /// The engine.
    pub handle: Handle,
    /// The scripts folder.
    pub reloads: Arc<dyn Reloads>,
    /// Who may ask.
    pub access: Access,
}

/// What every request handler holds.
#[derive(Clone)]
struct Shared {
    app: App,
    /// True once the server is to stop: streams and waits end.
    closing: watch::Receiver<bool>,
    /// What happens, for those who watch.
    feed: Arc<feed::Feed>,
}

/// All routes, for a server of the caller's own; [`serve`] is the usual way.
pub fn router(app: App) -> Router {
    let (_, closing) = watch::channel(false);
    routes(Shared { app, closing, feed: Arc::default() })
}

fn routes(shared: Shared) -> Router {
    let guarded = Router::new()
        .route("/api/v1/stream", get(live::stream))
        .route("/api/v1/workflows", get(workflows::list))
        .route("/api/v1/workflows/{name}", get(workflows::one))
        .route("/api/v1/workflows/{name}/runs", post(workflows::start))
        .route("/api/v1/workflows/{name}/gate", post(gate::attempt))
        .route("/api/v1/runs", get(runs::list))
        .route("/api/v1/runs/{id}", get(runs::one))
        .route("/api/v1/runs/{id}/journal", get(runs::journal))
        .route("/api/v1/runs/{id}/sources", get(runs::sources))
        .route("/api/v1/runs/{id}/replay", get(replay::replay))
        .route("/api/v1/runs/{id}/recording", get(replay::recording))
        .route("/api/v1/runs/{id}/logs", get(runs::logs))
        .route("/api/v1/runs/{id}/stream", get(stream::stream))
        .route("/api/v1/runs/{id}/cancel", post(runs::cancel))
        .route("/api/v1/runs/{id}/upgrade", post(gate::upgrade))
        .route("/api/v1/runs/{id}/events", post(events::emit_to))
        .route("/api/v1/runs/{id}/locks", get(locks::of_run))
        .route("/api/v1/locks/{name}", get(locks::one))
        .route("/api/v1/locks/{name}/unlock", post(locks::unlock))
        .route("/api/v1/events", get(events::list).post(events::emit))
        .route("/api/v1/tasks", get(tasks::list))
        .route("/api/v1/tasks/{id}", get(tasks::one))
        .route("/api/v1/tasks/{id}/answer", post(tasks::answer))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/{name}", put(secrets::set).delete(secrets::remove))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/audit/verify", get(audit::verify))
        .route("/api/v1/backup", post(upkeep::backup))
        .route("/api/v1/prune", post(upkeep::prune))
        .route("/api/v1/reloads", get(system::reloads))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
        .route("/", get(system::root))
        .fallback(system::nothing_here)
        .method_not_allowed_fallback(system::not_this_method)
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard::guard));
    Router::new()
        .route("/hooks/{*path}", any(hooks::hook))
        .route("/t/{token}", get(links::show).post(links::decide))
        .route("/e/{token}", post(links::emit))
        .route("/healthz", get(system::healthz))
        .route("/readyz", get(system::readyz))
        .method_not_allowed_fallback(system::not_this_method)
        .merge(guarded)
        .layer(axum::middleware::map_response(problem::ensure))
        .layer(axum::middleware::map_response(guard::headers))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
