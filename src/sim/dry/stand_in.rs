//! What stands in for the outside in a dry run: given answers, then made-up ones. Files are those of a private folder.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::raised::{self, Raised};
use super::answers::Answers;
use super::made_up;
use super::timeline::{Answered, By, Timeline};
use crate::effect::file::{FileReply, FileRequest};
use crate::effect::{Allow, Reply, Request};
use crate::engine::{Mocked, Mocks};
use crate::host::session::{Answer, Ask, Called, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::script::value;
use crate::store::Store;
use crate::store::memory::Memory;
use crate::time::{Clock, Timestamp};

/// Rounds of the engine at one moment, at most: more is a loop that waits for nothing.
const MOST_ROUNDS: usize = 5_000;

pub(super) struct StandIn {
    pub(super) answers: Answers,
    pub(super) timeline: RefCell<Timeline>,
    /// What each workflow may touch.
    pub(super) allowed: BTreeMap<Arc<str>, Allow>,
    /// Workflows' folders, below the private one.
    pub(super) workspace: PathBuf,
    pub(super) store: Arc<Memory>,
    pub(super) clock: Arc<dyn Clock>,
    /// Rounds since time last went on.
    pub(super) rounds: Cell<usize>,
    /// Calls that were answered.
    pub(super) count: Cell<usize>,
    /// Lines whose polls are in the timeline already.
    pub(super) polled: RefCell<BTreeSet<(RunId, u32)>>,
}

impl StandIn {
    /// What answers a call, and where that comes from.
    fn decide(&self, workflow: &str, called: &Called, request: Option<&Request>) -> (Mocked, By) {
        self.count.set(self.count.get() + 1);
        if let Some(given) = self.answers.take(&called.function) {
            return (Mocked::Answer(given_answer(&given, called, request)), By::Given);
        }
        match request {
            None => (Mocked::Answer(Answer::Given(Ok(Payload::unit()))), By::MadeUp),
            Some(Request::Http(request)) => {
                if let Some(path) = &request.save_to {
                    self.put(workflow, path);
                }
                let reply = made_up::reply(request, self.count.get(), self.now());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Http(reply)))), By::MadeUp)
            }
            Some(Request::Mail(_)) => {
                let id = format!("<made-up-{}@panta.invalid>", self.count.get());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Mail(id)))), By::MadeUp)
            }
            Some(Request::Shell(request)) => {
                if let Some(path) = &request.save_to {
                    self.put(workflow, path);
                }
                let reply = made_up::ended(request, self.now());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Shell(reply)))), By::MadeUp)
            }
            Some(Request::Sql(request)) => {
                if let Some(path) = &request.save_to {
                    self.put(workflow, path);
                }
                let reply = made_up::answered(request, self.count.get(), self.now());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Sql(reply)))), By::MadeUp)
            }
            Some(Request::Message(request)) => {
                let reply = made_up::taken(request, self.count.get());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Message(reply)))), By::MadeUp)
            }
            Some(Request::Ai(request)) => {
                let reply = made_up::answer(request, self.count.get(), self.now());
                (Mocked::Answer(Answer::Effect(Ok(Reply::Ai(reply)))), By::MadeUp)
            }
            Some(Request::File(request)) => self.file(workflow, request),
        }
    }

    /// In the private folder the act is done; a file that should be there and is not is put there first. What is allowed
    /// elsewhere is left alone; what is not is refused before anything is touched, in the same words as ever.
    fn file(&self, workflow: &str, request: &FileRequest) -> (Mocked, By) {
        if self.is_left_alone(workflow, request) {
            return (Mocked::Answer(Answer::Effect(Ok(Reply::File(untouched(request, self.now()))))), By::MadeUp);
        }
        let made = paths(request).0.into_iter().filter(|path| self.put(workflow, path)).count();
        (Mocked::Perform, if made > 0 { By::MadeUp } else { By::Itself })
    }

    /// Whether an act concerns files outside of the workflow's folder, and may.
    fn is_left_alone(&self, workflow: &str, request: &FileRequest) -> bool {
        let own = self.workspace.join(workflow);
        let (needs, others) = paths(request);
        let elsewhere: Vec<_> = needs
            .into_iter()
            .chain(others)
            .filter(|path| Path::new(path).is_absolute() && !Path::new(path).starts_with(&own))
            .collect();
        let allowed = self.allowed.get(workflow);
        !elsewhere.is_empty() && elsewhere.iter().all(|path| allowed.is_some_and(|allow| allow.covers(path)))
    }

    /// Puts a made-up file into a workflow's private folder, where there is none; whether it did.
    fn put(&self, workflow: &str, path: &str) -> bool {
        let is_plain =
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let place = self.workspace.join(workflow).join(path);
        if !is_plain || place.exists() {
            return false;
        }
        let made = place.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&place, made_up::contents(path))).is_ok()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn note(&self, run: RunId, workflow: &Arc<str>, ask: &Ask, called: &Rc<Called>, decided: &(Mocked, By)) {
        let is_poll = called.position.is_none();
        if is_poll && !self.polled.borrow_mut().insert((run, called.line)) {
            return;
        }
        let outcome = is_poll.then(|| match &decided.0 {
            Mocked::Answer(Answer::Given(Ok(given))) => Ok(given.to_json()),
            Mocked::Answer(Answer::Given(Err(error))) => Err(error.to_json()),
            Mocked::Answer(Answer::Effect(Err(failure))) => Err(failure.message.clone().into()),
            _ => Ok(Value::Null),
        });
        self.timeline.borrow_mut().called(Answered {
            run,
            workflow: Arc::clone(workflow),
            called: Rc::clone(called),
            step: ask.step.as_ref().map(ToString::to_string),
            at: self.now(),
            by: decided.1,
            outcome,
        });
    }
}

impl Mocks for StandIn {
    fn answer(&self, run: RunId, ask: &Ask) -> Mocked {
        let (called, request) = match &ask.what {
            What::Effect { called: Some(called), request, .. } => (called, Some(&**request)),
            What::Stand { called } => (called, None),
            _ => return Mocked::Never,
        };
        let row = Store::run(&*self.store, run).ok().flatten();
        let workflow: Arc<str> = row.map_or_else(|| "".into(), |row| row.workflow);
        let decided = self.decide(&workflow, called, request);
        self.note(run, &workflow, ask, called, &decided);
        decided.0
    }

    fn stands_for_step(&self, name: &str) -> bool {
        self.answers.has(name)
    }

    fn is_prepared(&self, workflow: &str, request: &Request) -> bool {
        let Request::File(request) = request else { return true };
        let is_left_alone = self.is_left_alone(workflow, request);
        if !is_left_alone {
            paths(request).0.into_iter().for_each(|path| _ = self.put(workflow, path));
        }
        is_left_alone
    }

    fn begun(&self, _: &str, _: &str) {}

    fn functions(&self) -> Vec<String> {
        let known = crate::host::catalog::catalog();
        let is_of_module =
            |name: &String| name.split_once("::").is_some_and(|(namespace, _)| !known.has_namespace(namespace));
        self.answers.names().into_iter().filter(is_of_module).collect()
    }

    fn has_stopped(&self) -> bool {
        self.rounds.set(self.rounds.get() + 1);
        self.rounds.get() > MOST_ROUNDS
    }
}

/// Paths that an act needs to be there, and its others.
fn paths(request: &FileRequest) -> (Vec<&str>, Vec<&str>) {
    match request {
        FileRequest::Read { path, .. }
        | FileRequest::ReadBlob { path, .. }
        | FileRequest::Remove { path }
        | FileRequest::Stat { path, .. }
        | FileRequest::Open { path } => (vec![path], vec![]),
        FileRequest::Copy { from, to } | FileRequest::Move { from, to } => (vec![from], vec![to]),
        FileRequest::Write { path, .. } | FileRequest::Append { path, .. } | FileRequest::Exists { path } => {
            (vec![], vec![path])
        }
        FileRequest::List { glob } => (vec![], vec![glob]),
        FileRequest::Temp { .. } => (vec![], vec![]),
    }
}

/// The reply to an act on files that are not touched: those that are needed are there, and no others.
fn untouched(request: &FileRequest, now: Timestamp) -> FileReply {
    match request {
        FileRequest::Read { path, .. } => FileReply::Text(made_up::contents(path)),
        FileRequest::ReadBlob { path, .. } => FileReply::Blob(made_up::contents(path).into_bytes()),
        FileRequest::Stat { path, .. } | FileRequest::Open { path } => FileReply::Stat(made_up::stat(path, now)),
        FileRequest::List { .. } => FileReply::List(Vec::new()),
        FileRequest::Exists { .. } => FileReply::Flag(false),
        _ => FileReply::Done,
    }
}

/// A given answer as the function returns or throws it. `{"error": {…}}` is thrown; what an `http` function gets without a
/// `status` is the body of a 200.
fn given_answer(given: &Value, called: &Called, request: Option<&Request>) -> Answer {
    if let Some(error) = thrown(given) {
        return raised::answer(&error, request);
    }
    let given = match request {
        Some(Request::Http(request)) => response(given, &request.url),
        _ => given.clone(),
    };
    let given = value::decode(&Payload::from_json(&given));
    match raised::refused(&given, &called.function, request) {
        Some(error) => raised::answer(&error, request),
        None => Answer::Given(value::encode(&given).map_err(|_| Payload::unit())),
    }
}

/// The error of `{"error": {…}}`.
fn thrown(given: &Value) -> Option<rhai::Map> {
    let given = given.as_object().filter(|given| given.len() == 1)?;
    let fields = given.get("error")?.as_object()?;
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("thrown");
    let fields = value::decode(&Payload::from_json(&Value::Object(fields.clone()))).cast::<rhai::Map>();
    let Raised(error) = raised::error(kind, fields);
    Some(error)
}

fn response(given: &Value, url: &str) -> Value {
    let mut whole = match given {
        Value::Object(map) if map.get("status").is_some_and(Value::is_i64) => map.clone(),
        body => Map::from_iter([("status".to_owned(), 200.into()), ("body".to_owned(), body.clone())]),
    };
    let ok = whole["status"].as_i64().is_some_and(|status| status < 400);
    let missing =
        [("ok", ok.into()), ("headers", Value::Object(Map::new())), ("body", Value::Null), ("url", url.into())];
    for (name, value) in missing {
        whole.entry(name).or_insert(value);
    }
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_status_is_a_body() {
        assert_eq!(response(&json!([1]), "u")["body"], json!([1]));
        let whole = response(&json!({ "status": 404 }), "u");
        assert_eq!((&whole["ok"], &whole["body"], &whole["url"]), (&json!(false), &json!(null), &json!("u")));
    }

    #[test]
    fn only_a_lone_error_is_thrown() {
        assert!(thrown(&json!({ "error": { "kind": "network" } })).is_some());
        assert!(thrown(&json!({ "error": "no" })).is_none() && thrown(&json!({ "error": {}, "id": 1 })).is_none());
    }
}
