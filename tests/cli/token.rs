//! `panta token`, and a daemon that others can reach.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::Place;

/// A daemon that listens on all addresses; killed when dropped.
struct Open {
    child: Child,
    port: String,
}

impl Open {
    fn start(place: &Place) -> Self {
        let mut command = place.command(&["daemon", "scripts", "--listen", "0.0.0.0:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let port = first.split("0.0.0.0:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port").to_owned();
        Self { child, port }
    }

    /// The first line of the answer to a request with these header lines.
    fn answer(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        // A server that has seen enough may close before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place() -> Place {
    Place::new(&[("scripts/w.rhai", "input.n + 1")])
}

/// Makes a token, and gives it.
fn token(place: &Place, name: &str, role: &str) -> String {
    place.panta(&["token", "create", name, "--role", role]).expect(0).out.trim().to_owned()
}

#[test]
fn others_are_not_let_in_without_any_token() {
    let place = place();
    let refused = place.panta(&["daemon", "scripts", "--listen", "0.0.0.0:0"]).expect(2);
    assert!(refused.err.contains("panta token create NAME --role admin"), "{}", refused.err);
    let weak = place.command(&["daemon", "scripts", "--listen", "0.0.0.0:0"]).env("PANTA_TOKEN", "secret").output();
    assert_eq!(weak.unwrap().status.code(), Some(2));
    token(&place, "old", "admin");
    place.panta(&["token", "revoke", "old"]).expect(0);
    place.panta(&["daemon", "scripts", "--listen", "0.0.0.0:0"]).expect(2);
}

#[test]
fn a_daemon_that_others_reach_wants_a_token_from_commands_too() {
    let place = place();
    let admin = token(&place, "ann", "admin");
    let daemon = Open::start(&place);
    assert!(place.panta(&["runs"]).expect(5).err.contains("a token is needed"));
    let made = place.panta(&["--token", &admin, "token", "create", "ci", "--role", "run", "--expires", "1d", "--json"]);
    let run = made.expect(0).json()["token"].as_str().expect("a token").to_owned();
    let server = format!("http://127.0.0.1:{}", daemon.port);
    let started = place.panta(&["--server", &server, "--token", &run, "start", "w", "-i", "n=1", "--wait"]);
    assert_eq!(started.expect(0).out, "2\n");
    assert!(place.panta(&["--token", &run, "audit"]).expect(5).err.contains("it takes the role `admin`"));
    place.panta(&["--token", &admin, "token", "revoke", "ci"]).expect(0);
    place.panta(&["--token", &run, "runs"]).expect(5);
    let acts = place.panta(&["--token", &admin, "audit"]).expect(0).out;
    assert!(acts.contains("token:ci") && acts.contains("token.revoke") && !acts.contains("panta_"), "{acts}");
}

#[test]
fn headers_are_bounded_and_other_names_are_turned_away() {
    let place = place();
    let admin = token(&place, "ann", "admin");
    let daemon = Open::start(&place);
    let bearer = format!("Authorization: Bearer {admin}\r\n");
    assert!(daemon.answer("/api/v1/runs", &format!("Host: 10.1.2.3:7262\r\n{bearer}")).contains(" 200 "));
    assert!(daemon.answer("/api/v1/runs", &format!("Host: evil.example\r\n{bearer}")).contains(" 421 "));
    let large = format!("Host: localhost\r\n{bearer}X: {}\r\n", "x".repeat(16 << 10));
    let answer = daemon.answer("/api/v1/runs", &large);
    assert!(answer.contains(" 431 ") && answer.contains("application/problem+json"), "{answer}");
    let many = format!("Host: localhost\r\n{bearer}{}", "X: y\r\n".repeat(120));
    let answer = daemon.answer("/api/v1/runs", &many);
    assert!(answer.contains(" 431 ") && answer.contains("application/problem+json"), "{answer}");
    assert!(daemon.answer("/healthz", "Host: localhost\r\n").contains(" 200 "));
}

#[test]
fn tokens_are_listed_and_never_shown() {
    let place = place();
    let secret = token(&place, "ci", "run,approve");
    assert!(secret.starts_with("panta_"), "{secret}");
    let listed = place.panta(&["token", "list"]).expect(0).out;
    assert!(listed.contains("run,approve") && listed.contains("valid") && !listed.contains("panta_"), "{listed}");
    place.panta(&["token", "create", "ci", "--role", "run"]).expect(2);
    place.panta(&["token", "create", "x", "--role", "root"]).expect(2);
    place.panta(&["token", "create", "x"]).expect(2);
    place.panta(&["token", "revoke", "ci"]).expect(0);
    place.panta(&["token", "revoke", "none"]).expect(2);
    assert_eq!(place.panta(&["token", "list", "--json"]).expect(0).json()["valid"], false);
    let file = std::fs::read(place.path().join("data/panta.db")).unwrap();
    let log = std::fs::read(place.path().join("data/panta.db-wal")).unwrap();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(!holds(&file) && !holds(&log), "the store has no token");
}
