//! The process group of a program.

use std::sync::Arc;

use tokio::process::Child;

use super::Keeper;

/// A program and all that it starts, as long as that stays in its group. Dropped, the group is killed.
pub(super) struct Group {
    /// The mark of the program, as long as it is not over.
    mark: Option<String>,
    id: Option<i32>,
    keeper: Option<Arc<Keeper>>,
}

impl Group {
    /// That of a program which is about to be started with this mark.
    pub(super) fn announced(mark: String, keeper: Option<Arc<Keeper>>) -> Self {
        if let Some(keeper) = &keeper {
            keeper.announced(&mark);
        }
        Self { mark: Some(mark), id: None, keeper }
    }

    /// The program was started, as the first of its group.
    pub(super) fn is_of(&mut self, child: &Child) {
        self.id = child.id().and_then(|id| i32::try_from(id).ok());
        if let (Some(id), Some(keeper)) = (self.id, &self.keeper) {
            keeper.begins(id);
        }
    }

    /// Kills what is left of it.
    pub(super) fn end(&mut self) {
        let Some(mark) = self.mark.take() else { return };
        if let Some(id) = self.id {
            kill(id);
        }
        if let Some(keeper) = &self.keeper {
            keeper.ended(&mark, self.id);
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
