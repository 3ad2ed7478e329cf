//! `panta cancel`, `pause`, `resume`, `retry`, `skip`, `set-result`, `fork`: acting on runs, on one or on many.

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::access::statuses;
use super::hand::{Came, Hand, confirm};
use super::input;
use super::output::{Exit, Fault, json as print_json, line, note, program, text};
use super::runs::since;
use crate::id::RunId;

/// Which runs are meant, where none are named.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The runs
    runs: Vec<RunId>,
    /// All of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// All in this status; several with commas
    #[arg(long)]
    status: Vec<String>,
    /// All that were accepted since: `1h` ago, or a time
    #[arg(long)]
    since: Option<String>,
    /// Does it without asking
    #[arg(long, short)]
    yes: bool,
    /// Why: kept in the journal and the audit log
    #[arg(long)]
    reason: Option<String>,
}

/// Ends runs; their compensations and clean-ups run first
#[derive(Args, Debug)]
pub(super) struct Cancel {
    #[command(flatten)]
    which: Which,
}

/// Holds runs, a workflow (`--workflow` alone) or everything: nothing new is begun
#[derive(Args, Debug)]
pub(super) struct Pause {
    #[command(flatten)]
    which: Which,
    /// Everything
    #[arg(long, conflicts_with_all = ["runs", "workflow", "status", "since"])]
    all: bool,
}

/// Lets runs, a workflow (`--workflow` alone) or everything go on
#[derive(Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    which: Which,
    /// Everything
    #[arg(long, conflicts_with_all = ["runs", "workflow", "status", "since"])]
    all: bool,
}

/// Has runs go on that failed: what they did before the failed step stays
#[derive(Args, Debug)]
pub(super) struct Retry {
    #[command(flatten)]
    which: Which,
    /// From this step on: its name, `import#3` for its third occurrence, or its entry's number
    #[arg(long, value_name = "STEP", conflicts_with_all = ["workflow", "status", "since"])]
    from: Option<String>,
    /// With the version that is live, where what is kept fits it
    #[arg(long)]
    upgrade: bool,
}

/// Leaves a step of a run out: its outcome is `()`
#[derive(Args, Debug)]
pub(super) struct Skip {
    /// The run
    run: RunId,
    /// The step: its name, `import#3` for its third occurrence, or its entry's number
    step: String,
    /// Why: kept in the journal and the audit log
    #[arg(long)]
    reason: Option<String>,
}

/// Gives a step of a run its outcome, without doing it
#[derive(Args, Debug)]
pub(super) struct SetResult {
    /// The run
    run: RunId,
    /// The step: its name, `import#3` for its third occurrence, or its entry's number
    step: String,
    /// The outcome: JSON, else a text; `@file` or `-`
    value: String,
    /// Why: kept in the journal and the audit log
    #[arg(long)]
    reason: Option<String>,
}

/// Starts a copy of a run that goes on from a step
#[derive(Args, Debug)]
pub(super) struct Fork {
    /// The run
    run: RunId,
    /// The step that is done anew: its name, `import#3` for its third occurrence, or its entry's number
    #[arg(long, value_name = "STEP")]
    at: String,
    /// The step's outcome instead: JSON, else a text
    #[arg(long, value_name = "VALUE")]
    set: Option<String>,
    /// Why: kept in the journal and the audit log
    #[arg(long)]
    reason: Option<String>,
}

impl Which {
    fn is_filter(&self) -> bool {
        self.workflow.is_some() || !self.status.is_empty() || self.since.is_some()
    }

    /// Only a workflow: itself is meant.
    fn only_workflow(&self) -> Option<&str> {
        let alone = self.runs.is_empty() && self.status.is_empty() && self.since.is_none();
        self.workflow.as_deref().filter(|_| alone)
    }

    fn body(&self, more: &Value) -> Result<Value, Fault> {
        let mut body = more.clone();
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        if let Some(workflow) = &self.workflow {
            body["workflow"] = workflow.as_str().into();
        }
        if !self.status.is_empty() {
            let names: Vec<_> = statuses(&self.status)?.iter().map(|status| status.name()).collect();
            body["status"] = names.join(",").into();
        }
        if let Some(given) = &self.since {
            body["since"] = since(given)?.to_string().into();
        }
        Ok(body)
    }

    /// Acts on what is named, or on what is meant.
    async fn act(&self, common: &Common, hand: &Hand, verb: Verb, more: &Value) -> Result<Exit, Fault> {
        match (self.runs.is_empty(), self.is_filter()) {
            (true, false) => Err(Fault::usage(format!(
                "which runs are meant? hint: name them, or give `--workflow`, `--status` or `--since` to `panta {}`",
                verb.name
            ))),
            (false, true) => Err(Fault::usage("runs are named, or chosen by what they have in common; hint: not both")),
            (false, false) => self.on_each(common, hand, verb, more).await,
            (true, true) => self.on_all(common, hand, verb, more).await,
        }
    }

    async fn on_each(&self, common: &Common, hand: &Hand, verb: Verb, more: &Value) -> Result<Exit, Fault> {
        let mut exit = Exit::Done;
        for run in &self.runs {
            let mut body = more.clone();
            if let Some(reason) = &self.reason {
                body["reason"] = reason.as_str().into();
            }
            match act(hand, *run, verb.name, body, self.yes).await {
                Ok(answer) => verb.show(common, hand, *run, &answer),
                Err(fault) if self.runs.len() == 1 => return Err(fault),
                Err(fault) => {
                    fault.show();
                    exit = Exit::Failed;
                }
            }
        }
        Ok(exit)
    }

    async fn on_all(&self, common: &Common, hand: &Hand, verb: Verb, more: &Value) -> Result<Exit, Fault> {
        let mut body = self.body(more)?;
        body["dry_run"] = true.into();
        let matched = hand.many(verb.name, &body).await?["matched"].as_u64().unwrap_or_default();
        if matched == 0 {
            if let Some(name) = &self.workflow {
                hand.knows(name).await?;
            }
            note("no run is meant by that");
            return Ok(Exit::Done);
        }
        let runs = if matched == 1 { "1 run".to_owned() } else { format!("{matched} runs") };
        if !self.yes && !confirm(&format!("{} {runs}", verb.imperative))? {
            return Ok(Exit::Done);
        }
        body["dry_run"] = false.into();
        if verb.name == "retry" {
            // Whoever says yes to all does not want to be asked about each.
            body["confirm"] = self.yes.into();
        }
        let answer = hand.many(verb.name, &body).await?;
        let refused = answer["refused"].as_array().map_or(0, Vec::len);
        if common.json {
            print_json(&answer);
        } else {
            line(&format!("{} of {matched} {}", answer["done"].as_array().map_or(0, Vec::len), verb.past));
            for one in answer["refused"].as_array().into_iter().flatten() {
                line(&format!("refused {}: {}", text(one, "run"), text(one, "problem")));
            }
        }
        Ok(if refused > 0 { Exit::Failed } else { Exit::Done })
    }
}

/// Acts on one run, and asks where that is needed.
async fn act(hand: &Hand, run: RunId, verb: &str, mut body: Value, yes: bool) -> Result<Value, Fault> {
    if yes && verb == "retry" {
        body["confirm"] = true.into();
    }
    let steps = match hand.one(run, verb, &body).await? {
        Came::Done(answer) => return Ok(answer),
        Came::Confirm(steps) => steps.iter().map(|step| format!("`{step}`")).collect::<Vec<_>>().join(", "),
    };
    if !confirm(&format!("these steps were undone, and will be done again with new idempotency keys: {steps}. Go on"))?
    {
        return Err(Fault::new(Exit::Failed, format!("run {run} is left as it is")));
    }
    body["confirm"] = true.into();
    match hand.one(run, verb, &body).await? {
        Came::Done(answer) => Ok(answer),
        Came::Confirm(_) => Err(Fault::new(Exit::Failed, format!("run {run} is left as it is"))),
    }
}

/// How an act is spoken of.
#[derive(Clone, Copy)]
struct Verb {
    name: &'static str,
    imperative: &'static str,
    past: &'static str,
    is: &'static str,
}

const CANCEL: Verb =
    Verb { name: "cancel", imperative: "cancel", past: "are being cancelled", is: "is being cancelled" };
const PAUSE: Verb = Verb { name: "pause", imperative: "pause", past: "are paused", is: "is paused" };
const RESUME: Verb = Verb { name: "resume", imperative: "resume", past: "go on", is: "goes on" };
const RETRY: Verb = Verb { name: "retry", imperative: "retry", past: "go on", is: "goes on" };
const SKIP: Verb = Verb { name: "skip", imperative: "skip", past: "go on", is: "goes on without it" };
const SET: Verb = Verb { name: "set-result", imperative: "set", past: "go on", is: "goes on with it" };

impl Verb {
    fn show(self, common: &Common, hand: &Hand, run: RunId, answer: &Value) {
        let notes: Vec<_> = answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if common.json {
            let mut shown = answer.clone();
            shown["now"] = hand.is_daemon().into();
            if self.name == "cancel" {
                shown["cancelled"] = true.into();
            }
            return print_json(&shown);
        }
        match (hand.is_daemon(), self.name) {
            (true, _) | (false, "pause") => line(&format!("{run} {}", self.is)),
            (false, "cancel") => {
                line(&format!("{run} is cancelled as soon as a daemon runs, or `{} run --resume {run}`", program()));
            }
            (false, _) => {
                line(&format!("{run} goes on as soon as a daemon runs, or `{} run --resume {run}`", program()));
            }
        }
        notes.iter().for_each(|said| note(&format!("note: {said}")));
    }
}

impl Cancel {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        self.which.act(common, hand, CANCEL, &json!({})).await
    }
}

impl Pause {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        hold_or_act(common, hand, PAUSE, &self.which, self.all).await
    }
}

impl Resume {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        hold_or_act(common, hand, RESUME, &self.which, self.all).await
    }
}

async fn hold_or_act(common: &Common, hand: &Hand, verb: Verb, which: &Which, all: bool) -> Result<Exit, Fault> {
    let workflow = which.only_workflow();
    if !all && workflow.is_none() {
        return which.act(common, hand, verb, &json!({})).await;
    }
    let answer = hand.hold(workflow, verb.name, &json!({ "reason": which.reason })).await?;
    if common.json {
        print_json(&answer);
        return Ok(Exit::Done);
    }
    let what = workflow.map_or_else(|| "everything".to_owned(), |name| format!("`{name}`"));
    let before = if answer["changed"] == false { " already" } else { "" };
    line(&format!("{what} {}{before}", verb.is));
    Ok(Exit::Done)
}

impl Retry {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        let mut more = json!({ "upgrade": self.upgrade });
        if let Some(from) = &self.from {
            more["from"] = from.as_str().into();
        }
        self.which.act(common, hand, RETRY, &more).await
    }
}

impl Skip {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        let body = json!({ "step": self.step, "reason": self.reason });
        let answer = act(hand, self.run, SKIP.name, body, false).await?;
        SKIP.show(common, hand, self.run, &answer);
        Ok(Exit::Done)
    }
}

impl SetResult {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        let body = json!({ "step": self.step, "value": value(&self.value)?, "reason": self.reason });
        let answer = act(hand, self.run, SET.name, body, false).await?;
        SET.show(common, hand, self.run, &answer);
        Ok(Exit::Done)
    }
}

impl Fork {
    pub(super) async fn execute(&self, common: &Common, hand: &Hand) -> Result<Exit, Fault> {
        let mut body = json!({ "at": self.at, "reason": self.reason });
        if let Some(set) = &self.set {
            body["set"] = value(set)?;
        }
        let answer = act(hand, self.run, "fork", body, false).await?;
        if common.json {
            print_json(&answer);
        } else {
            line(text(&answer, "run"));
        }
        Ok(Exit::Done)
    }
}

/// JSON where it is some, else a text; from a file or stdin, JSON.
fn value(given: &str) -> Result<Value, Fault> {
    if given == "-" || given.starts_with('@') {
        return input::json("VALUE", given);
    }
    match serde_json::from_str(given) {
        Ok(value) => Ok(value),
        // It was meant to be JSON: as a text nobody wants it.
        Err(error) if given.trim_start().starts_with(['{', '[', '"']) => {
            let hint = "to give it as a text, put it in quotes as JSON: '\"…\"'";
            Err(Fault::usage(format!("`{given}` is no JSON: {error}; hint: {hint}")))
        }
        Err(_) => Ok(given.into()),
    }
}
