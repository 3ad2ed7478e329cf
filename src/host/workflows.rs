//! `workflow::*`: other workflows' runs.

use std::rc::Rc;
use std::sync::Arc;

use rhai::{Dynamic, Map};
use serde_json::json;

use super::fail::Fail;
use super::function::{Call, Choice, Function, Nature, Options};
use super::session::{self, Act, Answer, ChildStart, Session, Strand, What, encode, hash_text};
use super::state;
use super::waiting::{self, Begun};
use crate::id::RunId;
use crate::journal::{Entry, Kind};
use crate::payload::Payload;
use crate::replay::Command;
use crate::time::Timestamp;

/// Waits for a run that is not its own.
const WAIT: &str = "workflow::wait";

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "workflow::run",
        params: &["name: string", "input: any?", "options: map?"],
        options: OPTIONS,
        returns: "any",
        nature: Nature::Internal,
        errors: &["workflow", "not_found"],
        doc: "Starts another workflow and waits for its output; cancelled with its parent.",
        example: "workflow::run(\"hello\", #{ name: \"Ann\" })",
        call: |call| start(call, true),
        ..Function::BASE
    },
    Function {
        name: "workflow::start",
        params: &["name: string", "input: any?", "options: map?"],
        options: OPTIONS,
        returns: "string",
        nature: Nature::Internal,
        errors: &["not_found"],
        doc: "Starts another workflow on its own and returns the run's id.",
        example: "workflow::start(\"hello\", #{ name: \"Ann\" }, #{ key: \"ann\" })",
        call: |call| start(call, false),
        ..Function::BASE
    },
    Function {
        name: WAIT,
        params: &["run: string"],
        returns: "any",
        nature: Nature::Internal,
        errors: &["workflow", "not_found"],
        doc: "Waits for the end of a run and returns its output; throws `#{ kind: \"workflow\" }` if it failed.",
        example: "workflow::wait(workflow::start(\"hello\", ()))",
        call: wait,
        ..Function::BASE
    },
    Function {
        name: "workflow::cancel",
        params: &["run: string"],
        returns: "()",
        nature: Nature::Internal,
        errors: &["not_found"],
        doc: "Asks a run to end; its compensations and clean-ups run.",
        example: "workflow::cancel(workflow::start(\"hello\", ()))",
        call: cancel,
        ..Function::BASE
    },
    Function {
        name: "workflow::status",
        params: &["run: string"],
        returns: "string",
        nature: Nature::Internal,
        errors: &["not_found"],
        doc: "The status of a run: `queued`, `running`, `waiting`, `completed`, …",
        example: "workflow::status(run_id())",
        call: status,
        ..Function::BASE
    },
];

const OPTIONS: &[Choice] = &[
    Choice::new("key", "string or int", "a repeat returns the first run; with another input it is `invalid`"),
    Choice::new("within", "duration", "how long repeats are known; as long as the run is kept unless given"),
    Choice::new("priority", "int", "larger goes first"),
    Choice::new("delay", "duration or time", "starts so much later"),
    Choice::new("at", "duration or time", "starts then"),
];

/// When the run is to begin, if not at once.
fn begins_at(options: &Options, now: Timestamp) -> Result<Option<Timestamp>, Fail> {
    match options.due("at", now)? {
        Some(at) => Ok(Some(at)),
        None => options.due("delay", now),
    }
}

fn start(call: &mut Call<'_>, attached: bool) -> Result<Dynamic, Fail> {
    let options = call.options(2)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let workflow: Arc<str> = call.text(0)?.into();
    let input = encode(call.function.name, &call.arg(1).cloned().unwrap_or_default())?;
    let key = waiting::key(call, options.get("key"))?;
    // Checked before anything is recorded, so that a bad one is an error of the call on every replay.
    let now = session.time_of_next(&strand);
    let at = begins_at(&options, now)?;
    let priority = options
        .int("priority")?
        .map(|n| i32::try_from(n).map_err(|_| call.invalid("option `priority` is too large")))
        .transpose()?;
    let within = options.duration("within")?;
    let arguments = hash_text(&format!("{workflow}\n{}\n{}", key.as_deref().unwrap_or_default(), input.text()));
    let command = Command { arguments, ..session::command(Kind::Child, workflow.clone(), call.line()) };
    let known = session.replay.borrow().known_of_next(strand.scope.get()).map(is_asked);
    let asked = key.is_some() || known.unwrap_or_else(|| session.world.may_skip(&workflow));
    let (position, opened) = if attached || asked {
        match waiting::issue(&session, &strand, &command)? {
            Begun::Closed(entry) => return waiting::recorded_value(&entry),
            Begun::Open { position, opened } => (position, opened),
        }
    } else {
        match state::now(&session, &strand, &command)? {
            Ok(value) => return value,
            Err(position) => (position, None),
        }
    };
    let new = |run| ChildStart {
        run,
        workflow: workflow.clone(),
        input: input.clone(),
        key: key.clone(),
        within,
        priority,
        at,
        attached,
    };
    let begun = Beginning { session: &session, strand: &strand, command: &command, asked };
    if let Some(opened) = opened {
        let run = child_of(&opened).ok_or_else(|| call.invalid("the recorded start names no run"))?;
        return begun.go_on(opened, new(run));
    }
    if let Err(error) = session.world.may_start(at).and_then(|()| session.world.accepts(&workflow, &input)) {
        return session.close(session.entry(&command, position), Err(error));
    }
    let start = new(session.world.new_run());
    let detail = match (begun.asked, attached) {
        (true, true) => json!({ "run": start.run, "asked": true, "attached": true }),
        (true, false) => json!({ "run": start.run, "asked": true }),
        (false, _) => json!({ "run": start.run }),
    };
    let entry = Entry { detail: Some(Payload::from_json(&detail)), ..session.entry(&command, position) };
    if start.attached || begun.asked {
        session.replay.borrow_mut().append(entry.clone());
    }
    begun.first(entry, start)
}

struct Beginning<'a> {
    session: &'a Rc<Session>,
    strand: &'a Rc<Strand>,
    command: &'a Command,
    /// The start may be a repeat, or be dropped: its answer is waited for.
    asked: bool,
}

impl Beginning<'_> {
    fn first(&self, entry: Entry, start: ChildStart) -> Result<Dynamic, Fail> {
        if self.asked {
            return self.go_on(entry, start);
        }
        let (run, attached) = (start.run, start.attached);
        self.session.acts.borrow_mut().push(Act::Start(Box::new(start)));
        if attached {
            return self.child(entry, run);
        }
        self.session.close(entry, Ok(Payload::from_json(&json!(run))))
    }

    fn go_on(&self, entry: Entry, start: ChildStart) -> Result<Dynamic, Fail> {
        let run = if self.asked {
            let attached = start.attached;
            let answer = self.session.wait(self.strand, self.command.line, What::Start { start: Box::new(start) });
            let Answer::Started(run) = answer else { unreachable!("a start is answered by a run") };
            match run {
                Ok(run) if attached => run,
                Ok(run) => return self.session.close(entry, Ok(Payload::from_json(&json!(run)))),
                Err(error) => return self.session.close(entry, Err(error)),
            }
        } else {
            start.run
        };
        self.child(entry, run)
    }

    fn child(&self, entry: Entry, run: RunId) -> Result<Dynamic, Fail> {
        let what = What::Child { run, workflow: self.command.name.clone() };
        let Answer::Child(outcome) = self.session.wait(self.strand, self.command.line, what) else {
            unreachable!("waiting for a run is answered by its end")
        };
        self.session.close(entry, outcome)
    }
}

fn is_asked(entry: &Entry) -> bool {
    entry.detail.as_ref().is_some_and(|detail| detail.to_json()["asked"] == true)
}

fn child_of(entry: &Entry) -> Option<RunId> {
    entry.detail.as_ref()?.to_json()["run"].as_str()?.parse().ok()
}

/// The run that a beginning started, where it is to end with whoever waits for it. One that another had started under the same
/// key is not its own.
pub(crate) fn attached_by(entry: &Entry) -> Option<RunId> {
    let is_start = entry.kind == Kind::Child && *entry.name != *WAIT;
    // Without a question only a start that is waited for leaves a beginning.
    let is_attached = |detail: &Payload| {
        let detail = detail.to_json();
        detail["asked"] != true || detail["attached"] == true
    };
    child_of(entry).filter(|_| is_start && entry.detail.as_ref().is_some_and(is_attached))
}

fn run_of(call: &Call<'_>) -> Result<RunId, Fail> {
    let text = call.text(0)?;
    text.parse().map_err(|_| call.invalid(format!("`{text}` is no run id")))
}

fn wait(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let run = run_of(call)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let command = Command {
        arguments: hash_text(&run.to_string()),
        ..session::command(Kind::Child, call.function.name, call.line())
    };
    let (position, opened) = match waiting::issue(&session, &strand, &command)? {
        Begun::Closed(entry) => return waiting::recorded_value(&entry),
        Begun::Open { position, opened } => (position, opened),
    };
    let entry = opened.unwrap_or_else(|| {
        let detail = Payload::from_json(&json!({ "run": run }));
        let entry = Entry { detail: Some(detail), ..session.entry(&command, position) };
        session.replay.borrow_mut().append(entry.clone());
        entry
    });
    Beginning { session: &session, strand: &strand, command: &command, asked: false }.child(entry, run)
}

fn cancel(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let run = run_of(call)?;
    let (session, strand) = call.session()?;
    super::recorded_only(call, &strand)?;
    let command = Command {
        arguments: hash_text(&run.to_string()),
        ..session::command(Kind::Child, call.function.name, call.line())
    };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let reason = Payload::from_json(
        &json!({ "kind": "cancelled", "message": format!("cancelled by run {}", session.facts.run) }),
    );
    session.acts.borrow_mut().push(Act::Cancel { run, reason });
    session.close(session.entry(&command, position), Ok(Payload::unit()))
}

fn status(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let run = run_of(call)?;
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    // What this run has started in this turn is in the log then, and seen.
    session.flush();
    let found = || {
        session
            .world
            .status(run)
            .map_err(|problem| Fail::error("network", format!("`{}`: {problem}", call.function.name)))
    };
    let missing = || {
        Fail::Thrown(Map::from_iter([
            ("kind".into(), "not_found".into()),
            ("message".into(), format!("there is no run {run}").into()),
            ("retryable".into(), false.into()),
        ]))
    };
    if strand.mode.get() != session::Mode::Recorded {
        return found()?.map(Dynamic::from).ok_or_else(missing);
    }
    let command = Command {
        arguments: hash_text(&run.to_string()),
        ..session::command(Kind::Child, call.function.name, call.line())
    };
    let position = match state::now(&session, &strand, &command)? {
        Ok(value) => return value,
        Err(position) => position,
    };
    let outcome = found()?.map_or_else(
        || Err(session::encode_error(&missing().into_map())),
        |status| Ok(Payload::from_json(&json!(status))),
    );
    session.close(session.entry(&command, position), outcome)
}
