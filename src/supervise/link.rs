//! What ties the engine to its parent: how it is told where to find what both have, and how it takes it over.
//!
//! The engine's standard input is the listening socket. The shared page and the pipe for signs are opened through the parent's
//! entries in `/proc`, so that nothing is inherited which the engine would pass on to programs that scripts start.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::Sign;
use super::page::Page;
use crate::engine::Witness;

/// Where the engine finds its parent: `PARENT:PAGE:SIGNS:ALIVE_MS:BEFORE`, five numbers. Part of an argument that nobody types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Process id of the parent.
    pub(super) parent: u32,
    /// The parent's descriptors.
    pub(super) page: i32,
    pub(super) signs: i32,
    /// How often the parent wants to hear that the engine is alive, in milliseconds; 0: not at all.
    pub(super) alive_ms: u64,
    /// How many processes were the engine before this one.
    pub(super) before: u32,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, page, signs, alive_ms, before } = self;
        write!(f, "{parent}:{page}:{signs}:{alive_ms}:{before}")
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        fn next<T: FromStr>(words: &mut std::str::Split<'_, char>) -> Result<T, String> {
            let word = words.next().and_then(|word| word.parse().ok());
            word.ok_or_else(|| "this is for the daemon itself; hint: leave it out".to_owned())
        }
        let words = &mut text.split(':');
        let (parent, page, signs) = (next(words)?, next(words)?, next(words)?);
        Ok(Self { parent, page, signs, alive_ms: next(words)?, before: next(words)? })
    }
}

/// The engine's side, once it has taken over what its parent has for it.
pub struct Engine {
    link: Link,
    page: Arc<Page>,
    signs: File,
}

impl Link {
    /// Takes over the listening socket and the rest. From here on the process dies with its parent.
    pub fn join(self) -> io::Result<(Engine, TcpListener)> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before that was set.
        if getppid().map(Pid::as_raw_pid).and_then(|pid| u32::try_from(pid).ok()) != Some(self.parent) {
            return Err(io::Error::other("its parent is gone"));
        }
        // For people who look at the list of processes. It has a name in any case.
        let _ = rustix::thread::set_name(c"panta-engine");
        let open = |fd: i32| format!("/proc/{}/fd/{fd}", self.parent);
        let page = Page::map(File::options().read(true).write(true).open(open(self.page))?)?;
        let signs = File::options().write(true).open(open(self.signs))?;
        let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
        // So that the socket is closed when the listener is.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok((Engine { link: self, page: Arc::new(page), signs }, listener))
    }
}

impl Engine {
    /// Tells the parent. A parent that does not read is gone, and so is this process in a moment.
    pub fn tell(&self, sign: Sign) {
        let mut signs = &self.signs;
        let _ = signs.write_all(&[sign.to_byte()]);
    }

    /// Who notes what is evaluated.
    pub fn witness(&self) -> Arc<dyn Witness> {
        Arc::clone(&self.page) as Arc<dyn Witness>
    }

    /// How often the parent wants to hear that it is alive.
    pub fn alive_every(&self) -> Option<Duration> {
        (self.link.alive_ms > 0).then(|| Duration::from_millis(self.link.alive_ms))
    }

    /// No process of this daemon has been the engine before.
    pub fn is_first(&self) -> bool {
        self.link.before == 0
    }

    /// Process id of the parent: the one to signal.
    pub fn parent(&self) -> u32 {
        self.link.parent
    }
}

impl Sign {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Reloading => b'l',
            Self::Stopping => b's',
            Self::Alive => b'a',
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ready, Self::Reloading, Self::Stopping, Self::Alive].into_iter().find(|sign| sign.to_byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_written_and_read() {
        let link = Link { parent: 7, page: 3, signs: 4, alive_ms: 500, before: 2 };
        assert_eq!(link.to_string().parse(), Ok(link));
        assert!("7:3:4:500".parse::<Link>().is_err());
        assert!("".parse::<Link>().is_err());
    }

    #[test]
    fn whoever_is_not_the_child_of_that_parent_does_not_join() {
        let link = Link { parent: 1, page: 0, signs: 0, alive_ms: 0, before: 0 };
        let joined = std::thread::spawn(move || link.join().map(drop)).join().expect("no panic");
        let text = joined.expect_err("it is refused").to_string();
        assert!(text.contains("its parent is gone"), "{text}");
    }
}
