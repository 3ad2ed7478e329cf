//! A binary that means something else by the same scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::deaths::{Seen, die};
use super::*;
use crate::engine::Semantics;
use crate::engine::people::Directory;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::RunFilter;

/// The name of its step, and an argument, come of the function that is altered.
const JOINS: &str = r#"step([1, 2].join("-"), || 1); wait_for("go"); state::set("joined", 1); "done""#;
/// Both come of others.
const PLAIN: &str = r#"step("a", || [1, 2].join("-").len() > 0); wait_for("go"); "done""#;
/// It has passed nothing that is altered; what follows is.
const LATER: &str = r#"wait_for("go"); [1, 2].join("-")"#;

fn engine(store: &Arc<Memory>, semantics: &Semantics) -> Bench {
    let scripts = [("joins", JOINS), ("plain", PLAIN), ("later", LATER)];
    let bench = Bench::with(Arc::clone(store) as Arc<dyn Store>, &scripts, |options| Options {
        semantics: semantics.clone(),
        ..options
    });
    bench.recover();
    bench
}

impl Bench {
    /// Takes up what is open, once it was tried.
    fn recover(&self) {
        let handle = self.engine.handle();
        handle.recover().expect("reads");
        self.block(handle.settled());
    }
}

fn diverged(bench: &Bench) -> BTreeSet<crate::id::RunId> {
    let filter = RunFilter { statuses: vec![Status::Diverged], limit: 99, ..RunFilter::default() };
    bench.engine.handle().runs(&filter).expect("reads").iter().map(|run| run.id).collect()
}

#[test]
fn it_finds_exactly_the_runs_that_would_diverge_and_finishes_the_others() {
    let (own, altered) = (Semantics::current(), Semantics::altered());
    let store = Arc::new(Memory::default());
    let bench = engine(&store, &own);
    let joins: BTreeSet<_> = (0..3).map(|_| bench.waits("joins")).collect();
    let (plain, later) = (bench.waits("plain"), bench.waits("later"));
    drop(bench);

    let bench = engine(&store, &altered);
    assert_eq!(diverged(&bench), joins);
    let held = bench.engine.handle().run(*joins.first().expect("one")).expect("is there").error.expect("why").to_json();
    assert_eq!((&held["code"], &held["divergence"]["issued"]["name"]), (&json!("E0515"), &json!("1-2-")));
    assert_eq!(
        (&held["divergence"]["recorded"]["name"], &held["divergence"]["recorded"]["line"]),
        (&json!("1-2"), &json!(1))
    );
    assert_eq!(bench.goes_on(plain).status, Status::Completed);
    let row = bench.block(async { bench.engine.handle().ended(later).await }).expect("ends");
    assert_eq!(row.output.expect("an output").to_json(), json!("1-2-"));
    assert_eq!(Store::state(&*store, "joins", "joined").expect("reads"), None, "nothing of the others was performed");
    assert_eq!(diverged(&bench), joins);
    drop(bench);

    // The release before takes them up where they stood.
    let bench = engine(&store, &own);
    assert_eq!(diverged(&bench), BTreeSet::new());
    for run in joins {
        let row = bench.block(async { bench.engine.handle().ended(run).await }).expect("ends");
        assert_eq!((row.status, row.error), (Status::Completed, None));
    }
}

#[test]
fn a_version_that_fits_takes_up_what_is_held() {
    let store = Arc::new(Memory::default());
    let bench = engine(&store, &Semantics::current());
    let run = bench.waits("joins");
    drop(bench);
    let bench = engine(&store, &Semantics::altered());
    assert_eq!(diverged(&bench), BTreeSet::from([run]));
    bench.deploy("joins", &JOINS.replace("[1, 2].join(\"-\")", "\"1-2\""));
    assert!(
        bench
            .block(bench.engine.handle().upgrade(run, crate::engine::Mode::Careful, &Actor::LOCAL))
            .expect("fits")
            .moved
    );
    assert_eq!(bench.goes_on(run).status, Status::Completed);
}

#[test]
fn an_engine_of_one_run_leaves_the_others_to_be_tried() {
    let own = |reach| move |options| Options { reach, semantics: Semantics::altered(), ..options };
    let store = Arc::new(Memory::default());
    let bench = engine(&store, &Semantics::current());
    let (joins, other) = (bench.waits("joins"), bench.waits("joins"));
    drop(bench);
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[], own(Reach::Own));
    assert_eq!(diverged(&bench), BTreeSet::new());
    bench.engine.handle().take_up(joins).expect("reads");
    bench.block(bench.comes_to(joins, Status::Diverged));
    drop(bench);
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[], own(Reach::All));
    bench.recover();
    assert_eq!(diverged(&bench), BTreeSet::from([joins, other]));
}

/// What stands in a workflow, and whether a run of it, recorded as far as it goes, diverges with the altered function.
const TABLE: [(&str, &str, bool); 22] = [
    ("name", r#"step([1, 2].join("-"), || 1); wait_for("go");"#, true),
    ("none", r#"step("a", || 1); wait_for("go");"#, false),
    ("unseen", r#"step("a", || [1, 2].join("-").len() > 0); wait_for("go");"#, false),
    ("later", r#"wait_for("go"); step([1, 2].join("-"), || 1);"#, false),
    ("branch", r#"parallel([|| { step([1, 2].join("-"), || 1); wait_for("go") }, || sleep("1s")]);"#, true),
    ("branch_later", r#"parallel([|| { wait_for("go"); step([1].join("-"), || 1) }, || sleep("1s")]);"#, false),
    ("parent", r#"workflow::run("child", #{ v: [1, 2].join("-") });"#, true),
    ("child", r#"wait_for("go");"#, false),
    ("parent_of", r#"workflow::run("bad_child", 1);"#, false),
    ("bad_child", r#"step([1, 2].join("-"), || 1); wait_for("go");"#, true),
    ("timer", r#"step([1, 2].join("-"), || 1); sleep("1h");"#, true),
    ("timer_later", r#"step("a", || 1); sleep("1h"); step([1].join("-"), || 1);"#, false),
    ("length", r#"sleep(if [1, 2].join("-").len() == 3 { "1h" } else { "2h" });"#, true),
    (
        "condition",
        r#"if [1, 2].join("-").len() == 3 { step("x", || 1) } else { step("y", || 1) } wait_for("go");"#,
        true,
    ),
    ("line", r#"log::info([1, 2].join("-")); wait_for("go");"#, false),
    ("event", r#"wait_for([1, 2].join("-"));"#, true),
    ("key", r#"wait_for("go", #{ key: [1, 2].join("-") });"#, true),
    ("when", r#"wait_for("go", #{ when: |e| [1, 2].join("-").len() > 0 });"#, false),
    ("undo", r#"step("a", #{ undo: |v| step([1, 2].join("-"), || 1) }, || 1); wait_for("go");"#, false),
    ("value", r#"let s = step("a", || [1, 2].join("-")); wait_for("go"); step(s, || 1);"#, false),
    ("task", r#"task::ask(#{ title: [1, 2].join("-"), to: "ann", choices: ["ok"] });"#, true),
    (
        "caught",
        r#"try { step("a", || if [1].join("-") == "1" { throw "no" } else { 1 }) } catch { wait_for("go"); }"#,
        false,
    ),
];

/// An engine with all of the table, each run of which sets a value when it goes on.
fn of_table(store: &Arc<Memory>, semantics: &Semantics, witness: Option<Arc<dyn Witness>>) -> Bench {
    let body = |text: &str| format!("fn main(input) {{ {text} state::set(run_id(), 1); }}");
    let scripts: Vec<_> = TABLE.iter().map(|(name, text, _)| (*name, body(text))).collect();
    let scripts: Vec<_> = scripts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let ann = crate::engine::people::Person::default();
    let people = Arc::new(Directory { people: [("ann".into(), ann)].into() });
    let semantics = semantics.clone();
    Bench::with(Arc::clone(store) as Arc<dyn Store>, &scripts, |options| Options {
        people,
        semantics,
        witness,
        ..options
    })
}

fn open_runs(bench: &Bench) -> BTreeMap<RunId, (String, Status)> {
    let runs = bench.engine.handle().runs(&RunFilter { limit: usize::MAX, ..RunFilter::default() }).expect("reads");
    runs.into_iter().map(|run| (run.id, (run.workflow.to_string(), run.status))).collect()
}

/// Two runs of each workflow of the table, waiting, in a store whose engine is gone.
fn two_of_each(store: &Arc<Memory>) {
    let bench = of_table(store, &Semantics::current(), None);
    for (name, ..) in TABLE.iter().filter(|(name, ..)| !name.ends_with("child")) {
        let handle = bench.engine.handle();
        for _ in 0..2 {
            bench.block(handle.start(name, Start::default())).expect("starts");
        }
    }
    let all_wait = || {
        let runs = open_runs(&bench);
        runs.len() == 2 * TABLE.len() && runs.values().all(|(_, status)| *status == Status::Waiting)
    };
    bench.until(all_wait);
}

impl Bench {
    fn until(&self, condition: impl Fn() -> bool) {
        self.block(async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }

    fn emits(&self, name: &str, id: &str) {
        let at = self.engine.handle().clock().now();
        let (id, name) = (id.into(), name.into());
        let event = crate::store::Event { seq: 0, id, name, key: None, payload: Payload::unit(), run: None, at };
        self.block(self.engine.handle().emit(event)).expect("is emitted");
    }
}

#[test]
fn of_many_workflows_exactly_those_are_held_that_would_diverge() {
    let store = Arc::new(Memory::default());
    two_of_each(&store);
    let witness = Arc::new(Seen::default());
    let bench = of_table(&store, &Semantics::altered(), Some(Arc::clone(&witness) as Arc<dyn Witness>));
    bench.recover();
    let expected = |diverges: bool| {
        let of = TABLE.iter().filter(move |(.., d)| *d == diverges).map(|(name, ..)| (*name).to_owned());
        of.collect::<BTreeSet<_>>()
    };
    let held: BTreeSet<_> = diverged(&bench);
    let runs = open_runs(&bench);
    let names: BTreeSet<_> = held.iter().map(|run| runs[run].0.clone()).collect();
    assert_eq!((names, held.len()), (expected(true), 2 * expected(true).len()));
    let noted: BTreeSet<_> = witness.all.lock().unwrap().iter().filter_map(|what| what.run()).collect();
    assert!(runs.keys().all(|run| noted.contains(run)), "each trial is watched");
    bench.emits("go", "1");
    let goes = |name: &String| expected(false).contains(name) && !["parent_of", "timer_later"].contains(&&**name);
    bench.until(|| open_runs(&bench).values().all(|(name, status)| !goes(name) || *status == Status::Completed));
    let has_moved = |run: &RunId| Store::state(&*store, &runs[run].0, &run.to_string()).expect("reads").is_some();
    assert!(!held.iter().any(has_moved), "nothing of those that are held was performed");
    drop(bench);
    // The release before takes them up where they stood.
    let bench = of_table(&store, &Semantics::current(), None);
    bench.recover();
    assert_eq!(diverged(&bench), BTreeSet::new());
    let is_done = |name: &str| !["event", "key", "task", "timer", "timer_later", "length"].contains(&name);
    bench.until(|| open_runs(&bench).values().all(|(name, status)| !is_done(name) || *status == Status::Completed));
}

#[test]
fn until_all_are_tried_none_goes_on_and_what_starts_runs() {
    let count = std::env::var("PANTA_OPEN_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let steps = r#"for i in 0..18 { step("s", || i); } wait_for("go"); [1, 2].join("-")"#;
    let store = Arc::new(Memory::default());
    let scripts = [("many", steps), ("fresh", "1"), ("timer", r#"sleep("2s"); 1"#)];
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &scripts);
    bench.block(async {
        for _ in 0..count {
            bench.engine.handle().start("many", Start::default()).await.expect("starts");
        }
    });
    bench.waits("timer");
    bench.until(|| open_runs(&bench).values().filter(|(_, status)| *status == Status::Waiting).count() >= count);
    drop(bench);
    let altered = |options| Options { semantics: Semantics::altered(), ..options };
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &scripts, altered);
    let handle = bench.engine.handle();
    let total = handle.settling().expect("they are held back").total;
    bench.emits("go", "1");
    assert_eq!(bench.run("fresh", json!(null)).status, Status::Completed);
    let waiting = open_runs(&bench).values().filter(|(_, status)| *status == Status::Waiting).count();
    assert_eq!((waiting, total), (total, total), "no other goes on");
    let began = crate::time::elapsed();
    bench.recover();
    println!("{total} open runs were tried within {:?}", crate::time::elapsed().saturating_sub(began));
    assert_eq!(handle.settling(), None);
    bench.until(|| open_runs(&bench).values().all(|(_, status)| *status == Status::Completed));
}

#[test]
fn a_run_that_is_held_is_told_of_as_its_workflow_says() {
    let store = Arc::new(Memory::default());
    let script = format!("workflow(#{{ on_failure: \"ops\" }}); {JOINS}");
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("joins", &script)]);
    bench.waits("joins");
    drop(bench);
    let told = Arc::new(super::options::Told::default());
    let notifier = Arc::clone(&told) as Arc<dyn Notifier>;
    let altered = |options| Options { semantics: Semantics::altered(), notifier, ..options };
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[("joins", &script)], altered);
    bench.recover();
    bench.engine.stop();
    let all = told.all();
    assert!(all.len() == 1 && all[0].1 == "ops" && all[0].2.starts_with("`joins` has diverged"), "{all:?}");
}

#[test]
fn a_suspect_is_tried_too_and_alone() {
    let store = Arc::new(Memory::default());
    two_of_each(&store);
    let bench = of_table(&store, &Semantics::current(), None);
    let runs = open_runs(&bench);
    drop(bench);
    let suspect = *runs.iter().find(|(_, (name, _))| name == "name").expect("is there").0;
    die(&store, suspect, 1);
    let witness = Arc::new(Seen { suspect: Mutex::new(Some(suspect.into())), ..Seen::default() });
    let bench = of_table(&store, &Semantics::altered(), Some(Arc::clone(&witness) as Arc<dyn Witness>));
    bench.recover();
    assert!(diverged(&bench).contains(&suspect));
    let alone = witness.alone.lock().unwrap();
    assert!(!alone.is_empty() && alone.iter().all(|alone| *alone));
}
