//! Webhooks: a request from outside becomes a run.
//!
//! The order matters: which hook, how large, from whom; only then is the body looked into.

mod respond;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::guard::{self, Asked};
use super::{Problem, Shared, content, request, workflows};
use crate::engine::tokens::Role;
use crate::engine::{Decision, Deployed, Error, Handle, Received, Start, Started, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::parse_duration;
use crate::trigger::receive::{self, Unverified};
use crate::trigger::webhook::{self, HookPath};

/// How long a delivery is told from a new one, unless `within` says otherwise: senders repeat for some days.
const REPEATS: Duration = Duration::from_hours(7 * 24);
/// How long `respond: "output"` waits: senders give up sooner or later than this, few later.
const OUTPUT_WAIT: Duration = Duration::from_secs(30);

/// A hook that a request came to.
struct Hook {
    workflow: Arc<Deployed>,
    trigger: TriggerSpec,
}

/// `ANY /hooks/{path}`
pub(super) async fn hook(
    State(shared): State<Shared>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let handle = &shared.app.handle;
    let hook = find(handle, &path, &parts.method).map_err(|absent| unknown(&shared, &parts, absent))?;
    let raw = request::body(&parts.headers, body).await?;
    let headers = plain(&parts.headers);
    let delivery = match hook.option("verify") {
        Some(verify) => verified(&shared, &parts, verify, (&headers, &raw))?,
        None => guard::admit(&shared, &Asked::of_parts(&parts), Role::Run).map(|_| None)?,
    };
    let request = webhook::envelope(webhook::Request {
        method: parts.method.as_str(),
        path: &hook.trigger.subject,
        query: content::pairs(parts.uri.query().unwrap_or_default()),
        headers: &headers,
        body: content::value(&content::kind(&parts.headers), &raw)?,
    });
    let Decision::Start { input, key } = hook.decide(handle, &request).await? else {
        return Ok(axum::Json(json!({ "run": null, "skipped": "when" })).into_response());
    };
    let start = hook.start(input, key.or(delivery), request)?;
    let started = request::durable(handle, hook.once(handle, start)).await?;
    if hook.option("respond").is_some_and(|respond| respond == "output")
        && let Some(run) = request::ended(&shared, started.run, OUTPUT_WAIT).await?
    {
        return respond::with_output(&run);
    }
    Ok(workflows::accepted(started))
}

/// What is told of a hook that is not there: to those who may look, so; to others the same as with a wrong signature.
fn unknown(shared: &Shared, parts: &Parts, absent: Problem) -> Problem {
    match guard::admit(shared, &Asked::of_parts(parts), Role::Read) {
        Ok(_) => absent,
        Err(_) => unverified().header(WWW_AUTHENTICATE, "Bearer"),
    }
}

/// A request of somebody who is not known, to a hook or to none.
fn unverified() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "the request is not verified")
}

fn find(handle: &Handle, path: &str, method: &Method) -> Result<Hook, Problem> {
    let mut hooks = Vec::new();
    for workflow in handle.workflows() {
        for trigger in workflow.triggers.iter().filter(|trigger| trigger.kind == TriggerKind::Webhook) {
            if HookPath::parse(&trigger.subject).is_ok_and(|declared| declared.matches(path)) {
                hooks.push(Hook { workflow: Arc::clone(&workflow), trigger: trigger.clone() });
            }
        }
    }
    if hooks.is_empty() {
        let detail = format!("no workflow has the webhook `{path}`; hint: `trigger::webhook(\"{path}\")` declares it");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let allowed: Vec<String> = hooks.iter().flat_map(Hook::methods).collect();
    hooks.into_iter().find(|hook| hook.methods().iter().any(|known| known == method.as_str())).ok_or_else(|| {
        let detail =
            format!("the webhook `{path}` does not take {method}; hint: its option `methods` lists what it takes");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).header_text(ALLOW, &allowed.join(", "))
    })
}

impl Hook {
    fn option(&self, name: &str) -> Option<&Value> {
        self.trigger.options.get(name).filter(|value| !value.is_null())
    }

    /// `POST` alone unless declared: following a link must not start a run by itself.
    fn methods(&self) -> Vec<String> {
        let declared = self.option("methods").and_then(Value::as_array);
        declared.map_or_else(
            || vec!["POST".to_owned()],
            |list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        )
    }

    /// What the closures make of the request. A closure that fails is a fault of the workflow, not of the sender.
    async fn decide(&self, handle: &Handle, request: &Value) -> Result<Decision, Problem> {
        let received = Received { seen: request.clone(), payload: request["body"].clone() };
        handle.decide(&self.workflow, &self.trigger, received).await.map_err(|problem| {
            tracing::error!(
                "workflow `{}` was not started by {} ({}:{}): {problem}",
                self.workflow.name,
                self.trigger.id,
                self.workflow.bundle.main(),
                self.trigger.line
            );
            let detail = format!("no run was started: {problem}; hint: correct the script, and send it again");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })
    }

    fn start(&self, input: Value, key: Option<String>, mut request: Value) -> Result<Start, Problem> {
        let header = self.option("dedupe").and_then(Value::as_str);
        let key = header.map_or(key, |name| webhook::header(&request, name).map(str::to_owned));
        let within = self.option("within").and_then(Value::as_str).map(parse_duration);
        let within =
            within.transpose().map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        if let Some(shown) = request.as_object_mut() {
            shown.remove("body");
            shown.extend([("kind".into(), "webhook".into()), ("trigger".into(), self.trigger.id.as_str().into())]);
        }
        Ok(Start {
            input,
            key: key.filter(|key| !key.is_empty()),
            key_scope: Some(format!("webhook:{}", self.trigger.subject)),
            within: Some(within.unwrap_or(REPEATS)),
            trigger: request,
            run: None,
            by: None,
        })
    }

    /// Starts the run, or answers the one that the first delivery with this key started, whatever the repeat says.
    async fn once(&self, handle: &Handle, start: Start) -> Result<Started, Error> {
        match handle.start(&self.workflow.name, start).await {
            Err(Error::KeyConflict { run, .. }) => Ok(Started { run, fresh: false }),
            other => other,
        }
    }
}

/// All headers as texts, names in lower case.
fn plain(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The delivery's id, where the scheme has one.
fn verified(
    shared: &Shared,
    parts: &Parts,
    declared: &Value,
    (headers, body): (&[(String, String)], &[u8]),
) -> Result<Option<String>, Problem> {
    let handle = &shared.app.handle;
    match receive::verified(handle.secrets(), handle.clock().now(), declared, headers, body) {
        Ok(delivery) => Ok(delivery),
        Err(Unverified::Unusable(fault)) => {
            tracing::error!("a webhook cannot verify requests: {fault}");
            let detail = "the webhook cannot verify requests; hint: see the daemon's log";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        }
        Err(Unverified::Refused(refused)) => {
            let challenge = if declared["scheme"] == "basic" { "Basic" } else { "Bearer" };
            tracing::info!("a request to a webhook was refused: {refused}");
            let problem = match guard::admit(shared, &Asked::of_parts(parts), Role::Read) {
                Ok(_) => Problem::new(StatusCode::UNAUTHORIZED, refused.to_string()),
                Err(_) => unverified(),
            };
            Err(problem.header(WWW_AUTHENTICATE, challenge))
        }
    }
}
