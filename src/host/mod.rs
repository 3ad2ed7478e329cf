//! What scripts can call: one file a topic, each function describing itself and turning its arguments into a command.
//!
//! A function either answers at once from its arguments, or becomes a command: with a place in the journal, answered from
//! there when it is recorded, else performed. Commands that have to wait put an [`session::Ask`] into the session's outbox
//! and suspend the fiber; the engine answers.
//!
//! It owns nothing durable. It knows the replay machine and the script engine, not scheduling, not the store.

mod ai;
mod auth;
pub mod branches;
pub mod catalog;
pub mod chain;
mod chart;
pub mod cleanup;
mod csv;
mod decimals;
pub mod declare;
pub mod effects;
mod encoding;
mod events;
pub mod fail;
mod file;
pub mod function;
mod hash;
mod html;
mod http;
mod json;
mod lists;
pub(crate) mod lock;
mod log;
mod mail;
pub mod mailbox;
mod message;
mod notify;
mod once;
mod pages;
mod parts;
mod policy;
mod progress;
pub mod rate;
mod regex;
pub mod rules;
pub mod schema;
pub mod session;
mod shell;
mod sql;
mod state;
mod step;
pub(crate) mod task;
mod template;
mod time;
mod toml;
mod tree;
mod url;
mod values;
mod waiting;
pub(crate) mod workflows;
mod xml;
mod yaml;

use rhai::{Dynamic, Engine, FnPtr, Map};

use fail::Fail;
use function::{Call, Function};
use session::{Mode, Strand};

/// All functions, by topic.
pub fn tables() -> Vec<&'static [Function]> {
    vec![
        step::FUNCTIONS,
        once::FUNCTIONS,
        waiting::FUNCTIONS,
        branches::FUNCTIONS,
        cleanup::FUNCTIONS,
        workflows::FUNCTIONS,
        chain::FUNCTIONS,
        events::FUNCTIONS,
        lock::FUNCTIONS,
        rate::FUNCTIONS,
        task::FUNCTIONS,
        progress::FUNCTIONS,
        notify::FUNCTIONS,
        state::FUNCTIONS,
        http::FUNCTIONS,
        pages::FUNCTIONS,
        file::FUNCTIONS,
        mail::FUNCTIONS,
        message::FUNCTIONS,
        shell::FUNCTIONS,
        sql::FUNCTIONS,
        ai::FUNCTIONS,
        log::FUNCTIONS,
        values::FUNCTIONS,
        auth::FUNCTIONS,
        declare::FUNCTIONS,
        schema::FUNCTIONS,
        json::FUNCTIONS,
        csv::FUNCTIONS,
        hash::FUNCTIONS,
        encoding::FUNCTIONS,
        lists::FUNCTIONS,
        regex::FUNCTIONS,
        url::FUNCTIONS,
        decimals::FUNCTIONS,
        xml::FUNCTIONS,
        yaml::FUNCTIONS,
        toml::FUNCTIONS,
        template::FUNCTIONS,
        html::FUNCTIONS,
        chart::FUNCTIONS,
        time::FUNCTIONS,
    ]
}

/// Makes all functions known to a script engine.
pub fn register(engine: &mut Engine) {
    function::register(engine, &tables());
    log::register(engine);
}

/// Calls a closure that must be pure: host functions refuse to work meanwhile.
fn pure<R>(act: impl FnOnce() -> Result<R, Box<rhai::EvalAltResult>>) -> Result<R, Fail> {
    match session::current() {
        Some((_, strand)) => Ok(strand.in_mode(Mode::Pure, act)?),
        None => Ok(act()?),
    }
}

/// What a call that needs a run is told where there is none, or where it must not be used.
pub const IN_PURE_CLOSURE: &str =
    "cannot be called inside of a closure that must be pure (`when`, `update`, `input`, `key`)";

fn impure(call: &Call<'_>) -> Fail {
    call.invalid(IN_PURE_CLOSURE)
}

/// Refuses to work inside of a pure closure.
fn no_pure(call: &Call<'_>, strand: &Strand) -> Result<(), Fail> {
    if strand.mode.get() == Mode::Pure { Err(impure(call)) } else { Ok(()) }
}

/// Refuses to work where calls are not recorded.
fn recorded_only(call: &Call<'_>, strand: &Strand) -> Result<(), Fail> {
    no_pure(call, strand)?;
    if strand.mode.get() == Mode::Polling {
        return Err(call.invalid(
            "cannot be used inside of `wait_until`, which records only the last poll; hint: do it before or after",
        ));
    }
    Ok(())
}

/// A closure with copies of the values that it captured.
fn copied(closure: &FnPtr) -> FnPtr {
    let mut copy = closure.clone();
    for value in copy.iter_curry_mut() {
        *value = value.flatten_clone();
    }
    copy
}

/// `#{ ok, value, error }`. Cancellation and limits pass through.
fn attempted(result: Result<Dynamic, Fail>) -> Result<Dynamic, Fail> {
    let (ok, value, error) = match result {
        Err(Fail::Stopped) => return Err(Fail::Stopped),
        Ok(value) => (true, value, Dynamic::UNIT),
        Err(fail) => (false, Dynamic::UNIT, Dynamic::from_map(fail.into_map())),
    };
    let fields = [("ok", ok.into()), ("value", value), ("error", error)];
    Ok(Dynamic::from_map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>()))
}
