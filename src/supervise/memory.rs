//! Whether the kernel killed for want of memory: a process that it kills looks as if somebody had sent it SIGKILL, but the
//! control group counts.

use std::path::{Path, PathBuf};

/// Counts the processes of this process's control group that were killed for want of memory. Without control groups of
/// version 2 there is nothing to count, and such a death is taken for a kill from outside.
#[derive(Debug)]
pub(super) struct MemoryKills {
    file: Option<PathBuf>,
    seen: u64,
}

impl MemoryKills {
    /// From now on.
    pub(super) fn watch() -> Self {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(group(&groups).map(|group| Path::new("/sys/fs/cgroup").join(group).join("memory.events")))
    }

    fn of(file: Option<PathBuf>) -> Self {
        let mut kills = Self { file, seen: 0 };
        kills.seen = kills.count();
        kills
    }

    fn count(&self) -> u64 {
        let events = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Whether there were any since the last call.
    pub(super) fn any_new(&mut self) -> bool {
        let count = self.count();
        std::mem::replace(&mut self.seen, count) < count
    }
}

/// The group's path below the root, of `/proc/self/cgroup`.
fn group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_the_one_of_version_2() {
        assert_eq!(group("12:cpu:/old\n0::/system.slice/panta.service\n"), Some("system.slice/panta.service"));
        assert_eq!(group("12:cpu:/old\n"), None);
    }

    #[test]
    fn a_kill_is_new_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("memory.events");
        let write = |kills: u64| std::fs::write(&file, format!("oom 7\noom_kill {kills}\noom_group_kill 9\n"));
        write(3).expect("it is written");
        let mut kills = MemoryKills::of(Some(file.clone()));
        assert!(!kills.any_new());
        write(4).expect("it is written");
        assert!(kills.any_new());
        assert!(!kills.any_new());
        assert!(!MemoryKills::of(None).any_new());
    }
}
