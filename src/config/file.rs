//! `panta.toml`: every key checked, every fault with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Limits;
use super::channels::Notify;
use super::log::LogSettings;
use super::mail::Mail;
use super::otlp::Otlp;
use super::secrets::Secrets;
use crate::courier::Channel;
use crate::diag::{Diagnostic, Place, suggest};
use crate::effect::ai::Model;
use crate::effect::imap::Mailbox;
use crate::effect::message::Broker;
use crate::effect::oauth::Client;
use crate::effect::sql::Database;
use crate::engine::people::Directory;
use crate::payload::Payload;
use crate::time::Rate;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) settings: BTreeMap<String, Payload>,
    pub(super) limits: Limits,
    pub(super) mail: Option<Mail>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) mailboxes: BTreeMap<String, Mailbox>,
    pub(super) brokers: BTreeMap<String, Broker>,
    pub(super) url: Option<String>,
    pub(super) hosts: Vec<String>,
    pub(super) people: Directory,
    pub(super) secrets: Secrets,
    pub(super) channels: BTreeMap<Arc<str>, Channel>,
    pub(super) notify: Notify,
    pub(super) log: LogSettings,
    pub(super) otlp: Option<Otlp>,
    pub(super) oauth2: BTreeMap<String, Client>,
    pub(super) ai: BTreeMap<String, Model>,
}

const KEYS: [&str; 19] = [
    "data",
    "listen",
    "url",
    "hosts",
    "config",
    "limits",
    "people",
    "mail",
    "databases",
    "mailboxes",
    "brokers",
    "calendars",
    "secrets",
    "channels",
    "notify",
    "log",
    "otlp",
    "oauth2",
    "ai",
];
const LIMITS: [&str; 6] = ["script_cpu", "script_memory", "evict_after", "keep", "most_live", "requests"];

/// Reads a file, or names all its faults.
pub(super) fn read(path: &Path) -> Result<Read, Vec<Diagnostic>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Diagnostic::new("E0601", format!("the configuration cannot be read: {error}"), Place::file(&name))]
    })?;
    parse(&name, &text)
}

pub(super) fn parse(name: &str, text: &str) -> Result<Read, Vec<Diagnostic>> {
    let mut reader = Reader { name, text, faults: Vec::new() };
    let table = DeTable::parse(text).map_err(|error| {
        let place = reader.place(error.span().unwrap_or(0..0));
        vec![Diagnostic::new("E0601", error.message().to_lowercase(), place)]
    })?;
    let read = reader.all(table.get_ref());
    if reader.faults.is_empty() { Ok(read) } else { Err(reader.faults) }
}

pub(super) struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) faults: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn all(&mut self, table: &DeTable<'_>) -> Read {
        let mut read = Read::default();
        let mut named = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "data" => read.data = self.text(value).map(PathBuf::from),
                "listen" => read.listen = self.text(value),
                "config" => read.settings.extend(self.settings(value)),
                "calendars" => read.settings.extend(super::calendars::read(self, value)),
                "url" => read.url = self.url(value),
                "hosts" => read.hosts = self.hosts(value),
                "people" => read.people = self.people(value),
                "limits" => read.limits = self.limits(value),
                "mail" => read.mail = self.mail(value),
                "databases" => read.databases = self.databases(value),
                "mailboxes" => read.mailboxes = self.mailboxes(value),
                "brokers" => read.brokers = self.brokers(value),
                "secrets" => read.secrets = self.secrets(value),
                "channels" => {
                    let table = value.get_ref().as_table();
                    named.extend(table.into_iter().flatten().map(|(name, _)| name.get_ref().to_string()));
                    read.channels = self.channels(value);
                }
                "notify" => read.notify = self.notify(value),
                "log" => read.log = self.log(value),
                "otlp" => read.otlp = self.otlp(value),
                "oauth2" => read.oauth2 = self.oauth2(value),
                "ai" => read.ai = self.ai(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        self.default_channel(&read.notify, &named);
        read
    }

    pub(super) fn settings(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Payload> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        table
            .iter()
            .filter_map(|(key, value)| {
                let text = typed(value.get_ref()).map_err(|why| self.fault(why, value.span())).ok()?;
                Some((key.get_ref().to_string(), Payload::from_text(text)))
            })
            .collect()
    }

    fn limits(&mut self, value: &Spanned<DeValue<'_>>) -> Limits {
        let mut limits = Limits::default();
        let Some(table) = self.table(value) else { return limits };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "script_cpu" => limits.script_cpu = self.duration(value),
                "evict_after" => limits.evict_after = self.duration(value),
                "keep" => limits.keep = self.duration(value),
                "script_memory" => limits.script_memory = self.bytes(value),
                "most_live" => limits.most_live = self.number(value),
                "requests" => {
                    let rate = self.text(value).map(|text| rate(&text).map_err(|why| self.fault(why, value.span())));
                    limits.requests = rate.and_then(Result::ok);
                }
                other => self.unknown(other, key.span(), &LIMITS),
            }
        }
        limits
    }

    pub(super) fn table<'v, 't>(&mut self, value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.fault("this is a table of keys and values".to_owned(), value.span());
        }
        table
    }

    pub(super) fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.fault("a text is expected here".to_owned(), value.span());
        }
        text
    }

    pub(super) fn duration(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.text(value)?;
        duration(&text).map_err(|why| self.fault(why, value.span())).ok()
    }

    fn number(&mut self, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            _ => self.text(value)?,
        };
        count(&text).map_err(|why| self.fault(why, value.span())).ok()
    }

    pub(super) fn bytes(&mut self, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            _ => self.text(value)?,
        };
        bytes(&text).map_err(|why| self.fault(why, value.span())).ok()
    }

    pub(super) fn unknown(&mut self, key: &str, span: std::ops::Range<usize>, known: &[&str]) {
        let hint = suggest::did_you_mean(key, known.iter().copied()).unwrap_or_else(|| {
            format!("the keys here are `{}`; settings for scripts go under `[config]`", known.join("`, `"))
        });
        let place = self.place(span);
        self.faults.push(Diagnostic::new("E0602", format!("unknown key `{key}`"), place).hint(hint));
    }

    pub(super) fn fault(&mut self, why: String, span: std::ops::Range<usize>) {
        let place = self.place(span);
        self.faults.push(Diagnostic::new("E0601", why, place));
    }

    pub(super) fn place(&self, span: std::ops::Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let source = self.text[begin..].lines().next().unwrap_or_default();
        let width = self.text.get(span).map_or(1, |cut| cut.lines().next().unwrap_or_default().chars().count());
        Place {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[begin..].chars().count() + 1,
            width: width.max(1),
            source: source.to_owned(),
        }
    }
}

/// A duration as scripts write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    crate::time::parse_duration(text).map_err(|error| format!("{error}; hint: {}", error.hint()))
}

/// `300000/min`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    Rate::from_text(text).ok_or_else(|| format!("`{text}` is no rate; hint: write `100/s` or `300000/min`"))
}

/// A number of things, at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{text}` is no number of runs; hint: write `5000`"))
}

/// `512 MB`, `1 GiB`, `1000`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: usize = match text[digits..].trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        unit => return Err(format!("`{unit}` is no unit of size; hint: write `512 MB`")),
    };
    let number: usize = text[..digits].parse().map_err(|_| format!("`{text}` is no size; hint: write `512 MB`"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// A value as the typed JSON of a [`Payload`].
pub(super) fn typed(value: &DeValue<'_>) -> Result<String, String> {
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()).to_string(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| format!("the number `{number}` is too large"))?
            .to_string(),
        DeValue::Float(number) => float(number.as_str().parse().map_err(|_| format!("`{number}` is no number"))?),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => Value::from(time.to_string()).to_string(),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| typed(item.get_ref())).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(","))
        }
        DeValue::Table(table) => {
            let mut fields = Vec::new();
            for (key, value) in table {
                let key = key.get_ref();
                let key = if key.starts_with('$') { format!("${key}") } else { key.to_string() };
                fields.push((key, typed(value.get_ref())?));
            }
            fields.sort();
            let fields: Vec<_> = fields.into_iter().map(|(key, text)| format!("{}:{text}", Value::from(key))).collect();
            format!("{{{}}}", fields.join(","))
        }
    })
}

fn float(number: f64) -> String {
    if number.is_finite() { Value::from(number).to_string() } else { format!("{{\"$float\":\"{number}\"}}") }
}
