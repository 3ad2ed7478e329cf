//! Scripts that try to take the process: each fails its own run with a clear error, and another run is on time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use panta::engine::{NoSettings, Settings, examine};
use panta::script::bundle::Bundle;
use serde_json::{Value, json};

use crate::support::bench::Bench;

/// Runs a script beside one that sleeps for a second; the script's error, and how late the sleeper was.
fn hostile(script: &str) -> (Value, Duration) {
    let bench = Bench::new(&[]);
    bench.deploy("hostile", script);
    bench.deploy("sleeper", "sleep(\"1s\"); 1");
    let sleeper = bench.start("sleeper", json!(null));
    let run = bench.start("hostile", json!(null));
    let slept = bench.ended(sleeper);
    assert_eq!(slept.output.map(|o| o.to_json()), Some(json!(1)));
    let took = slept.ended_at.expect("it ended").since(slept.created_at);
    let failed = bench.ended(run);
    assert_eq!(failed.status, panta::store::Status::Failed, "{:?}", failed.output);
    (failed.error.expect("an error").to_json(), took.saturating_sub(Duration::from_secs(1)))
}

fn fails_with(script: &str, kind: &str, words: &str) {
    let (error, late) = hostile(script);
    let message = error["message"].as_str().unwrap_or_default().to_lowercase();
    assert_eq!(error["kind"], json!(kind), "{error}");
    assert!(message.contains(words), "`{words}` in: {message}");
    assert!(late < Duration::from_secs(2), "the other run was {late:?} late");
}

#[test]
fn data_nested_three_thousand_deep_is_compared() {
    fails_with("let a = 1; for i in 0..3000 { a = [a]; } let b = a; a == b", "limit", "nested");
}

#[test]
fn data_nested_three_thousand_deep_is_printed() {
    fails_with("let a = 1; for i in 0..3000 { a = #{ a: a }; } print(a);", "limit", "nested");
}

#[test]
fn data_nested_three_thousand_deep_is_returned() {
    let (error, _) = hostile("let a = 1; for i in 0..3000 { a = [a]; } a");
    assert!(["limit", "invalid"].contains(&error["kind"].as_str().unwrap_or_default()), "{error}");
}

#[test]
fn endless_loops_end() {
    fails_with("loop {}", "limit", "cpu");
}

#[test]
fn endless_loops_in_callbacks_end_although_they_catch_everything() {
    fails_with("[1].map(|x| { loop { try { loop {} } catch { } } })", "limit", "cpu");
    fails_with("[3, 1, 2].sort(|a, b| { loop {} })", "limit", "cpu");
}

#[test]
fn deep_recursion_ends() {
    let (error, _) = hostile("fn f(n) { f(n + 1) } f(0)");
    assert!(["limit", "script"].contains(&error["kind"].as_str().unwrap_or_default()), "{error}");
    assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()));
}

#[test]
fn a_replace_bomb_ends() {
    fails_with("let s = \"a\"; for i in 0..19 { s += s; } let r = s; s.replace(\"a\", r); s.len()", "limit", "");
}

#[test]
fn a_text_of_a_hundred_megabytes_ends() {
    fails_with("let s = \"0123456789\"; loop { s += s; }", "limit", "");
}

#[test]
fn memory_that_grows_ends() {
    fails_with("let all = []; loop { all.push([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]); }", "limit", "");
}

#[test]
fn chained_captures_end() {
    fails_with("let a = 1; for i in 0..300000 { let b = a; let f = || b; a = f; } a", "limit", "nested");
}

/// What is said of a file whose declaration does this; it is looked at for a second or two, and not evaluated again.
fn declares(files: &[(&str, &str)]) -> Vec<String> {
    let sources: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let bundle = Bundle::load("w.rhai", &sources, &[]).expect("a bundle");
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let began = panta::time::elapsed();
    let (deployed, found) = examine(bundle, &settings);
    let took = panta::time::elapsed().saturating_sub(began);
    assert!(took < Duration::from_secs(20), "it was evaluated for {took:?}");
    assert!(deployed.is_none(), "it is not live");
    found.iter().map(|fault| format!("{} {}:{}", fault.title, fault.place.file, fault.place.line)).collect()
}

#[test]
fn a_declaration_that_does_not_end_is_given_up() {
    for (files, place) in [
        (vec![("w.rhai", "let x = 0;\nwhile true { x += 1; }\nfn main() {}")], "w.rhai"),
        (vec![("w.rhai", "const A = f();\nfn f() { loop {} }\nfn main() {}")], "w.rhai"),
        (vec![("w.rhai", "try { loop {} } catch { }\ntry { loop {} } catch { }\nfn main() {}")], "w.rhai"),
        (vec![("w.rhai", "import \"lib/m\" as m;\nfn main() {}"), ("lib/m.rhai", "while true { }")], "lib/m.rhai"),
    ] {
        let found = declares(&files).join("; ");
        assert!(found.contains("computed for more than 1 s") && found.contains(place), "{files:?}: {found}");
    }
}
