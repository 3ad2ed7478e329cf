//! A program that runs when the daemon is killed: it ends with it, and never runs beside its second try.

use std::path::Path;

use crate::support::daemon::Daemon;

const WORKFLOW: &str = r#"
workflow(#{ allow: #{ shell: ["sh"] } });
fn main() {
    shell::run("sh", ["-c", "echo $$ $PANTA_IDEMPOTENCY_KEY >>began; [ -e go ] || exec sleep 600; echo done"]).stdout
}
"#;

/// Lines of a file: the process and the key of each try.
fn tries(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("began")).unwrap_or_default();
    let line = |line: &str| line.split_once(' ').map(|(pid, key)| (pid.to_owned(), key.to_owned()));
    text.lines().filter_map(line).collect()
}

fn until(look: impl Fn() -> bool) {
    while !look() {
        std::thread::yield_now();
    }
}

/// A killed process is there until its parent has looked.
fn is_gone(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.is_empty() || state.contains(") Z ")
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_ends_with_the_daemon_and_is_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (scripts, data) = (folder.path().join("scripts"), folder.path().join("data"));
    std::fs::create_dir(&scripts).expect("a folder");
    std::fs::write(scripts.join("w.rhai"), WORKFLOW).expect("a script");
    let work = data.join("workspace/w");
    let daemon = Daemon::start(&scripts, &data);
    let (status, _) =
        daemon.request("POST", "/api/v1/workflows/w/runs", &[("Idempotency-Key", "a")], "{}").expect("an answer");
    assert_eq!(status, 202);
    until(|| tries(&work).len() == 1);
    daemon.kill();
    let first = tries(&work).remove(0);
    // Nobody has started another daemon: the keeper did it.
    until(|| is_gone(&first.0));
    std::fs::write(work.join("go"), "").expect("a file");
    let daemon = Daemon::start(&scripts, &data);
    let again = "/api/v1/workflows/w/runs?wait=60s";
    let (status, run) = daemon.request("POST", again, &[("Idempotency-Key", "a")], "{}").expect("an answer");
    assert_eq!((status, &run["output"]), (200, &"done\n".into()), "{run}");
    let all = tries(&work);
    assert!(all.len() == 2 && all[0].1 == all[1].1 && all[0].0 != all[1].0, "{all:?}");
}
