//! The declaration of a workflow: what `workflow(…)`, `trigger::…(…)` and the functions that only describe collect.
//!
//! While [`collect`] evaluates the top level of a file, a collector of this thread takes what is declared; outside of it,
//! `workflow` and the triggers are errors. The evaluation must not be mixed with others on the same thread, so it happens
//! in one go, on no fiber. Every option is checked here, at its line, but for what belongs to triggers alone (cron lines,
//! paths, patterns), which this module must not know.

mod describe;
mod show;
mod triggers;
mod workflow;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rhai::{Dynamic, Map};
use serde_json::Value;

use super::fail::Fail;
use super::function::{Call, Function, Nature};
use super::schema::Schema;
use crate::effect::Allow;
use crate::payload::Payload;
use crate::script::value;

pub use triggers::{Trigger, TriggerKind};

/// What a file declares.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// Line of the call of `workflow`; 0: there is none.
    pub line: u32,
    /// For people.
    pub title: Option<String>,
    /// For finding it.
    pub tags: Vec<String>,
    /// What the input must look like.
    pub input: Option<Schema>,
    /// What the output must look like.
    pub output: Option<Schema>,
    /// Hosts and files that may be touched.
    pub allow: Allow,
    /// `allow` as it was declared, for display.
    pub allow_raw: Option<Value>,
    /// Secrets that may be used; `None`: not declared.
    pub secrets: Option<Vec<String>>,
    /// Capabilities of imported modules of the standard library are inherited.
    pub std: bool,
    /// The default retry policy of all steps, checked, as it was written.
    pub retry: Option<Dynamic>,
    /// The same, as it is carried out.
    pub(super) policy: Option<super::policy::Policy>,
    /// Time spent running, waits excluded.
    pub timeout: Option<Duration>,
    /// From acceptance, waits included.
    pub deadline: Option<Duration>,
    /// A channel's name, or `#{ workflow }`.
    pub on_failure: Option<Payload>,
    /// Whether open runs are moved to a new version.
    pub upgrade: Upgrade,
    /// How long finished runs are kept.
    pub keep: Option<Duration>,
    /// Larger goes first.
    pub priority: i32,
    /// `#{ key: closure, limit, on_conflict }`, checked.
    pub concurrency: Option<Map>,
    /// `#{ after, notify }`, checked.
    pub sla: Option<Map>,
    /// Starts in a time: `"10/s"`, checked.
    pub rate: Option<String>,
    /// In the order of the file.
    pub triggers: Vec<Trigger>,
    /// Settings that were read, by name; defaults are not among them.
    pub settings: BTreeMap<String, Payload>,
}

/// What becomes of open runs when there is a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// They stay on theirs.
    #[default]
    Pinned,
    /// Those whose journal replays on the new one move.
    WhenCompatible,
}

/// Where `config` finds settings during a declaration.
pub type Settings = Rc<dyn Fn(&str) -> Option<Payload>>;

struct Collector {
    declaration: Declaration,
    settings: Settings,
}

thread_local! {
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

/// Collects what is declared while `act` runs (which evaluates the top level of a file).
pub fn collect<R>(settings: Settings, act: impl FnOnce() -> R) -> (R, Declaration) {
    let outer = COLLECTOR.replace(Some(Collector { declaration: Declaration::default(), settings }));
    let restore = Restore { outer };
    let result = act();
    let collected = COLLECTOR.take();
    drop(restore);
    (result, collected.map(|collector| collector.declaration).unwrap_or_default())
}

/// Puts the outer collector back, also when `act` panics.
struct Restore {
    outer: Option<Collector>,
}

impl Drop for Restore {
    fn drop(&mut self) {
        COLLECTOR.replace(self.outer.take());
    }
}

/// A setting, as `config` reads it during a declaration; remembered as read.
pub(super) fn setting(name: &str) -> Option<Dynamic> {
    let settings = COLLECTOR.with_borrow(|collector| collector.as_ref().map(|c| Rc::clone(&c.settings)))?;
    let found = settings(name)?;
    COLLECTOR.with_borrow_mut(|collector| {
        if let Some(collector) = collector {
            collector.declaration.settings.insert(name.to_owned(), found.clone());
        }
    });
    Some(value::decode(&found))
}

/// Whether the top level of a file is being evaluated.
fn is_collecting() -> bool {
    COLLECTOR.with_borrow(Option::is_some)
}

/// The error of a function that does not describe, at the top level.
pub(super) fn refuse(call: &Call<'_>) -> Result<(), Fail> {
    if is_collecting() {
        return Err(call.invalid(
            "cannot be called here: the top level of a file with `fn main` only describes; hint: call it inside `fn main`",
        ));
    }
    Ok(())
}

/// The error of a declaration inside a run.
fn only_at_top(call: &Call<'_>) -> Result<(), Fail> {
    if is_collecting() {
        return Ok(());
    }
    Err(call.invalid("belongs at the top level of the file, not into a run; hint: move it in front of `fn main`"))
}

fn change(act: impl FnOnce(&mut Declaration)) {
    COLLECTOR.with_borrow_mut(|collector| {
        if let Some(collector) = collector {
            act(&mut collector.declaration);
        }
    });
}

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "workflow",
        params: &["declaration: map"],
        nature: Nature::Declarative,
        doc: "Declares the workflow: `title`, `tags`, `input`, `output`, `allow`, `retry`, `timeout`, `deadline`, `sla`, `concurrency`, \
              `priority`, `rate`, `on_failure`, `upgrade`, `keep`.",
        example: "workflow(#{ input: #{ order_id: \"string\" }, deadline: \"60d\" })",
        call: workflow::workflow,
        ..Function::BASE
    },
    Function {
        name: "trigger::cron",
        params: &["line: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run at the times of a cron line. Options: `tz`, `catch_up`, `overlap`, `jitter`, `input`, `when`.",
        example: "trigger::cron(\"0 8 * * MON-FRI\", #{ tz: \"Europe/Berlin\" })",
        call: |call| triggers::declare(call, TriggerKind::Cron),
        ..Function::BASE
    },
    Function {
        name: "trigger::every",
        params: &["interval: duration", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run when the interval has passed since the last start. Options: `overlap`, `jitter`, `input`, `when`.",
        example: "trigger::every(\"5m\")",
        call: |call| triggers::declare(call, TriggerKind::Every),
        ..Function::BASE
    },
    Function {
        name: "trigger::webhook",
        params: &["path: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run for a request to `/hooks/PATH`. Options: `methods`, `verify`, `respond`, `dedupe`, `within`, `input`, `when`.",
        example: "trigger::webhook(\"orders\", #{ verify: hmac(\"github\", secret(\"hook\")) })",
        call: |call| triggers::declare(call, TriggerKind::Webhook),
        ..Function::BASE
    },
    Function {
        name: "trigger::file",
        params: &["glob: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run for each version of a file that appears or changes. Options: `on` (`\"any\"`, `\"create\"`, `\"change\"`), `settle`, \
              `input`, `when`.",
        example: "trigger::file(\"inbox/*.csv\", #{ settle: \"2s\" })",
        call: |call| triggers::declare(call, TriggerKind::File),
        ..Function::BASE
    },
    Function {
        name: "trigger::event",
        params: &["name: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run for each event of this name or pattern. Options: `debounce`, `batch: #{ size, within }`, `input`, `when`.",
        example: "trigger::event(\"payment.*\")",
        call: |call| triggers::declare(call, TriggerKind::Event),
        ..Function::BASE
    },
    Function {
        name: "trigger::run",
        params: &["workflows: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run when a run of another workflow ends. Options: `on` (a status, or a list of them), `input`, `when`.",
        example: "trigger::run(\"orders/*\", #{ on: \"failed\" })",
        call: |call| triggers::declare(call, TriggerKind::Run),
        ..Function::BASE
    },
    Function {
        name: "trigger::startup",
        params: &["options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run when the daemon starts. Options: `input`, `when`.",
        example: "trigger::startup()",
        call: |call| triggers::declare(call, TriggerKind::Startup),
        ..Function::BASE
    },
    Function {
        name: "trigger::mail",
        params: &["mailbox: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run for each message in a configured mailbox. Options: `input`, `when`.",
        example: "trigger::mail(\"support\")",
        call: |call| triggers::declare(call, TriggerKind::Mail),
        ..Function::BASE
    },
    Function {
        name: "trigger::message",
        params: &["url: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run for each message of a broker: `nats://`, `mqtt://`, `amqp://`. Options: `input`, `when`.",
        example: "trigger::message(\"nats://broker.example.com/orders\")",
        call: |call| triggers::declare(call, TriggerKind::Message),
        ..Function::BASE
    },
    Function {
        name: "trigger::sql",
        params: &["database: string", "query: string", "options: map?"],
        nature: Nature::Declarative,
        doc: "Starts a run when a query returns new rows. Options: `every`, `cursor`, `input`, `when`.",
        example: "trigger::sql(\"billing\", \"select id from orders where id > :cursor\", #{ every: \"1m\", cursor: \"id\" })",
        call: |call| triggers::declare(call, TriggerKind::Sql),
        ..Function::BASE
    },
    Function {
        name: "hmac",
        params: &["scheme: string or map", "secret: secret?"],
        nature: Nature::Declarative,
        doc: "How a webhook's signature is checked: `\"github\"`, `\"stripe\"`, `\"slack\"`, `\"standard\"`, `\"shopify\"`, or \
              `#{ header, algorithm, encoding, prefix }`.",
        example: "hmac(\"github\", secret(\"hook\"))",
        call: describe::hmac,
        ..Function::BASE
    },
    Function {
        name: "list",
        params: &["type: any"],
        nature: Nature::Declarative,
        doc: "The type of a list in a schema; the same as `[type]`.",
        example: "list(\"string\")",
        call: describe::list,
        ..Function::BASE
    },
    Function {
        name: "one_of",
        params: &[
            "a: any", "b: any?", "c: any?", "d: any?", "e: any?", "f: any?", "g: any?", "h: any?", "i: any?",
            "j: any?", "k: any?", "l: any?", "m: any?", "n: any?", "o: any?", "p: any?",
        ],
        nature: Nature::Declarative,
        doc: "The type of a choice in a schema: up to 16 values, or a list of any number.",
        example: "one_of(\"small\", \"large\")",
        call: describe::one_of,
        ..Function::BASE
    },
    Function {
        name: "decimal",
        params: &["number: string or number"],
        nature: Nature::Declarative,
        doc: "An exact decimal number of up to 28 digits.",
        example: "decimal(\"10.20\") + 1",
        call: describe::decimal,
        ..Function::BASE
    },
];

/// Evaluating lines of script with all host functions, outside of any run.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn engine() -> rhai::Engine {
        let mut engine = crate::script::sandbox::engine();
        crate::host::register(&mut engine);
        engine
    }

    pub(crate) fn run(script: &str) -> Result<Dynamic, String> {
        engine().eval::<Dynamic>(script).map_err(|error| {
            let map = crate::host::fail::error_map(&error);
            map.get("message").map(ToString::to_string).unwrap_or_default()
        })
    }

    /// What a script declares; `config("base")` is `"x"`.
    pub(crate) fn declared(script: &str) -> Result<Declaration, String> {
        let settings = |name: &str| (name == "base").then(|| Payload::from_text("\"x\""));
        let (result, declaration) = collect(Rc::new(settings), || run(script));
        result.map(|_| declaration)
    }
}

#[cfg(test)]
mod tests;
