//! The versions that a worker has compiled.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::activation::Explain;
use super::deploy;
use super::secrets::DeclaredMarks;
use super::shared::Shared;
use super::surroundings::Settings;
use super::terms::Terms;
use crate::host::rules::Rules;
use crate::id::Version;
use crate::payload::Payload;
use crate::script::program::Prepared;

/// Compiled programs that a worker keeps.
const MOST: usize = 1_024;

/// Version, settings, and functions that something stands for.
type ProgramKey = (Version, Payload, Vec<String>);

/// A version as this worker runs it.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) prepared: Prepared,
    pub(super) allow: Rc<crate::effect::Allow>,
    pub(super) explain: Explain,
    pub(super) rules: Rc<Rules>,
    pub(super) terms: Rc<Terms>,
}

/// Compiled once a worker, by version and the settings that the declaration read.
pub(super) struct Programs {
    all: HashMap<ProgramKey, Loaded>,
    rewrite: fn(rhai::AST) -> rhai::AST,
}

impl Default for Programs {
    fn default() -> Self {
        Self { all: HashMap::new(), rewrite: crate::script::rewrite::rewrite }
    }
}

impl Programs {
    /// Programs that note which of their branches are taken.
    pub(super) fn marked() -> Self {
        Self { rewrite: crate::script::rewrite::marks::rewrite_marked, ..Self::default() }
    }

    pub(super) fn load(
        &mut self,
        shared: &Shared,
        engine: &Rc<rhai::Engine>,
        version: &Version,
        settings: &Payload,
        stood_for: Vec<String>,
    ) -> Result<Loaded, String> {
        let key = (version.clone(), settings.clone(), stood_for);
        if let Some(loaded) = self.all.get(&key) {
            return Ok(loaded.clone());
        }
        let bundle = shared.bundle(version)?;
        let told = |faults: Vec<crate::diag::Diagnostic>| {
            faults.first().map_or_else(String::new, |f| format!("{} ({}:{})", f.title, f.place.file, f.place.line))
        };
        let marks = DeclaredMarks::of(&shared.options.secrets, &bundle);
        let (program, prepared, declaration) = marks.while_made(|| {
            let (program, constants, declaration) =
                deploy::declare_with(engine, &bundle, &fixed(settings), self.rewrite).map_err(told)?;
            let prepared = if key.2.is_empty() {
                program.prepare(engine, &constants)
            } else {
                program.prepare_standing(engine, &constants, &key.2, stand_in)
            };
            Ok::<_, String>((program, prepared.map_err(|fault| told(vec![fault]))?, declaration))
        })?;
        if self.all.len() >= MOST {
            self.all.clear();
        }
        let engine = Rc::clone(engine);
        let explain: Explain = Rc::new(move |error| program.diagnose(&engine, error, &crate::host::catalog::catalog()));
        let (rules, terms) = (Rc::new(Rules::of(&declaration)), Rc::new(Terms::of(&declaration)));
        let loaded = Loaded { prepared, allow: Rc::new(declaration.allow), explain, rules, terms };
        self.all.insert(key, loaded.clone());
        Ok(loaded)
    }
}

fn stand_in(
    context: &rhai::NativeCallContext<'_>,
    name: &str,
    arguments: &[rhai::Dynamic],
) -> Result<rhai::Dynamic, Box<rhai::EvalAltResult>> {
    let position = context.call_position();
    crate::host::effects::stand_in(context, name, arguments).map_err(|fail| fail.into_error(position))
}

/// The settings that a run was accepted with.
pub(super) fn fixed(settings: &Payload) -> Arc<dyn Settings> {
    let map: BTreeMap<String, serde_json::Value> = serde_json::from_str(settings.text()).unwrap_or_default();
    let payloads = map.into_iter().map(|(name, value)| (name, Payload::from_text(value.to_string())));
    Arc::new(payloads.collect::<BTreeMap<_, _>>())
}
