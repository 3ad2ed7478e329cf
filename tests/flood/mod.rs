//! Webhook posts at full speed, from many connections: what was acknowledged has its run, the rest was told to come again,
//! and the daemon stays small and answers. `PANTA_POSTS` in the environment for more.

mod idle;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
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

#[test]
fn posts_at_full_speed_are_runs_or_refused_and_the_daemon_stays_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("a folder");
    let script = "trigger::webhook(\"in\");\nfn main(i) { step(\"a\", || i.n); step(\"b\", || i.n + 1) }";
    std::fs::write(scripts.join("w.rhai"), script).expect("a script");
    let daemon = Daemon::start(&scripts, &folder.path().join("data"));
    let (posts, next) = (posts(), AtomicUsize::new(0));
    let send = || {
        let mut sender = Sender::new(daemon.address());
        let (mut taken, mut refused) = (Vec::new(), 0);
        while next.fetch_add(1, Ordering::Relaxed) < posts {
            match sender.post(&format!("{{\"n\":1,\"padding\":\"{}\"}}", "x".repeat(500))) {
                (202, _, body) => taken.push(body["run"].as_str().expect("a run").to_owned()),
                (429 | 503, true, _) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        (taken, refused)
    };
    let (results, healthy) = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        let mut healthy = 0;
        while senders.iter().any(|sender| !sender.is_finished()) {
            assert_eq!(daemon.request("GET", "/healthz", &[], "").expect("an answer").0, 200);
            healthy += 1;
        }
        (senders.into_iter().map(|sender| sender.join().expect("ends")).collect::<Vec<_>>(), healthy)
    });
    let taken: Vec<_> = results.iter().flat_map(|(taken, _)| taken.clone()).collect();
    let refused: usize = results.iter().map(|(_, refused)| refused).sum();
    let peak = daemon.memory_peak_mib();
    let there = runs(&daemon);
    assert_eq!((taken.len() + refused, taken.iter().collect::<BTreeSet<_>>().len()), (posts, taken.len()));
    assert!(
        taken.iter().all(|run| there.contains(run)) && there.len() == taken.len(),
        "{} {}",
        there.len(),
        taken.len()
    );
    assert!(healthy > 0 && peak.is_none_or(|peak| peak < MEMORY_MIB), "{healthy} answers, {peak:?} MiB");
    assert!(!taken.is_empty());
    println!("{} taken, {refused} refused, {healthy} times healthy, {peak:?} MiB at most", taken.len());
}
