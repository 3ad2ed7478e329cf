//! Points at which a daemon is killed: a proxy before what it talks to holds it there until it is gone.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::request;
use crate::support::server::{Seen, Server};

/// Longer than anything on the way takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// On which side of a request it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The request is sent, and arrives nowhere.
    Before,
    /// What was asked is done, and the answer is lost.
    After,
}

/// The points that are left, in the order in which they are reached.
pub(crate) struct Kills {
    /// What a request contains, and the side of it.
    left: Mutex<VecDeque<(&'static str, Side)>>,
    reached: Mutex<Sender<(String, Sender<()>)>>,
}

/// The end of whoever kills.
pub(crate) struct Reached(Receiver<(String, Sender<()>)>);

impl Kills {
    pub(crate) fn new(points: &[(&'static str, Side)]) -> (Self, Reached) {
        let (reached, told) = channel();
        (Self { left: Mutex::new(points.iter().copied().collect()), reached: Mutex::new(reached) }, Reached(told))
    }

    /// Further points.
    pub(crate) fn add(&self, points: &[(&'static str, Side)]) {
        self.left.lock().expect("no test panicked").extend(points);
    }

    /// Whether the next point is here; returns once the daemon is gone.
    pub(crate) fn holds(&self, line: &str, side: Side) -> bool {
        let mut left = self.left.lock().expect("no test panicked");
        if !left.front().is_some_and(|(part, own)| line.contains(part) && *own == side) {
            return false;
        }
        left.pop_front();
        drop(left);
        let (gone, is_gone) = channel();
        let told = (format!("{line}, {side:?}"), gone);
        let sent = self.reached.lock().expect("no test panicked").send(told);
        // Without anybody who kills, the test is over.
        sent.is_err() || is_gone.recv_timeout(PATIENCE).is_ok()
    }

    pub(crate) fn left(&self) -> usize {
        self.left.lock().expect("no test panicked").len()
    }
}

impl Reached {
    /// Waits for the next point, and calls `kill` while all is held there. Which point it was.
    pub(crate) fn next(&self, kill: impl FnOnce()) -> String {
        let (line, gone) = self.0.recv_timeout(PATIENCE).expect("the next point is reached");
        kill();
        let _ = gone.send(());
        line
    }
}

/// A proxy before a server that speaks HTTP and JSON.
pub(crate) fn before_http(address: &'static str, kills: std::sync::Arc<Kills>) -> Server {
    Server::new(move |seen| {
        if kills.holds(&seen.line, Side::Before) {
            return (503, Value::Null);
        }
        let answer = pass_on(address, seen);
        kills.holds(&seen.line, Side::After);
        answer
    })
}

fn pass_on(address: &str, seen: &Seen) -> (u16, Value) {
    let (method, path) = seen.line.split_once(' ').expect("a method and a path");
    let kept = |name: &str| !["host", "connection", "content-length", "accept-encoding"].contains(&name);
    let headers: Vec<_> = seen.headers.iter().filter(|(name, _)| kept(name)).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = if seen.body == Value::String(String::new()) { String::new() } else { seen.body.to_string() };
    request(address, method, path, &headers, &body).unwrap_or((502, Value::Null))
}
