//! Deaths of the process that ran an engine: whom they are charged to, and what follows.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::id::RunId;
use crate::store::{CHARGED, Change};
use crate::time::SystemClock;

/// A witness that has charges, and sees whether anything is evaluated beside a suspect.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) charges: Mutex<Vec<Charge>>,
    pub(super) suspect: Mutex<Option<Evaluated>>,
    pub(super) notes: Mutex<BTreeMap<usize, Evaluated>>,
    pub(super) alone: Mutex<Vec<bool>>,
    /// All that was ever noted, in order.
    pub(super) all: Mutex<Vec<Evaluated>>,
}

impl Witness for Seen {
    fn evaluates(&self, thread: usize, what: Evaluated) {
        let mut notes = self.notes.lock().unwrap();
        let suspect = *self.suspect.lock().unwrap();
        if Some(what) == suspect || notes.values().any(|other| Some(*other) == suspect) {
            self.alone.lock().unwrap().push(notes.is_empty());
        }
        notes.insert(thread, what);
        drop(notes);
        self.all.lock().unwrap().push(what);
    }

    fn rests(&self, thread: usize) {
        self.notes.lock().unwrap().remove(&thread);
    }

    fn charges(&self) -> Vec<Charge> {
        self.charges.lock().unwrap().clone()
    }

    fn settled(&self) {
        self.charges.lock().unwrap().clear();
    }
}

/// A run that waits, in a store whose engine is gone.
fn left(store: &Arc<Memory>, script: &str) -> RunId {
    let bench = Bench::new(Arc::clone(store) as Arc<dyn Store>, &[("w", script)]);
    let handle = bench.engine.handle();
    let run = bench.block(async { handle.start("w", Start::default()).await.expect("starts").run });
    bench.block(async {
        while store.run(run).unwrap().unwrap().status != Status::Waiting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    run
}

/// The process dies so often while it evaluates the run; whether that is quarantined by the last death.
pub(super) fn die(store: &Memory, what: impl Into<Evaluated>, times: usize) -> bool {
    let what = what.into();
    let die = |_| {
        let witness = Seen::default();
        witness.charges.lock().unwrap().push(Charge { what, cause: "SIGSEGV".to_owned() });
        let quarantined = charge(store, &witness, &SystemClock).expect("it is charged");
        assert_eq!(witness.charges(), [], "charges are settled");
        !quarantined.is_empty()
    };
    (0..times).map(die).last().expect("a death")
}

const WAITS: &str =
    r#"workflow(#{ on_failure: "ops" }); step("a", || 1); wait_for("go"); step("b", || 2); wait_for("on"); 3"#;

#[test]
fn the_third_death_without_progress_quarantines() {
    let store = Arc::new(Memory::default());
    let run = left(&store, WAITS);
    assert!(!die(&store, run, 2));
    assert_eq!(
        (store.run(run).unwrap().unwrap().charged, store.run(run).unwrap().unwrap().status),
        (2, Status::Waiting)
    );
    assert!(die(&store, run, 1));
    let row = store.run(run).unwrap().unwrap();
    assert_eq!((row.charged, row.status, row.ended_at), (3, Status::Quarantined, None));
    let message = row.error.unwrap().to_json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("died 3 times") && message.contains("SIGSEGV") && message.contains("hint: "), "{message}");
}

#[test]
fn progress_in_between_begins_the_count_anew() {
    let store = Arc::new(Memory::default());
    let run = left(&store, WAITS);
    assert!(!die(&store, run, 2));
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", WAITS)]);
    let handle = bench.engine.handle();
    let before = store.journal(run).unwrap().len();
    bench.block(async {
        handle.recover().expect("it recovers");
        let event = crate::store::Event {
            seq: 0,
            id: "1".into(),
            name: "go".into(),
            key: None,
            payload: crate::payload::Payload::default(),
            run: None,
            at: crate::time::Clock::now(&SystemClock),
        };
        handle.emit(event).await.expect("it is emitted");
        while store.journal(run).unwrap().len() == before || store.run(run).unwrap().unwrap().status != Status::Waiting
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    drop(bench);
    assert!(!die(&store, run, 2), "of three deaths one was before the progress");
    assert_eq!(store.run(run).unwrap().unwrap().charged, 2);
    assert!(die(&store, run, 1));
}

#[test]
fn a_run_that_has_ended_and_one_that_was_never_kept_are_not_charged() {
    let store = Arc::new(Memory::default());
    let run = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", "1")]).run("w", json!(null));
    assert!(!die(&store, run.id, 5));
    assert!(!die(&store, RunId::new(), 5));
    assert_eq!((store.run(run.id).unwrap().unwrap().charged, store.states(CHARGED, "").unwrap()), (0, vec![]));
}

#[test]
fn a_quarantine_is_told_once_as_any_failure_is() {
    let store = Arc::new(Memory::default());
    let run = left(&store, WAITS);
    assert!(die(&store, run, 3));
    for told in [1, 0] {
        let notifier = Arc::new(super::options::Told::default());
        let options = Arc::clone(&notifier) as Arc<dyn Notifier>;
        let change = |given| Options { notifier: options, ..given };
        let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[("w", WAITS)], change);
        assert_eq!(bench.engine.handle().recover().expect("it recovers"), 0, "nobody takes it up by itself");
        bench.engine.stop();
        let all = notifier.all();
        assert_eq!(all.len(), told, "{all:?}");
        assert!(all.iter().all(|(about, channel, title)| *about == About::Failed
            && channel == "ops"
            && title.starts_with("`w` is quarantined: the process died 3 times")));
    }
}

#[test]
fn a_suspect_is_evaluated_while_all_others_rest() {
    let store = Arc::new(Memory::default());
    let busy = r#"for i in 0..30 { sleep("1ms"); let n = 0; for j in 0..2000 { n += j; } } 1"#;
    let scripts = [("w", busy), ("first", r#"sleep("1h")"#)];
    let suspect = left(&store, &format!("wait_for(\"go\", #{{ timeout: \"2s\" }}); {busy}"));
    die(&store, suspect, 1);
    let witness = Arc::new(Seen { suspect: Mutex::new(Some(suspect.into())), ..Seen::default() });
    let watching = Arc::clone(&witness) as Arc<dyn Witness>;
    let change = |given| Options { witness: Some(watching), workers: 4, ..given };
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &scripts, change);
    let handle = bench.engine.handle();
    bench.block(async {
        for _ in 0..20 {
            handle.start("w", Start::default()).await.expect("starts");
        }
        handle.recover().expect("it recovers");
        assert_eq!(handle.ended(suspect).await.expect("ends").status, Status::Completed);
    });
    let alone = witness.alone.lock().unwrap();
    assert!(alone.len() >= 30 && alone.iter().all(|alone| *alone), "{} turns", alone.len());
}

#[test]
fn who_evaluates_nothing_has_no_note() {
    let store = Arc::new(Memory::default());
    let witness = Arc::new(Seen::default());
    let watching = Arc::clone(&witness) as Arc<dyn Witness>;
    let change = |given| Options { witness: Some(watching), ..given };
    let bench = Bench::with(Arc::clone(&store) as Arc<dyn Store>, &[("w", "sleep(\"5ms\"); 1")], change);
    bench.run("w", json!(null));
    bench.engine.stop();
    assert!(witness.notes.lock().unwrap().is_empty());
}

#[test]
fn a_charge_under_a_lost_claim_is_refused() {
    let store = Arc::new(Memory::default());
    let run = left(&store, WAITS);
    let epoch = store.run(run).unwrap().unwrap().epoch;
    let applied = store.commit(&[Change::Charge { run, epoch: epoch + 1, charged: 1 }]).unwrap();
    assert_eq!(applied, [crate::store::Applied::Refused]);
}
