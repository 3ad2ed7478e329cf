//! What is written where: data to stdout, everything for people's eyes alone to stderr; exit codes.
//!
//! Colour only on a terminal, and never with `NO_COLOR`. A closed pipe ends the writing, not the process.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::diag::{Color, Diagnostic};
use crate::store::Status;
use crate::time::{Clock as _, SystemClock};

/// How a command ended. The numbers are a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The run, the test or the check failed.
    Failed = 1,
    /// Wrong usage, or a script that does not compile.
    Usage = 2,
    /// The run was cancelled.
    Cancelled = 3,
    /// The run timed out, or still waits.
    Waiting = 4,
    /// The daemon or the store cannot be reached.
    Unreachable = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The one with this number, of another process of this program.
    pub(super) fn of_code(code: u8) -> Self {
        let all = [Self::Done, Self::Failed, Self::Usage, Self::Cancelled, Self::Waiting, Self::Unreachable];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Self::Unreachable)
    }

    /// What the status of a run means for the one who waited for it.
    pub(super) fn of_status(status: &str) -> Self {
        match Status::from_name(status) {
            Some(Status::Completed) => Self::Done,
            Some(Status::Cancelled) => Self::Cancelled,
            Some(Status::Failed | Status::Quarantined | Status::Diverged) => Self::Failed,
            _ => Self::Waiting,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) exit: Exit,
    pub(super) text: String,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Fault {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), diagnostics: Vec::new() }
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, text)
    }

    /// A script or a configuration that cannot be used.
    pub(super) fn diagnosed(diagnostics: Vec<Diagnostic>) -> Self {
        Self { exit: Exit::Usage, text: String::new(), diagnostics }
    }

    /// Tells the one at the terminal.
    pub(super) fn show(&self) {
        if AS_JSON.load(Ordering::Relaxed) {
            let all = self.diagnostics.iter().map(|diagnostic| diagnostic.render(Color::Plain));
            let message = all.chain([self.text.clone()]).collect::<String>();
            note(&serde_json::json!({ "time": SystemClock.now(), "level": "error", "message": message }).to_string());
            return;
        }
        self.diagnostics.iter().for_each(diagnostic);
        if self.text.is_empty() {
            return;
        }
        let (what, hint) = self.text.split_once("; hint: ").map_or((self.text.as_str(), None), |(w, h)| (w, Some(h)));
        note(&format!("{}: {what}", Paint::Red.on(Stream::Err, "error")));
        if let Some(hint) = hint {
            note(&format!("  {}: {hint}", Paint::Bold.on(Stream::Err, "hint")));
        }
    }
}

impl From<crate::store::Error> for Fault {
    fn from(error: crate::store::Error) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<crate::engine::Error> for Fault {
    fn from(error: crate::engine::Error) -> Self {
        use crate::engine::Error;
        match error {
            Error::Input(faults) => {
                let all: Vec<_> = faults.iter().map(|fault| format!("\n  {}: {}", fault.path, fault.message)).collect();
                Self::usage(format!("the input does not fit the workflow:{}", all.concat()))
            }
            Error::Store(_) | Error::Stopped(_) | Error::Journal(_) => Self::unreachable(error.to_string()),
            Error::Answer(faults) => {
                let all: Vec<_> = faults.iter().map(|fault| format!("\n  {}: {}", fault.path, fault.message)).collect();
                Self::usage(format!("the answer does not fit the task:{}", all.concat()))
            }
            Error::Ended(..)
            | Error::Busy(_)
            | Error::TaskOver(_)
            | Error::Skipped { .. }
            | Error::LockInUse { .. }
            | Error::NotNow { .. }
            | Error::Confirm { .. }
            | Error::Diverges { .. } => Self::new(Exit::Failed, error.to_string()),
            Error::UnknownWorkflow { .. }
            | Error::KeyConflict { .. }
            | Error::UnknownRun(_)
            | Error::Closure(_)
            | Error::UnknownTask(_)
            | Error::MayNotAnswer(_)
            | Error::UnknownToken(_)
            | Error::BadToken(_)
            | Error::UnknownStep(_)
            | Error::NotLocked(_) => Self::usage(error.to_string()),
        }
    }
}

static AS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on a fault that ends the process is a line of JSON: stderr is a log that a program reads.
pub(super) fn faults_as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// Where something is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

impl Stream {
    /// Somebody sits there.
    pub(super) fn is_terminal(self) -> bool {
        match self {
            Self::Out => std::io::stdout().is_terminal(),
            Self::Err => std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn is_coloured(self) -> bool {
        self.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}

/// A colour with a meaning.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

impl Paint {
    /// The text in this colour, where colours are shown.
    pub(super) fn on(self, stream: Stream, text: &str) -> String {
        if !stream.is_coloured() {
            return text.to_owned();
        }
        let code = match self {
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The colour of a run's status.
    pub(super) fn of_status(status: &str) -> Self {
        match status {
            "completed" => Self::Green,
            "failed" | "quarantined" | "diverged" | "timed_out" => Self::Red,
            "cancelled" | "paused" => Self::Yellow,
            _ => Self::Bold,
        }
    }
}

static PROGRAM: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Fixes what commands in hints begin with: they must work as printed, with the data folder or server that was given.
pub(super) fn set_program(config: Option<&std::path::Path>, data: Option<&std::path::Path>, server: Option<&str>) {
    let config = config.map(|config| format!(" --config {}", config.display())).unwrap_or_default();
    let data = data.map(|data| format!(" --data {}", data.display())).unwrap_or_default();
    let server = server.map(|server| format!(" --server {server}")).unwrap_or_default();
    let _ = PROGRAM.set(format!("panta{config}{data}{server}"));
}

/// What commands in hints begin with.
pub(super) fn program() -> &'static str {
    PROGRAM.get().map_or("panta", String::as_str)
}

/// A line of data. Nobody there to read it is no error.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A value as one line of JSON.
pub(super) fn json(value: &Value) {
    line(&value.to_string());
}

/// A value as JSON for people.
pub(super) fn pretty(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

/// A line for people.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Raw text to stderr, such as a redrawn region.
pub(super) fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// A diagnostic, rendered.
pub(super) fn diagnostic(diagnostic: &Diagnostic) {
    draw(&rendered(diagnostic, Stream::Err));
}

/// A diagnostic as text for one of the streams.
pub(super) fn rendered(diagnostic: &Diagnostic, stream: Stream) -> String {
    diagnostic.render(if stream.is_coloured() { Color::Ansi } else { Color::Plain })
}

/// Text on one line, without control characters, of so many characters at most.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    if out.chars().count() > most {
        out = out.chars().take(most.saturating_sub(1)).collect();
        out.push('…');
    }
    out
}

/// The text of a field, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// A length of time as people read it, to three places at most.
pub(super) fn lasted(duration: std::time::Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        _ => crate::time::format_duration(std::time::Duration::from_secs(duration.as_secs())),
    }
}

/// How long lies between two times of an object.
pub(super) fn between(value: &Value, from: &str, to: &str) -> Option<std::time::Duration> {
    let time = |field: &str| crate::time::Timestamp::from_text(text(value, field));
    Some(time(to)?.since(time(from)?))
}
