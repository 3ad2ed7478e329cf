//! Recorded runs tried on other versions.

use super::*;
use crate::engine::gate::{Verdict, try_on};
use crate::store::RunFilter;

/// A run of the first script, and what it wrote; it has ended, or waits.
pub(super) fn recorded(script: &str) -> (Run, Vec<crate::journal::Entry>) {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", script)]);
    let handle = bench.engine.handle();
    bench.block(async {
        let run = handle.start("w", Start { input: json!({"n": 2}), ..Start::default() }).await.expect("starts").run;
        let rests = || handle.run(run).is_ok_and(|row| row.status == Status::Waiting || row.status.is_final());
        while !rests() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (handle.run(run).expect("is there"), handle.journal(run).expect("reads"))
    })
}

fn tried(before: &str, after: &str) -> Verdict {
    let (run, journal) = recorded(before);
    let bundle = Bundle::of_text("w.rhai", after).expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    try_on(&run, journal, &bundle, &settings)
}

/// Whether a run that is over does with this script what it did.
pub(super) fn compatible(run: &Run, journal: &[crate::journal::Entry], script: &str) -> bool {
    let bundle = Bundle::of_text("w.rhai", script).expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    matches!(try_on(run, journal.to_vec(), &bundle, &settings), Verdict::Compatible { .. })
}

fn diverges(before: &str, after: &str) -> String {
    match tried(before, after) {
        Verdict::Diverges(divergence) => divergence.to_string(),
        other => panic!("{other:?}"),
    }
}

const WAITS: &str = r#"let a = step("a", || { state::get("x", 1) }); let b = attempt(|| wait_for("go")); a"#;

#[test]
fn what_follows_the_journal_may_change() {
    for after in
        [WAITS.to_owned(), WAITS.replace("; a", "; step(\"more\", || http::post(\"http://x.example\", a)); a + 1")]
    {
        assert!(matches!(tried(WAITS, &after), Verdict::Compatible { otherwise: None }), "{after}");
    }
}

#[test]
fn what_is_recorded_may_not() {
    let other = diverges(WAITS, &WAITS.replace("state::get(\"x\"", "state::get(\"y\""));
    assert!(other.contains("state `state::get`") && other.contains("with other arguments"), "{other}");
    let fewer = diverges(WAITS, "1");
    assert!(fewer.contains("the script now does nothing more"), "{fewer}");
}

#[test]
fn what_has_begun_may_not_change() {
    let other = diverges(WAITS, &WAITS.replace("wait_for(\"go\")", "wait_for(\"stop\")"));
    assert!(other.contains("event `go`") && other.contains("event `stop`"), "{other}");
    let left = diverges("parallel([|| wait_for(\"a\"), || wait_for(\"b\")])", "parallel([|| wait_for(\"a\")])");
    assert!(left.contains("event `b`") && left.contains("nothing more"), "{left}");
}

#[test]
fn of_a_run_that_has_ended_the_end_is_compared() {
    let script = "fn main(input) { step(\"a\", || input.n) * 10 }";
    assert!(matches!(tried(script, script), Verdict::Compatible { otherwise: None }));
    let Verdict::Compatible { otherwise: Some(Ok(output)) } = tried(script, &script.replace("10", "11")) else {
        panic!("the output is another one")
    };
    assert_eq!(output.to_json(), json!(22));
    let fails = "fn main(input) { throw \"no\" }";
    assert!(matches!(tried(fails, &format!("\n\n{fails}")), Verdict::Compatible { otherwise: None }));
}

#[test]
fn what_cannot_be_evaluated_has_no_verdict() {
    assert!(matches!(tried(WAITS, "let a = ;"), Verdict::Unknown(_)));
    let Verdict::Unknown(problem) = tried(WAITS, "loop {}") else { panic!("it never ends") };
    assert!(problem.contains("10 s"), "{problem}");
}

#[test]
fn a_trial_writes_and_performs_nothing() {
    let script = r#"fn main() { state::set("n", 1); wait_for("go"); event::emit("done"); state::set("n", 2); workflow::start("w") }"#;
    let store = Arc::new(Memory::default());
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", script)]);
    let (run, journal) = recorded(script);
    let deployed = bench.engine.handle().workflow("w").expect("is there");
    let before = store.crash();
    assert!(try_on(&run, journal, &deployed.bundle, bench.engine.handle().settings()).is_compatible());
    let all = RunFilter { limit: 9, ..RunFilter::default() };
    assert_eq!(store.runs(&all).expect("reads"), before.runs(&all).expect("reads"));
    assert_eq!(store.events(0, 9).expect("reads"), []);
    assert_eq!(Store::state(&*store, "w", "n").expect("reads"), None);
}
