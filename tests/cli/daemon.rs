//! `panta daemon`, and the commands that talk to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::Place;

/// A daemon on a free port; killed when dropped.
pub(super) struct Daemon {
    child: Child,
    pub(super) first: String,
    data: std::path::PathBuf,
}

impl Daemon {
    pub(super) fn start(place: &Place) -> Self {
        Self::of(place, place.command(&["daemon", "scripts", "--listen", "127.0.0.1:0"]))
    }

    /// By this command.
    pub(super) fn of(place: &Place, mut command: std::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        Self { child, first, data: place.path().join("data") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let listens = |holder: panta::store::lock::Holder| holder.listen.is_some_and(|at| self.first.contains(&at));
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The engine dies a moment later: what comes next must not meet it.
        while panta::store::lock::holder(&self.data).is_some_and(&listens) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn it_says_where_it_listens_and_others_act_through_it() {
    let place = Place::new(&[("scripts/w.rhai", "wait_for(\"paid\", #{ key: input.id })")]);
    let daemon = Daemon::start(&place);
    assert!(daemon.first.starts_with("panta is listening on http://127.0.0.1:"), "{}", daemon.first);
    assert!(daemon.first.contains("(1 workflow from scripts/)"), "{}", daemon.first);
    let run = place.panta(&["start", "w", "-i", "id=A1"]).expect(0).out.trim().to_owned();
    place.panta(&["emit", "paid", "--key", "A1", "--payload", "7"]).expect(0);
    let follow = place.panta(&["run", "--resume", &run, "--json"]).expect(0);
    assert_eq!(follow.json()["output"], 7);
    assert!(place.panta(&["workflows"]).expect(0).out.contains('w'));
}

#[test]
fn a_script_is_handed_to_the_daemon_that_holds_the_folder() {
    let place = Place::new(&[("scripts/w.rhai", "input.n + 1"), ("other.rhai", "1")]);
    let _daemon = Daemon::start(&place);
    assert_eq!(place.panta(&["run", "scripts/w.rhai", "-i", "n=1"]).expect(0).out, "2\n");
    assert!(place.panta(&["run", "other.rhai"]).expect(5).err.contains("holds the data folder"));
}

#[test]
fn times_that_passed_are_counted_then_started_and_shown() {
    let place =
        Place::new(&[("scripts/w.rhai", "trigger::cron(\"0 8 * * *\");\nfn main() { trigger::info().scheduled_at }")]);
    let _daemon = Daemon::start(&place);
    let span = ["backfill", "w", "--from", "2026-03-01T00:00Z", "--to", "2026-03-04T00:00Z"];
    let with = |more: &[&str]| place.panta(&[&span[..], more].concat());
    let dry = with(&["--dry-run"]).expect(0);
    assert_eq!(
        dry.out.lines().collect::<Vec<_>>(),
        (1..=3).map(|d| format!("2026-03-0{d}T08:00:00.000Z")).collect::<Vec<_>>()
    );
    let asked = with(&[]).expect(2).err;
    assert!(asked.contains("3 runs of `w` for cron:0 8 * * *") && asked.contains("`--yes`"), "{asked}");
    let done = with(&["--only-missing", "--yes", "--limit", "2", "--json"]).expect(0).json();
    assert_eq!((&done["started"], &done["there"]), (&2.into(), &0.into()));
    assert_eq!(with(&["--only-missing", "--yes"]).expect(0).out.lines().count(), 1);
    assert!(with(&["--only-missing", "--yes"]).expect(0).err.contains("no time to start a run for"));
    assert!(with(&["--dry-run"]).expect(0).out.contains("again, after"));
    let shown = place.panta(&["workflows", "w"]).expect(0).out;
    assert!(shown.contains("cron:0 8 * * *\n  next          ") && shown.contains("\n  last start    "), "{shown}");
}
