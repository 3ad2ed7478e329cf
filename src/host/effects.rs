//! Commands to the outside world: recorded, with intents before they start, and retried durably.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, Map, NativeCallContext};

use super::fail::{Fail, failure_map};
use super::function::Call;
use super::policy::{Policy, retry_after};
use super::session::{
    self, Answer, Called, Mode, Session, Strand, What, encode, encode_error, hash_arguments, unmarked_here,
};
use super::waiting::{Begun, issue, recorded_value};
use crate::effect::http::Body;
use crate::effect::{Failure, HttpRequest, Kind as Effect, Reply, Request, Sent};
use crate::journal::{Entry, Kind, Outcome};
use crate::payload::Payload;
use crate::script::memory;
use crate::time::Timestamp;

/// What a call of an effect is made of.
pub(super) struct Plan {
    /// What to perform.
    pub(super) request: Rc<Request>,
    /// What the script asked for; without it only what is safe is retried.
    pub(super) policy: Option<Policy>,
    /// The value of a reply.
    pub(super) shape: fn(Reply) -> Dynamic,
    /// Given by the script in place of the derived one.
    pub(super) key: Option<String>,
}

/// Performs an effect, or takes its recorded outcome.
pub(super) fn run(call: &Call<'_>, plan: &Plan) -> Result<Dynamic, Fail> {
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() == Mode::Polling {
        return unrecorded(call, &session, &strand, plan);
    }
    let command = crate::replay::Command {
        arguments: hash_request(&plan.request),
        ..session::command(Kind::Effect, call.function.name, call.line())
    };
    let (position, opened) = match issue(&session, &strand, &command)? {
        Begun::Closed(entry) => return recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = session.entry(&command, position);
    Performance { call, session: &session, strand: &strand, plan }.carry_out(entry, opened)
}

/// Texts are part of the arguments by their digests: marks go before those are made.
fn hash_request(request: &Request) -> u64 {
    if let Request::Http(http) = request
        && let Some(body) = unmarked_body(&http.body)
    {
        return hash_arguments(&Request::Http(HttpRequest { body, ..http.clone() }).arguments());
    }
    hash_arguments(&request.arguments())
}

fn unmarked_body(body: &Body) -> Option<Body> {
    match body {
        Body::Json(text) => Some(Body::Json(changed(text)?)),
        Body::Text(text) => Some(Body::Text(changed(text)?)),
        Body::Bytes(bytes) => {
            let (session, _) = session::current()?;
            Some(Body::Bytes(session::unmarked_bytes(bytes, &|name| session.origin(name))?))
        }
        // Their texts are part of the arguments as they are.
        Body::None | Body::Form(_) | Body::File(_) | Body::Multipart(_) => None,
    }
}

fn changed(text: &str) -> Option<String> {
    match unmarked_here(text) {
        Cow::Owned(unmarked) => Some(unmarked),
        Cow::Borrowed(_) => None,
    }
}

struct Performance<'a> {
    call: &'a Call<'a>,
    session: &'a Rc<Session>,
    strand: &'a Rc<Strand>,
    plan: &'a Plan,
}

impl Performance<'_> {
    fn carry_out(&self, mut entry: Entry, opened: Option<Entry>) -> Result<Dynamic, Fail> {
        let key = self.key(&entry);
        let mut again = false;
        let mut undo = None;
        if let Some(before) = opened {
            entry.attempt = before.attempt;
            entry.started_at = before.started_at;
            if let Some(due) = before.due {
                // The attempt before failed and the next one is due then.
                self.pause(due, &before);
            } else {
                again = true;
                self.session.reach_present(self.strand, self.call.line());
                undo = before.detail.and_then(|d| d.to_json().as_str().map(str::to_owned));
                if self.strand.at_most_once.get() {
                    return self.session.close(entry, Err(encode_error(&interrupted(self.call))));
                }
            }
        }
        let mutating = self.plan.request.kind() == Effect::Mutating;
        loop {
            if !again {
                self.session.halt(self.strand);
            }
            if mutating && !again {
                undo = match self.intend(&entry) {
                    Ok(undo) => undo,
                    Err(failure) => {
                        let error = encode_error(&self.described(&failure, &entry));
                        return self.session.close(entry, Err(error));
                    }
                };
            }
            let began = self.session.now.get();
            let outcome = self.perform(&entry, &key, undo.clone(), again);
            // When the last attempt began, where that is not when the call did: what lies between was spent waiting.
            let due = (began != entry.started_at).then_some(began);
            let failure = match outcome {
                Ok((Ok(recorded), Some(value))) => {
                    return Ok(self.session.close_with(Entry { due, ..entry }, recorded, value));
                }
                Ok((outcome, _)) => return self.session.close(Entry { due, ..entry }, outcome),
                Err(failure) => failure,
            };
            let error = self.described(&failure, &entry);
            let next = match self.next(&failure, &error, &entry) {
                Err(Fail::Stopped) => return Err(Fail::Stopped),
                // What the policy's `when` threw is the outcome: what has begun must not be begun again.
                Err(fail) => return self.session.close(Entry { due, ..entry }, Err(encode_error(&fail.into_map()))),
                Ok(next) => next,
            };
            let Some(due) = next else {
                return self.session.close(Entry { due, ..entry }, Err(encode_error(&error)));
            };
            entry.attempt += 1;
            let ended_at = self.session.now.get();
            let waiting = Entry { due: Some(due), detail: Some(encode_error(&error)), ended_at, ..entry.clone() };
            self.session.replay.borrow_mut().append(waiting.clone());
            self.pause(due, &waiting);
            again = false;
        }
    }

    fn key(&self, entry: &Entry) -> String {
        self.plan.key.clone().unwrap_or_else(|| {
            let scope = self.strand.scope.get();
            let place = self.session.replay.borrow().key(scope, &entry.position, entry.arguments);
            match &*self.strand.key.borrow() {
                // The first request of the step has the key as it was given; others are told apart by their place.
                Some((key, own)) if *own == scope && entry.position.ordinal == 0 => key.to_string(),
                Some((key, _)) => format!("{key}-{place}"),
                None => format!("{}-{place}", self.session.facts.run),
            }
        })
    }

    fn intend(&self, entry: &Entry) -> Result<Option<String>, Failure> {
        let undo = self.session.world.prepare(&self.plan.request)?;
        let detail = undo.as_ref().map(|undo| Payload::from_json(&serde_json::Value::from(undo.as_str())));
        let ended_at = self.session.now.get();
        self.session.replay.borrow_mut().append(Entry { ended_at, detail, ..entry.clone() });
        Ok(undo)
    }

    /// The outcome for the journal, and the value that it has, where that is at hand.
    fn perform(
        &self,
        entry: &Entry,
        key: &str,
        undo: Option<String>,
        again: bool,
    ) -> Result<(Outcome, Option<Dynamic>), Failure> {
        let request = Rc::clone(&self.plan.request);
        let called = called(self.call, self.session, &self.plan.request, Some(entry));
        let position = Some(entry.position.clone());
        let what = What::Effect { request, attempt: entry.attempt, position, key: key.to_owned(), undo, again, called };
        match self.session.wait(self.strand, self.call.line(), what) {
            Answer::Effect(outcome) => {
                let value = (self.plan.shape)(outcome?);
                Ok(match encode(self.call.function.name, &value) {
                    Ok(outcome) => (Ok(outcome), Some(value)),
                    Err(fail) => (Err(encode_error(&fail.into_map())), None),
                })
            }
            Answer::Given(outcome) => Ok((outcome, None)),
            _ => unreachable!("an effect is answered by its outcome"),
        }
    }

    fn pause(&self, due: Timestamp, failed: &Entry) {
        let error =
            failed.detail.as_ref().map(|error| Arc::from(error.to_json()["message"].as_str().unwrap_or_default()));
        while self.session.now.get() < due {
            self.session.wait(self.strand, self.call.line(), What::Until { due, retry_of: error.clone() });
        }
    }

    /// When the next attempt is due; `None`: the failure is final.
    fn next(&self, failure: &Failure, error: &Map, entry: &Entry) -> Result<Option<Timestamp>, Fail> {
        let now = self.session.now.get();
        let random = self.session.jitter(&entry.position, entry.attempt);
        if let Some(policy) = &self.plan.policy {
            if !policy.takes(self.call, error)? {
                return Ok(None);
            }
            return Ok(policy.next(entry.attempt, entry.started_at, now, retry_after(error), random));
        }
        let safe = if self.plan.request.is_repeatable() {
            failure.retryable
        } else {
            matches!(failure.kind, "network" | "mail" | "message" | "sql")
                && failure.retryable
                && failure.sent == Sent::No
        };
        if self.strand.retried.get() || !safe {
            return Ok(None);
        }
        Ok(Policy::times(3).next(entry.attempt, entry.started_at, now, failure.retry_after, random))
    }

    fn described(&self, failure: &Failure, entry: &Entry) -> Map {
        let mut map = failure_map(failure);
        if let Some(after) = failure.retry_after {
            map.insert("retry_after".into(), after.as_secs_f64().into());
        }
        if let Some(step) = &*self.strand.step.borrow() {
            map.insert("step".into(), step.to_string().into());
        }
        map.insert("attempt".into(), i64::from(entry.attempt).into());
        let position = self.call.context.call_position();
        map.insert("line".into(), i64::from(entry.line).into());
        map.insert("column".into(), position.position().map_or(1, |c| c as i64).into());
        if let Some(file) = self.call.context.call_source() {
            map.insert("file".into(), file.to_owned().into());
        }
        map
    }
}

fn interrupted(call: &Call<'_>) -> Map {
    Fail::error(
        "interrupted",
        format!(
            "`{}` was under way when the process ended, and may have happened; it is not tried again (`at_most_once`)",
            call.function.name
        ),
    )
    .into_map()
}

/// Inside of `wait_until`: performed each time, never recorded.
fn unrecorded(call: &Call<'_>, session: &Rc<Session>, strand: &Rc<Strand>, plan: &Plan) -> Result<Dynamic, Fail> {
    if plan.request.kind() == Effect::Mutating {
        return Err(call.invalid("changes something, so it cannot be used inside of `wait_until`, which records only the last poll; hint: use a loop with `sleep`"));
    }
    let what = What::Effect {
        request: Rc::clone(&plan.request),
        attempt: 1,
        position: None,
        key: String::new(),
        undo: None,
        again: false,
        called: called(call, session, &plan.request, None),
    };
    match session.wait(strand, call.line(), what) {
        Answer::Effect(Ok(reply)) => Ok((plan.shape)(reply)),
        Answer::Given(outcome) => session::outcome_value(&outcome),
        Answer::Effect(Err(failure)) => Err(Fail::Thrown(failure_map(&failure))),
        _ => unreachable!("an effect is answered by its outcome"),
    }
}

/// The call as the script made it, where the surroundings want to know.
fn called(call: &Call<'_>, session: &Session, request: &Request, entry: Option<&Entry>) -> Option<Rc<Called>> {
    let is_reading = request.kind() == Effect::Reading;
    session.world.watches_calls().then(|| {
        // They leave the run: whoever watches frees them.
        memory::uncounted(|| {
            Rc::new(Called { is_reading, ..told(&call.context, call.function.name, call.line(), entry, &call.args) })
        })
    })
}

fn told(
    context: &NativeCallContext<'_>,
    function: &str,
    line: u32,
    entry: Option<&Entry>,
    arguments: &[Dynamic],
) -> Called {
    Called {
        function: function.into(),
        file: context.call_source().unwrap_or_default().into(),
        line,
        column: context.call_position().position().map_or(0, |column| u32::try_from(column).unwrap_or(0)),
        position: entry.map(|entry| entry.position.clone()),
        attempt: entry.map_or(1, |entry| entry.attempt),
        arguments: arguments.to_vec(),
        is_reading: false,
    }
}

/// What stands in place of a function of a module, or of a step's body: an effect of that name, answered by the
/// surroundings.
pub fn stand_in(context: &NativeCallContext<'_>, name: &str, arguments: &[Dynamic]) -> Result<Dynamic, Fail> {
    let (session, strand) =
        session::current().ok_or_else(|| Fail::error("invalid", format!("`{name}` cannot be called here")))?;
    let line = context.call_position().line().map_or(0, |line| u32::try_from(line).unwrap_or(0));
    if strand.mode.get() == Mode::Polling {
        let called = memory::uncounted(|| Rc::new(told(context, name, line, None, arguments)));
        return match session.wait(&strand, line, What::Stand { called }) {
            Answer::Given(outcome) => session::outcome_value(&outcome),
            _ => unreachable!("what stands for a function gives a value"),
        };
    }
    let command = session::command(Kind::Effect, name, line);
    let (position, opened) = match issue(&session, &strand, &command)? {
        Begun::Closed(entry) => return recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = opened.unwrap_or_else(|| {
        let entry = session.entry(&command, position);
        session.replay.borrow_mut().append(entry.clone());
        entry
    });
    let called = memory::uncounted(|| Rc::new(told(context, name, line, Some(&entry), arguments)));
    match session.wait(&strand, line, What::Stand { called }) {
        Answer::Given(outcome) => session.close(entry, outcome),
        _ => unreachable!("what stands for a function gives a value"),
    }
}
