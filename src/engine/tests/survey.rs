//! All recorded runs of a workflow, tried on a version.

use super::gate::recorded;
use super::*;
use crate::engine::Semantics;
use crate::engine::gate::{Report, Scope, State, survey};
use crate::id::RunId;
use crate::journal::{Entry, encode_segment};
use crate::store::{Change, End, RunFilter};

/// A hundred entries, and a wait.
const LONG: &str = r#"fn main(input) {
    let sum = 0;
    for i in 0..50 { sum += step(`s${i}`, || state::get("x", 1)); }
    wait_for("go");
    http::get("https://example.com")
}"#;

/// A store with so many copies of a recorded run.
fn filled(store: &dyn Store, script: &str, count: usize) -> (Run, Vec<Entry>) {
    let (run, journal) = recorded(script);
    let bundle = Bundle::of_text("w.rhai", script).expect("a bundle");
    store.commit(&[Change::PutBundle { version: bundle.version.clone(), bytes: bundle.to_stored() }]).expect("is kept");
    for _ in 0..count {
        let copy = Run { id: RunId::new(), status: Status::Waiting, output: None, ..run.clone() };
        let segment = encode_segment(0, &journal);
        let (id, epoch) = (copy.id, copy.epoch);
        let start = Change::Start { run: Box::new(copy), dedupe: None, gate: None };
        let mut changes = vec![start, Change::Append { run: id, epoch, segment }];
        changes.extend(run.status.is_final().then(|| Change::Finish { run: id, epoch, end: ended(&run) }));
        store.commit(&changes).expect("is kept");
    }
    (run, journal)
}

fn ended(run: &Run) -> End {
    let (output, at, error) = (run.output.clone(), run.ended_at.expect("it has ended"), None);
    End { status: run.status, output, error, rollback: run.rollback, at, continued_as: None, expires_at: None }
}

fn tried(store: &dyn Store, after: &str) -> Report {
    let bundle = Bundle::of_text("w.rhai", after).expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    survey(store, &bundle, &settings, &Semantics::current(), Scope::default(), &mut |_| true)
}

/// 1,000 open runs of 100 entries: how many fit, and the line at which the others do not.
fn judges_a_thousand(store: &dyn Store) -> u64 {
    filled(store, LONG, 1_000);
    let after = LONG.replace("wait_for(\"go\")", "wait_for(\"stop\")").replace("let sum = 0;", "let sum = 0;\n\n");
    let report = tried(store, &after);
    assert_eq!((report.state, report.open.total, report.open.diverging), (State::Done, 1_000, 1_000));
    let [group] = &report.divergences[..] else { panic!("{:?}", report.divergences) };
    let (recorded, issued) =
        (group.parting.recorded.clone().expect("a line"), group.parting.issued.clone().expect("a line"));
    assert_eq!((recorded.name.as_str(), recorded.line), ("go", 4));
    assert_eq!((issued.name.as_str(), issued.line, issued.source.trim()), ("stop", 6, "wait_for(\"stop\");"));
    assert_eq!((group.count, group.runs.len()), (1_000, 10));
    let fits = tried(store, &LONG.replace("example.com", "example.org"));
    assert_eq!((fits.open.compatible, fits.divergences.len()), (1_000, 0));
    report.took_ms.max(fits.took_ms)
}

#[test]
fn a_thousand_open_runs_are_judged_and_the_right_line_is_named() {
    judges_a_thousand(&Memory::default());
}

#[test]
#[ignore = "measures: cargo test --release --lib -- --ignored --nocapture a_thousand"]
fn a_thousand_open_runs_are_judged_within_two_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = crate::store::sqlite::Options::default();
    let store = crate::store::sqlite::Sqlite::open(folder.path(), &options).expect("opens");
    let took_ms = judges_a_thousand(&store);
    eprintln!("1,000 open runs of 100 entries: {took_ms} ms");
    assert!(took_ms < 2_000, "{took_ms} ms");
}

#[test]
fn of_finished_runs_it_tells_whose_output_would_change() {
    let store = Memory::default();
    let script = "fn main(input) { step(\"a\", || input.n) * 10 }";
    filled(&store, script, 3);
    let report = tried(&store, &script.replace("10", "11"));
    assert_eq!((report.open.total, report.finished.tried, report.finished.changed), (0, 3, 3));
    assert_eq!((report.changes[0].before.as_str(), report.changes[0].after.as_str()), ("20", "22"));
    let other = tried(&store, &script.replace("\"a\"", "\"b\""));
    assert_eq!((other.finished.diverging, other.is_passed()), (3, true));
    assert_eq!(tried(&store, script).finished.same, 3);
}

#[test]
fn what_is_not_tried_is_said() {
    let store = Memory::default();
    filled(&store, LONG, 3);
    let run = store.runs(&RunFilter { limit: 1, ..RunFilter::default() }).expect("reads").remove(0);
    let bundle = Bundle::of_text("w.rhai", &format!("{LONG}\n")).expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let mut left = 2;
    let report = survey(&store, &bundle, &settings, &Semantics::current(), Scope::default(), &mut |_| {
        left -= 1;
        left > 0
    });
    assert_eq!((report.state, report.open.total, report.open.tried), (State::Superseded, 3, 2));
    assert!(report.lines()[0].contains("1 not tried"), "{:?}", report.lines());
    let broken = tried(&store, "let a = ;");
    assert_eq!((broken.open.unknown, broken.no_verdict[0].count), (3, 3));
    assert!(broken.no_verdict[0].runs.contains(&run.id));
}

/// A workflow of a main file and a module.
fn with_module(main: &str, module: &str) -> Bundle {
    let sources = [("w.rhai", main), ("lib/m.rhai", module)];
    let sources: std::collections::BTreeMap<_, _> =
        sources.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    Bundle::load("w.rhai", &sources, &[]).expect("a bundle")
}

/// Where a run of the first version and the second part: what is recorded, and what is done now, as `file:line:column`.
fn places(before: Bundle, after: &Bundle) -> [String; 2] {
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let store = Arc::new(Memory::default());
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[]);
    bench.engine.handle().deploy(compile(before, &settings).expect("compiles"));
    bench.waits("w");
    let report = survey(&*store, after, &settings, &Semantics::current(), Scope::default(), &mut |_| true);
    let Some(group) = report.divergences.first() else { panic!("{report:?}") };
    [&group.parting.recorded, &group.parting.issued].map(|line| {
        let line = line.as_ref().expect("a line");
        format!("{}:{}:{}", line.file, line.line, line.column)
    })
}

const IMPORTS: &str = "import \"lib/m\" as m;\nlet a = m::work(\"r\");\nwait_for(\"r2\");\na";

#[test]
fn the_file_of_a_module_is_named_where_the_main_file_has_the_name_too() {
    let module = "fn work(x) {\n  let y = x;\n  step(\"r\", || 1)\n}";
    let [recorded, issued] =
        places(with_module(IMPORTS, module), &with_module(IMPORTS, &module.replace("step(\"r\"", "step(\"rr\"")));
    assert_eq!((recorded.as_str(), issued.as_str()), ("lib/m.rhai:3:9", "lib/m.rhai:3:9"));
}

#[test]
fn the_file_of_a_step_with_a_computed_name_is_named() {
    let module = "fn work(x) {\n  step(`it-${x}`, || 1)\n}";
    let [recorded, issued] = places(with_module(IMPORTS, module), &with_module(IMPORTS, &module.replace("it-", "at-")));
    assert_eq!((recorded.as_str(), issued.as_str()), ("lib/m.rhai:2:3", "lib/m.rhai:2:3"));
}

#[test]
fn a_closure_that_a_module_calls_is_in_the_file_in_which_it_stands() {
    let main = "import \"lib/m\" as m;\n\nlet a = m::work(|| step(`a${1}`, || 1));\nwait_for(\"go\");\na";
    let module = "fn work(f) {\n  // more\n  let told = `a1 a2`;\n  f.call()\n}";
    let [recorded, issued] = places(with_module(main, module), &with_module(&main.replace("a${1}", "a${2}"), module));
    assert_eq!((recorded.as_str(), issued.as_str()), ("w.rhai:3:1", "w.rhai:3:1"));
}
