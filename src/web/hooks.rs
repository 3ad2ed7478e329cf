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
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Problem, Shared, content, guard, request, workflows};
use crate::engine::{Deployed, Handle, Start, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::script::secret::find_placeholders;
use crate::time::parse_duration;
use crate::trigger::webhook::{HookPath, Refused, Verify};

/// How long a delivery is told from a new one, unless `within` says otherwise: senders repeat for some days.
const REPEATS: Duration = Duration::from_hours(7 * 24);
/// How long `respond: "output"` waits: senders give up sooner or later than this, few later.
const OUTPUT_WAIT: Duration = Duration::from_secs(30);
/// Headers that no run sees.
const HIDDEN: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

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
    let hook = find(handle, &path, &parts.method)?;
    hook.can_be_served()?;
    let raw = request::body(&parts.headers, body).await?;
    let headers = plain(&parts.headers);
    let delivery = match hook.option("verify") {
        Some(verify) => verified(handle, verify, &headers, &raw)?,
        None => guard::authorized(&shared.app.access, &parts.headers).map(|()| None)?,
    };
    let input = content::value(&content::kind(&parts.headers), &raw)?;
    let start = hook.start(input, delivery, &headers, &parts)?;
    let started = request::durable(handle, handle.start(&hook.workflow.name, start)).await?;
    if hook.option("respond").is_some_and(|respond| respond == "output")
        && let Some(run) = request::ended(&shared, started.run, OUTPUT_WAIT).await?
    {
        return respond::with_output(&run);
    }
    Ok(workflows::accepted(started))
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

    /// Closures are not asked here. A condition that nobody evaluates must not count as fulfilled.
    fn can_be_served(&self) -> Result<(), Problem> {
        match self.trigger.closures.first() {
            None => Ok(()),
            Some(name) => {
                let detail = format!("the webhook's option `{name}` is a closure, which is not supported here");
                Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail))
            }
        }
    }

    fn start(
        &self,
        input: Value,
        delivery: Option<String>,
        headers: &[(String, String)],
        parts: &Parts,
    ) -> Result<Start, Problem> {
        let named = self.option("dedupe").and_then(Value::as_str);
        let key = match named {
            Some(name) => {
                headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
            }
            None => delivery,
        };
        let within = self.option("within").and_then(Value::as_str).map(parse_duration);
        let within =
            within.transpose().map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let trigger = json!({
            "kind": "webhook", "path": self.trigger.subject, "method": parts.method.as_str(),
            "headers": shown(headers), "query": content::pairs(parts.uri.query().unwrap_or_default()),
        });
        Ok(Start {
            input,
            key: key.filter(|key| !key.is_empty()),
            key_scope: Some(format!("webhook:{}", self.trigger.subject)),
            within: Some(within.unwrap_or(REPEATS)),
            trigger,
            run: None,
        })
    }
}

/// All headers as texts, names in lower case.
fn plain(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The headers that the run sees; one that is there more than once is joined by commas.
fn shown(headers: &[(String, String)]) -> Map<String, Value> {
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in headers.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str())) {
        let whole = match joined.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        joined.insert(name.clone(), whole.into());
    }
    joined
}

/// The delivery's id, where the scheme has one.
fn verified(
    handle: &Handle,
    declared: &Value,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Option<String>, Problem> {
    let (scheme, secret) = scheme(handle, declared).map_err(|fault| {
        tracing::error!("a webhook cannot verify requests: {fault}");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the webhook cannot verify requests; hint: see the daemon's log",
        )
    })?;
    match scheme.verify(headers, body, secret.as_bytes(), handle.clock().now()) {
        Ok(verified) => Ok(verified.delivery_id),
        Err(refused @ Refused::Secret(_)) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, refused.to_string())),
        Err(refused) => {
            let challenge = if matches!(scheme, Verify::Basic { .. }) { "Basic" } else { "Bearer" };
            let problem = Problem::new(StatusCode::UNAUTHORIZED, refused.to_string());
            Err(problem.header(WWW_AUTHENTICATE, challenge))
        }
    }
}

/// What `verify` says: `#{ scheme, secret, … }` with a placeholder for the secret.
fn scheme<'h>(handle: &'h Handle, declared: &Value) -> Result<(Verify, &'h str), String> {
    let placeholder = declared["secret"].as_str().unwrap_or_default();
    let found = find_placeholders(placeholder);
    let [secret] = found.as_slice() else { return Err("its `secret` is not `secret(\"name\")`".to_owned()) };
    let value = handle.secrets().value(secret.name).ok_or_else(|| {
        let variable = secret.name.to_ascii_uppercase().replace(['-', '.'], "_");
        format!("the secret `{}` is not set; hint: set `PANTA_SECRET_{variable}`", secret.name)
    })?;
    let mut rest = declared.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("secret");
    }
    let scheme = serde_json::from_value(rest).map_err(|error| error.to_string())?;
    Ok((scheme, value))
}
