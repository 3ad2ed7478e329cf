//! The keeper: a small process that ends programs when the one that started them is gone, however it went.
//!
//! It is told the process groups that run, by a pipe that only this process holds. When the pipe ends, this process has died,
//! and the keeper kills the groups that are left. It is started with the first program, and does nothing else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::group;

/// The argument by which this program is the keeper.
pub const KEEPER: &str = "keep-programs";

/// Tells the keeper what runs.
pub struct Keeper {
    program: OsString,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<(Child, ChildStdin)>,
    running: BTreeSet<i32>,
}

impl Keeper {
    /// A keeper that is this program file with [`KEEPER`] as its argument.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), state: Mutex::default() }
    }

    /// A program is to be started: there is a keeper before it runs, so that only a moment is left in which it is not known.
    pub(super) fn prepare(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process.is_none() {
            state.process = self.start();
        }
    }

    /// A group runs.
    pub(super) fn begins(&self, group: i32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running.insert(group);
        if state.tell(&format!("+{group}\n")) {
            return;
        }
        // There is none yet, or somebody has killed it: a new one learns all.
        state.process = self.start();
        let all: String =
            state.running.iter().flat_map(|group| ["+".to_owned(), group.to_string(), "\n".to_owned()]).collect();
        if !state.tell(&all) {
            tracing::warn!("nobody keeps watch over programs: they would survive a crash of this process");
        }
    }

    /// A group is gone.
    pub(super) fn ended(&self, group: i32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running.remove(&group);
        state.tell(&format!("-{group}\n"));
    }

    fn start(&self) -> Option<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program);
        command.arg(KEEPER).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What ends this process from a terminal must not end it first.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().ok()?;
        let pipe = child.stdin.take()?;
        Some((child, pipe))
    }
}

impl State {
    fn tell(&mut self, text: &str) -> bool {
        let Some((child, pipe)) = &mut self.process else { return false };
        if pipe.write_all(text.as_bytes()).is_ok() {
            return true;
        }
        let _ = child.kill().and_then(|()| child.wait());
        self.process = None;
        false
    }
}

/// What the keeper does: reads which groups run, and kills those that are left when nothing more comes.
pub fn keep(input: impl BufRead) {
    let mut running = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        match (line.get(..1), line.get(1..).and_then(|group| group.parse::<i32>().ok())) {
            (Some("+"), Some(group)) => _ = running.insert(group),
            (Some("-"), Some(group)) => _ = running.remove(&group),
            _ => {}
        }
    }
    running.into_iter().for_each(group::kill);
}
