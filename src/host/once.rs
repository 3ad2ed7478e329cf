//! `once`: makes something in a service exactly once, also where the service knows no idempotency keys.
//!
//! It is a step. In it `find` looks, `make` makes, and where it is not known what came of `make`, `find` looks again. Each look and
//! each making has a scope of its own below the step, as an attempt of `retry` has one, so the journal holds what it holds of any
//! step: calls, pauses, and the outcome at the end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, FnPtr, Map};

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature};
use super::policy::Policy;
use super::session::{Session, Strand};
use super::step::{self, Plan};
use super::waiting;
use crate::journal::Kind;
use crate::script::guard;

/// The function of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "once",
    params: &["name: string", "options: map?", "find: closure", "make: closure"],
    options: &[
        Choice::new("retry", "retry policy", "attempts, as for `retry`; each begins with a look"),
        Choice::new("undo", "closure", "the compensation; it gets the value"),
        Choice::new("on_error", "closure", "the value in place of an error; it gets the error"),
    ],
    returns: "any",
    nature: Nature::Control,
    doc: "Makes something in another system exactly once, also where that knows no idempotency keys. A step of this name: where `find` \
          returns something, that is its value; where it returns `()`, what `make` returns. `find` looks for it by a reference of yours, \
          calls that read alone, and must see at once what was made; `make` makes it, best with one call, and bears the reference. \
          `make` is never repeated blindly: when the process died while it was under way, or it threw, `find` looks again, freshly (2 s later \
          where the request may still be on its way), and what it finds then is the value. Where it finds nothing, it is made after \
          all when the process had died, else what `make` threw is thrown. Where `make` returns `()`, the value is what \
          `find` finds then. Two runs that may make the same thing at the same moment need a `lock` around it.",
    example: "once(\"create lead\", || (), || 42)",
    call: once,
    ..Function::BASE
}];

/// How long a request that is given up may still be on its way.
const UNDER_WAY: Duration = Duration::from_secs(2);

fn once(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let last = call.args.len() - 1;
    let mut plan = Plan::new(Kind::Step, call.name(0)?, call.closure(last)?);
    plan.find = Some(call.closure(last - 1)?);
    if last == 3 {
        let options = call.options(1)?;
        plan.read(call, &options)?;
    }
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    plan.or_policy_of(&session);
    step::run(call, &session, &strand, &plan)
}

/// One attempt: what is found, or made.
pub(super) fn body(call: &Call<'_>, name: &Arc<str>, find: &FnPtr, make: &FnPtr) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    let once = Once { call, session: &session, strand: &strand, name, find, make };
    let found = once.look()?;
    if found.is_unit() { once.made() } else { Ok(found) }
}

struct Once<'a> {
    call: &'a Call<'a>,
    session: &'a Rc<Session>,
    strand: &'a Rc<Strand>,
    name: &'a Arc<str>,
    find: &'a FnPtr,
    make: &'a FnPtr,
}

impl Once<'_> {
    fn within(&self, plan: &Plan) -> Result<Dynamic, Fail> {
        step::bare(self.call, self.session, self.strand, plan)
    }

    /// What is there now. Steps of an earlier attempt count no more in it: they were done before what they look for was made.
    fn look(&self) -> Result<Dynamic, Fail> {
        let plan = Plan::new(Kind::Effect, Arc::clone(self.name), self.find.clone());
        self.within(&Plan { anew: true, ..plan })
    }

    fn made(&self) -> Result<Dynamic, Fail> {
        loop {
            let plan = Plan::new(Kind::Effect, Arc::clone(self.name), self.make.clone());
            let error = match self.within(&Plan { policy: Some(Policy::once()), at_most_once: true, ..plan }) {
                Ok(value) if value.is_unit() => return self.look(),
                Ok(value) => return Ok(value),
                Err(fail) if guard::stopped().is_some() => return Err(fail),
                Err(fail) => fail.into_map(),
            };
            let was_interrupted = kind(&error) == "interrupted";
            if may_be_under_way(&error) {
                let due = self.session.now.get().plus(UNDER_WAY);
                waiting::pause(self.session, self.strand, self.call.line(), due, &error)?;
            }
            match self.look() {
                Ok(found) if !found.is_unit() => return Ok(found),
                Ok(_) if was_interrupted => {}
                // What the look ran into says whether to try again; what was interrupted is never worth that.
                Err(fail) if was_interrupted || guard::stopped().is_some() => return Err(fail),
                _ => return Err(Fail::Thrown(error)),
            }
        }
    }
}

fn kind(error: &Map) -> String {
    error.get("kind").map(ToString::to_string).unwrap_or_default()
}

/// Whether the other side may be at it yet: nobody there has said that it is over.
fn may_be_under_way(error: &Map) -> bool {
    let status = error.get("status").and_then(|status| status.as_int().ok());
    let may_pass = error.get("retryable").is_some_and(|retryable| retryable.as_bool().unwrap_or(false));
    matches!(&*kind(error), "interrupted" | "network" | "timeout")
        || may_pass
        || status.is_some_and(|status| status == 408 || status >= 500)
}
