//! What is left of a system once it was stopped: a start that broke off midway leaves things that its own `stop` does not know.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Kills the processes that work in this folder, which is of one start alone, or whose command names it.
pub(super) fn end(folder: &Path) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| belongs(&process.path(), folder)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn belongs(process: &Path, folder: &Path) -> bool {
    let is_in = std::fs::read_link(process.join("cwd")).is_ok_and(|current| current.starts_with(folder));
    let name = folder.as_os_str().as_bytes();
    let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
    is_in || command.windows(name.len()).any(|part| part == name)
}

#[test]
fn what_works_in_the_folder_is_ended_and_nothing_else() {
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let sleeps =
        |place: &Path| std::process::Command::new("sleep").arg("600").current_dir(place).spawn().expect("it runs");
    let (mut inside, mut outside) = (sleeps(folder.path()), sleeps(other.path()));
    end(folder.path());
    assert!(!inside.wait().expect("it ends").success());
    assert_eq!(outside.try_wait().expect("it is asked"), None);
    outside.kill().and_then(|()| outside.wait()).expect("it is ended");
}
