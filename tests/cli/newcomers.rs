//! What people meet in their first hour: short ids, ports that are taken, files that are broken, silence that is explained.

use std::net::TcpListener;

use super::Place;
use super::daemon::Daemon;

/// A script that waits, two runs of it on a daemon, and their ids.
fn two_waiting() -> (Place, Daemon, [String; 2]) {
    let place = Place::new(&[("scripts/w.rhai", "wait_for(\"paid\", #{ key: input.id })")]);
    let daemon = Daemon::start(&place);
    let start = |id: &str| place.panta(&["start", "w", "-i", id]).expect(0).out.trim().to_owned();
    let runs = [start("id=A"), start("id=B")];
    let waiting = || place.panta(&["runs", "--status", "waiting", "--json"]).expect(0).out.lines().count();
    within_a_minute(|| (waiting() == 2).then_some(()));
    (place, daemon, runs)
}

/// What is there sooner or later, asked for again and again.
fn within_a_minute<T>(ask: impl Fn() -> Option<T>) -> T {
    let began = panta::time::elapsed();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(panta::time::elapsed().saturating_sub(began).as_secs() < 60, "it is not there after a minute");
    }
}

#[test]
fn the_end_of_an_id_is_enough_for_every_command() {
    let (place, _daemon, [run, _]) = two_waiting();
    let end = &run[run.len() - 8..];
    assert!(place.panta(&["show", end]).expect(0).out.contains(&run));
    assert!(place.panta(&["why", &end.to_uppercase()]).expect(0).out.contains("paid"));
    assert!(place.panta(&["logs", end]).expect(0).err.contains("the run has written no log line"));
    assert_eq!(place.panta(&["emit", "paid", "--run", end, "--key", "A"]).expect(0).out.lines().count(), 2);
    assert_eq!(place.panta(&["run", "--resume", &run[..30], "--json"]).expect(0).json()["run"], run.as_str());
}

#[test]
fn a_part_of_several_ids_lists_them_and_one_of_none_says_so() {
    let (place, _daemon, [one, two]) = two_waiting();
    let came = place.panta(&["cancel", &one[..4]]).expect(2);
    assert!(came.err.contains("is part of the ids of 2 runs") && came.err.contains("give more of it"), "{}", came.err);
    assert!(came.err.contains(&one) && came.err.contains(&two) && came.err.contains("waiting"), "{}", came.err);
    assert!(place.panta(&["show", "ffff"]).expect(2).err.contains("no run whose id begins or ends with `ffff`"));
    assert!(place.panta(&["show", "abc"]).expect(2).err.contains("is no run id"));
}

#[test]
fn tasks_and_stores_without_a_daemon_take_short_ids_too() {
    let script = "task::ask(#{ title: \"Well?\", choices: [\"yes\"] }).choice";
    let place = Place::new(&[("scripts/w.rhai", script)]);
    let daemon = Daemon::start(&place);
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    let task = within_a_minute(|| {
        let task: serde_json::Value = serde_json::from_str(&place.panta(&["tasks", "--json"]).out).ok()?;
        task["task"].as_str().map(str::to_owned)
    });
    drop(daemon);
    assert!(place.panta(&["show", &run[run.len() - 8..]]).expect(0).out.contains(&run));
    let end = &task[task.len() - 8..];
    let came = place.panta(&["answer", end, "--choice", "yes"]).expect(0);
    assert!(came.out.contains("answered"), "{}", came.out);
}

#[test]
fn an_event_says_whom_it_woke_and_what_it_started() {
    let (place, _daemon, [run, _]) = two_waiting();
    let came = place.panta(&["emit", "paid", "--key", "A"]).expect(0);
    assert!(came.out.contains(&format!("woke {run}\n")) && came.err.is_empty(), "{}{}", came.out, came.err);
    let came = place.panta(&["emit", "nothing.like.it"]).expect(0);
    assert!(came.out.lines().count() == 1 && came.err.contains("nobody waits for it"), "{}{}", came.out, came.err);
    let json = place.panta(&["emit", "paid", "--key", "B", "--json"]).expect(0).json();
    assert_eq!(json["delivered_to"].as_array().map(Vec::len), Some(1));
}

#[test]
fn broken_files_are_among_the_workflows() {
    let place = Place::new(&[("scripts/good.rhai", "1"), ("scripts/bad.rhai", "slepe(\"5m\")")]);
    let _daemon = Daemon::start(&place);
    let came = place.panta(&["workflows"]).expect(0);
    let row = |name: &str| came.out.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(row("bad").contains("broken") && !row("good").contains("broken"), "{}", came.out);
    assert!(came.err.contains("unknown function `slepe`") && came.err.contains("bad.rhai:1:1"), "{}", came.err);
    let json = place.panta(&["workflows", "--json"]).expect(0).out;
    let bad = json.lines().find(|line| line.contains("\"bad\"")).unwrap_or_default();
    assert!(bad.contains("E0301"), "{json}");
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let place = Place::new(&[("scripts/w.rhai", "1")]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let came = place.panta(&["daemon", "scripts", "--listen", &address]).expect(5);
    let port = format!("port {} is in use by another program", taken.local_addr().unwrap().port());
    assert!(came.err.contains(&port) && came.err.contains("--listen 127.0.0.1:0"), "{}", came.err);
    let daemon = Daemon::start(&place);
    let address = daemon.first.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let came = place.panta(&["daemon", "scripts", "--listen", address]).expect(5);
    assert!(came.err.contains("in use by process") && came.err.contains("holds this data folder"), "{}", came.err);
}

#[test]
fn each_fault_of_an_input_is_told_once() {
    let script = "workflow(#{ input: #{ id: \"string\", n: \"int\" } });\nfn main(order) { order.n }";
    let place = Place::new(&[("scripts/w.rhai", script)]);
    let alone = place.panta(&["run", "scripts/w.rhai", "-i", "n=x"]).expect(2).err;
    let _daemon = Daemon::start(&place);
    let through = place.panta(&["start", "w", "-i", "n=x"]).expect(2).err;
    for err in [alone, through] {
        assert_eq!((err.matches("id: is missing").count(), err.matches("must be an integer").count()), (1, 1), "{err}");
        assert!(err.contains("the input does not fit the workflow:\n  id: "), "{err}");
    }
}

#[test]
fn options_of_every_command_stand_under_their_own_heading() {
    let help = Place::new(&[]).panta(&["runs", "--help"]).expect(0).out;
    let (own, global) = help.split_once("Global options:").expect("a heading");
    assert!(own.contains("--limit") && !own.contains("--data"), "{help}");
    assert!(["--data", "--server", "--token", "--json", "--config"].iter().all(|name| global.contains(name)), "{help}");
    assert!(!global.contains("--limit"), "{help}");
}
