//! The daemon's own log, and the traces that its requests belong to.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::Place;
use super::daemon::Daemon;
use crate::support::server::Server;

/// A daemon whose stderr goes to a file.
fn daemon(place: &Place, arguments: &[&str]) -> (Daemon, PathBuf) {
    let path = place.path().join("stderr");
    let file = File::options().append(true).create(true).open(&path).unwrap();
    let mut command = place.command(&[&["daemon", "scripts", "--listen", "127.0.0.1:0"], arguments].concat());
    command.env("PANTA_EVICT_AFTER", "50ms").stderr(Stdio::from(file));
    (Daemon::of(place, command), path)
}

/// The lines of a log once one of them has this in it.
fn lines_with(path: &PathBuf, text: &str) -> Vec<String> {
    let began = panta::time::elapsed();
    loop {
        let all = std::fs::read_to_string(path).unwrap();
        if all.lines().any(|line| line.contains(text)) {
            return all.lines().map(str::to_owned).collect();
        }
        assert!(panta::time::elapsed().saturating_sub(began) < Duration::from_mins(1), "no `{text}` in:\n{all}");
        std::thread::yield_now();
    }
}

const SCRIPT: &str = r#"step("pay", || log::warn("slow\nERROR fake\x1b[2J", #{ rows: 12 }));
log::trace("not shown");
wait_for("go");
print("done");
throw "no luck""#;

#[test]
fn what_scripts_write_is_a_line_of_json_once_whatever_is_replayed() {
    let place = Place::new(&[("scripts/w.rhai", SCRIPT)]);
    let (first, path) = daemon(&place, &["--log-format", "json"]);
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    lines_with(&path, "ERROR fake");
    drop(first);
    let (_second, path) = daemon(&place, &["--log-format", "json"]);
    place.panta(&["emit", "go"]).expect(0);
    let lines: Vec<Value> =
        lines_with(&path, "no luck").iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    let [slow] = said("slow\nERROR fake\u{1b}[2J")[..] else { panic!("not once: {lines:?}") };
    let trace = run.replace('-', "");
    let expected = json!(["warn", run, "w", "pay", 1, trace, { "rows": 12 }]);
    let fields = ["level", "run", "workflow", "step", "line", "trace", "fields"].map(|field| slow[field].clone());
    assert_eq!(json!(fields), expected);
    assert_eq!((said("done").len(), said("not shown").len()), (1, 0));
    let [ended] = said("the run is failed: no luck")[..] else { panic!("no end: {lines:?}") };
    assert_eq!((&ended["level"], &ended["trace"], &ended["workflow"]), (&json!("error"), &json!(trace), &json!("w")));
    assert!(place.panta(&["show", &run]).expect(0).out.contains(&format!("trace    {trace}")));
}

#[test]
fn people_get_plain_lines_from_the_level_that_the_file_says() {
    let script = "log::info(\"unheard\"); log::warn(\"evil\\nERROR fake\\x1b[2J\"); throw \"over\"";
    let place = Place::new(&[("scripts/w.rhai", script), ("panta.toml", "[log]\nlevel = \"info,script=warn\"")]);
    let (_daemon, path) = daemon(&place, &[]);
    let run = place.panta(&["start", "w"]).expect(0).out.trim().to_owned();
    let all = lines_with(&path, "the run is failed: over");
    let line = all.iter().find(|line| line.contains("evil")).expect("a line");
    let (trace, head) = (run.replace('-', ""), " WARN  evil\\nERROR fake\\u{1b}[2J");
    assert!(line.contains(&format!("{head} run={run} workflow=w line=1 trace={trace}")), "{line}");
    assert!(!all.iter().any(|line| line.contains("unheard") || line.contains('\u{1b}')), "{all:?}");
}

#[test]
fn requests_of_a_run_bear_its_trace_unless_the_script_sets_one() {
    let server = Server::new(|_| (200, json!({})));
    let own = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
    let script = format!(
        "workflow(#{{ allow: #{{ http: [\"127.0.0.1\"] }} }});\nhttp::get(\"{0}\"); http::post(\"{0}\", 1);\n\
         http::get(\"{0}\", #{{ headers: #{{ traceparent: \"{own}\" }} }})",
        server.url("/")
    );
    let place = Place::new(&[("w.rhai", &script)]);
    let run = place.panta(&["run", "w.rhai", "--json"]).expect(0).json()["run"].as_str().unwrap().replace('-', "");
    let seen = server.seen();
    let sent: Vec<_> = seen.iter().map(|request| request.header("traceparent").expect("a trace")).collect();
    assert!(sent[..2].iter().all(|sent| sent.starts_with(&format!("00-{run}-")) && sent.ends_with("-01")), "{sent:?}");
    assert!(sent[0] != sent[1] && sent[2] == own, "{sent:?}");
}
