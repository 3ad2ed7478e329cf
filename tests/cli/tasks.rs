//! `panta tasks` and `panta answer`, with a daemon and without.

use super::Place;
use crate::support::daemon::Daemon;

const ASK: &str = r#"task::ask(#{ title: "Pay R1?", to: "finance", except: ["bob"], form: #{ amount: "decimal" }, choices: ["yes", "no"], due: "2d" })"#;
const PEOPLE: &str = "[people.ann]\ngroups = [\"finance\"]\nsubstitute = \"bob\"\n[people.bob]\n[people.cid]\n";

/// A daemon on the place's own data folder, with its config.
fn daemon(place: &Place) -> Daemon {
    let config = place.path().join("panta.toml");
    let config = config.to_str().expect("a path");
    Daemon::start_with(&place.path().join("scripts"), &place.path().join("data"), &[("PANTA_CONFIG", config)])
}

/// The one open task, once it is there.
fn open(place: &Place) -> serde_json::Value {
    for _ in 0..2_000 {
        let came = place.panta(&["tasks", "--json"]).expect(0);
        if !came.out.is_empty() {
            return came.json();
        }
    }
    panic!("no task opens")
}

/// Why the run waits, once it says so: its task is there a moment before.
fn waits(place: &Place, run: &str) -> String {
    for _ in 0..2_000 {
        let why = place.panta(&["why", run]).expect(0).out;
        if why.contains("waits for") {
            return why;
        }
    }
    panic!("run {run} does not wait")
}

#[test]
fn a_task_is_listed_explained_and_answered() {
    let place = Place::new(&[("scripts/w.rhai", ASK), ("panta.toml", PEOPLE)]);
    let _daemon = daemon(&place);
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    let task = open(&place)["task"].as_str().unwrap().to_owned();
    let why = waits(&place, &run);
    assert!(why.contains("waits for ann (finance) to answer `Pay R1?`, due "), "{why}");
    assert!(why.contains(&format!("answer {task} --choice yes")), "{why}");
    assert!(place.panta(&["tasks", "--to", "ann"]).expect(0).out.contains("Pay R1?"));
    assert_eq!(place.panta(&["tasks", "--to", "cid"]).expect(0).out, "");
    let bad = place.panta(&["answer", &task, "--choice", "maybe", "-i", "amount=x"]).expect(2);
    for part in ["by: is missing", "choice: must be one of", "data.amount: must be a decimal"] {
        assert!(bad.err.contains(part), "{}", bad.err);
    }
    let answer = |by: &str| place.panta(&["answer", &task, "--choice", "yes", "-i", "amount=1.50", "--by", by]);
    answer("bob").expect(2);
    assert_eq!(answer("ann").expect(0).out, "answered Pay R1?: yes\n");
    assert!(answer("ann").expect(1).err.contains("was answered by `ann`"));
    let done = place.panta(&["run", "--resume", &run, "--json"]).expect(0).json();
    assert_eq!((&done["output"]["by"], &done["output"]["data"]["amount"]), (&"ann".into(), &"1.50".into()));
    assert!(place.panta(&["tasks", "--status", "answered"]).expect(0).out.contains(&task));
}

#[test]
fn an_answer_without_a_daemon_is_found_by_the_next() {
    let place = Place::new(&[("scripts/w.rhai", ASK), ("panta.toml", PEOPLE)]);
    let first = daemon(&place);
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    let task = open(&place)["task"].as_str().unwrap().to_owned();
    first.kill();
    place.panta(&["answer", &task, "--choice", "no"]).expect(2);
    place.panta(&["answer", &task, "--choice", "no", "-i", "amount=2", "--by", "ann"]).expect(0);
    place.panta(&["answer", &task, "--choice", "no", "-i", "amount=2", "--by", "ann"]).expect(1);
    let _second = daemon(&place);
    let done = place.panta(&["run", "--resume", &run, "--json"]).expect(0).json();
    assert_eq!(done["output"]["choice"], "no");
    place.panta(&["answer", "0198f000-0000-7000-8000-000000000000"]).expect(2);
    place.panta(&["tasks", "--status", "new"]).expect(2);
}

#[test]
fn progress_is_shown() {
    let place = Place::new(&[("w.rhai", "progress(0.4, \"uploading\")")]);
    let came = place.panta(&["run", "w.rhai", "--json"]).expect(0);
    let run = came.json()["run"].as_str().unwrap().to_owned();
    assert!(came.err.contains("40 %, uploading"), "{}", came.err);
    assert!(place.panta(&["show", &run]).expect(0).out.contains("progress 40 %, uploading"));
}
