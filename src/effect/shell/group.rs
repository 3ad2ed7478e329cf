//! The process group of a program.

use std::sync::Arc;

use tokio::process::Child;

use super::Keeper;

/// A program and all that it starts, as long as that stays in its group. Dropped, the group is killed.
pub(super) struct Group {
    id: Option<i32>,
    keeper: Option<Arc<Keeper>>,
}

impl Group {
    /// The group of a program that was started as the first of one.
    pub(super) fn of(child: &Child, keeper: Option<Arc<Keeper>>) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        if let (Some(id), Some(keeper)) = (id, &keeper) {
            keeper.begins(id);
        }
        Self { id, keeper }
    }

    /// Kills what is left of it.
    pub(super) fn end(&mut self) {
        let Some(id) = self.id.take() else { return };
        kill(id);
        if let Some(keeper) = &self.keeper {
            keeper.ended(id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills a process group; one that is gone is none of our business.
pub(super) fn kill(id: i32) {
    #[cfg(unix)]
    if let Some(id) = rustix::process::Pid::from_raw(id).filter(|_| id > 1) {
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = id;
}
