//! `fire`: a run is started as a trigger of the workflow does it, with what that received.

use std::time::Duration;

use rhai::Map;
use serde_json::{Value, json};

use super::broken::{Broken, MISUSE};
use super::case::{Case, Did, json};
use crate::engine::{EnvironmentSecrets, Start, TriggerSpec};
use crate::host::declare::TriggerKind;
use crate::script::secret::find_placeholders;
use crate::time::{Timestamp, parse_duration};
use crate::trigger::webhook::Verify;

/// How long a delivery is told from a new one, unless `within` says otherwise: as long as the daemon does.
const REPEATS: Duration = Duration::from_hours(7 * 24);
/// Headers that no run sees.
const HIDDEN: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl Case {
    /// Starts what the trigger of this name starts; the id of the run. It is named by its kind (`webhook`), its first
    /// argument (`orders`), or both (`webhook:orders`).
    pub(super) fn fire(&self, name: &str, envelope: &Map) -> Did<String> {
        let spec = self.trigger(name)?;
        let envelope = json("fire", &rhai::Dynamic::from_map(envelope.clone()))?;
        match spec.kind {
            TriggerKind::Event => self.fire_event(&spec, &envelope),
            kind => {
                let start = self.start_with(|engine| match kind {
                    TriggerKind::Webhook => webhook(&spec, &envelope, engine.handle().secrets(), engine.now()),
                    TriggerKind::Cron | TriggerKind::Every | TriggerKind::Startup => {
                        Ok(timed(&spec, &envelope, engine.now()))
                    }
                    _ => Ok(plain(&spec, &envelope)),
                });
                Ok(start?.to_string())
            }
        }
    }

    fn trigger(&self, name: &str) -> Did<TriggerSpec> {
        let triggers = self.triggers()?;
        let meant = |spec: &&TriggerSpec| spec.id == name || spec.kind.name() == name || spec.subject == name;
        let mut found = triggers.iter().filter(meant);
        match (found.next(), found.next()) {
            (Some(spec), None) => Ok(spec.clone()),
            (first, _) => {
                let all = triggers.iter().map(|spec| format!("`{}`", spec.id)).collect::<Vec<_>>().join(", ");
                let how = if first.is_some() { "more than one trigger" } else { "no trigger" };
                let broken = Broken::new(MISUSE, format!("`{}` has {how} `{name}`", self.workflow));
                Err(broken.hint(if all.is_empty() { "it declares none".to_owned() } else { format!("it has {all}") }))
            }
        }
    }

    fn fire_event(&self, spec: &TriggerSpec, envelope: &Value) -> Did<String> {
        let name = envelope["name"].as_str().unwrap_or(&spec.subject).to_owned();
        let payload = envelope.get("payload").unwrap_or(envelope);
        let options = ["key", "id"].into_iter().filter_map(|key| Some((key.into(), envelope[key].as_str()?.into())));
        let payload = crate::script::value::decode(&crate::payload::Payload::from_json(payload));
        let started = self.emit(&name, &payload, &options.collect())?;
        started.first().map(ToString::to_string).ok_or_else(|| {
            Broken::new(MISUSE, format!("the event `{name}` starts no run of `{}`", self.workflow))
                .hint("it was emitted before, or its payload does not fit the input")
        })
    }
}

fn info(spec: &TriggerSpec, more: &Value) -> Value {
    let mut info = json!({ "kind": spec.kind.name(), "trigger": spec.id });
    for (key, value) in more.as_object().into_iter().flatten() {
        info[key] = value.clone();
    }
    info
}

fn timed(spec: &TriggerSpec, envelope: &Value, now: Timestamp) -> Start {
    let at = envelope.get("scheduled_at").cloned().unwrap_or(json!(now));
    let input = spec.options.get("input").cloned().unwrap_or(Value::Null);
    Start { input, trigger: info(spec, &json!({ "scheduled_at": at })), ..Start::default() }
}

/// Files, ends of runs: what was received is the input.
fn plain(spec: &TriggerSpec, envelope: &Value) -> Start {
    Start { input: envelope.clone(), trigger: info(spec, envelope), ..Start::default() }
}

/// `#{ body, headers, method, query, raw }`: `raw` is the text that was signed, where it is not the body as JSON.
fn webhook(spec: &TriggerSpec, envelope: &Value, secrets: &EnvironmentSecrets, now: Timestamp) -> Did<Start> {
    let body = envelope.get("body").cloned().unwrap_or(Value::Null);
    let raw = envelope["raw"]
        .as_str()
        .map_or_else(|| if body.is_null() { String::new() } else { body.to_string() }, str::to_owned);
    let body = if body.is_null() { serde_json::from_str(&raw).unwrap_or(Value::Null) } else { body };
    let headers = headers(envelope);
    let method = envelope["method"].as_str().unwrap_or("POST").to_uppercase();
    let takes = spec.options["methods"].as_array();
    if !takes.map_or(method == "POST", |known| known.iter().any(|known| known == method.as_str())) {
        return Err(Broken::new(MISUSE, format!("the webhook `{}` does not take {method}", spec.subject)));
    }
    let delivery = match spec.options.get("verify").filter(|verify| !verify.is_null()) {
        Some(verify) => verified(verify, secrets, now, &headers, raw.as_bytes())?,
        None => None,
    };
    let key = match spec.options["dedupe"].as_str() {
        Some(name) => {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        }
        None => delivery,
    };
    let within = spec.options["within"].as_str().map(parse_duration).transpose();
    let shown: serde_json::Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .map(|(k, v)| (k.clone(), json!(v)))
        .collect();
    let query = envelope.get("query").cloned().unwrap_or(json!({}));
    Ok(Start {
        input: body,
        key: key.filter(|key| !key.is_empty()),
        key_scope: Some(format!("webhook:{}", spec.subject)),
        within: Some(within.map_err(|error| Broken::told(MISUSE, &error.to_string()))?.unwrap_or(REPEATS)),
        trigger: json!({ "kind": "webhook", "path": spec.subject, "method": method, "headers": shown, "query": query }),
        run: None,
    })
}

fn headers(envelope: &Value) -> Vec<(String, String)> {
    let given = envelope["headers"].as_object().into_iter().flatten();
    given
        .map(|(name, value)| (name.to_lowercase(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// The delivery's id, where the scheme has one; a request that is not from whom it says is refused.
fn verified(
    declared: &Value,
    secrets: &EnvironmentSecrets,
    now: Timestamp,
    headers: &[(String, String)],
    body: &[u8],
) -> Did<Option<String>> {
    let placeholder = declared["secret"].as_str().unwrap_or_default();
    let name = find_placeholders(placeholder).first().map(|found| found.name.to_owned()).unwrap_or_default();
    let value = secrets.value(&name).ok_or_else(|| {
        Broken::new(MISUSE, format!("the secret `{name}` is not set"))
            .hint(format!("add `t.secret(\"{name}\", \"…\");`"))
    })?;
    let mut scheme = declared.clone();
    if let Some(scheme) = scheme.as_object_mut() {
        scheme.remove("secret");
    }
    let scheme: Verify = serde_json::from_value(scheme)
        .map_err(|error| Broken::new(MISUSE, format!("the webhook's `verify` cannot be read: {error}")))?;
    let verified = scheme.verify(headers, body, value.as_bytes(), now);
    verified
        .map(|verified| verified.delivery_id)
        .map_err(|refused| Broken::told(MISUSE, &format!("the webhook refuses the request: {refused}")))
}
