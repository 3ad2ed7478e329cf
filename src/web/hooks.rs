//! Webhooks: a request from outside becomes a run.
//!
//! The order matters: which hook, how large, from whom; only then is the body looked into.

mod body;
mod respond;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::guard::{self, Asked};
use super::{Problem, Shared, content, flood, request, trace, workflows};
use crate::engine::tokens::Role;
use crate::engine::{Decision, Deployed, Error, Handle, Received, SAID_NO, Start, Started, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::time::parse_duration;
use crate::trigger::receive::{self, Unverified};
use crate::trigger::webhook::{self, Checking, HookPath, Refused};

/// How long a delivery is told from a new one, unless `within` says otherwise: senders repeat for some days.
const REPEATS: Duration = Duration::from_hours(7 * 24);
/// How long `respond: "output"` waits: senders give up sooner or later than this, few later.
const OUTPUT_WAIT: Duration = Duration::from_secs(30);

/// A hook that a request came to.
struct Hook {
    workflow: Arc<Deployed>,
    trigger: TriggerSpec,
}

/// Why a request was not taken.
enum Turned {
    /// Strangers are told nothing of it, not even whether there is such a webhook.
    Unknown(Problem),
    Refused(Problem),
    /// This side cannot tell who sent it: what the sender is told, and what is wrong, which is the operator's to know.
    Unusable(Problem, String),
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

/// `ANY /hooks/{path}`
pub(super) async fn hook(
    State(shared): State<Shared>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    flood::calm(&shared.app.handle)?;
    let mut body = Some(body);
    match answered(&shared, &path, &parts, &mut body).await {
        Ok(response) => Ok(response),
        Err(Turned::Refused(problem) | Turned::Unusable(problem, _)) => Err(problem),
        Err(Turned::Unknown(problem)) if may_look(&shared, &parts) => Err(problem),
        Err(Turned::Unknown(_)) => {
            if let Some(body) = body {
                // As long as it takes where the signature is looked at, and as much room.
                let raw = request::body(&shared.flood, &parts.headers, body).await?;
                std::hint::black_box(Sha256::digest(&*raw));
            }
            Err(stranger())
        }
    }
}

/// Whether who asks may see which webhooks there are.
fn may_look(shared: &Shared, parts: &Parts) -> bool {
    guard::admit(shared, &Asked::of_parts(parts), Role::Read).is_ok()
}

/// The same for a webhook that is not there, for another method, and for what is not from whom it says.
fn stranger() -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "the request is not verified");
    problem.header(WWW_AUTHENTICATE, "Bearer, Basic realm=\"hooks\"")
}

async fn answered(shared: &Shared, path: &str, parts: &Parts, body: &mut Option<Body>) -> Result<Response, Turned> {
    let handle = &shared.app.handle;
    let hook = find(handle, path, &parts.method)?;
    let done = hook.answered(shared, parts, body).await;
    if let Err(turned) = &done {
        let why = match turned {
            Turned::Unknown(problem) | Turned::Refused(problem) => problem.detail(),
            Turned::Unusable(_, fault) => fault,
        };
        handle.refuse(&hook.workflow.name, &hook.trigger.id, why);
    }
    done
}

fn find(handle: &Handle, path: &str, method: &Method) -> Result<Hook, Turned> {
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
        return Err(Turned::Unknown(Problem::new(StatusCode::NOT_FOUND, detail)));
    }
    let allowed: Vec<String> = hooks.iter().flat_map(Hook::methods).collect();
    hooks.into_iter().find(|hook| hook.methods().iter().any(|known| known == method.as_str())).ok_or_else(|| {
        let detail =
            format!("the webhook `{path}` does not take {method}; hint: its option `methods` lists what it takes");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
        Turned::Unknown(problem.header_text(ALLOW, &allowed.join(", ")))
    })
}

impl Hook {
    async fn answered(&self, shared: &Shared, parts: &Parts, body: &mut Option<Body>) -> Result<Response, Turned> {
        let handle = &shared.app.handle;
        let mut headers = plain(&parts.headers);
        let checking = if let Some(verify) = self.option("verify") {
            let checking = checking(handle, verify, &headers)?;
            if verify["scheme"] == "basic" {
                // Browsers send a password by themselves, once they know it.
                Asked::of_parts(parts).is_no_link()?;
            }
            if verify["scheme"] == "token" {
                // What proves who sent it is for nobody else.
                headers.retain(|(name, _)| !verify["header"].as_str().is_some_and(|it| name.eq_ignore_ascii_case(it)));
            }
            Some(checking)
        } else {
            let asked = Asked::of_parts(parts);
            guard::admit(shared, &asked, Role::Run).map_err(Turned::of_caller)?;
            // Following a link from elsewhere is no act at a page; here it is one, whatever the method.
            asked.is_no_link()?;
            None
        };
        let raw = body.take().unwrap_or_default();
        let taken = body::take(self, handle.workspace(), &shared.flood, &parts.headers, raw, checking).await?;
        let request = webhook::envelope(webhook::Request {
            method: parts.method.as_str(),
            path: &self.trigger.subject,
            query: content::pairs(parts.uri.query().unwrap_or_default()),
            headers: &headers,
            body: taken.body,
        });
        let started = self.started(handle, request, taken.delivery).await;
        if let Some(file) = taken.file.filter(|_| is_without_run(&started)) {
            file.remove();
        }
        let Some(started) = started? else {
            return Ok(axum::Json(json!({ "run": null, "skipped": "when" })).into_response());
        };
        if self.option("respond").is_some_and(|respond| respond == "output")
            && let Some(run) = request::ended(shared, started.run, OUTPUT_WAIT).await?
        {
            return Ok(trace::answered(shared, &parts.headers, started, respond::with_output(&run)?).await?);
        }
        Ok(trace::answered(shared, &parts.headers, started, workflows::accepted(started)).await?)
    }

    /// The run; `None` where `when` said no.
    async fn started(
        &self,
        handle: &Handle,
        request: Value,
        delivery: Option<String>,
    ) -> Result<Option<Started>, Problem> {
        let Decision::Start { input, key } = self.decide(handle, &request).await? else {
            handle.refuse(&self.workflow.name, &self.trigger.id, SAID_NO);
            return Ok(None);
        };
        let start = self.start(input, key.or(delivery), request)?;
        request::durable(handle, self.once(handle, start)).await.map(Some)
    }

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
            priority: None,
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

/// Whether nothing refers to what was sent. What failed on this side may yet have been written.
fn is_without_run(started: &Result<Option<Started>, Problem>) -> bool {
    match started {
        Ok(started) => started.is_none_or(|started| !started.fresh),
        Err(problem) => problem.status().is_client_error(),
    }
}

impl Turned {
    /// Whoever shows no token is a stranger; others are told what they may not.
    fn of_caller(problem: Problem) -> Self {
        if problem.status() == StatusCode::UNAUTHORIZED { Self::Unknown(problem) } else { Self::Refused(problem) }
    }

    /// It is not from whom it says.
    fn refused(refused: &Refused, challenge: &'static str) -> Self {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, refused.to_string());
        Self::Unknown(problem.header(WWW_AUTHENTICATE, challenge))
    }
}

/// What the signature of the body has to be.
fn checking(handle: &Handle, declared: &Value, headers: &[(String, String)]) -> Result<Checking, Turned> {
    receive::begin(handle.secrets(), handle.clock().now(), declared, headers).map_err(|unverified| match unverified {
        Unverified::Unusable(fault) => {
            tracing::error!("a webhook cannot verify requests: {fault}");
            let detail = "the webhook cannot verify requests; hint: see the daemon's log";
            Turned::Unusable(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail), fault)
        }
        Unverified::Refused(refused) => {
            Turned::refused(&refused, if declared["scheme"] == "basic" { "Basic" } else { "Bearer" })
        }
    })
}
