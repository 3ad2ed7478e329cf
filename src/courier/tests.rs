//! The courier with an engine: what is kept is told, whatever ends in between. The channel is a program that writes a file.

#![cfg(unix)]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::*;

use crate::engine::{Engine, NoSettings, Options, Settings, Start, compile};
use crate::script::bundle::Bundle;
use crate::store::memory::Memory;
use crate::time::{Clock, SystemClock, Timestamp};

/// The system's clock, moved.
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

/// Keeps what people are told, and delivers nothing.
struct Dead;

impl Notifier for Dead {
    fn notify(&self, _: Notification) {}

    fn keep(&self) -> Keep {
        Keep::Until
    }
}

const SCRIPTS: [(&str, &str); 4] = [
    ("fails", "workflow(#{ on_failure: \"ops\" }); fn main(n) { throw `no ${n}` }"),
    ("alone", "fn main(n) { throw `no ${n}` }"),
    ("parent", "fn main(n) { attempt(|| workflow::run(\"alone\", n)); notify(\"ops\", \"line one\\nline two\"); n }"),
    ("both", "fn main(n) { notify(\"dead\", \"x\"); notify(\"ops\", `order ${n}`, #{ title: \"Sold\" }); n }"),
];

/// An engine over a store, with its courier unless another notifier is given.
struct Office {
    engine: Option<Engine>,
    telling: Option<Service>,
    store: Arc<Memory>,
    clock: Arc<Moved>,
    file: std::path::PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Office {
    fn open(folder: &Path, store: Arc<Memory>, notifier: Option<&Arc<dyn Notifier>>) -> Self {
        let (courier, clock, file) = (Courier::new(), Arc::new(Moved::default()), folder.join("told"));
        let program = |text: &str| Channel::Program {
            command: ["/bin/sh", "-c", text, "told", &file.display().to_string()].map(str::to_owned).to_vec(),
        };
        let channels =
            [("ops".into(), program("read -r m; printf '%s\\n' \"$m\" >>\"$1\"")), ("dead".into(), program("exit 1"))];
        let outlets = Outlets { channels: channels.into(), default: Some("ops".into()), ..Outlets::default() };
        let options = Options {
            workers: 2,
            clock: Arc::clone(&clock) as _,
            channels: Arc::new(outlets.names()),
            notifier: notifier.cloned().unwrap_or_else(|| Arc::clone(&courier) as _),
            ..Options::new(folder)
        };
        let engine = Engine::start(Arc::clone(&store) as _, options);
        let sender = Sender::new(outlets, Arc::default(), Arc::default(), None, Duration::from_secs(20));
        let telling = notifier.is_none().then(|| courier.start(engine.handle(), sender, REPEAT).expect("starts"));
        for (name, text) in SCRIPTS {
            let settings: Arc<dyn Settings> = Arc::new(NoSettings);
            let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
            engine.handle().deploy(compile(bundle, &settings).expect("compiles"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { engine: Some(engine), telling, store, clock, file, runtime }
    }

    fn run(&self, workflow: &str, n: i64) {
        let handle = self.engine.as_ref().expect("it runs").handle();
        self.runtime.block_on(async {
            let run = handle.start(workflow, Start { input: json!(n), ..Start::default() }).await.expect("starts").run;
            handle.ended(run).await.expect("ends");
        });
    }

    /// Waits until something holds.
    fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        self.runtime.block_on(async {
            for _ in 0..6_000 {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("in a minute nothing came of it; told: {:?}", self.told());
        })
    }

    fn told(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn until_told(&self, count: usize) -> Vec<Value> {
        self.until(|| Some(self.told()).filter(|told| told.len() >= count))
    }

    fn backlog(&self) -> Backlog {
        Backlog::read(&*self.store).expect("a read")
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(telling) = self.telling.take() {
            telling.stop(Duration::ZERO);
        }
        drop(self.engine.take());
    }
}

#[test]
fn what_a_dead_process_kept_is_told_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let dead = Office::open(folder.path(), Arc::default(), Some(&(Arc::new(Dead) as Arc<dyn Notifier>)));
    dead.run("fails", 7);
    assert_eq!((dead.backlog().waiting, dead.told().len()), (1, 0));
    let next = Office::open(folder.path(), Arc::new(dead.store.crash()), None);
    let told = next.until_told(1).remove(0);
    assert_eq!((&told["title"], &told["about"]), (&json!("`fails` failed: no 7"), &json!("failed")));
    let lines = told["text"].as_str().expect("a text");
    assert!(lines.contains("at fails.rhai:1") && lines.contains("panta why"), "{lines}");
    assert!(told["url"].as_str().expect("an address").contains("/runs/"), "{told}");
    next.until(|| (next.backlog().waiting == 0).then_some(()));
}

#[test]
fn a_hundred_failures_make_two_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let office = Office::open(folder.path(), Arc::default(), None);
    (0..100).for_each(|n| office.run("fails", n));
    office.until_told(1);
    office.until(|| (office.backlog().waiting == 0).then_some(()));
    office.clock.0.fetch_add(15 * 60_000, Ordering::Relaxed);
    // It looks at the clock when something comes.
    office.run("both", 1);
    let told = office.until_told(3);
    let about: Vec<_> = told.iter().filter(|told| told["workflow"] == "fails").map(|told| &told["count"]).collect();
    assert_eq!((about, told.len()), (vec![&json!(1), &json!(99)], 3));
}

#[test]
fn a_failure_that_nobody_handles_goes_to_the_default_channel_and_one_of_a_child_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let office = Office::open(folder.path(), Arc::default(), None);
    office.run("parent", 1);
    assert_eq!(office.until_told(1)[0]["title"], "line one");
    office.run("alone", 2);
    let told = office.until_told(2);
    assert_eq!((&told[1]["title"], told.len()), (&json!("`alone` failed: no 2"), 2));
}

#[test]
fn a_dead_channel_holds_up_no_other_and_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let office = Office::open(folder.path(), Arc::default(), None);
    (0..3).for_each(|n| office.run("both", n));
    let told = office.until_told(3);
    let shown = |told: &Value| (told["title"].clone(), told["text"].clone(), told["about"].clone());
    assert_eq!(shown(&told[2]), (json!("Sold"), json!("order 2"), json!("message")));
    office.until(|| (office.backlog().waiting == 1).then_some(()));
}
