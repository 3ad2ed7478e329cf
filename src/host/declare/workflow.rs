//! `workflow(#{ … })`: its options, each checked where it is written.

use rhai::{Array, Dynamic};

use super::describe::choice;
use super::{COLLECTOR, Declaration, Upgrade, change, only_at_top};
use crate::effect::Allow;
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
    let options = call.options(0)?;
    let mut declaration = Declaration { line: call.line().max(1), ..Declaration::default() };
    describe(call, &options, &mut declaration)?;
    allow(call, &options, &mut declaration)?;
    times(call, &options, &mut declaration)?;
    flow(call, &options, &mut declaration)?;
    change(|collected| {
        declaration.triggers = std::mem::take(&mut collected.triggers);
        declaration.settings = std::mem::take(&mut collected.settings);
        *collected = declaration;
    });
    Ok(Dynamic::UNIT)
}

fn describe(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    declaration.title = options.text("title")?;
    declaration.tags = match options.list("tags")? {
        Some(tags) => texts(call, "tags", &tags)?,
        None => Vec::new(),
    };
    declaration.input = schema(call, options, "input")?;
    declaration.output = schema(call, options, "output")?;
    Ok(())
}

fn schema(call: &Call<'_>, options: &Options, key: &str) -> Result<Option<Schema>, Fail> {
    let read = |value| Schema::from_dynamic(value).map_err(|e| call.invalid(format!("option `{key}`: {e}")));
    options.get(key).map(read).transpose()
}

fn texts(call: &Call<'_>, key: &str, list: &Array) -> Result<Vec<String>, Fail> {
    let text = |value: &Dynamic| {
        let text = value.clone().into_string();
        text.map_err(|_| call.invalid(format!("option `{key}` must be a list of texts; it has {}", type_of(value))))
    };
    list.iter().map(text).collect()
}

fn allow(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    let Some(allow) = call.nested(options, "allow")? else { return Ok(()) };
    let list = |key: &str| allow.list(key)?.map(|list| texts(call, &format!("allow.{key}"), &list)).transpose();
    let http = list("http")?.unwrap_or_default();
    let files = list("files")?.unwrap_or_default();
    declaration.allow = Allow::parse(Some(&http), &files).map_err(|e| call.invalid(format!("option `allow`: {e}")))?;
    declaration.secrets = list("secrets")?;
    declaration.allow.secrets = declaration.secrets.clone().unwrap_or_default();
    list("shell")?;
    list("sql")?;
    declaration.allow.mail = allow.flag("mail")?;
    declaration.std = allow.flag("std")?;
    for key in ["message", "ai"] {
        if allow.get(key).is_some_and(Dynamic::is_array) { list(key).map(drop)? } else { allow.flag(key).map(drop)? }
    }
    declaration.allow_raw = Some(super::show::plain(&Dynamic::from_map(allow.map)));
    Ok(())
}

fn times(call: &Call<'_>, options: &Options, declaration: &mut Declaration) -> Result<(), Fail> {
    if let Some(retry) = options.get("retry") {
        declaration.policy = Some(Policy::parse(call, retry).map_err(|fail| within(call, "retry", fail))?);
        declaration.retry = Some(retry.clone());
    }
    declaration.timeout = options.duration("timeout")?;
    declaration.deadline = options.duration("deadline")?;
    declaration.keep = options.duration("keep")?;
    if let Some(sla) = call.nested(options, "sla")? {
        if sla.duration("after")?.is_none() || sla.text("notify")?.is_none() {
            return Err(call.invalid("option `sla` needs both, such as `#{ after: \"4h\", notify: \"ops\" }`"));
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
    let priority = options.int("priority")?.unwrap_or_default();
    declaration.priority = i32::try_from(priority).map_err(|_| {
        call.invalid(format!("option `priority` lies between {} and {}, not {priority}", i32::MIN, i32::MAX))
    })?;
    declaration.upgrade = match choice(call, options, "upgrade", &["pinned", "when_compatible"])?.as_deref() {
        Some("when_compatible") => Upgrade::WhenCompatible,
        _ => Upgrade::Pinned,
    };
    declaration.rate = options.text("rate")?;
    if let Some(rate) = declaration.rate.as_deref().filter(|rate| interval_us(rate).is_none()) {
        return Err(call.invalid(format!("option `rate`: {}", no_rate(rate))));
    }
    if let Some(map) = call.nested(options, "concurrency")? {
        concurrency(call, &map)?;
        declaration.concurrency = Some(map.map);
    }
    if let Some(target) = options.get("on_failure") {
        on_failure(call, options, target)?;
        declaration.on_failure = Some(value::encode(target).map_err(|e| call.invalid(e.within("on_failure")))?);
    }
    Ok(())
}

fn concurrency(call: &Call<'_>, options: &Options) -> Result<(), Fail> {
    options.closure("key")?;
    choice(call, options, "on_conflict", &["queue", "skip", "cancel_running"])?;
    match options.int("limit")? {
        Some(limit) if !(1..=MOST_AT_A_TIME).contains(&limit) => {
            Err(call.invalid(format!("option `concurrency.limit` lies between 1 and {MOST_AT_A_TIME}, not {limit}")))
        }
        _ => Ok(()),
    }
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
