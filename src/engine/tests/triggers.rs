//! What events and ends of runs start: closures, what is gathered over restarts, and chains without end.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::engine::gather::SCOPE;
use crate::payload::Payload;
use crate::store::{Event, RunFilter};
use crate::time::{Clock, SystemClock, Timestamp};

/// The system's clock, moved by so many milliseconds.
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
}

const HOUR_MS: i64 = 3_600_000;

/// An engine that has recovered, over a store that outlives it.
struct World {
    store: Arc<Memory>,
    clock: Arc<Moved>,
    scripts: Vec<(String, String)>,
    bench: Option<Bench>,
}

impl World {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let scripts = scripts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mut world = Self { store: Arc::default(), clock: Arc::default(), scripts, bench: None };
        world.start();
        world
    }

    fn start(&mut self) {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let options = Options { clock, workers: 1, ..Options::new(folder.path()) };
        let bench = Bench { engine: Engine::start(Arc::clone(&self.store) as _, options), _folder: folder };
        self.scripts.iter().for_each(|(name, text)| bench.deploy(name, text));
        bench.engine.handle().recover().expect("recovers");
        self.bench = Some(bench);
    }

    /// What a crash leaves goes on in a new process, that much later.
    fn restart(&mut self, later_ms: i64) {
        let store = self.store.crash();
        self.bench = None;
        self.store = Arc::new(store);
        self.clock.0.fetch_add(later_ms, Ordering::Relaxed);
        self.start();
    }

    fn bench(&self) -> &Bench {
        self.bench.as_ref().expect("it runs")
    }

    /// Emits an event; answers how many runs it started.
    fn emit(&self, id: &str, key: Option<&str>, payload: &Value) -> usize {
        let handle = self.bench().engine.handle();
        let (id, key, payload) = (id.into(), key.map(Into::into), Payload::from_json(payload));
        let event = Event { seq: 0, id, name: "paid".into(), key, payload, run: None, at: handle.clock().now() };
        self.bench().block(async { handle.emit(event).await.expect("emits").started.len() })
    }

    fn runs(&self, workflow: &str) -> Vec<Run> {
        let filter = RunFilter { workflow: Some(workflow.to_owned()), limit: 1_000, ..RunFilter::default() };
        let mut runs = self.store.runs(&filter).expect("reads");
        runs.reverse();
        runs
    }

    /// The inputs of the runs of `w`, once there are so many.
    fn inputs(&self, count: usize) -> Vec<Value> {
        self.until(|| self.runs("w").len() >= count);
        self.runs("w").iter().map(|run| run.input.to_json()).collect()
    }

    fn until(&self, condition: impl Fn() -> bool) {
        self.bench().block(async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn gathered(&self) -> usize {
        self.store.states(SCOPE, "").expect("reads").len()
    }
}

#[test]
fn an_event_starts_what_its_closures_say() {
    let script = "const LEAST = 5;
        trigger::event(\"paid\", #{ when: |p| p.amount > LEAST, input: |p| #{ sum: p.amount * 2 } });
        fn main(i) { i }";
    let world = World::new(&[("w", script)]);
    assert_eq!(world.emit("1", None, &json!({ "amount": 5 })), 0);
    assert_eq!(world.emit("2", None, &json!({ "amount": 6 })), 1);
    assert_eq!(world.inputs(1), [json!({ "sum": 12 })]);
}

#[test]
fn a_condition_that_throws_or_never_ends_harms_nothing_else() {
    let world = World::new(&[
        ("endless", "trigger::event(\"paid\", #{ when: |p| loop {} }); fn main(i) { 1 }"),
        ("thrower", "trigger::event(\"paid\", #{ when: |p| p.amount.x > 1 }); fn main(i) { 1 }"),
        ("wrong", "trigger::event(\"paid\", #{ when: |p| \"yes\" }); fn main(i) { 1 }"),
        ("w", "trigger::event(\"paid\", #{ when: |p| p.amount == 1 }); fn main(i) { 1 }"),
    ]);
    assert_eq!(world.emit("1", None, &json!({ "amount": 1 })), 1);
    assert_eq!(world.runs("w").len(), 1);
}

#[test]
fn a_run_that_emits_asks_the_closures_too_and_is_not_seen_by_them() {
    let emitter = "fn main() { state::set(\"x\", 1); event::emit(\"paid\", #{ n: 1 }); event::emit(\"paid\", #{ n: 2 }); run_id() }";
    let world = World::new(&[
        ("w", "trigger::event(\"paid\", #{ when: |p| p.n == 2 }); fn main(i) { i }"),
        ("curious", "trigger::event(\"paid\", #{ when: |p| run_id() != () }); fn main(i) { i }"),
        ("emitter", emitter),
    ]);
    let run = world.bench().run("emitter", json!(null));
    assert_eq!((run.status, world.inputs(1)), (Status::Completed, vec![json!({ "n": 2 })]));
    assert_eq!(world.runs("curious"), []);
}

#[test]
fn the_end_of_a_run_starts_what_its_closures_say() {
    let world = World::new(&[
        ("job", "fn main(i) { i.n }"),
        ("w", "trigger::run(\"job\", #{ when: |r| r.output > 1, input: |r| r.input }); fn main(i) { trigger::info() }"),
    ]);
    world.bench().run("job", json!({ "n": 1 }));
    let job = world.bench().run("job", json!({ "n": 2 }));
    assert_eq!(world.inputs(1), [json!({ "n": 2 })]);
    world.until(|| world.runs("w")[0].status == Status::Completed);
    let info = world.runs("w")[0].output.clone().expect("an output").to_json();
    let (id, trigger) = (json!(job.id), json!("run:job"));
    assert_eq!(
        info,
        json!({ "kind": "run", "trigger": trigger, "run": id, "workflow": "job", "status": "completed", "depth": 1 })
    );
}

const BATCH: &str =
    "trigger::event(\"paid\", #{ batch: #{ size: 3, within: \"1h\" }, when: |p| p != 0, input: |all| #{ all: all } });
    fn main(i) { i.all.len() }";

#[test]
fn a_batch_starts_one_run_when_it_is_full() {
    let world = World::new(&[("w", BATCH)]);
    for n in [1, 0, 2, 3, 4] {
        world.emit(&n.to_string(), Some(&n.to_string()), &json!(n));
    }
    assert_eq!(world.inputs(1), [json!({ "all": [1, 2, 3] })]);
    world.until(|| world.gathered() == 1);
    world.emit("4", None, &json!(4));
    let waiting = world.bench().engine.handle();
    let waiting = waiting.gathered(&waiting.workflow("w").expect("is there"));
    assert_eq!((waiting.len(), waiting[0].events, waiting[0].due.is_some()), (1, 1, true));
}

#[test]
fn a_batch_survives_a_crash_in_the_middle_and_starts_once_in_time() {
    let mut world = World::new(&[("w", BATCH)]);
    world.emit("1", None, &json!(1));
    world.restart(0);
    world.emit("1", None, &json!(1));
    world.emit("2", None, &json!(2));
    world.restart(HOUR_MS);
    assert_eq!(world.inputs(1), [json!({ "all": [1, 2] })]);
    world.until(|| world.gathered() == 0);
    world.restart(HOUR_MS);
    world.emit("3", None, &json!(3));
    world.restart(HOUR_MS);
    assert_eq!(world.inputs(2)[1], json!({ "all": [3] }));
}

#[test]
fn no_event_is_lost_or_taken_twice_wherever_the_process_ends() {
    let script = "trigger::event(\"paid\", #{ batch: #{ size: 2, within: \"1h\" } }); fn main(i) { i }";
    let mut world = World::new(&[("w", script)]);
    for n in 0..30 {
        world.emit(&n.to_string(), None, &json!(n));
        if n % 3 == 0 {
            world.restart(0);
        }
    }
    world.restart(HOUR_MS);
    world.until(|| world.gathered() == 0);
    let inputs = world.inputs(15);
    let taken: Vec<_> = inputs.iter().flat_map(|list| list.as_array().expect("a list").clone()).collect();
    assert_eq!(taken, (0..30).map(|n| json!(n)).collect::<Vec<_>>());
}

const DEBOUNCE: &str = "trigger::event(\"paid\", #{ debounce: \"1h\" }); fn main(i) { trigger::info() }";

#[test]
fn a_debounced_event_waits_for_silence_of_its_key_over_a_crash() {
    let mut world = World::new(&[("w", DEBOUNCE)]);
    for (id, key) in [("1", "a"), ("2", "b"), ("3", "a")] {
        world.emit(id, Some(key), &json!(id));
    }
    world.restart(HOUR_MS / 2);
    world.emit("4", Some("a"), &json!("4"));
    world.restart(HOUR_MS / 2 + 1_000);
    assert_eq!(world.inputs(1), [json!("2")]);
    world.restart(HOUR_MS / 2 + 1_000);
    assert_eq!(world.inputs(2), [json!("2"), json!("4")]);
    world.until(|| world.gathered() == 0);
    let trigger = world.runs("w")[1].trigger.to_json();
    assert_eq!(
        (&trigger["kind"], &trigger["trigger"], &trigger["event"], &trigger["key"]),
        (&json!("event"), &json!("event:paid"), &json!("4"), &json!("a"))
    );
}

#[test]
fn a_flood_of_debounced_events_keeps_few_rows_and_its_last_event() {
    let script = "trigger::event(\"paid\", #{ debounce: \"1h\" }); fn main(i) { i }";
    let mut world = World::new(&[("w", script)]);
    for n in 0..300 {
        world.emit(&n.to_string(), None, &json!(n));
    }
    world.until(|| world.gathered() < 100);
    world.restart(HOUR_MS + 1_000);
    assert_eq!(world.inputs(1), [json!(299)]);
}

#[test]
fn what_is_gathered_for_a_trigger_that_is_gone_goes_and_for_a_plain_one_starts() {
    let mut world = World::new(&[("w", DEBOUNCE), ("gone", DEBOUNCE)]);
    world.emit("1", None, &json!(1));
    world.emit("2", None, &json!(2));
    world.bench().deploy("gone", "fn main(i) { i }");
    world.scripts[0].1 = "trigger::event(\"paid\"); fn main(i) { i }".to_owned();
    world.scripts[1].1 = "fn main(i) { i }".to_owned();
    world.restart(0);
    assert_eq!(world.inputs(2), [json!(1), json!(2)]);
    world.until(|| world.gathered() == 0);
    assert_eq!(world.runs("gone"), []);
}

#[test]
fn a_chain_without_end_ends_and_the_last_run_says_why() {
    let world = World::new(&[("w", "trigger::event(\"paid\"); fn main(i) { event::emit(\"paid\", i + 1) }")]);
    world.emit("1", None, &json!(0));
    world.until(|| world.runs("w").iter().any(|run| run.status == Status::Failed));
    let runs = world.runs("w");
    let last = runs.last().expect("there are some");
    assert_eq!((runs.len(), last.input.to_json(), last.status), (65, json!(64), Status::Failed));
    let error = last.error.as_ref().expect("an error").to_json();
    assert_eq!((&error["kind"], last.trigger.to_json()["depth"].as_u64()), (&json!("limit"), Some(64)));
    assert!(error["message"].as_str().is_some_and(|said| said.contains("chain of 64 runs")), "{error}");
}

#[test]
fn runs_that_follow_each_others_ends_are_stopped_and_the_last_one_logs_it() {
    let world = World::new(&[("w", "trigger::run(\"w\"); fn main(i) { 1 }")]);
    world.bench().run("w", json!(null));
    world.until(|| world.runs("w").len() == 65 && world.runs("w").iter().all(|run| run.status.is_final()));
    let last = world.runs("w").pop().expect("there are some");
    let journal = world.bench().engine.handle().journal(last.id).expect("reads");
    let line = journal.last().expect("an entry").to_json(0);
    assert_eq!((&line["kind"], &line["name"]), (&json!("log"), &json!("error")), "{line}");
    assert!(line["value"].as_str().is_some_and(|said| said.contains("chain of 64 runs")), "{line}");
}

#[test]
fn a_workflow_that_starts_itself_is_stopped_unless_it_takes_its_time() {
    let script = |delay: &str| format!("fn main(i) {{ workflow::start(\"w\", i + 1, #{{ {delay} }}) }}");
    let world = World::new(&[("w", &script(""))]);
    world.bench().run("w", json!(0));
    world.until(|| world.runs("w").iter().any(|run| run.status == Status::Failed));
    assert_eq!(world.runs("w").len(), 65);
    let world = World::new(&[("w", &script("delay: \"1h\""))]);
    world.bench().run("w", json!(0));
    let trigger = world.runs("w")[1].trigger.to_json();
    assert_eq!((&trigger["kind"], &trigger["depth"]), (&json!("workflow"), &json!(null)));
}

#[test]
fn a_run_knows_the_events_that_started_it() {
    let script = |options: &str| format!("trigger::event(\"*\"{options}); fn main(i) {{ trigger::info() }}");
    let info = |options: &str| {
        let world = World::new(&[("w", &script(options))]);
        world.emit("1", Some("a"), &json!(1));
        world.emit("2", None, &json!(2));
        world.until(|| world.runs("w").first().is_some_and(|run| run.status == Status::Completed));
        world.runs("w")[0].output.clone().expect("an output").to_json()
    };
    let one = info("");
    assert_eq!(
        (&one["kind"], &one["name"], &one["event"], &one["key"]),
        (&json!("event"), &json!("paid"), &json!("1"), &json!("a"))
    );
    assert!(one["received_at"].is_string() && one["trigger"] == "event:*" && one.get("depth").is_none(), "{one}");
    let batch = info(", #{ batch: #{ size: 2 } }");
    let ids: Vec<_> = batch["events"].as_array().expect("a list").iter().map(|event| &event["event"]).collect();
    assert_eq!((ids, &batch["name"]), (vec![&json!("1"), &json!("2")], &json!("paid")));
}

#[test]
fn a_repeat_of_an_event_is_gathered_once() {
    let world = World::new(&[("w", "trigger::event(\"paid\", #{ batch: #{ size: 2 } }); fn main(i) { i }")]);
    for (id, n) in [("1", 1), ("1", 1), ("2", 2), ("2", 2), ("1", 1), ("3", 3)] {
        world.emit(id, None, &json!(n));
    }
    assert_eq!(world.inputs(1), [json!([1, 2])]);
    world.until(|| world.gathered() == 1);
}
