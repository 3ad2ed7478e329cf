//! What the end of the engine's process means.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

/// The exit code of a Rust program whose main thread panicked.
const PANICKED: i32 = 101;

/// How the engine ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Death {
    /// It ended as it meant to, with this exit code.
    Exit(u8),
    /// What it did killed it.
    ByItself(Cause),
    /// Somebody killed it, with this signal.
    Outside(i32),
}

/// Why it died by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// By this signal.
    Signal(i32),
    /// The kernel killed it for want of memory.
    Memory,
    /// A panic.
    Panic,
}

/// Signals that the kernel or the process itself sends for what it did. Nobody can tell who sent one: whoever sends them to an
/// engine from outside is taken for the engine.
const OWN: [(Signal, &str); 7] = [
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::SYS, "SIGSYS"),
];

impl Death {
    /// Reads an exit status; `memory_kill` is asked when it was SIGKILL: whether the kernel ran out of memory.
    pub(super) fn of(status: ExitStatus, memory_kill: impl FnOnce() -> bool) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) if OWN.iter().any(|(own, _)| own.as_raw() == signal) => {
                Self::ByItself(Cause::Signal(signal))
            }
            (Some(signal), _) if signal == Signal::KILL.as_raw() && memory_kill() => Self::ByItself(Cause::Memory),
            (Some(signal), _) => Self::Outside(signal),
            (None, Some(PANICKED)) => Self::ByItself(Cause::Panic),
            (None, code) => Self::Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)),
        }
    }
}

impl Cause {
    /// As a number of the shared page: a signal as itself, the others beyond all signals.
    pub(super) fn to_code(self) -> u64 {
        match self {
            Self::Signal(signal) => u64::try_from(signal).unwrap_or(0),
            Self::Memory => 1_000,
            Self::Panic => 1_001,
        }
    }

    pub(super) fn from_code(code: u64) -> Self {
        match code {
            1_000 => Self::Memory,
            1_001 => Self::Panic,
            signal => Self::Signal(i32::try_from(signal).unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(signal) => match OWN.iter().find(|(own, _)| own.as_raw() == *signal) {
                Some((_, name)) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
            Self::Memory => f.write_str("out of memory"),
            Self::Panic => f.write_str("a panic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32, memory_kill: bool) -> Death {
        Death::of(ExitStatus::from_raw(raw), || memory_kill)
    }

    #[test]
    fn what_kills_from_outside_is_told_from_what_kills_from_inside() {
        for signal in [4, 5, 6, 7, 8, 11, 31] {
            assert_eq!(of(signal, false), Death::ByItself(Cause::Signal(signal)));
            // With a core file.
            assert_eq!(of(signal | 128, false), Death::ByItself(Cause::Signal(signal)));
        }
        for signal in [1, 2, 9, 13, 15] {
            assert_eq!(of(signal, false), Death::Outside(signal));
        }
        assert_eq!(of(9, true), Death::ByItself(Cause::Memory));
        assert_eq!(of(15, true), Death::Outside(15));
        assert_eq!(of(101 << 8, false), Death::ByItself(Cause::Panic));
        assert_eq!((of(0, false), of(2 << 8, false)), (Death::Exit(0), Death::Exit(2)));
    }

    #[test]
    fn a_cause_survives_the_page_and_has_a_name() {
        let names = [(Cause::Signal(11), "SIGSEGV"), (Cause::Memory, "out of memory"), (Cause::Panic, "a panic")];
        for (cause, name) in names {
            assert_eq!(Cause::from_code(cause.to_code()), cause);
            assert_eq!(cause.to_string(), name);
        }
    }
}
