//! The closures of declarations (`when`, `input`, `dedupe`, `concurrency.key`), called outside of any run.
//!
//! Each thread that asks compiles the version for itself, once. A call is bounded (see [`LIMITS`]), on a fiber of its own, and
//! sees no run: functions that are recorded refuse to work. It may happen in the middle of a run's host call, on that run's
//! fiber: nothing of the run is touched.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use rhai::{Dynamic, EvalAltResult, FnPtr};

use super::deploy::{self, Deployed};
use super::programs::fixed;
use super::shared::held;
use crate::host::declare::Declaration;
use crate::host::fail::error_map;
use crate::host::session::{self, Session, Strand};
use crate::id::Version;
use crate::payload::Payload;
use crate::script::fiber::{Fiber, StackPool, Turn};
use crate::script::guard::{Guard, Limits};
use crate::script::program::Prepared;

/// A closure decides over one message: what takes a second or 64 MiB there belongs into the workflow.
const LIMITS: Limits = Limits { cpu: Duration::from_secs(1), memory: 64 << 20, slice: Duration::from_millis(50) };
/// A closure that ran into its limit is not asked again for so long: whoever emits an event in a loop would wait each time.
const PAUSE: Duration = Duration::from_secs(10);
/// Versions that a thread keeps.
const MOST: usize = 256;

/// A closure of a declaration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Which {
    /// `key` of `workflow(#{ concurrency })`.
    Concurrency,
    /// An option of the trigger with this identity.
    Trigger {
        /// Of the trigger: `webhook:orders`.
        id: String,
        /// `when`, `input` or `dedupe`.
        option: &'static str,
    },
}

/// A version on this thread.
struct Loaded {
    engine: Rc<rhai::Engine>,
    prepared: Prepared,
    declaration: Declaration,
}

type Key = (Version, Payload);

#[derive(Default)]
struct Cache {
    engine: Option<Rc<rhai::Engine>>,
    pool: Rc<StackPool>,
    loaded: HashMap<Key, Rc<Loaded>>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Closures that ran into a limit, on whatever thread: until when they are not asked, and what was said.
static PAUSED: Mutex<BTreeMap<(Version, Which), (Duration, String)>> = Mutex::new(BTreeMap::new());

/// Calls a closure that `deployed` declares. The error is a sentence with the place in the script.
pub(super) fn call(deployed: &Deployed, which: Which, args: Vec<Dynamic>) -> Result<Dynamic, String> {
    let id = (deployed.version().clone(), which);
    let now = crate::time::elapsed();
    let paused = held(&PAUSED).get(&id).filter(|(until, _)| now < *until).map(|(_, said)| said.clone());
    if let Some(said) = paused {
        return Err(format!("{said}; it is not asked again for {} s", PAUSE.as_secs()));
    }
    let watching = deployed.ward.shared();
    let _watched = match &watching {
        Some(shared) => shared.calling(&deployed.name, deployed.version(), &id.1)?,
        None => None,
    };
    let loaded = load(deployed)?;
    let function = id.1.find(&loaded.declaration).ok_or("it is not declared as a closure")?;
    let place = deployed.bundle.main().to_owned();
    let body = move || {
        let called = loaded.prepared.call(&loaded.engine, &function, args);
        called.map(Dynamic::flatten).map_err(|error| told(&error, &place))
    };
    match on_fiber(LIMITS, body) {
        Err(Refusal::Limit(said)) => {
            let mut paused = held(&PAUSED);
            paused.retain(|_, (until, _)| now < *until);
            paused.insert(id, (crate::time::elapsed() + PAUSE, said.clone()));
            drop(paused);
            Err(said)
        }
        Err(Refusal::Fault(said)) => Err(said),
        Ok(value) => Ok(value),
    }
}

/// Whether a closure of this trigger ran into its limit and is not asked just now; what was said then.
pub(super) fn rests(deployed: &Deployed, trigger: &str) -> Option<String> {
    let now = crate::time::elapsed();
    let paused = held(&PAUSED);
    let of_trigger = |which: &Which| matches!(which, Which::Trigger { id, .. } if id == trigger);
    let mut resting = paused.iter().filter(|((version, which), _)| version == deployed.version() && of_trigger(which));
    resting.find(|(_, (until, _))| now < *until).map(|(_, (_, said))| said.clone())
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency => f.write_str("concurrency.key"),
            Self::Trigger { id, option } => write!(f, "{option} of {id}"),
        }
    }
}

impl Which {
    fn find(&self, declaration: &Declaration) -> Option<FnPtr> {
        let value = match self {
            Self::Concurrency => declaration.concurrency.as_ref()?.get("key")?,
            Self::Trigger { id, option } => {
                declaration.triggers.iter().find(|trigger| trigger.id() == *id)?.options.get(*option)?
            }
        };
        value.clone().try_cast()
    }
}

fn load(deployed: &Deployed) -> Result<Rc<Loaded>, String> {
    let key = (deployed.version().clone(), deployed.settings_payload());
    if let Some(loaded) = CACHE.with_borrow(|cache| cache.loaded.get(&key).cloned()) {
        return Ok(loaded);
    }
    let engine =
        CACHE.with_borrow_mut(|cache| Rc::clone(cache.engine.get_or_insert_with(|| Rc::new(deploy::script_engine()))));
    let (bundle, settings) = (std::sync::Arc::clone(&deployed.bundle), fixed(&key.1));
    let compile = move || {
        let (program, constants, declaration) =
            deploy::declare(&engine, &bundle, &settings).map_err(|faults| first(&faults))?;
        let prepared = program.prepare(&engine, &constants).map_err(|fault| first(&[fault]))?;
        Ok(Rc::new(Loaded { engine, prepared, declaration }))
    };
    let loaded = on_fiber(Limits::default(), compile).map_err(Refusal::said)?;
    CACHE.with_borrow_mut(|cache| {
        if cache.loaded.len() >= MOST {
            cache.loaded.clear();
        }
        cache.loaded.insert(key, Rc::clone(&loaded));
    });
    Ok(loaded)
}

fn first(faults: &[crate::diag::Diagnostic]) -> String {
    faults
        .first()
        .map_or_else(String::new, |fault| format!("{} ({}:{})", fault.title, fault.place.file, fault.place.line))
}

/// What an error says, and where: `… (orders.rhai:3:20)`.
fn told(error: &EvalAltResult, main: &str) -> String {
    let map = error_map(error);
    let text = |name: &str| map.get(name).map(ToString::to_string);
    let message = text("message").unwrap_or_else(|| error.to_string());
    let file = text("file").unwrap_or_else(|| main.to_owned());
    let place = text("line").map(|line| format!(" ({file}:{line}:{})", text("column").unwrap_or_else(|| "1".into())));
    format!("{message}{}", place.unwrap_or_default())
}

/// Why nothing came back.
enum Refusal {
    /// It took too much.
    Limit(String),
    /// It threw, or could not be called.
    Fault(String),
}

impl Refusal {
    fn said(self) -> String {
        match self {
            Self::Limit(said) | Self::Fault(said) => said,
        }
    }
}

/// Hides the run, if any, on whose fiber this happens; it is back when this is dropped.
struct Hidden(Option<(Rc<Session>, Rc<Strand>)>);

impl Drop for Hidden {
    fn drop(&mut self) {
        session::set_current(self.0.take());
    }
}

fn on_fiber<T: 'static>(limits: Limits, body: impl FnOnce() -> Result<T, String> + 'static) -> Result<T, Refusal> {
    let pool = CACHE.with_borrow(|cache| Rc::clone(&cache.pool));
    let guard = Guard::new(limits);
    let _hidden = Hidden(session::set_current(None));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut fiber = Fiber::try_new(&pool, body).map_err(|error| format!("there is no stack for it: {error}"))?;
        loop {
            let entered = guard.enter();
            let turn = fiber.resume();
            drop(entered);
            if let Turn::Finished(result) = turn {
                return result;
            }
        }
    }));
    // A script can swallow the error by which it is stopped.
    if let Some(stop) = guard.stopped() {
        return Err(Refusal::Limit(stop.message().to_owned()));
    }
    let fault = |_| "internal error while it was called; hint: this is a bug of `panta`, please report it".to_owned();
    ended.map_err(fault).flatten().map_err(Refusal::Fault)
}
