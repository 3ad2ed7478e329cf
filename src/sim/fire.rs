//! `fire`: a run is started as a trigger of the workflow does it, with what that received.
//!
//! The same functions decide as in the daemon: whether a request is from whom it says, whether a run starts, with which input,
//! and whether a delivery came before.

use std::time::Duration;

use rhai::{Dynamic, Map};
use serde_json::{Value, json};

use super::broken::{Broken, MISUSE};
use super::case::{Case, Did, json};
use crate::effect::letter::Letter;
use crate::effect::message::Address;
use crate::engine::{Decision, Deployed, Received, Start, TriggerSpec, decide};
use crate::host::declare::TriggerKind;
use crate::time::{Timestamp, parse_duration};
use crate::trigger::message as trigger_message;
use crate::trigger::receive::verified;
use crate::trigger::webhook;
use crate::vault::Vault;

/// How long a delivery is told from a new one, unless `within` says otherwise: as long as the daemon does.
const REPEATS: Duration = Duration::from_hours(7 * 24);

/// What a trigger received, and what becomes of it where a run starts.
struct Envelope {
    received: Received,
    /// What `trigger::info()` shows.
    info: Value,
    /// The delivery's id, by the scheme of `verify` or a header.
    key: Option<String>,
}

impl Case {
    /// Starts what the trigger of this name starts; the id of the run, or `()` where `when` starts none. A repeat of a
    /// delivery gives the run that the first one started. The trigger is named by its kind (`webhook`), its first argument
    /// (`orders`), or both (`webhook:orders`).
    pub(super) fn fire(&self, name: &str, envelope: &Map) -> Did<Dynamic> {
        let (deployed, spec) = self.trigger(name)?;
        let envelope = json("fire", &Dynamic::from_map(envelope.clone()))?;
        if spec.kind == TriggerKind::Event {
            return self.fire_event(&spec, &envelope);
        }
        let Envelope { received, info, key } = self.with_engine(|engine| match spec.kind {
            TriggerKind::Webhook => request(&spec, &envelope, engine.handle().secrets(), engine.now()),
            TriggerKind::Message => Ok(message(&spec, &envelope)),
            TriggerKind::Cron | TriggerKind::Every | TriggerKind::Startup => Ok(timed(&spec, &envelope, engine.now())),
            TriggerKind::Mail => Ok(mail(&spec, &envelope, engine.now())),
            _ => Ok(plain(&spec, &envelope)),
        })?;
        let decided = decide(&deployed, &spec, received).map_err(|problem| Broken::told(MISUSE, &problem))?;
        let Decision::Start { input, key: asked } = decided else { return Ok(Dynamic::UNIT) };
        let start = start(&spec, input, asked.or(key), info)?;
        Ok(self.start_with(&start)?.to_string().into())
    }

    fn trigger(&self, name: &str) -> Did<(Deployed, TriggerSpec)> {
        let deployed = self.deployed()?;
        let triggers = &deployed.triggers;
        let meant = |spec: &&TriggerSpec| spec.id == name || spec.kind.name() == name || spec.subject == name;
        let mut found = triggers.iter().filter(meant);
        match (found.next().cloned(), found.next()) {
            (Some(spec), None) => Ok((deployed, spec)),
            (first, _) => {
                let all = triggers.iter().map(|spec| format!("`{}`", spec.id)).collect::<Vec<_>>().join(", ");
                let how = if first.is_some() { "more than one trigger" } else { "no trigger" };
                let broken = Broken::new(MISUSE, format!("`{}` has {how} `{name}`", self.workflow));
                let known = triggers.iter().flat_map(|spec| [spec.kind.name(), &*spec.subject, &*spec.id]);
                let near = if first.is_some() { None } else { crate::diag::suggest::did_you_mean(name, known) };
                let listed = if all.is_empty() { "it declares none".to_owned() } else { format!("it has {all}") };
                Err(broken.hint(near.unwrap_or(listed)))
            }
        }
    }

    /// An event takes its own way: it may start several workflows, be debounced or batched.
    fn fire_event(&self, spec: &TriggerSpec, envelope: &Value) -> Did<Dynamic> {
        let name = envelope["name"].as_str().unwrap_or(&spec.subject).to_owned();
        let payload = envelope.get("payload").unwrap_or(envelope);
        let options = ["key", "id"].into_iter().filter_map(|key| Some((key.into(), envelope[key].as_str()?.into())));
        let payload = crate::script::value::decode(&crate::payload::Payload::from_json(payload));
        let started = self.emit(&name, &payload, &options.collect())?;
        Ok(started.first().map_or(Dynamic::UNIT, |run| run.to_string().into()))
    }
}

fn start(spec: &TriggerSpec, input: Value, key: Option<String>, info: Value) -> Did<Start> {
    let within = spec.options["within"].as_str().map(parse_duration).transpose();
    let within = within.map_err(|error| Broken::told(MISUSE, &error.to_string()))?.unwrap_or(REPEATS);
    Ok(Start {
        input,
        key: key.filter(|key| !key.is_empty()),
        key_scope: Some(spec.id.clone()),
        within: Some(within),
        trigger: info,
        run: None,
        priority: None,
        by: None,
    })
}

fn info(spec: &TriggerSpec, more: &Value) -> Value {
    let mut info = json!({ "kind": spec.kind.name(), "trigger": spec.id });
    for (key, value) in more.as_object().into_iter().flatten() {
        info[key] = value.clone();
    }
    info
}

/// A schedule tells its time, the start of the daemon when that was.
fn timed(spec: &TriggerSpec, envelope: &Value, now: Timestamp) -> Envelope {
    let name = if spec.kind == TriggerKind::Startup { "at" } else { "scheduled_at" };
    let seen = json!({ name: envelope.get(name).cloned().unwrap_or(json!(now)) });
    let payload = spec.options.get("input").cloned().unwrap_or(Value::Null);
    Envelope { info: info(spec, &seen), received: Received { seen, payload }, key: None }
}

/// `#{ payload, subject, headers, id, … }`, or the payload alone.
fn message(spec: &TriggerSpec, envelope: &Value) -> Envelope {
    let (payload, beside) = match envelope.get("payload") {
        Some(payload) => (payload.clone(), envelope),
        None => (envelope.clone(), &Value::Null),
    };
    let text = |key: &str| beside[key].as_str();
    let filter = Address::parse(&spec.subject).ok().and_then(|(_, filter)| filter).unwrap_or_default();
    let subject = text("subject").unwrap_or(&filter);
    let again = beside["redelivered"] == true;
    let facts = trigger_message::facts(subject, &headers(beside), text("id"), text("content_type"), again);
    let (seen, key) = (trigger_message::envelope(&payload, &facts), text("id").map(str::to_owned));
    Envelope { info: info(spec, &Value::Object(facts)), received: Received { seen, payload }, key }
}

/// Files, ends of runs: what was received is the payload.
fn plain(spec: &TriggerSpec, envelope: &Value) -> Envelope {
    Envelope { received: Received::of(envelope.clone()), info: info(spec, envelope), key: None }
}

/// A message with what is given of it: the rest is that of an empty one. `from` may be an address alone.
fn mail(spec: &TriggerSpec, envelope: &Value, now: Timestamp) -> Envelope {
    let mut message = Value::Object(Letter::read(b"", 0).fields);
    message["mailbox"] = spec.subject.as_str().into();
    message["received_at"] = json!(now);
    message["attachments"] = json!([]);
    for (key, value) in envelope.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    for field in ["from", "reply_to"] {
        if let Some(address) = message[field].as_str() {
            message[field] = json!({ "name": null, "address": address });
        }
    }
    if envelope.get("reply_to").is_none() {
        message["reply_to"] = message["from"].clone();
    }
    let seen = json!({
        "mailbox": message["mailbox"], "message_id": message["message_id"], "from": message["from"]["address"],
        "subject": message["subject"], "received_at": message["received_at"],
    });
    Envelope { received: Received::of(message), info: info(spec, &seen), key: None }
}

/// `#{ body, headers, method, query, raw }`: `raw` is the text that was signed, where it is not the body as JSON.
fn request(spec: &TriggerSpec, envelope: &Value, secrets: &Vault, now: Timestamp) -> Did<Envelope> {
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
        Some(verify) => {
            verified(secrets, now, verify, &headers, raw.as_bytes()).map_err(|refused| refusal(&refused))?
        }
        None => None,
    };
    let query = envelope["query"].as_object().cloned().unwrap_or_default();
    let seen =
        webhook::envelope(webhook::Request { method: &method, path: &spec.subject, query, headers: &headers, body });
    let key = spec.options["dedupe"].as_str().map_or(delivery, |name| webhook::header(&seen, name).map(str::to_owned));
    let mut shown = seen.clone();
    shown.as_object_mut().expect("an envelope is a map").remove("body");
    let payload = seen["body"].clone();
    Ok(Envelope { info: info(spec, &shown), received: Received { seen, payload }, key })
}

fn headers(envelope: &Value) -> Vec<(String, String)> {
    let given = envelope["headers"].as_object().into_iter().flatten();
    given
        .map(|(name, value)| (name.to_lowercase(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// A request that is not from whom it says, as a test is told.
fn refusal(refused: &crate::trigger::receive::Unverified) -> Broken {
    use crate::trigger::receive::Unverified;
    match refused {
        Unverified::Refused(why) => Broken::told(MISUSE, &format!("the webhook refuses the request: {why}")),
        Unverified::Unusable(why) => {
            let title = why.split("; hint: ").next().unwrap_or(why).to_owned();
            Broken::new(MISUSE, format!("the webhook cannot verify requests: {title}"))
                .hint("`t.secret(name, value)` sets a secret of the test")
        }
    }
}
