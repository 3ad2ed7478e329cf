//! A file that was coming in when the daemon was killed: nothing of it stays.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

use crate::support::daemon::Daemon;

fn files(folder: &Path) -> Vec<String> {
    let there = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.expect("a file").file_name());
    there.map(|name| name.to_string_lossy().into_owned()).collect()
}

fn until(look: impl Fn() -> bool) {
    while !look() {
        std::thread::yield_now();
    }
}

#[test]
fn half_a_file_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (scripts, data) = (folder.path().join("scripts"), folder.path().join("data"));
    std::fs::create_dir(&scripts).expect("a folder");
    let script = "trigger::webhook(\"in\", #{ save_to: \"box\" });\nfn main(i) { i.size }";
    std::fs::write(scripts.join("w.rhai"), script).expect("a script");
    let daemon = Daemon::start(&scripts, &data);
    let mut sender = TcpStream::connect(daemon.address()).expect("a connection");
    let head = format!("POST /hooks/in HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n", daemon.address());
    sender.write_all(head.as_bytes()).and_then(|()| sender.write_all(&vec![b'x'; 600_000])).expect("sent");
    let inbox = data.join("workspace/w/box");
    until(|| files(&inbox).len() == 1);
    daemon.kill();
    let left = files(&inbox);
    assert!(left.len() == 1 && left[0].starts_with(".panta-"), "{left:?}");
    std::fs::write(inbox.join(".panta-mine"), "not of the daemon").expect("a file");
    let daemon = Daemon::start(&scripts, &data);
    until(|| files(&inbox) == [".panta-mine"]);
    assert_eq!(daemon.request("POST", "/hooks/in", &[], "whole").expect("an answer").0, 202);
    until(|| files(&inbox).len() == 2);
}
