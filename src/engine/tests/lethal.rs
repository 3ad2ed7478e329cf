//! What is no run, and kills the process.

use super::deaths::{Seen, die};
use super::*;
use crate::engine::retrace::Error::Broken;

const ASKED: &str = r#"
    trigger::event("paid", #{ when: |p| p.ok });
    workflow(#{ concurrency: #{ key: |input| "k", limit: 9 } });
    fn main(i) { 1 }"#;

struct World {
    witness: Arc<Seen>,
    bench: Bench,
}

impl World {
    fn over(store: &Arc<Memory>) -> Self {
        let witness = Arc::new(Seen::default());
        let watching = Arc::clone(&witness) as Arc<dyn Witness>;
        let emits = r#"event::emit("paid", #{ ok: true }); 1"#;
        let scripts = [("asked", ASKED), ("emits", emits), ("plain", "1")];
        let change = |given| Options { witness: Some(watching), ..given };
        Self { witness, bench: Bench::with(Arc::clone(store) as Arc<dyn Store>, &scripts, change) }
    }

    fn handle(&self) -> Handle {
        self.bench.engine.handle()
    }

    fn asks(&self) -> Result<Decision, String> {
        let deployed = self.handle().workflow("asked").expect("it is there");
        let spec = deployed.trigger("event:paid").expect("it is there").clone();
        self.bench.block(self.handle().decide(&deployed, &spec, Received::of(json!({ "ok": true }))))
    }

    /// What is noted meanwhile that is no run.
    fn noted(&self, act: impl FnOnce(&Self)) -> Vec<Evaluated> {
        self.witness.all.lock().unwrap().clear();
        act(self);
        self.witness.all.lock().unwrap().iter().filter(|what| what.run().is_none()).copied().collect()
    }
}

#[test]
fn a_closure_that_killed_three_times_is_not_called_and_its_trigger_says_so() {
    let store = Arc::new(Memory::default());
    let world = World::over(&store);
    let noted = world.noted(|world| assert!(world.asks().is_ok()));
    let [when] = noted[..] else { panic!("{noted:?}") };
    drop(world);
    die(&store, when, 2);
    assert!(World::over(&store).asks().is_ok(), "a suspect is called, alone");
    die(&store, when, 1);
    let world = World::over(&store);
    let said = world.asks().expect_err("it is not called");
    assert!(said.contains("`when` of event:paid") && said.contains("died 3 of 3 times"), "{said}");
    let paused = world.handle().paused_closures(&world.handle().workflow("asked").expect("there"));
    assert_eq!(
        paused.iter().map(|(id, option, _)| (id.as_deref(), *option)).collect::<Vec<_>>(),
        [(Some("event:paid"), "when")]
    );
    world.bench.deploy("asked", &ASKED.replace("p.ok", "p.ok == true"));
    assert!(world.asks().is_ok(), "another text is another closure");
    assert_eq!(world.bench.run("plain", json!(null)).status, Status::Completed);
}

#[test]
fn a_closure_in_the_middle_of_a_run_is_noted_in_its_place() {
    let world = World::over(&Arc::new(Memory::default()));
    let noted = world.noted(|world| {
        let run = world.bench.run("emits", json!(null));
        assert_eq!(run.status, Status::Completed);
    });
    assert_eq!(noted.len(), 2, "`when` and `concurrency.key`");
    let all = world.witness.all.lock().unwrap().clone();
    let at = all.iter().position(|what| *what == noted[0]).expect("it was noted");
    let run = all[at - 1].run().expect("the run came before");
    assert!(all[at + 1..].iter().any(|what| what.run() == Some(run)), "and goes on");
}

#[test]
fn a_replay_and_a_trial_that_killed_twice_are_refused() {
    let store = Arc::new(Memory::default());
    let world = World::over(&store);
    let run = world.bench.run("plain", json!(null)).id;
    let bundle = Arc::clone(&world.handle().workflow("plain").expect("there").bundle);
    let noted = world.noted(|world| {
        world.handle().retrace(run, None).expect("reads").expect("replays");
        world.handle().gate(&bundle, &mut |_| true);
    });
    let [replay, trial] = noted[..] else { panic!("{noted:?}") };
    drop(world);
    die(&store, replay, 2);
    die(&store, trial, 2);
    let world = World::over(&store);
    let Err(Broken(said)) = world.handle().retrace(run, None).expect("reads") else { panic!("it is refused") };
    assert!(said.contains("died 2 of 2 times") && said.contains("panta show"), "{said}");
    let report = world.handle().gate(&bundle, &mut |_| true);
    assert_eq!((report.finished.tried, report.finished.unknown), (1, 1), "{report:?}");
}
