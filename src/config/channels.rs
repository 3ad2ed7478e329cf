//! `[channels.NAME]` and `[notify]`: how people are reached, and what becomes of failures that nobody handles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Reader;
use crate::courier::{Address, Channel};
use crate::diag::{Diagnostic, suggest};

const KINDS: [&str; 5] = ["mail", "slack", "webhook", "ntfy", "program"];
const NOTIFY: [&str; 2] = ["default", "repeat"];
/// Priorities of ntfy.
const PRIORITIES: [&str; 10] = ["1", "2", "3", "4", "5", "min", "low", "default", "high", "max"];

/// The keys that a channel of a kind has.
fn keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "mail" => &["kind", "to"],
        "slack" => &["kind", "url", "url_secret"],
        "webhook" => &["kind", "url", "url_secret", "token_secret", "headers"],
        "ntfy" => &["kind", "url", "url_secret", "token_secret", "priority"],
        _ => &["kind", "command"],
    }
}

/// `[notify]`.
#[derive(Debug, Default)]
pub(super) struct Notify {
    /// The channel and where it is named.
    pub(super) default: Option<(String, std::ops::Range<usize>)>,
    pub(super) repeat: Option<Duration>,
}

/// The keys of one channel, as they were read.
#[derive(Default)]
struct Fields {
    to: Option<Vec<String>>,
    url: Option<String>,
    url_secret: Option<String>,
    token_secret: Option<String>,
    headers: Vec<(String, String)>,
    priority: Option<String>,
    command: Option<Vec<String>>,
}

impl Reader<'_> {
    /// All channels that have no fault.
    pub(super) fn channels(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<Arc<str>, Channel> {
        let mut channels = BTreeMap::new();
        let Some(table) = self.table(value) else { return channels };
        for (name, value) in table {
            let Some(fields) = self.table(value) else { continue };
            let known = self.faults.len();
            let channel = self.channel(name.get_ref(), fields, name.span());
            if let Some(channel) = channel.filter(|_| self.faults.len() == known) {
                channels.insert(name.get_ref().as_ref().into(), channel);
            }
        }
        channels
    }

    fn channel(&mut self, name: &str, table: &DeTable<'_>, span: std::ops::Range<usize>) -> Option<Channel> {
        let kind = table.iter().find(|(key, _)| key.get_ref() == "kind").map(|(_, value)| value);
        let Some(kind) = kind else {
            self.fault(format!("`[channels.{name}]` needs `kind`: one of `{}`", KINDS.join("`, `")), span);
            return None;
        };
        let text = self.text(kind)?;
        if !KINDS.contains(&&*text) {
            let hint =
                suggest::did_you_mean(&text, KINDS).unwrap_or_else(|| format!("one of `{}`", KINDS.join("`, `")));
            let place = self.place(kind.span());
            let title = format!("there is no kind of channel `{text}`");
            self.faults.push(Diagnostic::new("E0601", title, place).hint(hint));
            return None;
        }
        let fields = self.fields(&text, table);
        let missing = |reader: &mut Self, what: &str| -> Option<Vec<String>> {
            reader.fault(format!("`[channels.{name}]` of kind `{text}` needs {what}"), span.clone());
            None
        };
        match &*text {
            "mail" => {
                let to = fields.to.or_else(|| missing(self, "`to`, a list of addresses"))?;
                Some(Channel::Mail { to })
            }
            "program" => {
                let what = "`command`, a list: the program and its arguments";
                let command = fields.command.or_else(|| missing(self, what))?;
                Some(Channel::Program { command })
            }
            kind => {
                let address = match (fields.url, fields.url_secret) {
                    (Some(url), None) => Address::Url(url),
                    (None, Some(secret)) => Address::Secret(secret),
                    (None, None) | (Some(_), Some(_)) => {
                        missing(self, "one of `url` and `url_secret`, the name of a secret that is the whole URL");
                        return None;
                    }
                };
                let Fields { token_secret, headers, priority, .. } = fields;
                Some(match kind {
                    "slack" => Channel::Slack { address },
                    "webhook" => Channel::Webhook { address, token_secret, headers },
                    _ => Channel::Ntfy { address, token_secret, priority },
                })
            }
        }
    }

    fn fields(&mut self, kind: &str, table: &DeTable<'_>) -> Fields {
        let mut fields = Fields::default();
        for (key, value) in table {
            let key_name = key.get_ref().as_ref();
            if !keys(kind).contains(&key_name) {
                self.unknown(key_name, key.span(), keys(kind));
                continue;
            }
            match key_name {
                "to" => fields.to = Some(self.texts(value, "addresses, such as `[\"ops@example.com\"]`")),
                "url" => fields.url = self.url(value),
                "url_secret" => fields.url_secret = self.text(value),
                "token_secret" => fields.token_secret = self.text(value),
                "headers" => fields.headers = self.headers(value),
                "priority" => fields.priority = self.priority(value),
                "command" => {
                    fields.command = Some(self.texts(value, "texts, such as `[\"/usr/local/bin/page\", \"ops\"]`"));
                }
                _ => {}
            }
        }
        let wrong = fields.to.iter().flatten().find(|to| !to.contains('@')).cloned();
        if let (Some(wrong), Some((_, value))) = (wrong, table.iter().find(|(key, _)| key.get_ref() == "to")) {
            self.fault(format!("`{wrong}` is no mail address"), value.span());
        }
        fields
    }

    fn texts(&mut self, value: &Spanned<DeValue<'_>>, of: &str) -> Vec<String> {
        let list = value.get_ref().as_array().filter(|list| !list.is_empty());
        let Some(list) = list else {
            self.fault(format!("a list of {of} is expected here"), value.span());
            return Vec::new();
        };
        list.iter().filter_map(|item| self.text(item)).collect()
    }

    fn headers(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, String)> {
        let Some(table) = self.table(value) else { return Vec::new() };
        table.iter().filter_map(|(name, value)| Some((name.get_ref().to_string(), self.text(value)?))).collect()
    }

    fn priority(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            _ => self.text(value)?,
        };
        if !PRIORITIES.contains(&&*text) {
            self.fault(
                format!("`{text}` is no priority; hint: 1 to 5, or `min`, `low`, `default`, `high`, `max`"),
                value.span(),
            );
        }
        Some(text)
    }

    /// `[notify]`.
    pub(super) fn notify(&mut self, value: &Spanned<DeValue<'_>>) -> Notify {
        let mut notify = Notify::default();
        let Some(table) = self.table(value) else { return notify };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "default" => notify.default = self.text(value).map(|name| (name, value.span())),
                "repeat" => notify.repeat = self.duration(value),
                other => self.unknown(other, key.span(), &NOTIFY),
            }
        }
        notify
    }

    /// The default channel must be one, whatever the order in the file. `channels`: what the file names, good or not.
    pub(super) fn default_channel(&mut self, notify: &Notify, channels: &[String]) {
        let Some((name, span)) = &notify.default else { return };
        if channels.contains(name) {
            return;
        }
        let hint = suggest::did_you_mean(name, channels.iter().map(String::as_str))
            .unwrap_or_else(|| format!("add `[channels.{name}]`"));
        let place = self.place(span.clone());
        self.faults.push(Diagnostic::new("E0601", format!("there is no channel `{name}`"), place).hint(hint));
    }
}
