//! The parent's process, begun anew: of what it took to understand the command line and the configuration it keeps no memory.
//!
//! The process stays the same (its id, what its signals mean, the socket); only what it has in memory is new.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::net::TcpListener as Listener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::log::Log;
use super::super::output::{Exit, Fault};
use super::overseer;
use crate::config::{LogFormat, LogSettings};

/// The first argument of a process that was begun anew. Nobody types it.
const OPTION: &str = "--parent=";

/// What the parent has to know: `DRAIN_MS:FORMAT:LEVELS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) drain: Duration,
    pub(super) log: LogSettings,
}

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.log.format == Some(LogFormat::Json) { "json" } else { "people" };
        write!(f, "{}:{format}:{}", self.drain.as_millis(), self.log.level.as_deref().unwrap_or_default())
    }
}

impl FromStr for Brief {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.splitn(3, ':');
        let mut next = || words.next().ok_or(());
        let drain = Duration::from_millis(next()?.parse().map_err(drop)?);
        let format = Some(next()?.parse().map_err(drop)?);
        let level = Some(next()?).filter(|level| !level.is_empty()).map(str::to_owned);
        Ok(Self { drain, log: LogSettings { format, level } })
    }
}

/// Splits a command line of a process that was begun anew into what it has to know and the command line of before.
fn taken(mut arguments: Vec<OsString>) -> Option<(Brief, Vec<OsString>)> {
    let brief = arguments.get(1)?.to_str()?.strip_prefix(OPTION)?.parse().ok()?;
    arguments.remove(1);
    Some((brief, arguments))
}

/// Does what the parent does, where this process was begun anew as one.
pub(in crate::cli) async fn parent() -> Option<Result<Exit, Fault>> {
    let (brief, command) = taken(std::env::args_os().collect())?;
    Some(match inherited() {
        Ok(listener) => brief.supervise(listener, command).await,
        Err(error) => Err(Fault::usage(format!("`{OPTION}…` is for the daemon itself: {error}; hint: leave it out"))),
    })
}

/// The socket that was this process's standard input.
fn inherited() -> std::io::Result<TcpListener> {
    let listener = Listener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // Refuses what is no socket.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // For people who look at the list of processes. It has a name in any case.
    let _ = rustix::thread::set_name(c"panta");
    TcpListener::from_std(listener)
}

impl Brief {
    /// Begins the process anew. It returns only where the system does not do so: with the socket, to go on as it is.
    pub(super) fn begin(&self, listener: TcpListener) -> std::io::Result<TcpListener> {
        let listener = listener.into_std()?;
        let mut arguments = std::env::args_os();
        let mut command = Command::new("/proc/self/exe");
        command.arg0(arguments.next().unwrap_or_default()).arg(format!("{OPTION}{self}")).args(arguments);
        let error = command.stdin(Stdio::from(OwnedFd::from(listener.try_clone()?))).exec();
        tracing::debug!(%error, "the parent goes on with the memory that it has");
        TcpListener::from_std(listener)
    }

    /// Watches the engine, until that ends or is told to.
    pub(super) async fn supervise(&self, listener: TcpListener, command: Vec<OsString>) -> Result<Exit, Fault> {
        // What the parent says has no secrets in it.
        let log = Log::start(&self.log, Arc::default())?;
        let ended = overseer::supervise(listener, self.drain, command, Log::alarm()).await;
        drop(log);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_brief_is_written_and_read_and_the_command_line_is_that_of_before() {
        let log = LogSettings { format: Some(LogFormat::Json), level: Some("info,script=warn,a::b=debug".into()) };
        let brief = Brief { drain: Duration::from_millis(1_500), log };
        let line = ["panta", &format!("--parent={brief}"), "daemon", "--", "s"];
        assert_eq!(taken(words(&line)), Some((brief, words(&["panta", "daemon", "--", "s"]))));
    }

    #[test]
    fn what_people_type_is_no_brief() {
        for line in [&["panta"][..], &["panta", "daemon", "--parent=1:people:"], &["panta", "--parent=x", "daemon"]] {
            assert_eq!(taken(words(line)), None, "{line:?}");
        }
    }
}
