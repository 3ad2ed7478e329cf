//! `panta run --trigger`: an envelope, taken as the trigger of the script would take it that it comes to.

use serde_json::{Map, Value, json};

use super::output::{Exit, Fault, note};
use crate::engine::{Decision, Deployed, Received, TriggerSpec, decide};
use crate::host::declare::TriggerKind;
use crate::pattern::Pattern;
use crate::time::{Clock, SystemClock};
use crate::trigger::receive::verified;
use crate::trigger::webhook::{self, HookPath};
use crate::vault::Vault;

/// What a run is started with.
#[derive(Debug)]
pub(super) struct Given {
    /// The input.
    pub(super) input: Value,
    /// What `trigger::info()` shows.
    pub(super) trigger: Value,
}

/// Takes an envelope: a webhook's `#{ method, path, query, headers, body }` (with `raw`, the text of the body as it was
/// signed, where that matters), a file's `#{ path, name, size, sha256 }`, or any kind's `#{ kind, payload, … }`.
/// `None`: `when` says that no run starts.
pub(super) fn take(deployed: &Deployed, secrets: &Vault, envelope: Value) -> Result<Option<Given>, Fault> {
    let Value::Object(mut envelope) = envelope else {
        return Err(Fault::usage("`--trigger` is a map such as `{\"kind\": \"webhook\", \"body\": {}}`"));
    };
    let is_file = envelope.contains_key("path") && envelope.contains_key("sha256");
    envelope.entry("kind").or_insert_with(|| if is_file { "file" } else { "webhook" }.into());
    let Some(spec) = deployed.triggers.iter().find(|spec| comes_to(&envelope, spec)) else {
        note("warning: no trigger of the script takes this envelope: its payload is the input as it is");
        return Ok(Some(Given { input: payload(&envelope), trigger: envelope.into() }));
    };
    let (seen, mut trigger) = match spec.kind {
        TriggerKind::Webhook => request(spec, secrets, &envelope)?,
        TriggerKind::Cron | TriggerKind::Every | TriggerKind::Startup => {
            (Value::Object(without(&envelope, &["kind"])), envelope.clone())
        }
        _ => (payload(&envelope), without(&envelope, &["payload"])),
    };
    trigger.insert("trigger".into(), spec.id.as_str().into());
    let received = Received { seen, payload: spec.options.get("input").cloned().unwrap_or_else(|| payload(&envelope)) };
    match decide(deployed, spec, received).map_err(|problem| Fault::new(Exit::Failed, problem))? {
        Decision::Start { input, .. } => Ok(Some(Given { input, trigger: trigger.into() })),
        Decision::Skip => Ok(None),
    }
}

fn comes_to(envelope: &Map<String, Value>, spec: &TriggerSpec) -> bool {
    let text = |name: &str| envelope.get(name).and_then(Value::as_str);
    if let Some(id) = text("trigger") {
        return spec.id == id;
    }
    let fits = match spec.kind {
        TriggerKind::Webhook => text("path").is_none_or(|path| {
            let path = path.strip_prefix("/hooks/").unwrap_or(path);
            HookPath::parse(&spec.subject).is_ok_and(|hook| hook.matches(path))
        }),
        TriggerKind::Event => {
            text("name").is_none_or(|name| Pattern::events(&spec.subject).is_ok_and(|pattern| pattern.matches(name)))
        }
        _ => true,
    };
    fits && text("kind") == Some(spec.kind.name())
}

fn without(envelope: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let kept = envelope.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn payload(envelope: &Map<String, Value>) -> Value {
    if let Some(payload) = envelope.get("payload") {
        return payload.clone();
    }
    match envelope["kind"].as_str() {
        Some("webhook") => match envelope.get("body") {
            Some(body) => body.clone(),
            None => without(envelope, &["kind", "method", "path", "query", "headers", "raw", "trigger"]).into(),
        },
        Some("file") => without(envelope, &["kind", "trigger"]).into(),
        _ => Value::Null,
    }
}

/// What the closures see of a request, and what the run does.
fn request(
    spec: &TriggerSpec,
    secrets: &Vault,
    envelope: &Map<String, Value>,
) -> Result<(Value, Map<String, Value>), Fault> {
    let empty = Map::new();
    let map = |name: &str| envelope.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let headers: Vec<_> = map("headers").iter().map(|(name, value)| (name.to_lowercase(), plain(value))).collect();
    let body = payload(envelope);
    let declared = &spec.options["verify"];
    if headers.is_empty() && !declared.is_null() {
        note("warning: the envelope has no `headers`: `verify` is not asked");
    } else if !declared.is_null() {
        let raw = plain(envelope.get("raw").unwrap_or(&body));
        verified(secrets, SystemClock.now(), declared, &headers, raw.as_bytes())
            .map_err(|problem| Fault::new(Exit::Failed, format!("the request would be refused: {problem}")))?;
    }
    let method = envelope.get("method").and_then(Value::as_str).unwrap_or("POST");
    let query = map("query").clone();
    let seen = webhook::envelope(webhook::Request { method, path: &spec.subject, query, headers: &headers, body });
    let mut shown = seen.as_object().cloned().unwrap_or_default();
    shown.remove("body");
    shown.insert("kind".into(), json!("webhook"));
    Ok((seen, shown))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{NoSettings, Settings, compile};
    use crate::script::bundle::Bundle;

    /// The input and the trigger's fields; `null` where `when` refuses.
    fn taken(triggers: &str, envelope: Value) -> Result<(Value, Value), Exit> {
        let bundle = Bundle::of_text("w.rhai", &format!("{triggers} fn main(i) {{ i }}")).unwrap();
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let given =
            take(&compile(bundle, &settings).unwrap(), &Vault::default(), envelope).map_err(|fault| fault.exit)?;
        Ok(given.map_or((Value::Null, Value::Null), |given| (given.input, given.trigger)))
    }

    #[test]
    fn a_request_is_asked_about_as_by_the_server() {
        let hook = "trigger::webhook(\"other\"); trigger::webhook(\"in\", #{ when: |r| r.headers[\"x-a\"] == \"1\", input: |r| r.body.n });";
        let envelope = |a: &str| json!({ "path": "in", "headers": { "X-A": a, "Cookie": "c" }, "body": { "n": 7 } });
        let (input, trigger) = taken(hook, envelope("1")).unwrap();
        assert_eq!(
            (input, &trigger["headers"], &trigger["trigger"]),
            (json!(7), &json!({ "x-a": "1" }), &json!("webhook:in"))
        );
        assert_eq!(taken(hook, envelope("2")).unwrap().0, json!(null));
        assert!(trigger.get("body").is_none());
    }

    #[test]
    fn a_wrong_signature_and_a_closure_that_throws_start_nothing() {
        let signed = "trigger::webhook(\"in\", #{ verify: hmac(\"github\", secret(\"none\")) });";
        assert_eq!(taken(signed, json!({ "headers": { "x-hub-signature-256": "sha256=00" } })), Err(Exit::Failed));
        assert_eq!(taken(signed, json!({ "body": 1 })).unwrap().0, json!(1));
        assert_eq!(
            taken("trigger::webhook(\"in\", #{ when: |r| r.body.x.y });", json!({ "body": 1 })),
            Err(Exit::Failed)
        );
    }

    #[test]
    fn other_kinds_have_their_payload() {
        let file = json!({ "path": "in/a.csv", "name": "a.csv", "size": 1, "sha256": "00" });
        let (input, trigger) = taken("trigger::file(\"in/*\", #{ input: |f| f.name });", file.clone()).unwrap();
        assert_eq!((input, &trigger["kind"], &trigger["path"]), (json!("a.csv"), &json!("file"), &json!("in/a.csv")));
        assert_eq!(taken("trigger::file(\"in/*\");", file.clone()).unwrap().0, file);
        let event = json!({ "kind": "event", "name": "paid", "payload": { "n": 1 } });
        assert_eq!(taken("trigger::event(\"paid\", #{ when: |p| p.n == 2 });", event.clone()).unwrap().0, json!(null));
        assert_eq!(taken("trigger::event(\"other\");", event).unwrap().0, json!({ "n": 1 }));
        let time = json!({ "kind": "cron", "scheduled_at": "2026-01-01T00:00:00Z" });
        let cron = "trigger::cron(\"@daily\", #{ when: |t| t.scheduled_at.starts_with(\"2026\"), input: 5 });";
        assert_eq!(taken(cron, time).unwrap().0, json!(5));
    }
}
