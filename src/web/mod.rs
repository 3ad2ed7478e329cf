//! The HTTP face: the API, webhooks, health and metrics.
//!
//! It holds the engine's [`Handle`] and shows what that says; it owns no state but the connections that are open. Every error
//! is a problem document (RFC 9457). `Host` and `Origin` are checked, so that no web page reaches the daemon through the browser of
//! its user; elsewhere than on loopback, every route but health, verified webhooks and signed addresses demands a token with the
//! role that the table of routes says.
//! It must not know the store's tables, nor what a script means.

mod answers;
mod audit;
mod backfill;
mod connections;
mod content;
mod control;
mod events;
mod failures;
mod feed;
mod flood;
mod gate;
mod guard;
mod heads;
mod hooks;
mod hosts;
mod html;
mod links;
mod list;
mod listing;
mod live;
mod locks;
mod login;
mod masked;
mod metrics;
mod patience;
mod problem;
mod rates;
mod replay;
mod request;
mod routes;
mod run_page;
mod runs;
mod secrets;
mod server;
mod standing;
mod stream;
mod system;
mod tasks;
mod tokens;
mod trace;
mod upkeep;
mod viewer;
mod workflows;

use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::engine::Handle;
use crate::time::Rate;
pub use audit::verdict_json;
use failures::Failures;
pub use hosts::Hosts;
use problem::Problem;
pub use rates::REQUESTS;
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

/// Who may ask, and how this server may be called.
#[derive(Clone, Debug)]
pub struct Access {
    /// Only this machine reaches the listener: whoever asks by one of its names needs no token.
    pub local: bool,
    /// A token that is not in the store, with all roles.
    pub given: Option<Arc<str>>,
    /// Names of this server.
    pub hosts: Hosts,
    /// The name by which it is reached over `https`.
    pub https: Option<String>,
    /// How often one token, or one address, may ask.
    pub requests: Rate,
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

/// What every request handler holds. Each layer of a request has one of its own: it is as cheap to clone as a pointer.
#[derive(Clone)]
struct Shared(Arc<Everything>);

struct Everything {
    app: App,
    /// True once the server is to stop: streams and waits end.
    closing: watch::Receiver<bool>,
    flood: flood::Flood,
    /// Who failed to show a token.
    failures: Arc<Failures>,
    /// Who tried signed addresses that are none.
    wrong_links: Arc<Failures>,
    /// How often each may ask.
    rates: Arc<rates::Rates>,
    /// What happens, for those who watch.
    feed: Arc<feed::Feed>,
}

impl std::ops::Deref for Shared {
    type Target = Everything;

    fn deref(&self) -> &Everything {
        &self.0
    }
}

impl Shared {
    fn new(app: App, closing: watch::Receiver<bool>) -> Self {
        let rates = Arc::new(rates::Rates::new(app.access.requests));
        let (flood, failures, wrong_links) = (flood::Flood::new(), Arc::default(), Arc::default());
        Self(Arc::new(Everything { app, closing, flood, failures, wrong_links, rates, feed: Arc::default() }))
    }
}

/// All routes, for a server of the caller's own; [`serve`] is the usual way.
pub fn router(app: App) -> Router {
    let (_, closing) = watch::channel(false);
    routes::router(Shared::new(app, closing))
}

#[cfg(test)]
mod tests;
