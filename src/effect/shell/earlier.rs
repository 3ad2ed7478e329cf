//! What is left of an earlier try of the same command, before the next one starts.
//!
//! A program has the key of its command in its environment, and what it starts inherits that. So a later try, also that of
//! another process after a crash, finds what still runs without anything having been written down about it.

use crate::effect::Failure;

/// Ends all processes that have this variable with this value, with their groups. Blocks.
#[cfg(target_os = "linux")]
#[expect(
    clippy::disallowed_methods,
    reason = "on a blocking thread; nobody is told when a process that is no child has gone"
)]
pub(super) fn end(variable: &str, value: &str) -> Result<(), Failure> {
    use std::time::Duration;

    /// How often it is looked, and how long is waited in between: 10 s in all. The kernel ends what is killed at once,
    /// unless it waits for a disk.
    const LOOKS: u32 = 500;
    const PAUSE: Duration = Duration::from_millis(20);

    let mark = format!("{variable}={value}").into_bytes();
    for _ in 0..LOOKS {
        let left = running(&mark);
        if left.is_empty() {
            return Ok(());
        }
        left.into_iter().for_each(super::group::kill);
        std::thread::sleep(PAUSE);
    }
    let message = "the program of an earlier try still runs, and cannot be ended";
    Err(Failure::new("shell", format!("{message}; hint: see what it waits for with `ps`")).retryable())
}

/// The groups of processes with this in their environment; a process that has ended has none.
#[cfg(target_os = "linux")]
fn running(mark: &[u8]) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let marked = ids.filter(|id| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark)
    });
    let groups = marked.filter_map(|id| {
        let id = rustix::process::Pid::from_raw(id)?;
        rustix::process::getpgid(Some(id)).ok().map(rustix::process::Pid::as_raw_nonzero)
    });
    let own = rustix::process::getpgrp();
    groups.map(std::num::NonZero::get).filter(|group| *group != own.as_raw_nonzero().get()).collect()
}

/// Elsewhere nobody can say what runs.
#[cfg(not(target_os = "linux"))]
pub(super) fn end(_: &str, _: &str) -> Result<(), Failure> {
    Ok(())
}
