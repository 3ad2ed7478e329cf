//! `step`, `retry`, `attempt`: the scopes that are named, tried again, and undone.

use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, FnPtr, Map};

use super::cleanup::{self, Registered};
use super::fail::{Fail, explain};
use super::function::{Call, Choice, Function, Nature, Options};
use super::policy::{self, Policy, retry_after};
use super::session::{self, Mode, Session, Strand, encode, encode_error};
use super::waiting::Begun;
use super::{branches, once, waiting};
use crate::diag::Diagnostic;
use crate::journal::{Kind, Outcome, Position};
use crate::replay::{Command, Entered, Label, ScopeId};
use crate::script::guard;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "step",
        params: &["name: string", "options: map?", "body: closure"],
        options: &[
            Choice::new("retry", "retry policy", "attempts, as for `retry`"),
            Choice::new("timeout", "duration", "how long one attempt may take"),
            Choice::new("undo", "closure", "the compensation; it gets the value"),
            Choice::new("on_error", "closure", "the value in place of an error; it gets the error"),
            Choice::new(
                "at_most_once",
                "bool",
                "after a crash in between `interrupted` is thrown instead of a second execution",
            ),
            Choice::new("idempotency_key", "string", "in place of the derived one"),
        ],
        returns: "any",
        nature: Nature::Control,
        errors: &["timeout", "interrupted"],
        doc: "A named scope: the unit that is shown, retried, timed and undone. Returns what its body returns. Without `retry` \
              the workflow's own `retry` counts, if it declares one.",
        example: "step(\"create invoice\", #{ retry: 5, undo: |inv| print(inv) }, || 42)",
        call: step,
        ..Function::BASE
    },
    Function {
        name: "retry",
        params: &["policy: int or map", "body: closure"],
        options: policy::KEYS,
        returns: "any",
        nature: Nature::Control,
        doc: "Tries its body until it succeeds; steps that completed in an earlier attempt are not performed again. Not tried again are \
              `denied`, `invalid`, `script`, `cancelled`, `interrupted`, `limit` and statuses of 400 to 499 other than 408, 425 and 429. In a map \
              with a `kind` of your own that the script throws, `retryable: false` ends it, `retryable: true` has it tried again \
              whatever its `status`, and without `retryable` its `status` counts as one of HTTP.",
        example: "retry(#{ attempts: 3, delay: \"2s\" }, || step(\"ask\", || 1))",
        call: retry,
        ..Function::BASE
    },
    Function {
        name: "attempt",
        params: &["body: closure"],
        returns: "map: ok, value, error",
        nature: Nature::Control,
        doc: "`try` as an expression: `#{ ok, value, error }`.",
        example: "let r = attempt(|| 1); r.ok",
        call: attempt,
        ..Function::BASE
    },
    Function {
        name: "attempt_number",
        params: &[],
        returns: "int",
        nature: Nature::Pure,
        doc: "Which attempt of the innermost step or retry this is, from 1.",
        example: "attempt_number()",
        call: |call| Ok(i64::from(call.session()?.1.attempt.get()).into()),
        ..Function::BASE
    },
];

/// What a scope with attempts does beside its body.
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) name: Arc<str>,
    pub(super) body: FnPtr,
    pub(super) args: Vec<Dynamic>,
    pub(super) policy: Option<Policy>,
    pub(super) timeout: Option<std::time::Duration>,
    pub(super) undo: Option<FnPtr>,
    pub(super) on_error: Option<FnPtr>,
    pub(super) at_most_once: bool,
    /// In place of the derived idempotency key.
    pub(super) key: Option<Rc<str>>,
    /// Of `once`: looks for what the body makes.
    pub(super) find: Option<FnPtr>,
    /// Steps inside of it that completed in an earlier attempt are performed again.
    pub(super) anew: bool,
}

impl Plan {
    /// A body that is tried once.
    pub(super) fn new(kind: Kind, name: impl Into<Arc<str>>, body: FnPtr) -> Self {
        Self {
            kind,
            name: name.into(),
            body,
            args: Vec::new(),
            policy: None,
            timeout: None,
            undo: None,
            on_error: None,
            at_most_once: false,
            key: None,
            find: None,
            anew: false,
        }
    }
}

fn step(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let name = call.name(0)?;
    let last = call.args.len() - 1;
    let mut plan = Plan::new(Kind::Step, name, call.closure(last)?);
    if last == 2 {
        let options = call.options(1)?;
        plan.read(call, &options)?;
    }
    let (session, strand) = call.session()?;
    plan.or_policy_of(&session);
    run(call, &session, &strand, &plan)
}

impl Plan {
    /// Without a policy of its own, that of the workflow counts.
    pub(super) fn or_policy_of(&mut self, session: &Session) {
        if self.policy.is_none() {
            self.policy.clone_from(&session.facts.rules.retry);
        }
    }

    pub(super) fn read(&mut self, call: &Call<'_>, options: &Options) -> Result<(), Fail> {
        self.policy = options.get("retry").map(|value| Policy::parse(call, value)).transpose()?;
        self.timeout = options.duration("timeout")?;
        self.undo = options.closure("undo")?;
        self.on_error = options.closure("on_error")?;
        self.at_most_once = options.flag("at_most_once")?;
        self.key = options.text("idempotency_key")?.map(Into::into);
        Ok(())
    }
}

/// Evaluates a named scope: from earlier attempts, or its body with attempts, with its outcome in the journal.
pub(super) fn run(call: &Call<'_>, session: &Rc<Session>, strand: &Rc<Strand>, plan: &Plan) -> Result<Dynamic, Fail> {
    match strand.mode.get() {
        Mode::Recorded => {}
        Mode::Polling => return call_body(call, plan),
        Mode::Pure => return Err(super::impure(call)),
    }
    let scope = strand.scope.get();
    let label = session.replay.borrow_mut().scopes.label(scope, &plan.name);
    let earlier = session.replay.borrow().scopes.completed_before(scope, &label).cloned();
    if let Some(outcome) = earlier {
        session.replay.borrow_mut().scopes.advance(scope);
        return session::outcome_value(&outcome);
    }
    let command = session::command(plan.kind, plan.name.clone(), call.line());
    if session.replay.borrow().is_set_next(scope) {
        return set(call, session, strand, plan, &command, &label);
    }
    let entered = session.replay.borrow_mut().enter(scope, &command).map_err(|d| session.diverge(d))?;
    if entered.recorded.is_none() && session.replay.borrow().is_live() {
        session.world.begun(&plan.name, &entered.position, command.line);
    }
    let mut entry = session.entry(&command, entered.position.clone());
    let place = Place { session, strand, scope, ordinal: entered.position.ordinal, label: &label };
    session.open_steps.begin(&entered.position, &plan.name);
    let (outcome, attempts) = attempts(call, &place, plan)?;
    session.open_steps.end(&entered.position);
    entry.attempt = attempts;
    strand.must_wait.set(false);
    let value = leave(session, &entered, &command, entry, outcome.clone())?;
    settle(call, &place, plan, &value, &outcome, plan.undo.as_ref());
    value
}

/// A person has given the outcome: the body is left out.
fn set(
    call: &Call<'_>,
    session: &Rc<Session>,
    strand: &Rc<Strand>,
    plan: &Plan,
    command: &Command,
    label: &Label,
) -> Result<Dynamic, Fail> {
    let scope = strand.scope.get();
    let Begun::Closed(entry) = waiting::issue(session, strand, command)? else {
        unreachable!("what is set is given at the latest when nothing is recorded")
    };
    let value = waiting::recorded_value(&entry);
    let outcome = entry.outcome.clone().expect("a closed entry has an outcome");
    let is_skipped = session.replay.borrow().is_skipped(&entry.position);
    let place = Place { session, strand, scope, ordinal: entry.position.ordinal, label };
    // Nothing was done where it was skipped, so nothing is to be undone.
    settle(call, &place, plan, &value, &outcome, if is_skipped { None } else { plan.undo.as_ref() });
    value
}

/// Where a scope with attempts stands.
struct Place<'a> {
    session: &'a Rc<Session>,
    strand: &'a Rc<Strand>,
    scope: ScopeId,
    ordinal: u32,
    label: &'a Label,
}

impl Place<'_> {
    fn position(&self) -> Position {
        let scope = self.session.replay.borrow().scopes.path(self.scope).to_vec();
        Position { scope, ordinal: self.ordinal }
    }
}

fn settle(
    call: &Call<'_>,
    place: &Place<'_>,
    plan: &Plan,
    value: &Result<Dynamic, Fail>,
    outcome: &Outcome,
    undo: Option<&FnPtr>,
) {
    let mut replay = place.session.replay.borrow_mut();
    replay.scopes.forget(place.label);
    let Ok(value) = value else { return };
    replay.scopes.remember(place.scope, place.label, outcome);
    drop(replay);
    if let Some(undo) = undo {
        let item = Registered::new(call, Kind::Rollback, plan.name.clone(), undo, vec![value.clone()]);
        cleanup::register(place.session, place.strand, item.for_step(place.label, place.position()));
    }
}

type Left = Result<Dynamic, Fail>;

fn leave(
    session: &Session,
    entered: &Entered,
    command: &Command,
    entry: crate::journal::Entry,
    outcome: Outcome,
) -> Result<Left, Fail> {
    let recorded = session.replay.borrow_mut().leave(entered, command).map_err(|d| session.diverge(d))?;
    if let Some(entry) = &recorded {
        session.took(entry);
    }
    Ok(match recorded {
        Some(entry) => session::outcome_value(entry.outcome.as_ref().expect("an outcome is recorded when a step ends")),
        None => session.close(entry, outcome),
    })
}

/// Tries the body by its policy. The outcome, and how many attempts it took.
fn attempts(call: &Call<'_>, place: &Place<'_>, plan: &Plan) -> Result<(Outcome, u32), Fail> {
    let once = Policy::once();
    let policy = plan.policy.as_ref().unwrap_or(&once);
    let first = place.session.now.get();
    let mut attempt = 1;
    loop {
        let inner = open(place, attempt, policy.repeats() || plan.on_error.is_some());
        if plan.anew {
            place.session.replay.borrow_mut().scopes.anew(inner);
        }
        let result =
            inside(place.strand, inner, plan, attempt, || call_body(call, plan).and_then(|v| encode(&plan.name, &v)));
        if guard::stopped().is_some() {
            return Err(Fail::Stopped);
        }
        let error = match result {
            Ok(value) => {
                close(place, inner);
                return Ok((Ok(value), attempt));
            }
            Err(fail) => fail,
        };
        let found = meaning(place, plan, &error);
        let mut error = with_step(error.into_map(), &plan.name, attempt);
        // Other releases may have taken more errors for worth a retry: what was recorded goes on as it did.
        let went_on = place.session.replay.borrow().known_of_next(inner).is_some();
        let due = if policy.takes(call, &error)? || went_on {
            let random =
                place.session.jitter(&crate::journal::Position { scope: Vec::new(), ordinal: place.ordinal }, attempt);
            policy.next(attempt, first, place.session.now.get(), retry_after(&error), random)
        } else {
            None
        };
        let Some(due) = due else {
            close(place, inner);
            if let Some(found) = found.filter(|_| plan.on_error.is_none()) {
                explain(&mut error, &found);
            }
            return Ok((fallback(call, place, plan, attempt, error)?, attempt));
        };
        place.strand.within(inner, || waiting::pause(place.session, place.strand, call.line(), due, &error))?;
        close(place, inner);
        attempt += 1;
    }
}

/// What an error of the script's own code means, for the journal. Only where it is recorded: what a replay makes again it must
/// make alike, and a trial of another version has no such words.
fn meaning(place: &Place<'_>, plan: &Plan, fail: &Fail) -> Option<Diagnostic> {
    let Fail::Script(error) = fail else { return None };
    if plan.kind != Kind::Step || !place.session.replay.borrow().is_live() {
        return None;
    }
    let explain = place.session.explain.borrow().clone()?;
    Some(explain(error))
}

fn open(place: &Place<'_>, attempt: u32, repeatable: bool) -> ScopeId {
    place.session.replay.borrow_mut().scopes.attempt(place.scope, place.ordinal, attempt, place.label, repeatable)
}

fn close(place: &Place<'_>, scope: ScopeId) {
    place.session.replay.borrow_mut().scopes.close(scope);
}

fn inside<R>(strand: &Strand, scope: ScopeId, plan: &Plan, attempt: u32, act: impl FnOnce() -> R) -> R {
    let name = if plan.kind == Kind::Effect { strand.step.borrow().clone() } else { Some(Arc::clone(&plan.name)) };
    let step = strand.step.replace(name);
    let number = strand.attempt.replace(attempt);
    let retried = strand.retried.replace(strand.retried.get() || plan.policy.is_some());
    // A look may be repeated as often as it takes.
    let once = strand.at_most_once.replace(!plan.anew && (strand.at_most_once.get() || plan.at_most_once));
    let key = plan.key.as_ref().map(|key| strand.key.replace(Some((Rc::clone(key), scope))));
    let result = strand.within(scope, act);
    if let Some(key) = key {
        strand.key.replace(key);
    }
    strand.step.replace(step);
    strand.attempt.set(number);
    strand.retried.set(retried);
    strand.at_most_once.set(once);
    result
}

fn call_body(call: &Call<'_>, plan: &Plan) -> Result<Dynamic, Fail> {
    if plan.kind == Kind::Step && session::current().is_some_and(|(s, _)| s.world.stands_for_step(&plan.name)) {
        return super::effects::stand_in(&call.context, &plan.name, &[]);
    }
    if let Some(find) = &plan.find {
        return once::body(call, &plan.name, find, &plan.body);
    }
    match plan.timeout {
        Some(duration) => branches::timeout(call, duration, &plan.body, plan.args.clone()),
        None => Ok(plan.body.call_within_context::<Dynamic>(&call.context, plan.args.clone())?),
    }
}

fn fallback(call: &Call<'_>, place: &Place<'_>, plan: &Plan, attempt: u32, error: Map) -> Result<Outcome, Fail> {
    let Some(on_error) = &plan.on_error else { return Ok(Err(encode_error(&error))) };
    let inner = open(place, attempt + 1, false);
    let given = vec![Dynamic::from_map(error)];
    let result = inside(place.strand, inner, plan, attempt + 1, || {
        on_error
            .call_within_context::<Dynamic>(&call.context, given)
            .map_err(Fail::from)
            .and_then(|v| encode(&plan.name, &v))
    });
    if guard::stopped().is_some() {
        return Err(Fail::Stopped);
    }
    Ok(result.map_err(|fail| encode_error(&with_step(fail.into_map(), &plan.name, attempt))))
}

fn with_step(mut error: Map, name: &str, attempt: u32) -> Map {
    error.entry("step".into()).or_insert_with(|| name.to_owned().into());
    // The attempt is that of the step named; of an error from a step inside, it stays that one's.
    if error.get("step").is_some_and(|step| step.to_string() == name) || !error.contains_key("attempt") {
        error.insert("attempt".into(), i64::from(attempt).into());
    }
    error
}

fn retry(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let policy = Policy::parse(call, &call.args[0])?;
    let body = call.closure(1)?;
    let (session, strand) = call.session()?;
    let plan = Plan { policy: Some(policy), ..Plan::new(Kind::Effect, "retry", body) };
    if strand.mode.get() != Mode::Recorded {
        return call_body(call, &plan);
    }
    bare(call, &session, &strand, &plan)
}

/// Evaluates a scope that has no entry of its own: what is recorded is what happens inside.
pub(super) fn bare(call: &Call<'_>, session: &Rc<Session>, strand: &Rc<Strand>, plan: &Plan) -> Result<Dynamic, Fail> {
    let scope = strand.scope.get();
    let (label, position) = {
        let mut replay = session.replay.borrow_mut();
        (replay.scopes.label(scope, &plan.name), replay.scopes.advance(scope))
    };
    let place = Place { session, strand, scope, ordinal: position.ordinal, label: &label };
    let outcome = attempts(call, &place, plan)?.0;
    session.replay.borrow_mut().scopes.forget(&label);
    session::outcome_value(&outcome)
}

fn attempt(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let result = call.closure(0)?.call_within_context::<Dynamic>(&call.context, ()).map_err(Fail::from);
    super::attempted(result)
}
