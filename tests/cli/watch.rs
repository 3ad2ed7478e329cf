//! Following: `watch`, and `logs -f`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::Place;
use crate::support::daemon::Daemon;

/// A command that goes on; killed when dropped.
struct Following(Child);

impl Following {
    fn start(place: &Place, arguments: &[&str]) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map(|line| line.expect("text"));
        (Self(child), lines)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Logs ten lines, waits for an event, and logs ten more.
const TALKER: &str = r#"
for n in 0..10 { log::info(`line ${n}`); }
wait_for("go");
for n in 10..20 { log::warn(`line ${n}`); }
"#;

fn place() -> (Place, Daemon) {
    let place = Place::new(&[("scripts/talker.rhai", TALKER), ("scripts/broken.rhai", "let x = ;")]);
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    (place, daemon)
}

fn said(n: std::ops::Range<usize>) -> Vec<String> {
    n.map(|n| format!("line {n}")).collect()
}

fn messages(lines: impl Iterator<Item = String>) -> Vec<String> {
    let message = |line: String| {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        line["message"].as_str().expect("text").to_owned()
    };
    lines.map(message).collect()
}

#[test]
fn logs_are_followed_to_the_end_of_the_run_with_every_line_once() {
    let (place, _daemon) = place();
    let run = place.panta(&["start", "talker"]).expect(0).out.trim().to_owned();
    let (_following, mut lines) = Following::start(&place, &["logs", &run, "-f", "--json"]);
    let first = messages(lines.by_ref().take(10));
    place.panta(&["emit", "go"]).expect(0);
    let rest = messages(lines);
    assert_eq!((first, rest), (said(0..10), said(10..20)));
    let warnings = place.panta(&["logs", &run, "--level", "warn", "--json"]).expect(0).out;
    assert_eq!(messages(warnings.lines().map(str::to_owned)), said(10..20));
    assert_eq!(place.panta(&["logs", &run, "--since", "2999-01-01T00:00:00Z"]).expect(0).out, "");
}

#[test]
fn logs_of_all_runs_of_a_workflow_are_followed() {
    let (place, _daemon) = place();
    let (_following, mut lines) = Following::start(&place, &["logs", "--workflow", "talker", "-f", "--json"]);
    place.panta(&["start", "talker"]).expect(0);
    assert_eq!(messages(lines.by_ref().take(10)), said(0..10));
    place.panta(&["emit", "go"]).expect(0);
    assert_eq!(messages(lines.by_ref().take(10)), said(10..20));
}

#[test]
fn watch_without_a_terminal_is_a_table_and_with_json_a_line_a_change() {
    let (place, _daemon) = place();
    let (_following, mut lines) = Following::start(&place, &["watch", "--json"]);
    assert!(lines.next().expect("a line").contains("\"event\":\"reset\""));
    let run = place.panta(&["start", "talker"]).expect(0).out.trim().to_owned();
    let change: Value = serde_json::from_str(&lines.next().expect("a line")).expect("JSON");
    assert_eq!((&change["event"], &change["run"]["run"]), (&"run".into(), &run.clone().into()));
    let table = place.panta(&["watch"]).expect(0).out;
    assert!(table.contains(&run) && table.contains("broken: broken.rhai"), "{table}");
}

#[test]
fn watch_needs_a_daemon() {
    Place::new(&[]).panta(&["watch"]).expect(5);
}
