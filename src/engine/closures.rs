//! Closures of a declaration, called outside of any run: on the thread that asks, with programs of its own.
//!
//! They are pure: a host function that is called inside finds no run and says so. What they compute is bounded by a guard
//! of their own, which never suspends: the caller may be a fiber, or hold a lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, Engine, FnPtr};

use super::deploy::{self, Deployed};
use super::surroundings::Settings;
use crate::host::declare::Declaration;
use crate::host::session;
use crate::id::Version;
use crate::payload::Payload;
use crate::script::guard::{Guard, Limits};
use crate::script::memory;
use crate::script::program::Prepared;

/// Which closure.
#[derive(Clone, Debug)]
pub(super) enum Which {
    /// `concurrency.key`.
    Concurrency,
}

/// What one call may take: it stands before every start, so it must be short.
const LIMITS: Limits = Limits { cpu: Duration::from_secs(1), memory: 64 << 20, slice: Duration::MAX };

/// Versions that a thread keeps compiled.
const MOST: usize = 256;

struct Compiled {
    prepared: Prepared,
    declaration: Declaration,
}

struct Cache {
    engine: Rc<Engine>,
    all: HashMap<(Version, Payload), Rc<Compiled>>,
}

thread_local! {
    static CACHE: RefCell<Cache> =
        RefCell::new(Cache { engine: Rc::new(deploy::script_engine()), all: HashMap::new() });
}

/// Calls a closure that a workflow declares. An error says what is wrong, in a sentence.
#[expect(clippy::needless_pass_by_value, reason = "made for the call")]
pub(super) fn call(deployed: &Deployed, which: Which, args: Vec<Dynamic>) -> Result<Dynamic, String> {
    memory::uncounted(|| {
        let guard = Guard::new(LIMITS);
        let entered = guard.enter();
        let before = session::set_current(None);
        let result = call_alone(deployed, &which, args);
        session::set_current(before);
        drop(entered);
        guard.stopped().map_or(result, |stop| Err(stop.message().to_owned()))
    })
}

fn call_alone(deployed: &Deployed, which: &Which, args: Vec<Dynamic>) -> Result<Dynamic, String> {
    let (engine, compiled) = CACHE.with_borrow_mut(|cache| cache.compiled(deployed))?;
    let closure = which.of(&compiled.declaration).ok_or_else(|| format!("{which:?} is no closure"))?;
    compiled.prepared.call(&engine, &closure, args).map_err(|error| {
        let map = crate::host::fail::error_map(&error);
        map.get("message").map_or_else(|| error.to_string(), ToString::to_string)
    })
}

impl Which {
    fn of(&self, declaration: &Declaration) -> Option<FnPtr> {
        match self {
            Self::Concurrency => declaration.concurrency.as_ref()?.get("key")?.clone().try_cast(),
        }
    }
}

impl Cache {
    fn compiled(&mut self, deployed: &Deployed) -> Result<(Rc<Engine>, Rc<Compiled>), String> {
        let key = (deployed.version().clone(), deployed.settings_payload());
        if let Some(compiled) = self.all.get(&key) {
            return Ok((Rc::clone(&self.engine), Rc::clone(compiled)));
        }
        let told = |faults: Vec<crate::diag::Diagnostic>| faults.first().map_or_else(String::new, |f| f.title.clone());
        let settings: Arc<dyn Settings> = Arc::new(deployed.settings.clone());
        let (program, constants, declaration) =
            deploy::declare(&self.engine, &deployed.bundle, &settings).map_err(told)?;
        let prepared = program.prepare(&self.engine, &constants).map_err(|fault| told(vec![fault]))?;
        if self.all.len() >= MOST {
            self.all.clear();
        }
        let compiled = Rc::new(Compiled { prepared, declaration });
        self.all.insert(key, Rc::clone(&compiled));
        Ok((Rc::clone(&self.engine), compiled))
    }
}
