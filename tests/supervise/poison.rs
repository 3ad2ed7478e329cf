//! What kills the engine is no run's turn: a trial at the start, a closure.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use panta::payload::Payload;
use panta::store::{Change, Store, sqlite};
use serde_json::json;

use super::{Place, ask, persist, run, start, until};

/// What the next engine finds is of another release.
fn come_from_another_release(data: &Path) {
    let store = sqlite::Sqlite::open(data, &sqlite::Options::default()).expect("the store");
    let value = Some(Payload::from_json(&json!("another")));
    let change = Change::SetState { scope: "$semantics".into(), key: "version".into(), value };
    store.commit(&[change]).expect("is written");
}

#[test]
fn a_run_that_kills_when_it_is_tried_is_quarantined_and_the_others_go_on() {
    // It passes where there is memory enough, and must not where the next engine has little.
    let poison = r#"
        fn large() { let all = []; for i in 0..110 { all.push(blob(15000000, 1)); } all.len() }
        large(); wait_for("go")"#;
    let place = Place::new(&[("poison", poison), ("w", "wait_for(\"go\"); 21")]);
    std::fs::write(
        place.folder.path().join("panta.toml"),
        "[limits]\nscript_memory = \"900 GB\"\nscript_cpu = \"10m\"\n",
    )
    .expect("a file");
    let daemon = place.start();
    let limit = daemon.engine_size() + 1_200_000_000;
    let bad = start(daemon.address(), "poison", "bad");
    let good: Vec<_> = (0..10).map(|n| start(daemon.address(), "w", &n.to_string())).collect();
    [&bad].into_iter().chain(&good).for_each(|id| drop(until(daemon.address(), id, "waiting")));
    daemon.kill();
    come_from_another_release(&place.data());
    let daemon = place.start_within(limit);
    let held = until(daemon.address(), &bad, "quarantined");
    assert_eq!(held["charged"], json!(3));
    let headers = "Content-Type: application/json\r\n";
    persist(|| ask(daemon.address(), "POST", "/api/v1/events", headers, "{\"name\":\"go\",\"id\":\"1\"}"));
    for id in &good {
        assert_eq!(until(daemon.address(), id, "completed")["output"], json!(21));
    }
    assert_eq!(run(daemon.address(), &bad)["status"], json!("quarantined"));
    assert_eq!(persist(|| ask(daemon.address(), "GET", "/readyz", "", "")).0, 200);
}

#[test]
fn a_trigger_whose_closure_kills_is_paused_and_the_others_start_runs() {
    // A signal from outside that counts as the engine's own stands for what kills it.
    let slow = "trigger::webhook(\"slow\", #{ when: |r| { let n = 0; while n < 300000 { n += 1; } true } });\nfn main(i) { 1 }";
    let quick = "trigger::webhook(\"quick\", #{ when: |r| true });\nfn main(i) { 1 }";
    let place = Place::new(&[("slow", slow), ("quick", quick)]);
    let daemon = place.start();
    let post = |path: &str| ask(daemon.address(), "POST", path, "Content-Type: application/json\r\n", "{}");
    let stopped = || persist(|| ask(daemon.address(), "GET", "/api/v1/workflows/slow", "", "")).1["stopped"].clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                post("/hooks/slow");
            }
        });
        while stopped().as_array().is_none_or(Vec::is_empty) {
            daemon.signal_engine("SEGV");
        }
        done.store(true, Ordering::Relaxed);
    });
    let stopped = stopped()[0].clone();
    assert_eq!((&stopped["trigger"], &stopped["option"]), (&json!("webhook:slow"), &json!("when")));
    assert!(stopped["reason"].as_str().expect("why").contains("SIGSEGV"), "{stopped}");
    let (status, body) = persist(|| post("/hooks/slow"));
    assert!(status >= 400 && body.to_string().contains("the process died"), "{status} {body}");
    assert_eq!(persist(|| post("/hooks/quick")).0, 202);
    // Another text is another closure.
    place.write("slow", &slow.replace("300000", "3"));
    while !super::persist(|| ask(daemon.address(), "GET", "/api/v1/workflows/slow", "", "")).1["stopped"]
        .as_array()
        .is_some_and(Vec::is_empty)
    {
        std::thread::yield_now();
    }
    assert_eq!(persist(|| post("/hooks/slow")).0, 202);
}
