//! Time and CPU of a piece of work, and memory of a process.

use std::time::Duration;

use super::{Figure, Result};
use crate::time::elapsed;

/// Ticks of `/proc/PID/stat` in a second: the kernel's interface has always had these.
const TICKS: f64 = 100.0;

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    /// Seconds of CPU, where the system tells.
    pub(super) cpu: Option<f64>,
}

impl Spent {
    /// µs of CPU for each of so many.
    pub(super) fn cpu_us(&self, count: usize) -> Option<f64> {
        self.cpu.map(|cpu| cpu * 1e6 / count.max(1) as f64)
    }

    /// So many a second.
    pub(super) fn rate(&self, count: usize) -> f64 {
        count as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// Steps a second, and the CPU of each.
    pub(super) fn steps(&self, what: impl Into<String>, steps: usize) -> Figure {
        Figure::new(what, self.rate(steps), "steps/s").cpu(self.cpu_us(steps))
    }
}

/// A clock that was started, and what processes had used then.
pub(super) struct Meter {
    processes: Vec<u32>,
    wall: Duration,
    cpu: Option<f64>,
}

impl Meter {
    /// Starts to measure these.
    pub(super) fn start(processes: Vec<u32>) -> Self {
        let cpu = cpu_seconds(&processes);
        Self { processes, wall: elapsed(), cpu }
    }

    /// What it took so far.
    pub(super) fn spent(&self) -> Spent {
        let wall = elapsed().saturating_sub(self.wall);
        let cpu = cpu_seconds(&self.processes).zip(self.cpu).map(|(after, before)| after - before);
        Spent { wall, cpu }
    }
}

/// Does a piece of work; what it took of this process.
pub(super) fn measured<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let meter = Meter::start(vec![std::process::id()]);
    let done = work()?;
    Ok((done, meter.spent()))
}

/// Seconds of CPU that processes have used so far; `None` where the system does not tell, or one of them is gone.
fn cpu_seconds(processes: &[u32]) -> Option<f64> {
    processes.iter().map(|pid| cpu_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).sum()
}

fn cpu_of(stat: &str) -> Option<f64> {
    // The name of a program may hold anything, closing parentheses too.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Memory that a process has, in bytes.
pub(super) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// How often threads of a process have gone to sleep so far.
pub(super) fn waits(pid: u32) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let of = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    Some(threads.filter_map(|thread| of(std::fs::read_to_string(thread.path().join("status")).ok()?)).sum())
}

/// The middle one.
pub(super) fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_behind_the_name_of_the_program() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 100 0 0";
        assert_eq!((cpu_of(stat), cpu_of("7 (a) S 1")), (Some(2.0), None));
    }

    #[test]
    fn the_middle_of_three_is_the_second() {
        let all = [9, 1, 5].map(Duration::from_millis);
        assert_eq!((median(all.to_vec()), median(Vec::new())), (Duration::from_millis(5), Duration::ZERO));
    }
}
