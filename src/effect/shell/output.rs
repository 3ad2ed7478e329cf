//! What a program writes: taken within bounds while it runs, and told without secrets.

use std::future::Future;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{ShellReply, ShellRequest, Written};
use crate::effect::file::Inflow;
use crate::effect::{Failure, Field, Secrets};

/// How long is waited for the end of its output once it has ended: who holds it then has left its group.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes that are read at a time.
const READ: usize = 64 << 10;
/// Characters of its last complaint in a message.
const SHOWN: usize = 300;

/// Where the standard output goes.
pub(super) enum Sink {
    Memory(Vec<u8>),
    File(Box<Inflow>),
}

/// What a program has written so far, and how it ended.
pub(super) struct Collected {
    stdout: Sink,
    stderr: Vec<u8>,
    most: u64,
    ended: Result<Ended, Failure>,
}

enum Ended {
    Not,
    With { code: i32, signal: Option<i32> },
}

impl Collected {
    pub(super) fn new(stdout: Sink, most: u64) -> Self {
        Self { stdout, stderr: Vec::new(), most, ended: Ok(Ended::Not) }
    }

    /// Takes all until it has ended. Where nobody waits for that, it counts as not ended.
    pub(super) async fn take(
        &mut self,
        out: Option<impl AsyncRead + Unpin>,
        err: Option<impl AsyncRead + Unpin>,
        fed: impl Future<Output = ()>,
        ended: impl Future<Output = std::io::Result<ExitStatus>>,
    ) {
        let (is_over, most) = (tokio::sync::Notify::new(), self.most);
        let stderr = &mut self.stderr;
        let complaint = async {
            let Some(mut err) = err else { return Ok(()) };
            while read(&mut err, stderr).await > 0 {
                within(stderr.len() as u64, most, "standard error")?;
            }
            Ok(())
        };
        let fed = async {
            fed.await;
            Ok(())
        };
        let all = async { tokio::try_join!(take_out(&mut self.stdout, out, most), complaint, fed).map(drop) };
        let taken = async {
            tokio::select! {
                biased;
                taken = all => taken,
                // Somebody outside of its group holds the other end.
                () = async { is_over.notified().await; tokio::time::sleep(LINGER).await } => Ok(()),
            }
        };
        let ended = async {
            let status = ended.await;
            is_over.notify_one();
            status.map_err(|error| Failure::new("shell", format!("the program cannot be waited for: {error}")))
        };
        self.ended = tokio::try_join!(ended, taken).map(|(status, ())| how(status));
    }
}

async fn take_out(sink: &mut Sink, out: Option<impl AsyncRead + Unpin>, most: u64) -> Result<(), Failure> {
    let Some(mut out) = out else { return Ok(()) };
    match sink {
        Sink::Memory(bytes) => {
            while read(&mut out, bytes).await > 0 {
                within(bytes.len() as u64, most, "standard output")?;
            }
        }
        Sink::File(file) => {
            let mut piece = Vec::with_capacity(READ);
            while read(&mut out, &mut piece).await > 0 {
                file.push(&piece).await?;
                piece.clear();
            }
        }
    }
    Ok(())
}

/// Reads a piece; a pipe that breaks has ended.
async fn read(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> usize {
    into.reserve(READ);
    from.read_buf(into).await.unwrap_or_default()
}

fn within(bytes: u64, most: u64, what: &str) -> Result<(), Failure> {
    if bytes <= most {
        return Ok(());
    }
    let hint = "raise `max_bytes`, or stream the output to a file with `save_to`";
    Err(Failure::limit(format!("the program wrote more than {most} bytes to its {what}; hint: {hint}")))
}

/// As shells say it: a signal is 128 and its number. A program may also end with such a code by itself.
fn how(status: ExitStatus) -> Ended {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None::<i32>;
    Ended::With { code: status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(-1), signal }
}

/// Makes of it what the script gets.
pub(super) struct Teller<'a> {
    pub(super) request: &'a ShellRequest,
    pub(super) secrets: &'a dyn Secrets,
    /// Bytes of output in an error.
    pub(super) most: u64,
}

impl Teller<'_> {
    pub(super) async fn reply(&self, collected: Collected) -> Result<ShellReply, Failure> {
        let Collected { stdout, stderr, ended, .. } = collected;
        let program = &self.request.program;
        match ended {
            Ok(Ended::With { code, .. }) if code == 0 || self.request.accept.contains(&code) => {
                let stdout = match stdout {
                    Sink::Memory(bytes) => text_or_bytes(bytes),
                    Sink::File(file) => Written::Saved(file.finish().await?),
                };
                Ok(ShellReply { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
            }
            Ok(Ended::With { code, signal }) => {
                let complaint = self.tail(&stderr, false);
                let hint = format!("`accept: [{code}]` where that is an answer");
                let failure = Failure::new(
                    "shell",
                    format!("`{program}` ended with {}{}; hint: {hint}", shown_code(code, signal), reason(&complaint)),
                );
                let failure = failure.with("code", Field::Int(code.into()));
                Err(self.with_output(failure, stdout, complaint, false))
            }
            Ok(Ended::Not) => {
                let time = self.request.timeout.unwrap_or(super::TIME);
                let hint = "give it more with `timeout`";
                let why = format!("did not end within {}, and was killed with all that it started", shown(time));
                let failure = Failure::new("timeout", format!("`{program}` {why}; hint: {hint}")).retryable();
                Err(self.with_output(failure, stdout, self.tail(&stderr, true), true))
            }
            Err(failure) => Err(failure.with("program", Field::Text(program.clone()))),
        }
    }

    fn with_output(&self, failure: Failure, stdout: Sink, stderr: String, broke_off: bool) -> Failure {
        let stdout = match stdout {
            Sink::Memory(bytes) => Field::Text(self.tail(&bytes, broke_off)),
            Sink::File(_) => Field::Unit,
        };
        let program = Field::Text(self.request.program.clone());
        failure.with("program", program).with("stdout", stdout).with("stderr", Field::Text(stderr))
    }

    /// The end of what was written. Secrets go before anything is cut.
    fn tail(&self, bytes: &[u8], broke_off: bool) -> String {
        let begun = if broke_off { self.secrets.begun_at_end(bytes) } else { 0 };
        let text = String::from_utf8_lossy(&bytes[..bytes.len() - begun]);
        let clean = self.secrets.redact(&text);
        let from = clean.len().saturating_sub(usize::try_from(self.most).unwrap_or(usize::MAX));
        clean[clean.ceil_char_boundary(from)..].to_owned()
    }
}

fn text_or_bytes(bytes: Vec<u8>) -> Written {
    String::from_utf8(bytes).map_or_else(|error| Written::Bytes(error.into_bytes()), Written::Text)
}

fn shown_code(code: i32, signal: Option<i32>) -> String {
    signal.map_or_else(|| format!("code {code}"), |signal| format!("code {code} (signal {signal})"))
}

/// What it says of the reason, as the end of a sentence: its last line that begins as errors do, else its last.
fn reason(complaint: &str) -> String {
    let lines = || complaint.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| {
        let begin = line.get(..8).unwrap_or(line).to_ascii_lowercase();
        ["fatal:", "error:", "panic:", "fatal "].iter().any(|mark| begin.starts_with(mark))
    };
    let line = lines().find(is_error).or_else(|| lines().next()).unwrap_or_default();
    let line = &line[..line.floor_char_boundary(SHOWN)];
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

fn shown(time: Duration) -> String {
    if time.as_millis().is_multiple_of(1000) {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}
