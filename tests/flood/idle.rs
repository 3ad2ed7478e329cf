//! Connections that do nothing, from one address and without a token: others are served all the same.

use std::io::Write as _;
use std::net::TcpStream;

use super::{Daemon, Sender};

/// More than one address may have, with the reserve; few enough for a process with 1,024 open files.
const IDLE: usize = 600;

/// A connection that asks for nothing yet.
fn idle(daemon: &Daemon, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address()).expect("a connection");
    stream.write_all(text.as_bytes()).expect("sent");
    stream
}

#[test]
fn idle_connections_keep_nobody_out_and_one_in_use_is_not_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("a folder");
    std::fs::write(scripts.join("w.rhai"), "trigger::webhook(\"in\");\nfn main(i) { 1 }").expect("a script");
    let daemon = Daemon::start(&scripts, &folder.path().join("data"));
    // Its head is there, and its body is awaited.
    let head =
        "POST /hooks/in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    let mut in_use = Sender::over(idle(&daemon, head), daemon.address());
    let held: Vec<_> = (0..IDLE).map(|_| idle(&daemon, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n")).collect();
    for _ in 0..20 {
        assert_eq!(daemon.request("GET", "/healthz", &[], "").expect("an answer").0, 200);
    }
    let taken = loop {
        match Sender::new(daemon.address()).post("{}") {
            (503, true, _) => {}
            (status, _, _) => break status,
        }
    };
    assert_eq!((taken, in_use.finish("{}").0, held.len()), (202, 202, IDLE));
}
