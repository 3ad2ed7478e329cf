//! A small HTTP server that answers as it is told and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method and path: `GET /live`.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Parsed where it is JSON, else a text.
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// Longer than any answer takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = dyn Fn(&Seen) -> (u16, Value) + Send + Sync;

/// A server on a port of its own.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Server {
    /// Answers each request with a status and JSON.
    pub(crate) fn new(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let all = Arc::clone(&seen);
        // The thread ends with the test process; a listener has no way to be woken without a connection.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                std::thread::spawn(move || serve(&stream, &*answer, &all));
            }
        });
        Self { address, seen }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.0.lock().expect("no test panicked").clone()
    }

    /// Methods and paths, in the order in which they came.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.line).collect()
    }

    /// Waits until so many requests have come in all, or the time is over.
    pub(crate) fn wait_for_total(&self, count: usize, within: Duration) {
        let (seen, more) = &*self.seen;
        let seen = seen.lock().expect("no test panicked");
        drop(more.wait_timeout_while(seen, within, |seen| seen.len() < count).expect("no test panicked"));
    }

    /// Waits until so many requests of this method and path have come.
    pub(crate) fn wait_for(&self, line: &str, count: usize) {
        let (seen, more) = &*self.seen;
        let missing = |seen: &mut Vec<Seen>| seen.iter().filter(|request| request.line == line).count() < count;
        let seen = seen.lock().expect("no test panicked");
        let waited = more.wait_timeout_while(seen, PATIENCE, missing).expect("no test panicked").1;
        assert!(!waited.timed_out(), "fewer than {count} of `{line}`");
    }
}

fn serve(stream: &TcpStream, answer: &Answer, all: &(Mutex<Vec<Seen>>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        all.0.lock().expect("no test panicked").push(request.clone());
        all.1.notify_all();
        let (status, body) = answer(&request);
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut writer = stream;
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.rsplit_once(" HTTP/").map(|(line, _)| line.to_owned())?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen { line, headers, body: Value::Null };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
    Some(seen)
}
