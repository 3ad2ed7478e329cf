//! `workflow(#{ … })`: its options, each checked where it is written.

use rhai::{Array, Dynamic};

use super::describe::choice;
use super::faults::{self, kept, passed};
use super::{COLLECTOR, Declaration, Upgrade, change, only_at_top};
use crate::effect::Allow;
use crate::effect::ai::MayAsk;
use crate::effect::message::MayTalk;
use crate::host::fail::Fail;
use crate::host::function::{Call, Options, type_of};
use crate::host::policy::Policy;
use crate::host::rate::{interval_us, no_rate};
use crate::host::schema::Schema;
use crate::script::value;

/// Runs side by side, at most: each is a row, and they are counted at every start and end.
const MOST_AT_A_TIME: i64 = 10_000;

pub(super) fn workflow(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    only_at_top(call)?;
    let before = COLLECTOR.with_borrow(|collector| collector.as_ref().map_or(0, |c| c.declaration.line));
    if before != 0 {
        return Err(
            call.invalid(format!("a file declares one workflow, and line {before} has done so; hint: join the two"))
        );
    }
    let options = faults::options(call, 0)?;
    let mut declaration = Declaration { line: call.line().max(1), ..Declaration::default() };
    describe(call, &options, &mut declaration)?;
    allow(call, &options, &mut declaration)?;
    times(call, &options, &mut declaration)?;
    flow(call, &options, &mut declaration)?;
    change(|collected| {
        declaration.triggers = std::mem::take(&mut collected.triggers);
        declaration.settings = std::mem::take(&mut collected.settings);
        declaration.faults = std::mem::take(&mut collected.faults);
        *collected = declaration;
    });
    Ok(Dynamic::UNIT)
}

fn describe(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    declaration.title = kept(call, options.text("title"))?;
    if let Some(tags) = kept(call, options.list("tags"))? {
        declaration.tags = kept(call, texts(call, "tags", &tags).map(Some))?.unwrap_or_default();
    }
    declaration.input = schema(call, options, "input")?;
    declaration.output = schema(call, options, "output")?;
    Ok(())
}

fn schema(call: &Call<'_>, options: &Options, key: &str) -> Result<Option<Schema>, Fail> {
    let Some(given) = options.get(key) else { return Ok(None) };
    match Schema::read(given) {
        Ok(schema) => Ok(Some(schema)),
        Err(faults) => {
            let told = |fault: String| call.invalid(format!("option `{key}`: {fault}"));
            faults.into_iter().try_for_each(|fault| passed(call, Err(told(fault))).map(drop))?;
            Ok(None)
        }
    }
}

fn texts(call: &Call<'_>, key: &str, list: &Array) -> Result<Vec<String>, Fail> {
    let text = |value: &Dynamic| {
        let text = value.clone().into_string();
        text.map_err(|_| call.invalid(format!("option `{key}` must be a list of texts; it has {}", type_of(value))))
    };
    list.iter().map(text).collect()
}

fn allow(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    let Some(allow) = faults::nested(call, options, "allow")? else { return Ok(()) };
    let list = |key: &str| {
        let Some(list) = kept(call, allow.list(key))? else { return Ok(None) };
        kept(call, texts(call, &format!("allow.{key}"), &list).map(Some))
    };
    let http = list("http")?.unwrap_or_default();
    let files = list("files")?.unwrap_or_default();
    let secrets = list("secrets")?;
    let shell = list("shell")?.unwrap_or_default();
    let sql = list("sql")?.unwrap_or_default();
    let flag = |key: &str| kept(call, allow.flag(key).map(Some)).map(Option::unwrap_or_default);
    let (mail, std) = (flag("mail")?, flag("std")?);
    let message = match allow.get("message") {
        Some(entries) if entries.is_array() => brokers(call, &list("message")?.unwrap_or_default())?,
        _ if flag("message")? => MayTalk::Configured,
        _ => MayTalk::None,
    };
    let ai = match allow.get("ai") {
        Some(names) if names.is_array() => MayAsk::These(list("ai")?.unwrap_or_default()),
        _ if flag("ai")? => MayAsk::Any,
        _ => MayAsk::None,
    };
    declaration.allow = patterns(call, http, files)?;
    (declaration.allow.shell, declaration.allow.sql) = (shell, sql);
    (declaration.allow.mail, declaration.allow.ai, declaration.allow.message) = (mail, ai, message);
    declaration.allow.secrets = secrets.clone().unwrap_or_default();
    (declaration.secrets, declaration.std) = (secrets, std);
    declaration.allow_raw = Some(super::show::plain(&Dynamic::from_map(allow.map)));
    Ok(())
}

/// Brokers that are allowed; each entry that is none is a fault of its own.
fn brokers(call: &Call<'_>, entries: &[String]) -> Result<MayTalk, Fail> {
    let mut may = MayTalk::These(Vec::new());
    for entry in entries {
        let named = super::hosts::brokers(entry, super::setting).and_then(|texts| MayTalk::parse(&texts));
        let named = named.map_err(|e| call.invalid(format!("option `allow.message`: {e}")));
        may.join(kept(call, named.map(Some))?.unwrap_or_default());
    }
    Ok(may)
}

/// Hosts and files that are allowed; each that is no pattern is a fault of its own.
fn patterns(call: &Call<'_>, http: Vec<String>, files: Vec<String>) -> Result<Allow, Fail> {
    let pattern = |http: &[String], files: &[String]| {
        let parsed = Allow::parse(Some(http), files).map_err(|e| call.invalid(format!("option `allow`: {e}")));
        kept(call, parsed.map(Some))
    };
    let mut allowed = Allow { http: Some(Vec::new()), ..Allow::default() };
    for entry in http {
        let named =
            super::hosts::entries(&entry, super::setting).map_err(|e| call.invalid(format!("option `allow`: {e}")));
        for host in kept(call, named.map(Some))?.unwrap_or_default() {
            let host = pattern(&[host], &[])?.and_then(|one| one.http).unwrap_or_default();
            allowed.http.get_or_insert_default().extend(host);
        }
    }
    for glob in files {
        allowed.files.extend(pattern(&[], &[glob])?.map(|one| one.files).unwrap_or_default());
    }
    Ok(allowed)
}

fn times(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    if let Some(retry) = options.get("retry") {
        let policy = Policy::parse(call, retry).map_err(|fail| within(call, "retry", fail));
        declaration.policy = kept(call, policy.map(Some))?;
        declaration.retry = Some(retry.clone());
    }
    declaration.timeout = kept(call, options.duration("timeout"))?;
    declaration.deadline = kept(call, options.duration("deadline"))?;
    declaration.keep = kept(call, options.duration("keep"))?;
    if let Some(sla) = faults::nested(call, options, "sla")? {
        kept(call, sla.duration("after"))?;
        kept(call, sla.text("notify"))?;
        if sla.get("after").is_none() || sla.get("notify").is_none() {
            let problem = "option `sla` needs both, such as `#{ after: \"4h\", notify: \"ops\" }`";
            passed(call, Err(call.invalid(problem)))?;
        }
        declaration.sla = Some(sla.map);
    }
    Ok(())
}

/// The fault of a value that knows nothing of the option that it was given as.
fn within(call: &Call<'_>, option: &str, fail: Fail) -> Fail {
    let message = fail.into_map().remove("message").unwrap_or_default().to_string();
    let told = message.strip_prefix(&format!("`{}`: ", call.function.name)).unwrap_or(&message);
    call.invalid(format!("option `{option}`: {told}"))
}

fn flow(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    declaration.priority = kept(call, priority(call, options).map(Some))?.unwrap_or_default();
    let upgrade = kept(call, choice(call, options, "upgrade", &["pinned", "when_compatible"]))?;
    declaration.upgrade = match upgrade.as_deref() {
        Some("when_compatible") => Upgrade::WhenCompatible,
        _ => Upgrade::Pinned,
    };
    declaration.rate = kept(call, rate(call, options))?;
    if let Some(map) = faults::nested(call, options, "concurrency")? {
        concurrency(call, &map)?;
        declaration.concurrency = Some(map.map);
    }
    if let Some(target) = options.get("on_failure")
        && passed(call, on_failure(call, options, target))?
    {
        let encoded = value::encode(target).map_err(|e| call.invalid(e.within("on_failure")));
        declaration.on_failure = kept(call, encoded.map(Some))?;
    }
    Ok(())
}

fn priority(call: &Call<'_>, options: &Options) -> Result<i32, Fail> {
    let priority = options.int("priority")?.unwrap_or_default();
    i32::try_from(priority).map_err(|_| {
        call.invalid(format!("option `priority` lies between {} and {}, not {priority}", i32::MIN, i32::MAX))
    })
}

fn rate(call: &Call<'_>, options: &Options) -> Result<Option<String>, Fail> {
    let rate = options.text("rate")?;
    match rate.as_deref().filter(|rate| interval_us(rate).is_none()) {
        Some(bad) => Err(call.invalid(format!("option `rate`: {}", no_rate(bad)))),
        None => Ok(rate),
    }
}

fn concurrency(call: &Call<'_>, options: &Options) -> Result<(), Fail> {
    kept(call, options.closure("key"))?;
    kept(call, choice(call, options, "on_conflict", &["queue", "skip", "cancel_running"]))?;
    let limit = kept(call, options.int("limit"))?;
    if let Some(limit) = limit.filter(|limit| !(1..=MOST_AT_A_TIME).contains(limit)) {
        let problem = format!("option `concurrency.limit` lies between 1 and {MOST_AT_A_TIME}, not {limit}");
        passed(call, Err(call.invalid(problem)))?;
    }
    Ok(())
}

fn on_failure(call: &Call<'_>, options: &Options, target: &Dynamic) -> Result<(), Fail> {
    if target.is_string() {
        return Ok(());
    }
    if !target.is_map() {
        return Err(call.invalid(format!(
            "option `on_failure` is a channel's name or `#{{ workflow: \"name\" }}`, not {}",
            type_of(target)
        )));
    }
    let options = call.nested(options, "on_failure")?.expect("it is there, and a map");
    options.text("workflow")?.map(drop).ok_or_else(|| call.invalid("option `on_failure` needs `workflow`"))
}
