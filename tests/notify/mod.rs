//! Telling people, through the real daemon: what is kept is delivered, whatever dies in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::cli::Place;
use crate::support::daemon::Daemon;
use crate::support::server::Server;

const SCRIPT: &str = "workflow(#{ on_failure: \"ops\" });\nfn main(n) { throw `no ${n}` }";

/// A folder with a script, and a config whose channel `ops` is that address.
fn place(url: &str, more: &str) -> Place {
    let config = format!("data = \"data\"\n[channels.ops]\nkind = \"webhook\"\nurl = \"{url}\"\n{more}");
    Place::new(&[("panta.toml", &config), ("scripts/w.rhai", SCRIPT)])
}

fn daemon(place: &Place) -> Daemon {
    Daemon::start(&place.path().join("scripts"), &place.path().join("data"))
}

#[test]
fn what_was_not_delivered_when_the_daemon_died_is_told_by_the_next_under_the_same_id() {
    let works = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&works);
    let server = Server::new(move |_| (if answers.load(Ordering::Relaxed) { 200 } else { 503 }, json!({})));
    let place = place(&server.url("/ops"), "");
    let first = daemon(&place);
    let (status, _) = first.request("POST", "/api/v1/workflows/w/runs", &[], "{\"input\":7}").expect("answers");
    assert_eq!(status, 202);
    server.wait_for("POST /ops", 1);
    first.kill();
    let tried = server.lines().len();
    works.store(true, Ordering::Relaxed);
    let next = daemon(&place);
    server.wait_for_total(tried + 1, Duration::from_mins(1));
    let seen = server.seen();
    assert!(seen.len() > tried, "it is told again");
    let ids: std::collections::BTreeSet<_> = seen.iter().map(|seen| seen.header("idempotency-key")).collect();
    assert_eq!((ids.len(), &seen[0].body["title"]), (1, &json!("`w` failed: no 7")));
    drop(next);
}

#[test]
fn a_run_in_the_foreground_tells_too() {
    let server = Server::new(|_| (200, json!({})));
    let place = place(&server.url("/ops"), "");
    place.panta(&["run", "scripts/w.rhai", "--input", "3"]).expect(1);
    let seen = server.seen();
    assert_eq!((seen.len(), &seen[0].body["title"]), (1, &json!("`w` failed: no 3")));
}

#[test]
fn a_channel_can_be_tried() {
    let server = Server::new(|seen| (if seen.line == "POST /ops" { 200 } else { 403 }, json!({})));
    let broken = format!("[channels.broken]\nkind = \"slack\"\nurl = \"{}\"", server.url("/no"));
    let place = place(&server.url("/ops"), &broken);
    assert!(place.panta(&["notify", "ops", "wake up"]).expect(0).out.starts_with("told `ops` (webhook)"));
    assert_eq!((&server.seen()[0].body["title"], &server.seen()[0].body["about"]), (&json!("wake up"), &json!("test")));
    let refused = place.panta(&["notify", "broken", "--json"]).expect(1).json();
    assert_eq!((&refused["ok"], &refused["kind"]), (&json!(false), &json!("slack")));
    assert!(refused["error"].as_str().expect("why").contains("403"), "{refused}");
    assert!(place.panta(&["notify", "opps"]).expect(2).err.contains("did you mean `ops`?"));
}

#[test]
fn a_script_that_names_what_is_not_there_is_warned_of() {
    let place = place("https://ops.example.com", "");
    place.panta(&["check"]).expect(0);
    place.write("scripts/w.rhai", &SCRIPT.replace("\"ops\"", "\"opps\""));
    let found = place.panta(&["check"]).expect(0).err;
    assert!(found.contains("W0414") && found.contains("did you mean `ops`?"), "{found}");
    let elsewhere = Place::new(&[("w.rhai", SCRIPT)]);
    assert!(!elsewhere.panta(&["check", "w.rhai"]).expect(0).err.contains("W0414"), "nothing is known of channels");
}

#[test]
fn a_script_tells_only_channels_that_there_are() {
    let server = Server::new(|_| (200, json!({})));
    let place = place(&server.url("/ops"), "");
    let script = "notify(\"ops\", \"sold\", #{ title: \"Order\" });\nattempt(|| notify(\"opps\", \"x\")).error";
    place.write("scripts/v.rhai", script);
    let error = place.panta(&["run", "scripts/v.rhai", "--json"]).expect(0).json();
    assert_eq!(error["output"]["kind"], "not_found");
    assert!(error["output"]["message"].as_str().expect("why").contains("did you mean `ops`?"), "{error}");
    assert_eq!((&server.seen()[0].body["title"], &server.seen()[0].body["text"]), (&json!("Order"), &json!("sold")));
}
