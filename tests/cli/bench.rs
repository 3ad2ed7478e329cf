//! `panta bench`: each workload at a tiny size. What comes out makes sense; how fast it was does not matter here.

use super::{Came, Place};

fn bench(arguments: &[&str]) -> (Place, Came) {
    let place = Place::new(&[]);
    let came = place.panta(&[&["bench", "--quick", "--json"], arguments].concat());
    (place, came)
}

fn figures(arguments: &[&str]) -> Vec<serde_json::Value> {
    let (place, came) = bench(arguments);
    let came = came.expect(0);
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert!(left.is_empty(), "something is left behind: {left:?}");
    let shown = came.json();
    assert!(shown["machine"]["cores"].as_u64() > Some(0), "{shown}");
    shown["figures"].as_array().expect("figures").clone()
}

fn measured(workload: &str, size: &str) -> Vec<serde_json::Value> {
    let all = figures(&["--size", size, workload]);
    for figure in &all {
        assert_eq!(figure["workload"], workload);
        assert!(figure["value"].as_f64() >= Some(0.0), "{figure}");
    }
    assert!(all.iter().any(|figure| figure["value"].as_f64() > Some(0.0)), "{all:?}");
    all
}

fn value(figures: &[serde_json::Value], what: &str) -> f64 {
    let found = figures.iter().find(|figure| figure["what"].as_str().unwrap().contains(what));
    found.unwrap_or_else(|| panic!("no `{what}` in {figures:?}"))["value"].as_f64().unwrap()
}

#[test]
fn a_table_tells_the_machine_and_each_figure_with_its_bar() {
    let place = Place::new(&[]);
    let came = place.panta(&["bench", "--quick", "--size", "8", "engine"]).expect(0);
    let lines: Vec<_> = came.out.lines().collect();
    assert!(lines[0].starts_with("panta ") && lines[0].contains(".panta-bench-"), "{}", came.out);
    assert!(lines[1].starts_with("WORKLOAD  WHAT") && lines[1].ends_with("HELD"), "{}", came.out);
    assert!(lines[2].starts_with("engine    the engine, 64 runs in flight"), "{}", came.out);
    assert!(lines[2].contains("≥ 50 % of hot: ") && lines[2].contains("steps/s"), "{}", came.out);
    assert_eq!(lines.len(), 3);
}

#[test]
fn an_unknown_workload_is_wrong_usage() {
    let (_place, came) = bench(&["hots"]);
    let came = came.expect(2);
    assert!(came.err.contains("did you mean `hot`?") && came.err.contains("`disk`, `hot`"), "{}", came.err);
    bench(&["--size", "0"]).1.expect(2);
}

#[test]
fn runs_are_started_over_http_and_their_commits_are_counted() {
    let all = figures(&["--size", "30", "http", "post", "single", "first"]);
    let of = |name: &str| all.iter().filter(|figure| figure["workload"] == name).cloned().collect::<Vec<_>>();
    for name in ["http", "post", "single", "first"] {
        assert!(of(name)[0]["value"].as_f64() > Some(0.0), "{all:?}");
    }
    assert!(
        of("http")[0]["commits"].as_f64() > Some(0.0) && of("single")[1]["commits"].as_f64() > Some(0.0),
        "{all:?}"
    );
}

#[test]
fn runs_that_wait_are_woken_and_timers_come() {
    assert!(value(&measured("waiting", "20"), "disk of each") > 0.0);
    assert!(value(&measured("timers", "20"), "until all are done") > 0.0);
}

#[test]
fn a_killed_daemon_does_the_rest_and_nothing_recorded_again() {
    let figures = measured("kill", "200");
    assert!(value(&figures, "with a durable record") < 1.0, "{figures:?}");
    assert!(value(&figures, "until all have completed") > 0.0);
}

#[test]
fn chains_stores_idling_and_reloads_are_measured() {
    measured("million", "3");
    assert_eq!(measured("store", "1000").len(), 5);
    assert!(value(&measured("idle", "1"), "the program") > 1.0);
    measured("reload", "20");
}

/// As long as it takes to be told to end.
#[test]
#[cfg(unix)]
fn whoever_interrupts_it_finds_nothing_left() {
    use std::io::{BufRead, BufReader};
    let place = Place::new(&[]);
    let mut command = place.command(&["bench", "--size", "1000000000", "hot"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(".panta-bench-"), "{line}");
    let told = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
