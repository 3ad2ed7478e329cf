//! Runs that a person moves to the live version.

use super::*;
use crate::engine::{Mode, Upgraded};

const BEFORE: &str = "let a = step(\"a\", || 1);\nlet got = wait_for(\"go\");\na";

/// A bench with a run of [`BEFORE`] that waits, and this text live.
fn waiting(after: &str) -> (Bench, crate::id::RunId) {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", BEFORE)]);
    let run = bench.waits("w");
    bench.deploy("w", after);
    (bench, run)
}

impl Bench {
    /// Starts a run and lets it come to its wait.
    pub(super) fn waits(&self, workflow: &str) -> crate::id::RunId {
        let handle = self.engine.handle();
        self.block(async {
            let run = handle.start(workflow, Start::default()).await.expect("starts").run;
            self.comes_to(run, Status::Waiting).await;
            run
        })
    }

    pub(super) async fn comes_to(&self, run: crate::id::RunId, status: Status) {
        while self.engine.handle().run(run).expect("is there").status != status {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn upgrade(&self, run: crate::id::RunId, mode: Mode) -> Result<Upgraded, Error> {
        self.block(self.engine.handle().upgrade(run, mode, &Actor::LOCAL))
    }

    /// Emits `go`; how the run ends.
    pub(super) fn goes_on(&self, run: crate::id::RunId) -> Run {
        let handle = self.engine.handle();
        let event = crate::store::Event {
            seq: 0,
            id: "go".into(),
            name: "go".into(),
            key: None,
            payload: crate::payload::Payload::unit(),
            run: None,
            at: handle.clock().now(),
        };
        self.block(async {
            handle.emit(event).await.expect("is emitted");
            handle.ended(run).await.expect("ends")
        })
    }
}

#[test]
fn a_run_that_fits_goes_on_with_the_live_version() {
    let (bench, run) = waiting(&BEFORE.replace("\na", "\na + 10"));
    let upgraded = bench.upgrade(run, Mode::Careful).expect("is moved");
    assert!(upgraded.moved && upgraded.compatible && upgraded.from != upgraded.to);
    assert_eq!(bench.engine.handle().run(run).expect("is there").version, upgraded.to);
    assert!(!bench.upgrade(bench.waits("w"), Mode::Careful).expect("is there").moved, "it is on it already");
    assert_eq!(bench.goes_on(run).output.expect("an output").to_json(), json!(11));
}

#[test]
fn one_that_does_not_fit_stays_and_is_told_both_lines() {
    let (bench, run) = waiting(&format!("let n = 2;\n{}", BEFORE.replace("\"a\"", "\"b\"")));
    let upgraded = bench.upgrade(run, Mode::Careful).expect("is tried");
    let parting = upgraded.divergence.clone().expect("both lines");
    let (recorded, issued) = (parting.recorded.expect("a line"), parting.issued.expect("a line"));
    assert_eq!(
        (recorded.line, recorded.name.as_str(), recorded.source.as_str()),
        (1, "a", "let a = step(\"a\", || 1);")
    );
    assert_eq!((issued.line, issued.name.as_str(), issued.version), (2, "b", upgraded.to));
    assert!(!upgraded.moved);
    assert_eq!(bench.goes_on(run).output.expect("an output").to_json(), json!(1));
}

#[test]
fn a_dry_run_moves_nothing() {
    for after in [BEFORE.replace("\na", "\na + 10"), BEFORE.replace("\"a\"", "\"b\"")] {
        let (bench, run) = waiting(&after);
        let before = bench.engine.handle().run(run).expect("is there");
        assert!(!bench.upgrade(run, Mode::DryRun).expect("is tried").moved);
        assert_eq!(bench.engine.handle().run(run).expect("is there").version, before.version);
    }
}

#[test]
fn by_force_it_diverges_and_a_version_that_fits_takes_it_up_again() {
    let (bench, run) = waiting(&BEFORE.replace("\"a\"", "\"b\""));
    let upgraded = bench.upgrade(run, Mode::Force).expect("is moved");
    assert!(upgraded.moved && !upgraded.compatible);
    let row = bench.engine.handle().run(run).expect("is there");
    assert_eq!((row.status, &row.version), (Status::Diverged, &upgraded.to));
    let error = row.error.expect("an error").to_json();
    assert_eq!((&error["code"], &error["divergence"]["recorded"]["name"]), (&json!("E0515"), &json!("a")));
    bench.deploy("w", &BEFORE.replace("\na", "\na + 20"));
    assert!(bench.upgrade(run, Mode::Careful).expect("is moved").moved);
    let row = bench.goes_on(run);
    assert_eq!((row.status, row.output.expect("an output").to_json()), (Status::Completed, json!(21)));
}

#[test]
fn a_run_that_has_ended_stays_as_it_is() {
    let bench = Bench::new(Arc::new(Memory::default()), &[("w", "1")]);
    let run = bench.run("w", json!(null));
    assert!(matches!(bench.upgrade(run.id, Mode::Force), Err(Error::Ended(_, Status::Completed))));
}

#[test]
fn what_does_not_compile_is_no_version_to_move_to() {
    let (bench, run) = waiting("let a = 1; loop {}");
    let upgraded = bench.upgrade(run, Mode::Careful).expect("is tried");
    assert!(!upgraded.moved && upgraded.problem.is_some_and(|problem| problem.contains("10 s")));
}
