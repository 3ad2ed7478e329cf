//! Saves as editors and git make them, seen by the real daemon: each content is live once, complete, or told why it is not.

mod editors;
mod files;
mod floods;
mod folder;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use panta::time::elapsed;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;

/// No test waits longer for what must come.
const BOUND: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A daemon over a folder of scripts.
struct Site {
    daemon: Daemon,
    scripts: PathBuf,
    fences: std::cell::Cell<usize>,
    _home: tempfile::TempDir,
}

/// What became of a file, in order: the status of each record.
type Story = Vec<String>;

impl Site {
    /// With these files in it from the start.
    fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let scripts = home.path().join("scripts");
        std::fs::create_dir(&scripts).expect("a folder");
        for (name, text) in files {
            std::fs::write(scripts.join(name), text).expect("a script");
        }
        let daemon = Daemon::start(&scripts, &home.path().join("data"));
        Self { daemon, scripts, fences: std::cell::Cell::default(), _home: home }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scripts.join(name)
    }

    /// A path outside of the folder.
    fn beside(&self, name: &str) -> PathBuf {
        self.scripts.with_file_name(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.at(name), content).expect("a script");
    }

    /// Runs a program in the folder.
    fn does(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        for key in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            command.env(key, "ann@example.com");
        }
        let done = command.args(args).current_dir(&self.scripts).output().expect("it runs");
        assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn get(&self, path: &str) -> Value {
        self.daemon.request("GET", path, &[], "").expect("an answer").1
    }

    /// All records, oldest first.
    fn records(&self) -> Vec<Value> {
        let mut records = self.get("/api/v1/reloads")["reloads"].as_array().cloned().expect("records");
        records.reverse();
        records
    }

    fn story(&self, file: &str) -> Story {
        let records = self.records();
        let of_file = records.iter().filter(|record| record["file"] == file);
        of_file.map(|record| record["status"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The newest record of a file.
    fn last(&self, file: &str) -> Value {
        self.records().into_iter().rev().find(|record| record["file"] == file).unwrap_or_default()
    }

    /// Codes of what is wrong with a file now.
    fn codes(&self, file: &str) -> Vec<String> {
        let last = self.last(file);
        let all = last["diagnostics"].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What a run of this workflow gives.
    fn output(&self, workflow: &str) -> Value {
        let path = format!("/api/v1/workflows/{workflow}/runs?wait=1m");
        let (status, answer) = self.daemon.request("POST", &path, &[], "{}").expect("an answer");
        if status == 200 { answer["output"].clone() } else { json!(status) }
    }

    /// Waits until this holds.
    fn until(what: &str, holds: impl Fn() -> bool) {
        let begun = elapsed();
        while !holds() {
            assert!(elapsed().saturating_sub(begun) < BOUND, "not in time: {what}");
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits until all that was saved before has settled: a file that is saved now is live after it.
    fn settled(&self) {
        let name = format!("fence{}", self.fences.replace(self.fences.get() + 1));
        self.write(&format!("{name}.rhai"), "0");
        Self::until(&name, || self.story(&format!("{name}.rhai")) == ["live"]);
    }

    /// Waits until the file is settled, and asserts that it was loaded once, and what a run of it gives.
    fn is_live_once(&self, workflow: &str, before: &Story, output: &Value) {
        self.settled();
        self.settled();
        let (file, mut expected) = (format!("{workflow}.rhai"), before.clone());
        expected.push("live".to_owned());
        assert_eq!(self.story(&file), expected, "{workflow}");
        assert_eq!(self.output(workflow), *output, "{workflow}");
    }
}

/// Waits so long, as somebody who saves does; answers how long it was.
fn pause(length: Duration) -> Duration {
    let begun = elapsed();
    while elapsed().saturating_sub(begun) < length {
        std::thread::park_timeout(length.saturating_sub(elapsed().saturating_sub(begun)));
    }
    elapsed().saturating_sub(begun)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("renamed");
}
