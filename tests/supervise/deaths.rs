//! The engine dies.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use panta::time::elapsed;
use serde_json::json;

use super::{Place, ask, persist, run, start, until};
use crate::support::server::Server;

const BUSY: &str = r#"
fn main() {
    let n = step("count", || 1);
    for i in 0..20 { sleep("10ms"); n += step("more", || 1); }
    n
}
"#;

/// Numbers from the environment, for a larger test by hand.
fn given(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn requests_stream_on_while_the_engine_is_killed_again_and_again() {
    let place = Place::new(&[("w", BUSY)]);
    let daemon = place.start();
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let runs = std::thread::scope(|scope| {
        let streams: Vec<_> = (0..3)
            .map(|stream| {
                let (address, done, count) = (daemon.address(), &done, &count);
                scope.spawn(move || {
                    let next = |n| {
                        let run = start(address, "w", &format!("{stream}-{n}"));
                        count.fetch_add(1, Ordering::Relaxed);
                        run
                    };
                    (0..1_000_000).take_while(|_| !done.load(Ordering::Relaxed)).map(next).collect::<Vec<_>>()
                })
            })
            .collect();
        for _ in 0..10 {
            // After a few more acknowledgements, so that each engine had something to do.
            let until = count.load(Ordering::Relaxed) + 15;
            while count.load(Ordering::Relaxed) < until {
                std::thread::yield_now();
            }
            daemon.signal_engine("KILL");
        }
        done.store(true, Ordering::Relaxed);
        streams.into_iter().flat_map(|stream| stream.join().expect("nobody was refused")).collect::<Vec<_>>()
    });
    assert!(runs.len() >= 150);
    for id in &runs {
        let ended = until(daemon.address(), id, "completed");
        assert_eq!((&ended["output"], &ended["charged"]), (&json!(21), &json!(0)), "{ended}");
    }
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn an_engine_that_was_killed_is_back_in_a_moment() {
    let place = Place::new(&[("w", "1")]);
    let daemon = place.start();
    let health = || persist(|| ask(daemon.address(), "GET", "/healthz", "", "")).0;
    assert_eq!(health(), 200);
    let back = |_| {
        let dead = daemon.signal_engine("KILL").expect("it was there");
        let killed = elapsed();
        assert_eq!(health(), 200);
        let took = elapsed().saturating_sub(killed);
        assert_ne!(daemon.engine(), dead);
        took
    };
    // The best of several: what it takes where nothing else keeps the machine busy.
    let best = (0..7).map(back).min().expect("several");
    assert!(best < Duration::from_secs(1), "{best:?}");
}

#[test]
fn a_poison_run_is_quarantined_and_the_others_end() {
    // Nothing that a script says kills by itself any more: so this one may have more memory than the process.
    let poison = "step(\"before\", || 1);\nlet all = [];\nloop { all.push(blob(15000000, 1)); }";
    let place = Place::new(&[("poison", poison), ("w", BUSY)]);
    let daemon = place.start_with_little_memory(1_200_000_000);
    let bad = start(daemon.address(), "poison", "bad");
    let good: Vec<_> = (0..10).map(|n| start(daemon.address(), "w", &n.to_string())).collect();
    let held = until(daemon.address(), &bad, "quarantined");
    assert_eq!(held["charged"], json!(3));
    let message = held["error"]["message"].as_str().expect("a reason");
    assert!(message.contains("the process died 3 times") && message.contains("SIGABRT"), "{message}");
    for id in &good {
        assert_eq!(until(daemon.address(), id, "completed")["output"], json!(21));
    }
    // Nobody takes it up again.
    let engine = daemon.signal_engine("KILL");
    start(daemon.address(), "w", "after");
    assert_eq!(run(daemon.address(), &bad)["status"], json!("quarantined"));
    assert_ne!(Some(daemon.engine()), engine);
}

#[test]
fn innocent_runs_survive_kills_from_outside_uncharged() {
    let (runs, kills) = (given("PANTA_INNOCENT_RUNS", 1_000), given("PANTA_INNOCENT_KILLS", 5));
    let many = r#"
        fn main(input) {
            for i in 0..input.runs { workflow::start("each", ()); }
        }"#;
    let each = r#"step("a", || 1); for i in 0..20 { sleep("500ms"); step("b", || i); } 2"#;
    let place = Place::new(&[("many", many), ("each", each)]);
    let daemon = place.start();
    let body = json!({ "input": { "runs": runs } }).to_string();
    let headers = "Idempotency-Key: x\r\nContent-Type: application/json\r\n";
    persist(|| ask(daemon.address(), "POST", "/api/v1/workflows/many/runs?wait=60s", headers, &body));
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        daemon.signal_engine("KILL");
        let killed = elapsed();
        persist(|| ask(daemon.address(), "GET", "/healthz", "", ""));
        slowest = slowest.max(elapsed().saturating_sub(killed));
        // In motion again, each of them is evaluated from its first line.
        let moved = || ask(daemon.address(), "GET", "/api/v1/runs?workflow=each&status=running&limit=1", "", "");
        persist(|| moved().filter(|(status, _)| *status == 200));
    }
    println!("{runs} runs, {kills} kills: back after {slowest:?} at most");
    let listed = |status: &str| {
        let path = format!("/api/v1/runs?workflow=each&status={status}&limit=1");
        persist(|| ask(daemon.address(), "GET", &path, "", "")).1["runs"].as_array().expect("runs").len()
    };
    while ["queued", "running", "waiting"].into_iter().any(|status| listed(status) > 0) {
        std::thread::yield_now();
    }
    assert_eq!(daemon.terminate(), Some(0));
    check(&place.data(), runs);
}

/// All have completed, and none was charged.
fn check(data: &Path, runs: usize) {
    use panta::store::{RunFilter, Status, Store, sqlite};
    let store = sqlite::Sqlite::open(data, &sqlite::Options::default()).expect("the store");
    let filter = RunFilter { workflow: Some("each".to_owned()), limit: usize::MAX, ..RunFilter::default() };
    let rows = store.runs(&filter).expect("runs");
    assert_eq!(rows.len(), runs);
    for row in rows {
        assert_eq!((row.status, row.charged), (Status::Completed, 0), "{}", row.id);
    }
}

#[test]
fn the_engine_dies_with_its_parent() {
    let place = Place::new(&[("w", "1")]);
    let daemon = place.start();
    let engine = daemon.engine();
    daemon.kill();
    // The next one gets the data folder, which the kernel frees when the engine is gone.
    let next = place.start();
    assert!(!Path::new(&format!("/proc/{engine}/exe")).exists());
    assert_eq!(next.terminate(), Some(0));
}

#[test]
fn it_drains_when_it_is_told_to_end() {
    let (release, released) = channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Server::new(move |_| {
        let _ = released.lock().expect("not poisoned").recv();
        (200, json!(1))
    });
    let script = format!(
        "workflow(#{{ allow: #{{ http: [\"127.0.0.1\"] }} }});\nfn main() {{ http::post(\"{}\", 1).status }}",
        server.url("/slow")
    );
    let place = Place::new(&[("w", &script)]);
    let daemon = place.start();
    let id = start(daemon.address(), "w", "1");
    server.wait_for("POST /slow", 1);
    daemon.signal("TERM");
    // What comes now is too late; what is under way is not.
    release.send(()).expect("the server waits");
    assert_eq!(daemon.ended(), Some(0));
    let next = place.start();
    let ended = run(next.address(), &id);
    assert_eq!((&ended["status"], &ended["output"], &ended["attempts"]), (&json!("completed"), &json!(200), &json!(1)));
    assert_eq!(server.lines().len(), 1);
}

#[test]
fn what_is_wrong_at_the_start_ends_both() {
    let place = Place::new(&[("w", "1")]);
    std::fs::write(place.data(), "no folder").expect("a file");
    let run = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_panta"))
            .args(["daemon", "--listen", "127.0.0.1:0", "--data"])
            .args([place.data(), place.scripts()])
            .output()
            .expect("it runs")
    };
    let wrong = run();
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!((wrong.status.code(), text.matches("error: ").count()), (Some(5), 1), "{text}");
    std::fs::write(place.scripts().join("../panta.toml"), "[oops]\n").expect("a file");
    let wrong = run();
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!((wrong.status.code(), text.contains("unknown key `oops`")), (Some(2), true), "{text}");
}

#[test]
fn a_second_daemon_on_the_folder_is_refused_and_names_the_first() {
    let place = Place::new(&[("w", "1")]);
    let daemon = place.start();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_panta"))
        .args(["daemon", "--listen", "127.0.0.1:0", "--data"])
        .args([place.data(), place.scripts()])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(5), "{text}");
    assert!(text.contains(&format!("process {} ", daemon.pid())) && text.contains(daemon.address()), "{text}");
    assert!(!text.contains("--engine"), "{text}");
}
