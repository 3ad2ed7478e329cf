//! A declaration as plain JSON, for the API and people. Closures are shown as `|…|`, secrets as `***`.

use rhai::{Array, Dynamic, Map};
use serde_json::{Value, json};

use super::{Declaration, Trigger, Upgrade};
use crate::script::{secret, value};
use crate::time::format_duration;

impl Declaration {
    /// The declaration as the API shows it. What was not declared is `null`.
    pub fn to_json(&self) -> Value {
        let duration = |d: Option<std::time::Duration>| d.map(format_duration);
        let map = |map: &Option<Map>| map.clone().map(|map| plain(&Dynamic::from_map(map)));
        let settings = self.settings.iter().map(|(name, value)| (name.clone(), value.to_json()));
        json!({
            "title": self.title,
            "tags": self.tags,
            "input": self.input.as_ref().map(super::Schema::to_json_schema),
            "output": self.output.as_ref().map(super::Schema::to_json_schema),
            "allow": self.allow_raw,
            "retry": self.retry.as_ref().map(plain),
            "timeout": duration(self.timeout),
            "deadline": duration(self.deadline),
            "sla": map(&self.sla),
            "concurrency": map(&self.concurrency),
            "priority": self.priority,
            "rate": self.rate,
            "on_failure": self.on_failure.as_ref().map(crate::payload::Payload::to_json),
            "upgrade": match self.upgrade { Upgrade::Pinned => "pinned", Upgrade::WhenCompatible => "when_compatible" },
            "keep": duration(self.keep),
            "triggers": self.triggers.iter().map(Trigger::to_json).collect::<Vec<_>>(),
            "settings": settings.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Trigger {
    /// `{ id, kind, subject, options, line }`.
    pub fn to_json(&self) -> Value {
        let options = plain(&Dynamic::from_map(self.options.clone()));
        json!({ "id": self.id(), "kind": self.kind.name(), "subject": self.subject, "options": options, "line": self.line })
    }
}

pub(super) fn plain(shown: &Dynamic) -> Value {
    if shown.is_fnptr() {
        return "|…|".into();
    }
    if let Some(map) = shown.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, value)| (key.to_string(), plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    if let Some(list) = shown.read_lock::<Array>() {
        return list.iter().map(plain).collect();
    }
    let text = value::to_json_text(shown, false).unwrap_or_default();
    serde_json::from_str(&secret::mask(&text)).unwrap_or_default()
}
