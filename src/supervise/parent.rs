//! The parent: starts the engine, passes signals on, starts it again when it dies, and tells systemd.

use std::ffi::OsString;
use std::io::{self, PipeWriter};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal as Kill, kill_process};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

use super::Sign;
use super::backoff::Backoff;
use super::death::Death;
use super::link::Link;
use super::memory::MemoryKills;
use super::page::Page;
use super::sd::{self, Systemd};
use crate::engine::Evaluated;

/// An engine that was never ready and died so often is given up: it is the machine or the binary, no script.
const GIVE_UP: u32 = 10;
/// Beyond the time for draining: for its last answers and the store. Then it is killed; all that was acknowledged is durable.
const GRACE: Duration = Duration::from_secs(10);

/// What the parent is made of.
pub struct Parent {
    /// The socket that connections wait in.
    pub listener: TcpListener,
    /// The command line of the engine, the program's name first; one argument is added to it.
    pub command: Vec<OsString>,
    /// What the added argument begins with.
    pub option: &'static str,
    /// How long an engine may go on once it is told to end.
    pub drain: Duration,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// As the engine did.
    Exit(u8),
    /// The engine could not be kept alive, and why.
    GivenUp(String),
}

/// Tells people a sentence.
pub type Tell = fn(&str);

impl Parent {
    /// Supervises until the engine ends by itself, or is told to.
    pub async fn run(self, tell: Tell) -> io::Result<Ended> {
        Supervisor::new(self, tell)?.run().await
    }
}

struct Supervisor {
    /// `None` once it is told to end: who comes then is refused, as the engine would.
    listener: Option<TcpListener>,
    command: Vec<OsString>,
    option: &'static str,
    drain: Duration,
    tell: Tell,
    page: Page,
    memory: MemoryKills,
    backoff: Backoff,
    systemd: Systemd,
    watchdog: Option<Duration>,
    signals: Signals,
    /// When an engine that was told to end is killed.
    kill_at: Option<Instant>,
    was_ready: bool,
    before: u32,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
enum Wish {
    End,
    Reload,
}

impl Signals {
    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}

/// One process that is the engine.
struct Life {
    child: Child,
    signs: Receiver,
    /// Kept open, so that the reading side never ends before the process does.
    _writer: PipeWriter,
    was_ready: bool,
    answered: bool,
}

impl Supervisor {
    fn new(parent: Parent, tell: Tell) -> io::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        Ok(Self {
            listener: Some(parent.listener),
            command: parent.command,
            option: parent.option,
            drain: parent.drain,
            tell,
            page: Page::create()?,
            memory: MemoryKills::watch(),
            backoff: Backoff::default(),
            systemd: Systemd::from_environment(&variable),
            watchdog: sd::watchdog(&variable),
            signals: Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hang_up: signal(SignalKind::hangup())?,
            },
            kill_at: None,
            was_ready: false,
            before: 0,
        })
    }

    async fn run(mut self) -> io::Result<Ended> {
        loop {
            let mut life = self.spawn()?;
            let status = self.live(&mut life).await?;
            let memory = &mut self.memory;
            let death = Death::of(status, || memory.any_new());
            let pause = self.backoff.died(life.was_ready);
            if let Some(ended) = self.after(death) {
                return Ok(ended);
            }
            self.page.clear_notes();
            self.before += 1;
            self.systemd.status("the engine died, and is started again");
            if !self.rest(pause).await {
                return Ok(Ended::Exit(0));
            }
        }
    }

    /// Starts an engine.
    fn spawn(&self) -> io::Result<Life> {
        let (reader, writer) = io::pipe()?;
        // Twice in the interval, so that one late answer does no harm.
        let alive_ms = self.watchdog.map_or(0, |watchdog| (watchdog / 4).as_millis().max(1) as u64);
        let link = Link {
            parent: std::process::id(),
            page: self.page.file().as_raw_fd(),
            signs: writer.as_raw_fd(),
            alive_ms,
            before: self.before,
        };
        let listener = self.listener.as_ref().expect("nothing is started once it is told to end").try_clone()?;
        // This very program, also where another one has taken its place on the disk.
        let mut command = Command::new("/proc/self/exe");
        if let Some((name, arguments)) = self.command.split_first() {
            command.arg0(name).args(with(arguments, format!("{}={link}", self.option).into()));
        }
        // A group of its own: a Ctrl-C reaches the parent alone, which passes on what is to be done.
        let child = command.process_group(0).kill_on_drop(true).stdin(Stdio::from(OwnedFd::from(listener))).spawn()?;
        let signs = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok(Life { child, signs, _writer: writer, was_ready: false, answered: false })
    }

    /// Until the process ends.
    async fn live(&mut self, life: &mut Life) -> io::Result<ExitStatus> {
        let mut watchdog = self.watchdog.map(|watchdog| every(watchdog / 2));
        let mut signs = [0; 64];
        loop {
            let kill_at = self.kill_at;
            tokio::select! {
                status = life.child.wait() => {
                    // What it said last.
                    if let Ok(read) = life.signs.try_read(&mut signs) {
                        self.hear(life, &signs[..read]);
                    }
                    return status;
                }
                read = life.signs.read(&mut signs) => self.hear(life, &signs[..read?]),
                wish = self.signals.next() => self.wish(life, &wish),
                () = tick(&mut watchdog) => {
                    if std::mem::take(&mut life.answered) {
                        self.systemd.tell(Sign::Alive, None);
                    }
                }
                () = at(kill_at) => {
                    (self.tell)("the engine does not end, and is killed; what was under way goes on with the next start");
                    self.kill_at = None;
                    life.child.start_kill()?;
                }
            }
        }
    }

    fn hear(&mut self, life: &mut Life, signs: &[u8]) {
        for sign in signs.iter().filter_map(|byte| Sign::from_byte(*byte)) {
            match sign {
                Sign::Ready => {
                    (life.was_ready, self.was_ready) = (true, true);
                    self.backoff.ready();
                    let status = match self.before {
                        0 => "running".to_owned(),
                        1 => "running; the engine was started again once".to_owned(),
                        n => format!("running; the engine was started again {n} times"),
                    };
                    self.systemd.tell(Sign::Ready, Some(&status));
                }
                Sign::Alive => life.answered = true,
                // The parent knows of both by itself.
                Sign::Reloading | Sign::Stopping => {}
            }
        }
    }

    fn wish(&mut self, life: &Life, wish: &Wish) {
        let Some(pid) = life.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return };
        let kill = match wish {
            Wish::End => {
                self.begin_end();
                Kill::TERM
            }
            Wish::Reload => {
                self.systemd.tell(Sign::Reloading, None);
                // One that is not ready yet reads them anyway, and would be killed by it.
                if !life.was_ready {
                    return;
                }
                Kill::HUP
            }
        };
        if let Err(error) = kill_process(pid, kill) {
            tracing::debug!(%error, "the engine was not signalled");
        }
    }

    fn begin_end(&mut self) {
        if self.listener.take().is_some() {
            self.systemd.tell(Sign::Stopping, None);
            self.kill_at = Some(Instant::now() + self.drain + GRACE);
        }
    }

    /// What follows from a death; `None`: another engine.
    fn after(&mut self, death: Death) -> Option<Ended> {
        let is_ending = self.listener.is_none();
        match death {
            Death::Exit(code) if is_ending || code == 0 || !self.was_ready => return Some(Ended::Exit(code)),
            _ if is_ending => return Some(Ended::Exit(0)),
            // It knows why, and has said so: the store failed, or is held by somebody for a moment.
            Death::Exit(code) => (self.tell)(&format!("the engine ended with code {code}; it is started again")),
            Death::Outside(signal) => {
                (self.tell)(&format!("the engine was killed (signal {signal}); it is started again"));
            }
            Death::ByItself(cause) => {
                let noted = self.page.notes();
                self.page.charge(&noted, cause);
                let of = told(&noted);
                (self.tell)(&format!("the engine died ({cause}) while it evaluated {of}; it is started again"));
            }
        }
        let given_up = !self.was_ready && self.backoff.early() >= GIVE_UP;
        given_up.then(|| Ended::GivenUp(format!("the engine died {GIVE_UP} times before it was ready")))
    }

    /// Waits before the next start; false: it is told to end.
    async fn rest(&mut self, pause: Duration) -> bool {
        let pause = sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                wish = self.signals.next() => if let Wish::End = wish {
                    self.begin_end();
                    return false;
                },
                () = &mut pause => return true,
            }
        }
    }
}

/// What was evaluated, in words. The next engine names what is no run.
fn told(noted: &[Evaluated]) -> String {
    let mut names: Vec<_> = noted.iter().filter_map(|what| what.run()).map(|run| format!("run {run}")).collect();
    if names.len() < noted.len() {
        names.push("what is no run (a closure, a trial, a replay)".to_owned());
    }
    if names.is_empty() { "no run".to_owned() } else { names.join(" and ") }
}

/// The arguments with one more: before `--`, behind which all are names.
fn with(arguments: &[OsString], more: OsString) -> Vec<OsString> {
    let at = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (before, behind) = arguments.split_at(at);
    before.iter().cloned().chain([more]).chain(behind.iter().cloned()).collect()
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_stands_before_what_is_no_option() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(with(&words(&["daemon", "s"]), "-x".into()), words(&["daemon", "s", "-x"]));
        assert_eq!(with(&words(&["daemon", "--", "s"]), "-x".into()), words(&["daemon", "-x", "--", "s"]));
    }
}
