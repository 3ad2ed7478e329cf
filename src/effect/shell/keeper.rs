//! The keeper: a small process that ends programs when the one that started them is gone, however it went.
//!
//! It is told what runs, by a pipe that only this process holds: the mark that a program will have in its environment before it is
//! started, and its group then. When the pipe ends, this process has died, and the keeper kills what is left. It is started with the first program, and does nothing else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::{MARK, earlier, group};

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
    /// Marks of programs that run, or are about to.
    marks: BTreeSet<String>,
    groups: BTreeSet<i32>,
}

impl Keeper {
    /// A keeper that is this program file with [`KEEPER`] as its argument.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), state: Mutex::default() }
    }

    /// A program with this mark is about to run. Told before it is started, so that at no moment one runs that nobody knows of.
    pub(super) fn announced(&self, mark: &str) {
        self.change(|state| _ = state.marks.insert(mark.to_owned()), &format!("?{mark}\n"));
    }

    /// The group of a program that was announced.
    pub(super) fn begins(&self, group: i32) {
        self.change(|state| _ = state.groups.insert(group), &format!("+{group}\n"));
    }

    /// A program is over, and its group is gone if there was one.
    pub(super) fn ended(&self, mark: &str, group: Option<i32>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.marks.remove(mark);
        let gone = group.filter(|group| state.groups.remove(group)).map(|group| format!("-{group}\n"));
        state.tell(&format!("{}!{mark}\n", gone.unwrap_or_default()));
    }

    fn change(&self, change: impl FnOnce(&mut State), told: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if state.tell(told) {
            return;
        }
        // There is none yet, or somebody has killed it: a new one learns all.
        state.process = self.start();
        let marks = state.marks.iter().map(|mark| format!("?{mark}\n"));
        let all: String =
            marks.chain(state.groups.iter().map(|group| format!("+{group}\n"))).collect::<Vec<_>>().concat();
        if !state.tell(&all) {
            tracing::warn!("nobody keeps watch over programs: they would survive a crash of this process");
        }
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

/// What the keeper does: reads what runs, and kills what is left when nothing more comes: groups, and what bears a mark, since
/// the one who started it may have died before it could tell the group. A later try has another mark. Blocks.
pub fn keep(input: impl BufRead) {
    let (mut marks, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for line in input.lines().map_while(Result::ok) {
        let rest = line.get(1..).unwrap_or_default();
        match (line.get(..1), rest.parse::<i32>().ok()) {
            (Some("+"), Some(group)) => _ = groups.insert(group),
            (Some("-"), Some(group)) => _ = groups.remove(&group),
            (Some("?"), _) => _ = marks.insert(rest.to_owned()),
            (Some("!"), _) => _ = marks.remove(rest),
            _ => {}
        }
    }
    groups.into_iter().for_each(group::kill);
    for mark in marks {
        // Nobody is left to be told; a second try looks for it again.
        let _ = earlier::end(MARK, &mark);
    }
}
