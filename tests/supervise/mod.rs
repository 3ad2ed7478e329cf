//! The daemon as two processes: the engine is killed, kills itself, hangs; nobody is refused, and only who is guilty pays.

mod deaths;
mod poison;
mod signs;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;

/// Longer than anything takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with scripts, and the data of a daemon.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::create_dir(place.scripts()).expect("a folder");
        for (name, text) in scripts {
            place.write(name, text);
        }
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.scripts().join(format!("{name}.rhai")), text).expect("a script");
    }

    fn scripts(&self) -> PathBuf {
        self.folder.path().join("scripts")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        Daemon::start_with(&self.scripts(), &self.data(), environment)
    }

    /// A daemon that has so many bytes of address space from the start.
    fn start_within(&self, bytes: u64) -> Daemon {
        Daemon::start_under(&["prlimit", &format!("--as={bytes}")], &self.scripts(), &self.data(), &[])
    }

    /// A daemon whose runs may have more memory than the process: from the next engine on, that has so many bytes of address
    /// space beyond what the first one took to start.
    fn start_with_little_memory(&self, bytes: u64) -> Daemon {
        std::fs::write(self.folder.path().join("panta.toml"), "[limits]\nscript_memory = \"900 GB\"\n")
            .expect("a file");
        let daemon = self.start();
        let limit = daemon.engine_size() + bytes;
        let pid = daemon.pid().to_string();
        let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}")]).status();
        assert!(limited.expect("prlimit runs").success());
        daemon.signal_engine("KILL");
        daemon
    }
}

/// Starts a run; asks again, with the same key, as long as the engine dies in between. To be refused is a failure.
fn start(address: &str, workflow: &str, key: &str) -> String {
    let path = format!("/api/v1/workflows/{workflow}/runs");
    let headers = format!("Idempotency-Key: {key}\r\nContent-Type: application/json\r\n");
    let (status, body) = persist(|| ask(address, "POST", &path, &headers, "{}"));
    assert_eq!(status, 202, "{body}");
    body["run"].as_str().expect("a run").to_owned()
}

/// A run as the API shows it.
fn run(address: &str, run: &str) -> Value {
    persist(|| ask(address, "GET", &format!("/api/v1/runs/{run}"), "", "")).1
}

/// Waits until a run shows this status.
fn until(address: &str, run: &str, status: &str) -> Value {
    loop {
        let shown = self::run(address, run);
        if shown["status"] == json!(status) {
            return shown;
        }
        let live = ["queued", "running", "waiting"].map(|live| json!(live));
        assert!(live.contains(&shown["status"]), "{shown}");
    }
}

fn persist<T>(act: impl FnMut() -> Option<T>) -> T {
    std::iter::repeat_with(act).take(10_000).flatten().next().expect("an answer, after many tries")
}

/// A request; `None` when the connection broke once it was there.
fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).expect("nobody is refused");
    stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut rest = String::new();
    reader.read_to_string(&mut rest).ok()?;
    Some((status, serde_json::from_str(rest.split_once("\r\n\r\n")?.1).ok()?))
}
