//! A binary that means something else by the same scripts.

use std::collections::BTreeSet;

use super::*;
use crate::engine::Semantics;
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
    bench.engine.handle().recover().expect("reads");
    bench
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
    assert_eq!(diverged(&bench), BTreeSet::from([joins, other]));
}
