//! Webhook posts at full speed, from many connections: what was acknowledged has its run, the rest was told to come again,
//! and the daemon stays small and answers. `PANTA_POSTS` in the environment for more.

mod idle;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;

/// Connections at once.
const SENDERS: usize = 32;
/// MiB that the daemon may take, in a debug build too.
const MEMORY_MIB: u64 = 600;

fn posts() -> usize {
    std::env::var("PANTA_POSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000)
}

/// A connection that is kept.
struct Sender {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Sender {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        Self::over(stream, address)
    }

    /// Over a connection that is there.
    fn over(stream: TcpStream, address: &str) -> Self {
        stream.set_read_timeout(Some(Duration::from_mins(2))).expect("a bound");
        Self { stream: BufReader::new(stream), address: address.to_owned() }
    }

    /// Status, whether it says when to come again, and the body.
    fn post(&mut self, body: &str) -> (u16, bool, Value) {
        let head = format!(
            "POST /hooks/in HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.finish(&head)
    }

    /// Sends what lacks of a request, and reads what is answered.
    fn finish(&mut self, rest: &str) -> (u16, bool, Value) {
        self.stream.get_mut().write_all(rest.as_bytes()).expect("sent");
        let (mut status, mut length, mut is_told) = (0, 0, false);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a line");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            }
            is_told |= line.starts_with("retry-after:");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        (status, is_told, serde_json::from_slice(&body).expect("JSON"))
    }
}

/// All runs of the workflow, page by page.
fn runs(daemon: &Daemon) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/api/v1/runs?workflow=w&limit=1000{cursor}");
        let (_, page) = daemon.request("GET", &path, &[], "").expect("an answer");
        found.extend(
            page["runs"].as_array().expect("runs").iter().map(|run| run["run"].as_str().expect("id").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// A daemon with one workflow that the webhook starts.
fn daemon(folder: &Path, script: &str, environment: &[(&str, &str)]) -> Daemon {
    let scripts = folder.join("scripts");
    std::fs::create_dir(&scripts).expect("a folder");
    std::fs::write(scripts.join("w.rhai"), script).expect("a script");
    Daemon::start_with(&scripts, &folder.join("data"), environment)
}

/// What came of a flood: runs that were acknowledged, how many posts were refused by status, and how often the daemon was healthy.
struct Came {
    taken: BTreeSet<String>,
    refused: BTreeMap<u16, usize>,
    healthy: usize,
}

/// Posts at full speed. Whoever is refused is told when to come again; each run is acknowledged once.
fn flood(daemon: &Daemon, posts: usize) -> Came {
    let next = AtomicUsize::new(0);
    let send = || {
        let mut sender = Sender::new(daemon.address());
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        while next.fetch_add(1, Ordering::Relaxed) < posts {
            match sender.post(&format!("{{\"n\":1,\"padding\":\"{}\"}}", "x".repeat(500))) {
                (202, _, body) => taken.push(body["run"].as_str().expect("a run").to_owned()),
                (status @ (429 | 503), true, _) => refused.push(status),
                other => panic!("{other:?}"),
            }
        }
        (taken, refused)
    };
    let mut came = Came { taken: BTreeSet::new(), refused: BTreeMap::new(), healthy: 0 };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            assert_eq!(daemon.request("GET", "/healthz", &[], "").expect("an answer").0, 200);
            came.healthy += 1;
        }
        for (taken, refused) in senders.into_iter().map(|sender| sender.join().expect("ends")) {
            assert!(taken.into_iter().all(|run| came.taken.insert(run)), "each post has a run of its own");
            refused.into_iter().for_each(|status| *came.refused.entry(status).or_default() += 1);
        }
    });
    assert_eq!(came.taken.len() + came.refused.values().sum::<usize>(), posts);
    came
}

#[test]
fn posts_at_full_speed_are_runs_or_refused_and_the_daemon_stays_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "trigger::webhook(\"in\");\nfn main(i) { step(\"a\", || i.n); step(\"b\", || i.n + 1) }";
    let daemon = daemon(folder.path(), script, &[]);
    let Came { taken, refused, healthy } = flood(&daemon, posts());
    let peak = daemon.memory_peak_mib();
    assert_eq!(runs(&daemon), taken);
    assert!(healthy > 0 && peak.is_none_or(|peak| peak < MEMORY_MIB), "{healthy} answers, {peak:?} MiB");
    assert!(!taken.is_empty() && !refused.contains_key(&429), "{refused:?}");
    println!("{} taken, {refused:?} refused, {healthy} times healthy, {peak:?} MiB at most", taken.len());
}

#[test]
fn more_than_can_be_in_motion_is_refused_and_what_was_taken_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    // Each run keeps a worker for a while.
    let script = "trigger::webhook(\"in\");\nfn main(i) { let n = 0; while n < 100_000 { n += 1 } n }";
    let daemon = daemon(folder.path(), script, &[("PANTA_MOST_LIVE", "1")]);
    let Came { taken, refused, .. } = flood(&daemon, 300);
    assert!(!taken.is_empty() && refused.keys().eq(&[503]), "{} {refused:?}", taken.len());
    assert_eq!(runs(&daemon), taken);
    let ended = |run: &String| daemon.request("GET", &format!("/api/v1/runs/{run}"), &[], "").expect("an answer").1;
    for run in &taken {
        let status = until_it_ends(|| ended(run)["status"].as_str().expect("a status").to_owned());
        assert_eq!(status, "completed", "{run}");
    }
    let (status, answer) = daemon.request("POST", "/hooks/in", &[], "{}").expect("an answer");
    assert_eq!(status, 202, "it is calm again: {answer}");
}

/// The status of a run that is neither queued nor running any more.
fn until_it_ends(look: impl Fn() -> String) -> String {
    loop {
        match look().as_str() {
            "queued" | "running" | "waiting" => std::thread::yield_now(),
            ended => return ended.to_owned(),
        }
    }
}

#[test]
fn more_than_one_address_may_send_is_refused_and_the_daemon_is_watched_over_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "trigger::webhook(\"in\");\nfn main(i) { 1 }";
    let daemon = daemon(folder.path(), script, &[("PANTA_REQUESTS", "20/d")]);
    let Came { taken, refused, healthy } = flood(&daemon, 200);
    assert_eq!((taken.len(), refused.get(&429), healthy > 0), (20, Some(&180), true), "{refused:?}");
}
