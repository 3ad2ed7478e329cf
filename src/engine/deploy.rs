//! A workflow that is ready to be started: its bundle, and what its declaration says, as plain data.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::passage::GateSpec;
use super::surroundings::Settings;
use super::terms::Terms;
use crate::diag::Diagnostic;
use crate::effect::Allow;
use crate::host::declare::{BATCH_MOST, Declaration, Trigger, TriggerKind};
use crate::host::schema::{Fault, Schema};
use crate::id::Version;
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::script::errors::Natives;
use crate::script::guard::{Guard, Limits};
use crate::script::program::Program;
use crate::script::{check, rewrite, sandbox};
use crate::time::parse_duration;

/// A workflow that can be started.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its name.
    pub name: Arc<str>,
    /// Its sources.
    pub bundle: Arc<Bundle>,
    /// The text of its `//!` header.
    pub doc: String,
    /// What `workflow(…)` says, as JSON for the API.
    pub declared: Value,
    /// What its input must look like.
    pub input: Option<Schema>,
    /// What it may touch.
    pub allow: Allow,
    /// What starts it.
    pub triggers: Vec<TriggerSpec>,
    /// Larger goes first.
    pub priority: i32,
    /// What starts have to pass.
    pub gate: GateSpec,
    /// What it lays down for the engine.
    pub terms: Arc<Terms>,
    /// Config values that the declaration read.
    pub settings: BTreeMap<String, Payload>,
    /// Who watches over its closures, once it is known to an engine.
    pub(super) ward: super::lethal::Ward,
}

/// A trigger as plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerSpec {
    /// Kind.
    pub kind: TriggerKind,
    /// First argument.
    pub subject: String,
    /// Its identity over edits: kind and first argument.
    pub id: String,
    /// Options that are data.
    pub options: Value,
    /// Names of the options that are closures.
    pub closures: Vec<String>,
    /// Line of the declaration.
    pub line: u32,
}

impl TriggerSpec {
    fn from_declared(trigger: &Trigger) -> Self {
        let data = trigger.options.iter().filter_map(|(name, value)| {
            let text = crate::script::value::to_json_text(value, false).ok()?;
            Some((name.to_string(), serde_json::from_str(&text).ok()?))
        });
        Self {
            kind: trigger.kind,
            subject: trigger.subject.clone(),
            id: trigger.id(),
            options: Value::Object(data.collect()),
            closures: trigger.options.iter().filter(|(_, v)| v.is_fnptr()).map(|(name, _)| name.to_string()).collect(),
            line: trigger.line,
        }
    }
}

/// How the events of a trigger are gathered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gathering {
    /// The last event, when none came for so long; each correlation key for itself.
    Debounce(Duration),
    /// A list of events, when there are so many, or when the first has waited for so long.
    Batch {
        /// At most 10,000, which is what it is unless said otherwise.
        size: usize,
        /// `None`: for ever.
        within: Option<Duration>,
    },
}

impl TriggerSpec {
    /// How its events are gathered; `None`: each starts a run.
    pub fn gathering(&self) -> Option<Gathering> {
        let duration = |value: &Value| parse_duration(value.as_str()?).ok();
        if let Some(quiet) = duration(&self.options["debounce"]) {
            return Some(Gathering::Debounce(quiet));
        }
        let batch = self.options["batch"].as_object()?;
        let size = batch.get("size").and_then(Value::as_i64).unwrap_or(BATCH_MOST).clamp(1, BATCH_MOST);
        Some(Gathering::Batch { size: size as usize, within: batch.get("within").and_then(duration) })
    }
}

impl Deployed {
    /// The trigger of this identity.
    pub fn trigger(&self, id: &str) -> Option<&TriggerSpec> {
        self.triggers.iter().find(|spec| spec.id == id)
    }

    /// The version that new runs get.
    pub fn version(&self) -> &Version {
        &self.bundle.version
    }

    /// The input as a run of this workflow gets it, or every fault of it.
    pub fn accept(&self, input: &Value) -> Result<Payload, Vec<Fault>> {
        let Some(schema) = &self.input else { return Ok(Payload::from_json(input)) };
        // Nothing given is the same as no field given: then every fault names a field.
        if input.is_null() { schema.accept(&Value::Object(serde_json::Map::new())) } else { schema.accept(input) }
    }

    /// The same of an input that a script gives: without a schema it stays as it is.
    pub(super) fn accept_typed(&self, input: &Payload) -> Result<Payload, Vec<Fault>> {
        if self.input.is_some() { self.accept(&input.to_data()) } else { Ok(input.clone()) }
    }

    /// The settings as a run keeps them; `null` where the declaration read none.
    pub fn settings_payload(&self) -> Payload {
        if self.settings.is_empty() {
            return Payload::unit();
        }
        let fields: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), value.text()))
            .collect();
        Payload::from_text(format!("{{{}}}", fields.join(",")))
    }
}

/// The script engine that runs, checks and declarations share.
pub fn script_engine() -> rhai::Engine {
    let mut engine = sandbox::engine();
    crate::script::program::install(&mut engine);
    crate::host::register(&mut engine);
    if cfg!(feature = "altered-semantics") {
        super::semantics::alter(&mut engine);
    }
    engine
}

/// Compiles a bundle and evaluates its declaration. `engine` is one of [`script_engine`].
pub fn declare(
    engine: &rhai::Engine,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
) -> Result<(Program, crate::script::program::Constants, Declaration), Vec<Diagnostic>> {
    declare_with(engine, bundle, settings, rewrite::rewrite)
}

/// The same with another way to rewrite each file.
pub(super) fn declare_with(
    engine: &rhai::Engine,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
    rewrite: fn(rhai::AST) -> rhai::AST,
) -> Result<(Program, crate::script::program::Constants, Declaration), Vec<Diagnostic>> {
    let program = Program::compile_with(engine, bundle, rewrite)?;
    let (constants, declaration, faults) = evaluated(engine, &program, settings, PATIENCE);
    match constants {
        Some(constants) if faults.is_empty() => Ok((program, constants, declaration)),
        _ => Err(faults),
    }
}

/// CPU and memory of the declaration of a file that is looked at: it says what the workflow is, and computes nothing.
const DECLARING: Limits = Limits { cpu: Duration::from_secs(1), memory: 64 << 20, slice: Duration::MAX };

/// The same where it was accepted before, maybe on a faster machine: a run must not fail by that.
const PATIENCE: Limits = Limits { cpu: Duration::from_secs(30), memory: 512 << 20, slice: Duration::MAX };

/// Evaluates the declaration: what it says, and all that is wrong with it. Constants only where it came to its end.
fn evaluated(
    engine: &rhai::Engine,
    program: &Program,
    settings: &Arc<dyn Settings>,
    limits: Limits,
) -> (Option<crate::script::program::Constants>, Declaration, Vec<Diagnostic>) {
    // One guard for all rounds: where it is stopped, nothing more is evaluated.
    let guard = Guard::new(limits);
    let entered = guard.enter();
    let mut stopped = Vec::new();
    let mut rest: Option<Program> = None;
    let (constants, mut declaration) = loop {
        let settings = Arc::clone(settings);
        let at_hand = rest.as_ref().unwrap_or(program);
        let declare = || at_hand.declare(engine);
        let (constants, declaration) = crate::host::declare::collect(Rc::new(move |name| settings.get(name)), declare);
        let limit = guard.stopped().map(|stop| program.diagnose_in(program.bundle().main(), engine, &stop.to_error()));
        let fault = match (constants, limit) {
            (Ok(constants), None) => break (Some(constants), declaration),
            (Err(fault), _) => fault,
            // Swallowed on the way.
            (Ok(_), Some(limit)) => limit,
        };
        let may_go_on = guard.stopped().is_none() && stopped.len() < MOST_STOPS;
        let next = behind(at_hand, &fault).filter(|_| may_go_on);
        stopped.push(fault);
        match next {
            Some(next) => rest = Some(next),
            None => break (None, declaration),
        }
    };
    drop(entered);
    let mut faults: Vec<Diagnostic> = std::mem::take(&mut declaration.faults)
        .iter()
        .map(|fault| program.diagnose_in(&fault.file, engine, &fault.to_error()))
        // What was left out is nothing where something is needed.
        .filter(|fault| stopped.is_empty() || !fault.title.ends_with("`()`"))
        .collect();
    if let Some(constants) = constants.as_ref().filter(|_| stopped.is_empty()) {
        faults.extend(inherited(program.bundle(), constants, &mut declaration, settings));
    }
    faults.splice(0..0, stopped);
    (constants, declaration, faults)
}

/// A declaration that stops at more places than this is looked at no further.
const MOST_STOPS: usize = 50;

/// The program without what stopped the evaluation of its main file.
fn behind(program: &Program, fault: &Diagnostic) -> Option<Program> {
    let (file, line, column) = match fault.calls.last() {
        Some(call) => (&call.file, call.line, call.column),
        None => (&fault.place.file, fault.place.line, fault.place.column),
    };
    if file == program.bundle().main() { program.without(line, column) } else { None }
}

/// Takes over what modules of the standard library need.
fn inherited(
    bundle: &Bundle,
    constants: &crate::script::program::Constants,
    declaration: &mut Declaration,
    settings: &Arc<dyn Settings>,
) -> Option<Diagnostic> {
    if !declaration.std {
        return None;
    }
    let mut modules = bundle.sources.iter().filter(|(path, _)| path.starts_with("std/"));
    modules.find_map(|(path, source)| {
        let needs = constants.get(path, "ALLOW").and_then(rhai::Dynamic::read_lock::<rhai::Map>)?;
        let problem = declaration.inherit(&needs, &|name| settings.get(name)).err()?;
        Some(Diagnostic::new("E0301", format!("`ALLOW` of `{path}`: {problem}"), source.place(1, 1, 1)))
    })
}

/// Everything that can be said of a bundle without running it: errors, and warnings with the workflow where there is none.
pub fn examine(bundle: Bundle, settings: &Arc<dyn Settings>) -> (Option<Deployed>, Vec<Diagnostic>) {
    let Survey { deployed, found, .. } = survey(bundle, settings);
    (deployed.filter(|_| !found.iter().any(Diagnostic::is_error)), found)
}

/// What is known of a bundle without running it.
pub struct Survey {
    /// What it declares, also where there are errors, as far as it could be evaluated.
    pub deployed: Option<Deployed>,
    /// Whether the declaration by itself is in order: else parts of it are left out.
    pub is_whole: bool,
    /// Errors and warnings, sorted.
    pub found: Vec<Diagnostic>,
}

/// The same, with what is declared also where there are errors.
pub fn survey(bundle: Bundle, settings: &Arc<dyn Settings>) -> Survey {
    with_checked_engine(|engine, natives| {
        let (program, mut faults) = match Program::compile_with(engine, &bundle, rewrite::rewrite) {
            Ok(program) => (Some(program), Vec::new()),
            Err(faults) => (None, faults),
        };
        let mut needed = Vec::new();
        let declared = program.map(|program| {
            let (constants, declaration, found) = evaluated(engine, &program, settings, DECLARING);
            needed =
                constants.map(|constants| super::needs::missing(&bundle, &constants, &declaration)).unwrap_or_default();
            faults = found;
            (program, declaration)
        });
        let is_whole = faults.is_empty();
        let known = declared.as_ref().map(|(_, declaration)| declaration);
        let mut found = checked(engine, natives, &bundle, known, is_whole);
        // What the checks find stands beside what the declaration stumbles over: both at once help more than one.
        for fault in faults.into_iter().map(|fault| check::locate(&bundle, fault)) {
            if !check::is_told(&bundle, &found, &fault) {
                found.push(fault.diagnostic);
            }
        }
        if let Some((program, declaration)) = &declared {
            found.extend(arities(program, declaration));
        }
        if is_whole {
            found.append(&mut needed);
        }
        crate::diag::sort(&mut found);
        let deployed = declared.map(|(program, declaration)| deployed(bundle, &program, &declaration));
        Survey { deployed, is_whole, found }
    })
}

/// What the checks find, with what is known of the declaration.
fn checked(
    engine: &rhai::Engine,
    natives: &Natives,
    bundle: &Bundle,
    declared: Option<&Declaration>,
    is_whole: bool,
) -> Vec<Diagnostic> {
    let input = declared.and_then(|declared| declared.input.as_ref()).map(Schema::shape);
    let allowed = |function: &str, index: usize, text: &str| {
        // What a faulty declaration allows is not known.
        declared.filter(|_| is_whole).and_then(|declared| super::allowed::missing(declared, function, index, text))
    };
    let literal = &crate::host::catalog::literal_fault;
    let options = check::Options {
        input: input.as_ref(),
        literal,
        allowed: &allowed,
        natives: Some(natives),
        ..check::Options::default()
    };
    check::check(engine, bundle, &crate::host::catalog::catalog(), options)
}

/// All faults of the syntax of one file, for a bundle that cannot be loaded.
pub fn syntax(source: &crate::script::source::Source) -> Vec<Diagnostic> {
    with_engine(|engine| check::syntax(engine, source))
}

/// What a bundle touches, read from its source.
pub fn touches(bundle: &Bundle) -> check::touches::Touches {
    with_engine(|engine| check::touches::touches(engine, bundle, &crate::host::catalog::catalog()))
}

/// Names of workflows in the files of a bundle that are none of these.
pub fn unknown_workflows(bundle: &Bundle, workflows: &[&str]) -> Vec<Diagnostic> {
    with_engine(|engine| check::starts::unknown(engine, bundle, &crate::host::catalog::catalog(), workflows))
}

thread_local! {
    static ENGINE: rhai::Engine = script_engine();
    static NATIVES: Natives = with_engine(check::natives);
}

fn with_engine<R>(act: impl FnOnce(&rhai::Engine) -> R) -> R {
    ENGINE.with(act)
}

/// The same, with what the checks have to know of it.
fn with_checked_engine<R>(act: impl FnOnce(&rhai::Engine, &Natives) -> R) -> R {
    with_engine(|engine| NATIVES.with(|natives| act(engine, natives)))
}

/// Closures of triggers that do not take the one thing that they are given.
fn arities(program: &Program, declared: &Declaration) -> Vec<Diagnostic> {
    let bundle = program.bundle();
    let source = &bundle.sources[bundle.main()];
    let mut found = Vec::new();
    for trigger in &declared.triggers {
        for (option, value) in &trigger.options {
            let Some(closure) = value.read_lock::<rhai::FnPtr>() else { continue };
            let Some(params) = program.parameters(closure.fn_name()) else { continue };
            let taken = params.saturating_sub(closure.curry().len());
            if taken == 1 {
                continue;
            }
            let label = format!("{option}:");
            let from = trigger.line as usize;
            let stands =
                (from..).map_while(|n| Some((n, source.line(n)?))).find_map(|(n, line)| Some((n, line.find(&label)?)));
            let (line, at) = stands.unwrap_or((from, 0));
            let column = source.line(line).unwrap_or_default()[..at].chars().count() + 1;
            let place = source.place(line, column, option.len());
            let title = format!("`{option}` of `trigger::{}` takes one parameter, not {taken}", trigger.kind.name());
            let hint = format!("write `{option}: |x| …`: it is given what the trigger received");
            found.push(Diagnostic::new("E0307", title, place).hint(hint));
        }
    }
    found
}

/// Compiles a bundle into a workflow that can be started; warnings are left out.
pub fn compile(bundle: Bundle, settings: &Arc<dyn Settings>) -> Result<Deployed, Vec<Diagnostic>> {
    let (deployed, found) = examine(bundle, settings);
    deployed.ok_or_else(|| found.into_iter().filter(Diagnostic::is_error).collect())
}

fn deployed(bundle: Bundle, program: &Program, declaration: &Declaration) -> Deployed {
    Deployed {
        name: bundle.workflow.as_str().into(),
        doc: program.doc(),
        declared: declaration.to_json(),
        input: declaration.input.clone(),
        allow: declaration.allow.clone(),
        triggers: declaration.triggers.iter().map(TriggerSpec::from_declared).collect(),
        priority: declaration.priority,
        gate: GateSpec::from_declared(declaration),
        terms: Arc::new(Terms::of(declaration)),
        settings: declaration.settings.clone(),
        ward: super::lethal::Ward::default(),
        bundle: Arc::new(bundle),
    }
}
