//! Who watches the engine's process: its parent, which is the same command a moment before, or systemd.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::output::{Exit, Fault};
use super::Daemon;
use crate::engine::Witness;
use crate::reload;
use crate::supervise::{Sign, sd};

/// Who is told how it goes.
pub(super) enum Overseer {
    /// The process that started this one.
    #[cfg(target_os = "linux")]
    Parent(crate::supervise::Engine),
    /// systemd, where it listens: this process stands alone.
    Systemd(sd::Systemd),
}

impl Overseer {
    pub(super) fn systemd() -> Self {
        Self::Systemd(sd::Systemd::from_environment(&variable))
    }

    pub(super) fn tell(&self, sign: Sign) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Parent(engine) => engine.tell(sign),
            Self::Systemd(systemd) => systemd.tell(sign, None),
        }
    }

    /// The process to signal, where that is another.
    pub(super) fn parent(&self) -> Option<u32> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Parent(engine) => Some(engine.parent()),
            Self::Systemd(_) => None,
        }
    }

    pub(super) fn witness(&self) -> Option<Arc<dyn Witness>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Parent(engine) => Some(engine.witness()),
            Self::Systemd(_) => None,
        }
    }

    /// Nobody has been told yet where it listens.
    pub(super) fn is_first(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Parent(engine) => engine.is_first(),
            Self::Systemd(_) => true,
        }
    }

    fn alive_every(&self) -> Option<Duration> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Parent(engine) => engine.alive_every(),
            Self::Systemd(_) => sd::watchdog(&variable).map(|watchdog| watchdog / 2),
        }
    }

    /// Says that it is ready, and from then on that it is alive; reads the scripts again when it is asked to (SIGHUP).
    pub(super) async fn attend(&self, reloads: &reload::Service) -> Infallible {
        let mut hang_ups = HangUps::new();
        self.tell(Sign::Ready);
        let alive = async {
            let Some(period) = self.alive_every() else { return pending().await };
            loop {
                self.tell(Sign::Alive);
                tokio::time::sleep(period).await;
            }
        };
        let reload = async {
            loop {
                hang_ups.next().await;
                self.tell(Sign::Reloading);
                reloads.reread().await;
                self.tell(Sign::Ready);
            }
        };
        tokio::select! {
            never = alive => never,
            never = reload => never,
        }
    }
}

/// Requests to read everything again.
#[cfg(unix)]
struct HangUps(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl HangUps {
    fn new() -> Self {
        Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => pending().await,
        }
    }
}

/// There are none.
#[cfg(not(unix))]
struct HangUps;

#[cfg(not(unix))]
impl HangUps {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        pending().await
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Daemon {
    /// The parent and the socket, where this process was started by one.
    pub(super) fn joined(&self) -> Result<Option<(Overseer, TcpListener)>, Fault> {
        #[cfg(target_os = "linux")]
        if let Some(link) = self.engine {
            let failed = |error| {
                Fault::unreachable(format!("the engine cannot join its parent: {error}; hint: `--no-supervise`"))
            };
            let (engine, listener) = link.join().map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            return Ok(Some((Overseer::Parent(engine), TcpListener::from_std(listener).map_err(failed)?)));
        }
        Ok(None)
    }
}

/// The parent's process.
#[cfg(target_os = "linux")]
pub(super) async fn supervise(
    listener: TcpListener,
    drain: Duration,
    command: Vec<std::ffi::OsString>,
    tell: fn(&str),
) -> Result<Exit, Fault> {
    use crate::supervise::{Ended, Parent};
    let failed = |error| Fault::unreachable(format!("the engine cannot be started: {error}; hint: `--no-supervise`"));
    let parent =
        Parent { listener: listener.into_std().map_err(failed)?, command, option: crate::store::lock::PARENT, drain };
    match parent.run(tell).await.map_err(failed)? {
        Ended::Exit(code) => Ok(Exit::of_code(code)),
        Ended::GivenUp(why) => Err(Fault::unreachable(format!("{why}; hint: `--no-supervise` shows how it dies"))),
    }
}
