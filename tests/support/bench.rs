//! An engine on the memory store, with the shipped scripts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use panta::engine::{Engine, Handle, Options, Settings, Start, compile};
use panta::id::RunId;
use panta::payload::Payload;
use panta::script::bundle::Bundle;
use panta::store::memory::Memory;
use panta::store::{Event, EventFilter, Run};
use panta::time::Timestamp;
use panta::vault::Vault;
use serde_json::{Value, json};

/// Longer than any of these tests takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Bench {
    engine: Engine,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    settings: Arc<dyn Settings>,
}

impl Bench {
    /// An engine with these settings; each secret's value is its name, twice.
    pub(crate) fn new(settings: &[(&str, Value)]) -> Self {
        Self::changed(settings, |_| ())
    }

    /// The same with other options.
    pub(crate) fn changed(settings: &[(&str, Value)], change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings: BTreeMap<_, _> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), Payload::from_json(value))).collect();
        let settings: Arc<dyn Settings> = Arc::new(settings);
        let secrets = [("PANTA_SECRET_BILLING", "billingbilling"), ("PANTA_SECRET_DEPLOY", "deploydeploy")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut options = Options {
            workers: 2,
            settings: Arc::clone(&settings),
            secrets: Arc::new(Vault::from_pairs(secrets.into_iter())),
            ..Options::new(folder.path())
        };
        change(&mut options);
        let engine = Engine::start(Arc::new(Memory::default()), options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { engine, folder, runtime, settings }
    }

    /// With one of the shipped scripts.
    pub(crate) fn shipped(name: &str, settings: &[(&str, Value)]) -> Self {
        let bench = Self::new(settings);
        let path = format!("{}/scripts/{name}.rhai", env!("CARGO_MANIFEST_DIR"));
        bench.deploy(name, &std::fs::read_to_string(path).expect("a shipped script"));
        bench
    }

    pub(crate) fn deploy(&self, name: &str, text: &str) {
        let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
        let deployed = compile(bundle, &self.settings)
            .unwrap_or_else(|faults| panic!("{}", faults[0].render(panta::diag::Color::Plain)));
        self.handle().deploy(deployed);
    }

    pub(crate) fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// A file below the workflow's own folder.
    pub(crate) fn file(&self, workflow: &str, path: &str) -> PathBuf {
        self.folder.path().join("workspace").join(workflow).join(path)
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
    }

    pub(crate) fn start(&self, workflow: &str, input: Value) -> RunId {
        let handle = self.handle();
        self.block(handle.start(workflow, Start { input, ..Start::default() })).expect("starts").run
    }

    pub(crate) fn ended(&self, run: RunId) -> Run {
        let handle = self.handle();
        self.block(handle.ended(run)).expect("ends")
    }

    pub(crate) fn run(&self, workflow: &str, input: Value) -> Run {
        self.ended(self.start(workflow, input))
    }

    /// What a run returns.
    pub(crate) fn output(&self, run: RunId) -> Value {
        let run = self.ended(run);
        run.output.unwrap_or_else(|| panic!("no output: {:?}", run.error)).to_json()
    }

    /// Emits an event; answers the runs that it started.
    pub(crate) fn emit(&self, name: &str, key: Option<&str>, payload: &Value) -> Vec<RunId> {
        let event = Event {
            seq: 0,
            id: RunId::new().to_string().into(),
            name: name.into(),
            key: key.map(Into::into),
            payload: Payload::from_json(payload),
            run: None,
            at: self.handle().clock().now(),
        };
        self.block(self.handle().emit(event)).expect("emits").started
    }

    /// Payloads of the events of a name, so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut filter = EventFilter { name: name.into(), key: None, run: None, after: 0, since: Timestamp(0) };
        while let Some(event) = self.handle().store().next_event(&filter).expect("reads") {
            filter.after = event.seq;
            found.push(event.payload.to_json());
        }
        found
    }
}

/// The message with which a run failed.
pub(crate) fn message(run: &Run) -> String {
    let error = run.error.as_ref().map_or(json!(null), Payload::to_json);
    error["message"].as_str().unwrap_or_else(|| panic!("no error: {:?}", run.output)).to_owned()
}
