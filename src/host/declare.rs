//! The declaration of a workflow: what `workflow(…)`, `trigger::…(…)` and the functions that only describe collect.
//!
//! While [`collect`] evaluates the top level of a file, a collector of this thread takes what is declared; outside of it,
//! `workflow` and the triggers are errors. The evaluation must not be mixed with others on the same thread, so it happens
//! in one go, on no fiber. Every option is checked here, at its line, but for what belongs to triggers alone (cron lines,
//! paths, patterns), which this module must not know.

pub(super) mod describe;
mod faults;
mod hosts;
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
use super::function::{Call, Choice, Function, Nature};
use super::schema::Schema;
use crate::effect::Allow;
use crate::effect::message::MayTalk;
use crate::payload::Payload;
use crate::script::value;

pub use faults::Fault;
pub(super) use faults::{kept, noted};
pub(crate) use triggers::BATCH_MOST;
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
    /// What is wrong with it, in the order of evaluation. Where there is anything, the rest is for finding more faults alone.
    pub faults: Vec<Fault>,
}

impl Declaration {
    /// Takes over what a module of the standard library says that it needs: `#{ http: [hosts], message: [brokers], secrets: [names], mail }`.
    pub fn inherit(&mut self, needs: &Map, setting: &dyn Fn(&str) -> Option<Payload>) -> Result<(), String> {
        let texts = |key: &str| -> Vec<String> {
            let list = needs.get(key).and_then(|list| list.read_lock::<rhai::Array>().map(|list| list.to_vec()));
            list.unwrap_or_default().into_iter().filter_map(|text| text.into_string().ok()).collect()
        };
        let mut hosts = Vec::new();
        for entry in texts("http") {
            hosts.extend(hosts::entries(&entry, |name| {
                let found = setting(name)?;
                self.settings.insert(name.to_owned(), found.clone());
                Some(value::decode(&found))
            })?);
        }
        let theirs = Allow::parse(Some(&hosts), &[])?;
        if let (Some(own), Some(theirs)) = (&mut self.allow.http, theirs.http) {
            own.extend(theirs);
        }
        self.secrets.get_or_insert_default().extend(texts("secrets"));
        self.allow.secrets.extend(texts("secrets"));
        let mut brokers = Vec::new();
        for entry in texts("message") {
            brokers.extend(hosts::brokers(&entry, |name| {
                let found = setting(name)?;
                self.settings.insert(name.to_owned(), found.clone());
                Some(value::decode(&found))
            })?);
        }
        if !brokers.is_empty() {
            self.allow.message.join(MayTalk::parse(&brokers)?);
        }
        self.allow.mail |= needs.get("mail").is_some_and(|mail| mail.as_bool() == Ok(true));
        Ok(())
    }
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
pub(super) fn is_collecting() -> bool {
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
        options: &[
            Choice::new("title", "string", "its name for people"),
            Choice::new("tags", "list of string", "for finding it"),
            Choice::new("input", "schema", "what the input must look like"),
            Choice::new("output", "schema", "what the output must look like"),
            Choice::new("allow", "map", "what it may touch"),
            Choice::new(
                "allow.http",
                "list of string",
                "hosts: `host`, `*.host`, `host:port`; `config:NAME`: that of the address in a setting",
            ),
            Choice::new("allow.shell", "list of string", "programs"),
            Choice::new(
                "allow.files",
                "list of string",
                "globs of absolute paths; the workflow's own folder is open to it anyway",
            ),
            Choice::new("allow.sql", "list of string", "databases"),
            Choice::new("allow.secrets", "list of string", "names of secrets"),
            Choice::new("allow.mail", "bool", "sending mail"),
            Choice::new(
                "allow.message",
                "bool or list of string",
                "brokers that messages go to and come from: `nats://host`, `host`, the name of one of the config, `config:NAME`; \
                 `true`: all of the config",
            ),
            Choice::new("allow.ai", "bool or list of string", "asking models"),
            Choice::new("allow.std", "bool", "what imported modules of `std` need"),
            Choice::new("retry", "retry policy", "the default of steps that have none"),
            Choice::new(
                "timeout",
                "duration",
                "time spent running: on requests and files, and computing; timers, events, tasks, other runs, polls and the \
                 pause between attempts do not count",
            ),
            Choice::new("deadline", "duration", "from acceptance, waits included"),
            Choice::new("sla", "map", "who is told when it takes longer"),
            Choice::new("sla.after", "duration", "longer than this"),
            Choice::new("sla.notify", "string", "the channel"),
            Choice::new("concurrency", "map", "how many runs at a time"),
            Choice::new("concurrency.key", "closure", "pure: runs with the same key count together; gets the input"),
            Choice::new("concurrency.limit", "int", "how many; 1 unless given"),
            Choice::new("concurrency.on_conflict", "string", "`\"queue\"`, `\"skip\"` or `\"cancel_running\"`"),
            Choice::new("priority", "int", "larger goes first"),
            Choice::new("rate", "rate", "starts in a time: `\"10/s\"`, `\"100/min\"`"),
            Choice::new("on_failure", "string or map", "a channel, or `#{ workflow: \"name\" }`"),
            Choice::new("on_failure.workflow", "string", "the workflow that is started"),
            Choice::new("upgrade", "string", "`\"pinned\"` or `\"when_compatible\"`"),
            Choice::new("keep", "duration", "how long finished runs are kept"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Declares the workflow.",
        example: "workflow(#{ input: #{ order_id: \"string\" }, deadline: \"60d\" })",
        call: workflow::workflow,
        ..Function::BASE
    },
    Function {
        name: "trigger::cron",
        params: &["line: string", "options: map?"],
        options: &[
            Choice::new("tz", "string", "the zone of its times; UTC unless given"),
            Choice::new(
                "catch_up",
                "string",
                "what was missed while the daemon was down: `\"last\"`, `\"none\"`, `\"all\"`",
            ),
            Choice::new("overlap", "string", "while the last run is not over: `\"skip\"`, `\"queue\"`, `\"allow\"`"),
            Choice::new("jitter", "duration", "spreads the starts over so long"),
            Choice::new("input", "any or closure", "the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run at the times of a cron line.",
        example: "trigger::cron(\"0 8 * * MON-FRI\", #{ tz: \"Europe/Berlin\" })",
        call: |call| triggers::declare(call, TriggerKind::Cron),
        ..Function::BASE
    },
    Function {
        name: "trigger::every",
        params: &["interval: duration", "options: map?"],
        options: &[
            Choice::new("overlap", "string", "while the last run is not over: `\"skip\"`, `\"queue\"`, `\"allow\"`"),
            Choice::new("jitter", "duration", "spreads the starts over so long"),
            Choice::new("input", "any or closure", "the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run when the interval has passed since the last start.",
        example: "trigger::every(\"5m\")",
        call: |call| triggers::declare(call, TriggerKind::Every),
        ..Function::BASE
    },
    Function {
        name: "trigger::webhook",
        params: &["path: string", "options: map?"],
        options: &[
            Choice::new("methods", "list of string", "which are taken; `[\"POST\"]` unless given"),
            Choice::new(
                "verify",
                "map",
                "what `hmac`, `bearer`, `basic` or `token` returns, or `#{ header, algorithm, encoding, secret }`",
            ),
            Choice::new("respond", "string", "`\"accepted\"` (the run id at once) or `\"output\"`"),
            Choice::new(
                "dedupe",
                "string or closure",
                "the name of a header, or the key of a request: a repeat starts no run",
            ),
            Choice::new("within", "duration", "how long repeats are known; 7 days unless given"),
            Choice::new(
                "save_to",
                "string",
                "a folder in the workflow's own folder: the body goes to a file there, and the payload is `#{ path, name, size, sha256, content_type }`",
            ),
            Choice::new("max_bytes", "int", "of a body; 1 MiB unless given, 1 GiB with `save_to`"),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run for a request to `/hooks/PATH`. Closures get `#{ method, path, query, headers, body }`.",
        example: "trigger::webhook(\"orders\", #{ verify: hmac(\"github\", secret(\"hook\")) })",
        call: |call| triggers::declare(call, TriggerKind::Webhook),
        ..Function::BASE
    },
    Function {
        name: "trigger::file",
        params: &["glob: string", "options: map?"],
        options: &[
            Choice::new("on", "string", "`\"any\"`, `\"create\"` or `\"change\"`"),
            Choice::new("settle", "duration", "how long a file must have stopped growing"),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run for each version of a file that appears or changes.",
        example: "trigger::file(\"inbox/*.csv\", #{ settle: \"2s\" })",
        call: |call| triggers::declare(call, TriggerKind::File),
        ..Function::BASE
    },
    Function {
        name: "trigger::event",
        params: &["name: string", "options: map?"],
        options: &[
            Choice::new(
                "debounce",
                "duration",
                "waits until no event with the same correlation key has come for so long, and starts one run with the last",
            ),
            Choice::new("batch", "map", "one run with the list of payloads of several events; not with `debounce`"),
            Choice::new("batch.size", "int", "at most so many; 10,000 unless given"),
            Choice::new("batch.within", "duration", "collects for so long after the first"),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run for each event of this name or pattern.",
        example: "trigger::event(\"payment.*\")",
        call: |call| triggers::declare(call, TriggerKind::Event),
        ..Function::BASE
    },
    Function {
        name: "trigger::run",
        params: &["workflows: string", "options: map?"],
        options: &[
            Choice::new(
                "on",
                "string or list of string",
                "how the run ended: `\"completed\"`, `\"failed\"`, `\"cancelled\"`, `\"timed_out\"`",
            ),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run when a run of another workflow ends.",
        example: "trigger::run(\"orders/*\", #{ on: \"failed\" })",
        call: |call| triggers::declare(call, TriggerKind::Run),
        ..Function::BASE
    },
    Function {
        name: "trigger::startup",
        params: &["options: map?"],
        options: &[
            Choice::new("input", "any or closure", "the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run when the daemon starts.",
        example: "trigger::startup()",
        call: |call| triggers::declare(call, TriggerKind::Startup),
        ..Function::BASE
    },
    Function {
        name: "trigger::mail",
        params: &["mailbox: string", "options: map?"],
        options: &[
            Choice::new("replies", "bool", "also for replies to mail that runs have sent; `false` unless given"),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run for each message that arrives in a mailbox of the config (`[mailboxes.NAME]`), once, with `#{ from, to, subject, text, \
              html, date, message_id, attachments, auto, … }`; attachments are files in the workflow's own folder.",
        example: "trigger::mail(\"support\")",
        call: |call| triggers::declare(call, TriggerKind::Mail),
        ..Function::BASE
    },
    Function {
        name: "trigger::message",
        params: &["url: string", "options: map?"],
        options: &[
            Choice::new(
                "dedupe",
                "closure",
                "pure: the key of a message, in place of what its broker or sender says; a repeat starts no run",
            ),
            Choice::new("within", "duration", "how long repeats are known; 30 days unless given"),
            Choice::new(
                "from",
                "string",
                "NATS: which messages of the stream count when the trigger is new: `\"new\"` (those that come from then on) or `\"all\"`",
            ),
            Choice::new(
                "consumer",
                "string",
                "the name by which the broker knows the trigger, in place of one from the workflow's name and the address",
            ),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run for each message of a broker: of a JetStream subject (`nats://`), a queue (`amqp://`), a topic (`mqtt://`); with TLS \
              `nats+tls://`, `amqps://`, `mqtts://`. It is acknowledged when the run is durable. The payload is JSON where it is some, else \
              text, else base64; closures get `#{ payload, subject, headers, id, content_type, redelivered }`.",
        example: "trigger::message(\"nats://broker.example.com/orders\")",
        call: |call| triggers::declare(call, TriggerKind::Message),
        ..Function::BASE
    },
    Function {
        name: "trigger::sql",
        params: &["database: string", "query: string", "options: map?"],
        options: &[
            Choice::new("every", "duration", "how often it asks"),
            Choice::new(
                "cursor",
                "string",
                "the column by which rows are new: that of the last row stands for `:cursor`",
            ),
            Choice::new("start", "any", "what stands for `:cursor` the first time; 0 unless it says otherwise"),
            Choice::new("input", "closure", "pure: what it received to the input of the run"),
            Choice::new("when", "closure", "pure: `false` starts no run"),
        ],
        returns: "()",
        nature: Nature::Declarative,
        doc: "Starts a run with the rows when a query returns new ones: those behind `:cursor`, or, without a cursor, others than the last time. Each row \
              is taken once, also across a crash.",
        example: "trigger::sql(\"billing\", \"select id from orders where id > :cursor\", #{ every: \"1m\", cursor: \"id\" })",
        call: |call| triggers::declare(call, TriggerKind::Sql),
        ..Function::BASE
    },
    Function {
        name: "hmac",
        params: &["scheme: string or map", "secret: secret?"],
        options: &describe::KEYS,
        returns: "map",
        nature: Nature::Declarative,
        doc: "How a webhook's signature is checked: `\"github\"`, `\"stripe\"`, `\"slack\"`, `\"standard\"`, `\"shopify\"`, or \
              `#{ header, algorithm, encoding, prefix }`.",
        example: "hmac(\"github\", secret(\"hook\"))",
        call: describe::hmac,
        ..Function::BASE
    },
    Function {
        name: "token",
        params: &["header: string", "secret: secret"],
        returns: "map",
        nature: Nature::Declarative,
        doc: "How a webhook is checked whose sender puts a token that both sides know into a header, as it is: GitLab in `X-Gitlab-Token`, \
              Telegram in `X-Telegram-Bot-Api-Secret-Token`. It is compared in constant time. It says nothing of the body: a signature (`hmac`) is \
              better where the sender can make one.",
        example: "token(\"X-Gitlab-Token\", secret(\"gitlab_hook\"))",
        call: describe::token,
        ..Function::BASE
    },
    Function {
        name: "list",
        params: &["type: any"],
        returns: "schema",
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
        returns: "schema",
        nature: Nature::Declarative,
        doc: "The type of a choice in a schema: up to 16 values, or a list of any number.",
        example: "one_of(\"small\", \"large\")",
        call: describe::one_of,
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

    /// What a script returns, or its error, as text.
    pub(crate) fn shown(script: &str) -> String {
        run(script).map_or_else(|error| error, |value| value.to_string())
    }

    /// What a script declares; `config("base")` is `"x"`.
    pub(crate) fn declared(script: &str) -> Result<Declaration, String> {
        let settings = |name: &str| (name == "base").then(|| Payload::from_text("\"x\""));
        let (result, declaration) = collect(Rc::new(settings), || run(script));
        let first = declaration.faults.first().map(|fault| {
            let map = crate::host::fail::error_map(&fault.to_error());
            map.get("message").map(ToString::to_string).unwrap_or_default()
        });
        first.map_or(result.map(|_| declaration), Err)
    }
}

#[cfg(test)]
mod tests;
