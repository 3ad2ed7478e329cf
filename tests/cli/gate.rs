//! `panta gate` and `panta upgrade`, against a daemon and against a data folder.

use std::time::Duration;

use panta::time::elapsed;
use serde_json::Value;

use super::{Came, Place};
use crate::support::daemon::Daemon;

const WAITS: &str = "let a = step(\"charge\", || 1);\nwait_for(\"paid\");\na";
const BOUND: Duration = Duration::from_mins(1);

/// A place with a daemon and a run that waits.
fn waiting() -> (Place, Daemon, String) {
    let place = Place::new(&[("scripts/w.rhai", WAITS)]);
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    until(|| place.panta(&["show", &run, "--json"]).expect(0).json()["status"] == "waiting");
    (place, daemon, run)
}

fn until(come: impl Fn() -> bool) {
    let began = elapsed();
    while !come() {
        assert!(elapsed().saturating_sub(began) < BOUND, "in time");
        std::thread::yield_now();
    }
}

fn live(place: &Place, text: &str) {
    let version = |json: Value| json["version"].clone();
    let before = version(place.panta(&["workflows", "--json"]).expect(0).json());
    place.write("scripts/w.rhai", text);
    until(|| version(place.panta(&["workflows", "--json"]).expect(0).json()) != before);
}

#[test]
fn a_script_is_tried_before_it_goes_live() {
    let (place, daemon, run) = waiting();
    let other = place.write("next/w.rhai", &format!("// next\n{}", WAITS.replace("charge", "bill")));
    let fits = place.write("fits/w.rhai", &WAITS.replace("\na", "\na + 1"));
    let broken = place.write("broken/w.rhai", "let a = ;");
    let (other, fits, broken) = (other.to_str().unwrap(), fits.to_str().unwrap(), broken.to_str().unwrap());
    for daemon in [Some(daemon), None] {
        let came = place.panta(&["gate", other]).expect(1);
        assert!(came.out.contains("1 open run: 0 compatible, 1 would diverge"), "{}", came.out);
        assert!(came.err.contains(":2:15") && came.err.contains("step `charge` (line 1 of w.rhai)"), "{}", came.err);
        let report = place.panta(&["gate", other, "--json"]).expect(1).json();
        assert_eq!(report["divergences"][0]["runs"][0], run.as_str());
        assert!(place.panta(&["gate", fits]).expect(0).out.contains("1 open run: 1 compatible"));
        assert!(place.panta(&["gate", broken]).expect(2).err.contains("[E0201]"));
        drop(daemon);
    }
    let data = place.path().join("data");
    place.panta(&["gate", other, "--against", data.to_str().unwrap()]).expect(1);
    place.panta(&["gate", other, "--against", "nowhere"]).expect(2);
}

#[test]
fn a_candidate_from_elsewhere_is_tried_on_the_runs_of_this_folder() {
    let (place, _daemon, _) = waiting();
    place.write("panta.toml", &format!("data = '{}'\n", place.path().join("data").display()));
    let elsewhere = Place::new(&[("cand/w.rhai", &WAITS.replace("charge", "bill"))]);
    let candidate = elsewhere.path().join("cand/w.rhai");
    let came =
        Came::from(place.command(&["gate", candidate.to_str().unwrap()]).env_remove("PANTA_DATA").output().unwrap())
            .expect(1);
    assert!(
        came.out.contains("1 would diverge") && came.err.contains("tried on the runs in the daemon"),
        "{}{}",
        came.out,
        came.err
    );
}

#[test]
fn the_gate_does_not_pass_where_nothing_could_be_tried() {
    let (place, _daemon, _) = waiting();
    let bare = Place::new(&[("workflows/w.rhai", WAITS)]);
    let came = bare.panta(&["gate", "workflows/w.rhai"]).expect(2);
    assert!(came.err.contains("there is no store with recorded runs in"), "{}", came.err);
    let other = place.write("workflows/w.rhai", WAITS);
    let came = place.panta(&["gate", other.to_str().unwrap(), "--workflow", "ww"]).expect(2);
    assert!(came.err.contains("there is no workflow `ww`\n  hint: did you mean `w`?"), "{}", came.err);
}

#[test]
fn runs_are_moved_by_hand_and_all_at_once() {
    let (place, _daemon, run) = waiting();
    live(&place, &WAITS.replace("charge", "bill"));
    let came = place.panta(&["upgrade", &run]).expect(1);
    assert!(came.err.contains("step `charge`") && came.err.contains("step `bill`"), "{}", came.err);
    live(&place, &WAITS.replace("\na", "\na + 1"));
    assert!(place.panta(&["upgrade", "--all", "--dry-run"]).expect(0).out.contains("1 would move, 0 do not fit"));
    assert!(place.panta(&["upgrade", "--all", "--workflow", "w"]).expect(0).out.contains("1 moved, 0 do not fit"));
    assert!(place.panta(&["upgrade", &run]).expect(0).out.contains("is on the live version"));
    place.panta(&["emit", "paid"]).expect(0);
    assert_eq!(place.panta(&["run", "--resume", &run, "--json"]).expect(0).json()["output"], 2);
    place.panta(&["upgrade", &run]).expect(1);
}
