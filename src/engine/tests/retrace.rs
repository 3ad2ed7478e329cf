//! What a run's variables held, from its journal.

use super::*;
use crate::engine::retrace::{Error, retrace};
use crate::journal::Entry;

/// A run and its journal, where it rests.
fn rested(script: &str) -> (Run, Vec<Entry>, Bundle) {
    let (run, journal) = gate::recorded(script);
    (run, journal, Bundle::of_text("w.rhai", script).expect("a bundle"))
}

fn shown(script: &str, until: Option<&str>) -> Value {
    let (run, journal, bundle) = rested(script);
    retrace(&run, journal, &bundle, until).unwrap_or_else(|error| panic!("{error}"))
}

/// `function:line name=value …` of each frame of a strand.
fn frames(shown: &Value, strand: usize) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let frame = |frame: &Value| {
        let variables = frame["variables"].as_array().expect("a list").iter();
        let variables = variables.map(|v| format!(" {}={}", text(&v["name"]), text(&v["value"])));
        format!("{}:{}{}", text(&frame["function"]), frame["line"], variables.collect::<String>())
    };
    shown["strands"][strand]["frames"].as_array().map(|all| all.iter().map(frame).collect()).unwrap_or_default()
}

const NESTED: &str = r#"fn main(input) {
    let total = 1;
    for n in [2, 3] {
        let got = load(n, |x| x);
        total += got;
    }
    let seen = "all";
    wait_for("go");
    total
}
fn load(n, f) {
    let twice = n * 2;
    step("load", || {
        let again = twice + 1;
        state::set("k", again);
        again
    })
}"#;

#[test]
fn a_run_that_waits_is_shown_where_it_waits() {
    let shown = shown(NESTED, None);
    assert_eq!(frames(&shown, 0), ["main:8 input=#{ n: 2 } total=13 seen=\"all\""]);
    assert_eq!(
        (&shown["stands"], &shown["strands"][0]["frames"][0]["source"]),
        (&json!("waiting"), &json!("    wait_for(\"go\");"))
    );
    assert!(shown["strands"][0]["waits_for"].as_str().expect("words").starts_with("the event `go`"), "{shown}");
}

#[test]
fn an_entry_is_shown_where_it_is_about_to_return() {
    let inner = ["closure:15 twice=6 again=7", "load:13 n=3 f=closure twice=6", "main:4 input=#{ n: 2 } total=6 n=3"];
    assert_eq!(frames(&shown(NESTED, Some("state::set#2")), 0), inner);
    // The body of the step is over.
    assert_eq!(frames(&shown(NESTED, Some("load#2")), 0), inner[1..]);
    assert_eq!(frames(&shown(NESTED, Some("load")), 0)[1], "main:4 input=#{ n: 2 } total=1 n=2");
    let (_, journal, _) = rested(NESTED);
    let n = journal.iter().position(|entry| *entry.name == *"state::set").expect("is there");
    assert_eq!(frames(&shown(NESTED, Some(&n.to_string())), 0)[0], "closure:15 twice=4 again=5");
}

#[test]
fn a_failed_run_is_shown_at_its_error() {
    let script = "fn main(input) {\n  let a = attempt(|| throw 1);\n  check(input.n)\n}\nfn check(n) {\n  let list = [n];\n  list.push(2);\n  n / 0\n}";
    let shown = shown(script, None);
    let main = frames(&shown, 0);
    assert_eq!(main[0], "check:8 n=2 list=[2, 2]");
    assert!(main[1].starts_with("main:3 input=#{ n: 2 } a=#{ error: "), "{main:?}");
    assert_eq!(shown["stands"], "ended");
}

#[test]
fn a_branch_that_fails_is_shown_beside_the_run() {
    let script =
        "let x = 1;\nparallel([\n  || wait_for(\"never\"),\n  || { let y = x + 1;\n    now();\n    throw y\n  },\n])";
    let shown = shown(script, None);
    assert_eq!(frames(&shown, 0), ["script:2 input=#{ n: 2 } x=1"]);
    assert_eq!(frames(&shown, 1), ["closure:6 x=1 y=2"]);
}

#[test]
fn each_branch_that_waits_is_shown() {
    let script = "let base = 10;\nparallel([\n  || { let a = base; wait_for(\"a\") },\n  || { let b = 2;\n    wait_for(\"b\") },\n])";
    let shown = shown(script, None);
    assert_eq!(frames(&shown, 0), ["script:2 input=#{ n: 2 } base=10"]);
    assert_eq!(shown["strands"][0]["waits_for"], "its branches");
    assert_eq!(frames(&shown, 1), ["closure:3 base=10 a=10"]);
    assert_eq!(frames(&shown, 2), ["closure:5 b=2"]);
}

#[test]
fn a_finished_run_is_shown_at_its_last_line_and_a_shared_variable_as_it_is_then() {
    let script = "fn main() {\n  let n = 0;\n  [1, 2].for_each(|x| n += 1);\n  let last = n;\n  last * 2\n}";
    assert_eq!(frames(&shown(script, None), 0), ["main:5 n=2 last=2"]);
}

#[test]
fn long_values_are_folded_and_secrets_masked() {
    let script = "workflow(#{ allow: #{ secrets: [\"s\"] } });\nfn main() {\n  let s = secret(\"s\");\n  let text = `x ${s}`;\n  let long = \"\";\n  long.pad(9000, \"y\");\n  wait_for(\"go\")\n}";
    let shown = shown(script, None);
    let variables = &shown["strands"][0]["frames"][0]["variables"];
    assert_eq!(variables[0], json!({ "name": "s", "type": "secret", "value": "\"***\"" }));
    assert_eq!(variables[1]["value"], "\"x ***\"");
    let long = variables[2]["value"].as_str().expect("text");
    assert!(long.ends_with('…') && long.len() < 4_100, "{}", long.len());
}

#[test]
fn an_unknown_step_names_those_there_are() {
    let (run, journal, bundle) = rested(NESTED);
    let error = |until: &str| match retrace(&run, journal.clone(), &bundle, Some(until)) {
        Err(Error::UnknownStep(text)) => text,
        other => panic!("{other:?}"),
    };
    let text = error("lod");
    assert!(text.contains("no step `lod`; hint: did you mean `load`?") && text.contains("`state::set`"), "{text}");
    assert!(error("load#3").contains("occurs 2 times"), "{}", error("load#3"));
    assert!(error("99").contains("has no entry 99"), "{}", error("99"));
}

/// Scripts that use what a replay could be sensitive to.
const KINDS: &[&str] = &[
    NESTED,
    "let a = step(\"a\", #{ retry: #{ attempts: 2, delay: \"1ms\" } }, || { if attempt_number() < 2 { throw 1 } now() }); a",
    "let n = 0; parallel([|| { n += 1; sleep(\"5ms\"); n += random_int(1, 9); }, || { n += 2; sleep(\"1ms\"); n }]); n",
    "race(#{ a: || { sleep(\"1h\") }, b: || { let x = [3, 1, 2]; x.sort(); state::set(\"x\", x); 1 } })",
    "on_exit(\"out\", || log::info(\"out\")); let m = #{ a: [1, 2] }; m.a[0] += 5; switch m.a[0] { 6 => throw `no ${m.a.len()}`, _ => 1 }",
    "let f = |x| if x > 2 { return x; } else { x * 2 }; let out = []; for i in 0..4 { if i == 1 { continue; } out.push(f.call(i)); } out",
    "step(\"a\", #{ undo: |v| state::set(\"undone\", v) }, || 5); do { let x = 1; } while false; rollback(\"enough\"); try { throw 5 } catch (e) { e }",
];

#[test]
fn looking_changes_nothing_of_what_is_evaluated() {
    for script in KINDS {
        let (run, journal, bundle) = rested(script);
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let seen = crate::engine::gate::try_rewritten(&run, journal.clone(), &bundle, &settings);
        assert!(matches!(seen, crate::engine::gate::Verdict::Compatible { otherwise: None }), "{script}: {seen:?}");
        let status = run.status;
        let shown = retrace(&run, journal.clone(), &bundle, None).expect("is evaluated");
        assert_eq!(shown["stands"], if status.is_final() { "ended" } else { "waiting" }, "{script}");
        assert!(!frames(&shown, 0).is_empty(), "{script}");
        for n in 0..journal.len() {
            let shown = retrace(&run, journal.clone(), &bundle, Some(&n.to_string())).expect("is evaluated");
            assert_ne!(shown["stands"], "diverged", "{script} until {n}: {shown}");
        }
    }
}

#[test]
fn a_strand_that_was_interrupted_is_interrupted_at_the_same_operation() {
    let script = "let n = 0;\nlet r = attempt(|| timeout(\"30ms\", || { loop { n += 1; if n % 7 == 0 { n += 2; } } }));\nlet m = n;\nwait_for(\"go\");\nm";
    let (run, journal, bundle) = rested(script);
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let plain = crate::engine::gate::try_on(&run, journal.clone(), &bundle, &settings);
    assert!(plain.is_compatible(), "{plain:?}");
    let shown = retrace(&run, journal, &bundle, None).expect("is evaluated");
    assert_eq!(shown["stands"], "waiting");
    let frame = frames(&shown, 0)[0].clone();
    assert!(frame.starts_with("script:4 "), "{frame}");
}
