//! A workflow that is ready to be started: its bundle, and what its declaration says, as plain data.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::gate::GateSpec;
use super::surroundings::Settings;
use crate::diag::Diagnostic;
use crate::effect::Allow;
use crate::host::declare::{Declaration, Trigger, TriggerKind};
use crate::host::schema::{Fault, Schema};
use crate::id::Version;
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::script::program::Program;
use crate::script::{check, rewrite, sandbox};

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
    /// Config values that the declaration read.
    pub settings: BTreeMap<String, Payload>,
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

impl Deployed {
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
    engine
}

/// Compiles a bundle and evaluates its declaration. `engine` is one of [`script_engine`].
pub fn declare(
    engine: &rhai::Engine,
    bundle: &Bundle,
    settings: &Arc<dyn Settings>,
) -> Result<(Program, crate::script::program::Constants, Declaration), Vec<Diagnostic>> {
    let program = Program::compile_with(engine, bundle, rewrite::rewrite)?;
    let settings = Arc::clone(settings);
    let (constants, declaration) =
        crate::host::declare::collect(Rc::new(move |name| settings.get(name)), || program.declare(engine));
    Ok((program, constants.map_err(|fault| vec![fault])?, declaration))
}

/// Everything that can be said of a bundle without running it: errors, and warnings with the workflow where there is none.
pub fn examine(bundle: Bundle, settings: &Arc<dyn Settings>) -> (Option<Deployed>, Vec<Diagnostic>) {
    let (deployed, found) = survey(bundle, settings);
    (deployed.filter(|_| !found.iter().any(Diagnostic::is_error)), found)
}

/// The same, with what is declared also where there are errors, as long as the declaration itself has none.
pub fn survey(bundle: Bundle, settings: &Arc<dyn Settings>) -> (Option<Deployed>, Vec<Diagnostic>) {
    with_engine(|engine| {
        let (declared, faults) = match declare(engine, &bundle, settings) {
            Ok((program, _, declaration)) => (Some((program, declaration)), Vec::new()),
            Err(faults) => (None, faults),
        };
        let mut found = checked(engine, &bundle, declared.as_ref().map(|(_, declaration)| declaration));
        // What the checks find stands beside what the declaration stumbles over: both at once help more than one.
        for fault in faults.into_iter().map(|fault| check::locate(&bundle, fault)) {
            if !check::is_told(&bundle, &found, &fault) {
                found.push(fault);
            }
        }
        if let Some((program, declaration)) = &declared {
            found.extend(unenforced(program, declaration));
        }
        crate::diag::sort(&mut found);
        (declared.map(|(program, declaration)| deployed(bundle, &program, &declaration)), found)
    })
}

/// What the checks find, with what is known of the declaration.
fn checked(engine: &rhai::Engine, bundle: &Bundle, declared: Option<&Declaration>) -> Vec<Diagnostic> {
    let keys = declared.and_then(|declared| declared.input.as_ref()?.keys());
    let input = keys.map(|keys| keys.into_iter().map(str::to_owned).collect());
    let allowed = |function: &str, index: usize, text: &str| {
        declared.and_then(|declared| super::allowed::missing(declared, function, index, text))
    };
    let literal = &crate::host::catalog::literal_fault;
    let options = check::Options { input: input.as_ref(), literal, allowed: &allowed };
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

fn with_engine<R>(act: impl FnOnce(&rhai::Engine) -> R) -> R {
    thread_local! {
        static ENGINE: rhai::Engine = script_engine();
    }
    ENGINE.with(act)
}

/// Options that are taken, and not carried out by this release: silence would promise what does not happen.
fn unenforced(program: &Program, declared: &Declaration) -> Option<Diagnostic> {
    let options = [
        ("output", declared.output.is_some()),
        ("retry", declared.retry.is_some()),
        ("timeout", declared.timeout.is_some()),
        ("on_failure", declared.on_failure.is_some()),
        ("sla", declared.sla.is_some()),
        ("keep", declared.keep.is_some()),
        ("upgrade", declared.upgrade != crate::host::declare::Upgrade::Pinned),
    ];
    let given: Vec<_> = options.iter().filter(|(_, given)| *given).map(|(name, _)| format!("`{name}`")).collect();
    if given.is_empty() {
        return None;
    }
    let bundle = program.bundle();
    let place = bundle.sources[bundle.main()].place(declared.line.max(1) as usize, 1, 1);
    let title = format!("not carried out by this release: {}", given.join(", "));
    Some(Diagnostic::new("W0407", title, place).hint("the workflow runs as if they were not there"))
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
        settings: declaration.settings.clone(),
        bundle: Arc::new(bundle),
    }
}
