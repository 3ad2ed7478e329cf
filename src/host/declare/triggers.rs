//! `trigger::…(…)`: what starts runs, as it was declared. How it works is not known here.

use rhai::{Dynamic, Map};

use super::describe::{choice, verification};
use super::faults::{self, kept, passed};
use super::{change, only_at_top};
use crate::effect::message::Address;
use crate::host::fail::Fail;
use crate::host::function::{Call, Options};

/// A declared trigger.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What kind.
    pub kind: TriggerKind,
    /// The first argument: a cron line, a path, a glob, a name; empty for `startup`.
    pub subject: String,
    /// Checked options. `when`, `input`, `dedupe` may be closures; `verify` has one form for all ways to write it:
    /// `#{ scheme, secret, … }` with `scheme` one of `github`, `stripe`, `slack`, `standard`, `shopify`, `hmac` (with
    /// `header`, `algorithm`, `encoding`, `prefix`), `bearer`, `basic` (with `user`). `methods` are upper case.
    /// `on` of `run` is a list. `query` is the second argument of `sql`.
    pub options: Map,
    /// Line of the call.
    pub line: u32,
    /// The how-manieth of its kind and subject, from 1.
    pub number: u32,
}

/// Kinds of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum TriggerKind {
    Cron,
    Every,
    Webhook,
    File,
    Event,
    Run,
    Startup,
    Mail,
    Message,
    Sql,
}

impl TriggerKind {
    /// As in `trigger::NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Every => "every",
            Self::Webhook => "webhook",
            Self::File => "file",
            Self::Event => "event",
            Self::Run => "run",
            Self::Startup => "startup",
            Self::Mail => "mail",
            Self::Message => "message",
            Self::Sql => "sql",
        }
    }

    /// Its payload is `()`, so that a plain value can take its place.
    fn has_no_payload(self) -> bool {
        matches!(self, Self::Cron | Self::Every | Self::Startup)
    }
}

impl Trigger {
    /// Identity over edits of the file: kind and first argument, such as `webhook:orders`; the second equal one ends in `#2`.
    pub fn id(&self) -> String {
        let name = self.kind.name();
        let id = if self.subject.is_empty() { name.to_owned() } else { format!("{name}:{}", self.subject) };
        if self.number > 1 { format!("{id}#{}", self.number) } else { id }
    }
}

pub(super) fn declare(call: &mut Call<'_>, kind: TriggerKind) -> Result<Dynamic, Fail> {
    only_at_top(call)?;
    let subject = kept(call, subject(call, kind).map(Some))?;
    let at = match kind {
        TriggerKind::Startup => 0,
        TriggerKind::Sql => 2,
        _ => 1,
    };
    let options = faults::options(call, at)?;
    let mut checked = options.map.clone();
    passed(call, common(call, kind, &options))?;
    match kind {
        TriggerKind::Cron | TriggerKind::Every => schedule(call, &options, &mut checked)?,
        TriggerKind::Webhook => webhook(call, &options, &mut checked)?,
        TriggerKind::File => {
            kept(call, choice(call, &options, "on", &["any", "create", "change"]))?;
            kept(call, options.duration("settle"))?;
        }
        TriggerKind::Event => event(call, &options)?,
        TriggerKind::Run => statuses(call, &options, &mut checked)?,
        TriggerKind::Sql => {
            kept(call, options.duration("every"))?;
            kept(call, options.text("cursor"))?;
            checked.insert("query".into(), call.text(1)?.into());
        }
        TriggerKind::Mail => drop(kept(call, options.flag("replies").map(Some))?),
        TriggerKind::Message => message(call, &options)?,
        TriggerKind::Startup => {}
    }
    if let Some(subject) = subject {
        add(Trigger { kind, subject, options: checked, line: call.line(), number: 1 });
    }
    Ok(Dynamic::UNIT)
}

fn add(mut trigger: Trigger) {
    change(|declaration| {
        let same = |other: &&Trigger| other.kind == trigger.kind && other.subject == trigger.subject;
        trigger.number += declaration.triggers.iter().filter(same).count() as u32;
        declaration.triggers.push(trigger);
    });
}

fn subject(call: &Call<'_>, kind: TriggerKind) -> Result<String, Fail> {
    if kind == TriggerKind::Startup {
        return Ok(String::new());
    }
    let subject = call.text(0)?;
    if subject.trim().is_empty() {
        return Err(call.invalid("its first argument must not be empty"));
    }
    if kind == TriggerKind::Every {
        crate::time::parse_duration(&subject).map_err(|e| call.invalid(format!("{e}; hint: {}", e.hint())))?;
    }
    if kind == TriggerKind::Message {
        consumed(&subject).map_err(|why| call.invalid(why))?;
    }
    Ok(subject)
}

/// What a trigger consumes there.
fn consumed(url: &str) -> Result<(), String> {
    let (address, filter) = Address::parse(url)?;
    address.protocol.check_filter(filter.as_deref().unwrap_or_default())
}

fn message(call: &Call<'_>, options: &Options) -> Result<(), Fail> {
    kept(call, options.closure("dedupe"))?;
    kept(call, options.duration("within"))?;
    kept(call, choice(call, options, "from", &["new", "all"]))?;
    let name = kept(call, options.text("consumer"))?;
    let is_name = |name: &String| !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain);
    if name.is_some_and(|name| !is_name(&name)) {
        let problem = "option `consumer` has 1 to 64 letters, digits, `-` and `_`";
        passed(call, Err(call.invalid(problem)))?;
    }
    Ok(())
}

/// What is in no broker's way.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn common(call: &Call<'_>, kind: TriggerKind, options: &Options) -> Result<(), Fail> {
    kept(call, options.closure("when"))?;
    let Some(input) = options.get("input").filter(|input| !input.is_fnptr()) else { return Ok(()) };
    if !kind.has_no_payload() {
        options.closure("input")?;
    }
    crate::script::value::encode(input).map(drop).map_err(|e| call.invalid(e.within("input")))
}

fn schedule(call: &Call<'_>, options: &Options, checked: &mut Map) -> Result<(), Fail> {
    if let Some(name) = kept(call, options.text("tz"))? {
        let known = crate::time::zone(&name).map(drop);
        let known = known.map_err(|e| call.invalid(format!("option `tz`: {e}; hint: {}", e.hint())));
        if !passed(call, known)? {
            checked.remove("tz");
        }
    }
    kept(call, choice(call, options, "catch_up", &["last", "none", "all"]))?;
    kept(call, choice(call, options, "overlap", &["skip", "queue", "allow"]))?;
    kept(call, options.duration("jitter")).map(drop)
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

fn webhook(call: &Call<'_>, options: &Options, checked: &mut Map) -> Result<(), Fail> {
    kept(call, choice(call, options, "respond", &["accepted", "output"]))?;
    kept(call, options.duration("within"))?;
    kept(call, body(call, options).map(Some))?;
    if options.get("dedupe").is_some_and(|dedupe| !dedupe.is_string()) {
        kept(call, options.closure("dedupe"))?;
    }
    if let Some(methods) = kept(call, options.list("methods"))? {
        let mut known = Vec::with_capacity(methods.len());
        for method in &methods {
            known.extend(kept(call, upper(call, method).map(Some))?);
        }
        checked.insert("methods".into(), Dynamic::from_array(known));
    }
    if let Some(verify) = kept(call, options.map("verify"))?
        && let Some(verify) = kept(call, verification(call, verify).map(Some))?
    {
        checked.insert("verify".into(), Dynamic::from_map(verify));
    }
    Ok(())
}

/// A body that is not saved is a value in memory, and so are those of other senders.
const MEMORY_MOST: i64 = 16 << 20;
/// As much as a disk may hold.
const FILE_MOST: i64 = 1 << 40;

fn body(call: &Call<'_>, options: &Options) -> Result<(), Fail> {
    let folder = options.text("save_to")?;
    if let Some(folder) = &folder {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.starts_with('.');
        if !folder.trim_end_matches('/').split('/').all(is_plain) {
            return Err(call.invalid(format!(
                "option `save_to` is a folder in the workflow's own folder, not `{folder}`; hint: `save_to: \"inbox\"`"
            )));
        }
    }
    let most = if folder.is_some() { FILE_MOST } else { MEMORY_MOST };
    match options.int("max_bytes")? {
        Some(bytes) if !(1..=most).contains(&bytes) => Err(call.invalid(format!(
            "option `max_bytes` is from 1 to {most} here; hint: larger bodies go to a file: `save_to: \"inbox\"`"
        ))),
        _ => Ok(()),
    }
}

fn upper(call: &Call<'_>, method: &Dynamic) -> Result<Dynamic, Fail> {
    let name = method.to_string().to_uppercase();
    if METHODS.contains(&name.as_str()) {
        return Ok(name.into());
    }
    Err(call.invalid(format!("option `methods` lists some of {}, not `{method}`", METHODS.join(", "))))
}

/// Events of one batch: a run's input is one value in memory.
pub(crate) const BATCH_MOST: i64 = 10_000;

fn event(call: &Call<'_>, options: &Options) -> Result<(), Fail> {
    kept(call, options.duration("debounce"))?;
    let Some(batch) = faults::nested(call, options, "batch")? else { return Ok(()) };
    if options.get("debounce").is_some() {
        return Err(call.invalid(
            "`debounce` and `batch` exclude each other; hint: a batch of what comes `within` a time waits no longer than that",
        ));
    }
    if kept(call, batch.int("size"))?.is_some_and(|size| !(1..=BATCH_MOST).contains(&size)) {
        passed(call, Err(call.invalid(format!("option `batch.size` is from 1 to {BATCH_MOST}"))))?;
    }
    kept(call, batch.duration("within"))?;
    if batch.get("within").or(batch.get("size")).is_none() {
        return Err(call.invalid("option `batch` needs `size`, `within` or both"));
    }
    Ok(())
}

/// How runs end.
const STATUSES: [&str; 4] = ["completed", "failed", "cancelled", "timed_out"];

fn statuses(call: &Call<'_>, options: &Options, checked: &mut Map) -> Result<(), Fail> {
    let Some(on) = options.get("on") else { return Ok(()) };
    let list = on.clone().into_array().unwrap_or_else(|_| vec![on.clone()]);
    for status in &list {
        let one = Options::checked([("on".into(), status.clone())].into_iter().collect(), call.function.name, &["on"])?;
        kept(call, choice(call, &one, "on", &STATUSES))?;
    }
    checked.insert("on".into(), Dynamic::from_array(list));
    Ok(())
}
