//! A daemon as a process of its own, and a client that speaks just enough HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `panta daemon`; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: String,
    data: PathBuf,
}

impl Daemon {
    /// Starts it and waits for the line that tells its address.
    pub(crate) fn start(scripts: &Path, data: &Path) -> Self {
        Self::start_with(scripts, data, &[])
    }

    /// The same with environment variables.
    pub(crate) fn start_with(scripts: &Path, data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_under(&[], scripts, data, environment)
    }

    /// The same, as the command of another program that becomes it.
    pub(crate) fn start_under(program: &[&str], scripts: &Path, data: &Path, environment: &[(&str, &str)]) -> Self {
        let words: Vec<_> = program.iter().copied().chain([env!("CARGO_BIN_EXE_panta")]).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["daemon", "--listen", "127.0.0.1:0", "--data"])
            .args([data, scripts])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split([' ', '/', '\n']).next())
            .expect("an address in the start line");
        Self { address: address.to_owned(), data: data.to_owned(), child }
    }

    /// `kill -9`. The engine dies with it: when this returns, the data folder is free.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is gone");
        while panta::store::lock::holder(&self.data).is_some() {
            std::thread::yield_now();
        }
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for its end; the exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// Process id of the one that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process that was started.
    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(self.child.id(), name), "{name} is sent");
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The most memory that the engine has taken so far, in MiB; `None` where the system does not tell.
    pub(crate) fn memory_peak_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.engine())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().split(' ').next()?.parse::<u64>().ok().map(|kib| kib / 1024)
    }

    /// Bytes of address space that the engine has now.
    pub(crate) fn engine_size(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.engine())).expect("its status");
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
        size.and_then(|size| size.parse::<u64>().ok()).expect("a size") * 1024
    }

    /// The process that is the engine now: the child of the one that was started. Waits until there is one.
    pub(crate) fn engine(&self) -> u32 {
        let parent = self.child.id().to_string();
        loop {
            let found = Command::new("pgrep").args(["-P", &parent]).output().expect("pgrep runs").stdout;
            if let Some(engine) = String::from_utf8_lossy(&found).lines().next().and_then(|pid| pid.parse().ok()) {
                return engine;
            }
        }
    }

    /// Sends a signal to the engine; answers its process id, or `None` where it was gone already.
    pub(crate) fn signal_engine(&self, name: &str) -> Option<u32> {
        let engine = self.engine();
        signal(engine, name).then_some(engine)
    }

    /// A request; `None` when the connection broke.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, Value)> {
        request(&self.address, method, path, headers, body)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The engine dies a moment later: what comes next must not meet it.
        while panta::store::lock::holder(&self.data).is_some_and(|holder| holder.listen.as_ref() == Some(&self.address))
        {
            std::thread::yield_now();
        }
    }
}

fn signal(pid: u32, name: &str) -> bool {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
    done.expect("kill runs").success()
}

/// A request to whatever listens there; `None` when the connection broke.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, rest) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(rest) } else { rest.to_owned() };
    Some((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || more.len() < size {
            break;
        }
        body.push_str(&more[..size]);
        rest = more[size..].trim_start_matches("\r\n");
    }
    body
}
