//! What was given wrongly is said to be, instead of being done otherwise or not at all.

use super::Place;
use crate::support::daemon::Daemon;

const ASKS: &str = "workflow(#{ input: #{ name: \"string?\" } });\nfn main(input) { input.name ?? \"world\" }";

fn served(files: &[(&str, &str)]) -> (Place, Daemon) {
    let place = Place::new(files);
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    (place, daemon)
}

#[test]
fn a_workflow_that_nobody_knows_is_no_empty_list() {
    let (place, _daemon) = served(&[("scripts/hello.rhai", ASKS)]);
    for verb in [&["runs"][..], &["logs"], &["cancel", "--status", "failed"]] {
        let came = place.panta(&[verb, &["--workflow", "helo"]].concat()).expect(2);
        assert!(
            came.err.contains("there is no workflow `helo`\n  hint: did you mean `hello`?"),
            "{verb:?}: {}",
            came.err
        );
        place.panta(&[verb, &["--workflow", "hello"]].concat()).expect(0);
    }
}

#[test]
fn without_a_daemon_too() {
    let place = Place::new(&[("hello.rhai", ASKS)]);
    place.panta(&["run", "hello.rhai"]).expect(0);
    place.panta(&["runs", "--workflow", "helo"]).expect(2);
    place.panta(&["cancel", "--status", "failed", "--workflow", "helo"]).expect(2);
}

#[test]
fn a_field_that_was_mistyped_is_refused_and_another_is_told_of() {
    let place = Place::new(&[("hello.rhai", ASKS)]);
    let came = place.panta(&["run", "hello.rhai", "-i", "nam=x"]).expect(2);
    assert!(came.err.contains("the input has no field `nam`\n  hint: did you mean `name`?"), "{}", came.err);
    let came = place.panta(&["run", "hello.rhai", "-i", "colour=red"]).expect(0);
    assert!(came.err.contains("declares no input `colour`, only `name`"), "{}", came.err);
}

#[test]
fn a_run_that_fails_while_it_is_waited_for_shows_its_line() {
    let (place, _daemon) = served(&[("scripts/w.rhai", "let a = ();\nstep(\"pick\", || a.choice)")]);
    let came = place.panta(&["start", "w", "--wait"]).expect(1);
    assert!(came.err.contains("error[E0505]") && came.err.contains("a.choice)"), "{}", came.err);
    assert!(came.err.contains("`?.choice`"), "{}", came.err);
}

#[test]
fn a_backup_is_not_restored_here_where_a_server_was_named() {
    let place = Place::new(&[("w.rhai", "1")]);
    place.panta(&["run", "w.rhai"]).expect(0);
    place.panta(&["backup", "kept.db"]).expect(0);
    let came = place.panta(&["--server", "http://127.0.0.1:1", "restore", "kept.db", "--replace"]).expect(2);
    assert!(came.err.contains("not into the one of `http://127.0.0.1:1`"), "{}", came.err);
}

#[test]
fn json_that_is_broken_is_not_taken_for_a_text() {
    let place = Place::new(&[("w.rhai", "step(\"s\", || 1)")]);
    let run = place.panta(&["run", "w.rhai", "--json"]).expect(0).json()["run"].as_str().unwrap().to_owned();
    let came = place.panta(&["fork", &run, "--at", "s", "--set", "{\"a\":"]).expect(2);
    assert!(came.err.contains("is no JSON"), "{}", came.err);
}

#[test]
fn an_address_without_a_port_is_told_to_need_one() {
    let place = Place::new(&[("scripts/w.rhai", "1")]);
    let came = place.panta(&["daemon", "--listen", "localhost"]).expect(5);
    assert!(came.err.contains("hint: an address and a port"), "{}", came.err);
}

#[test]
fn what_is_held_is_said_by_the_doctor_and_of_the_workflow() {
    let (place, daemon) = served(&[("scripts/w.rhai", "1")]);
    place.panta(&["pause", "--all", "--reason", "fire"]).expect(0);
    let doctor = || place.panta(&["doctor", "scripts"]).out;
    assert!(doctor().contains("no run of any workflow begins: paused with everything"), "{}", doctor());
    assert!(place.panta(&["workflows", "w"]).expect(0).out.contains("paused with everything"));
    assert!(place.panta(&["watch", "--once"]).expect(0).out.contains("paused with everything"));
    daemon.kill();
    assert!(doctor().contains(": fire") && doctor().contains("resume --all"), "{}", doctor());
}

#[test]
fn links_that_nobody_can_open_are_warned_of() {
    let place = Place::new(&[("scripts/w.rhai", "1"), ("panta.toml", "listen = \"0.0.0.0:7262\"\n")]);
    let warned = place.panta(&["doctor", "scripts"]).out;
    assert!(warned.contains("http://0.0.0.0:7262") && warned.contains("url = "), "{warned}");
    place.write("panta.toml", "listen = \"0.0.0.0:7262\"\nurl = \"https://panta.example.com\"\n");
    assert!(!place.panta(&["doctor", "scripts"]).out.contains("url = "));
}
