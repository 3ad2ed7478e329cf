//! A run as it goes, until it ends or the one who watches has had enough.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::output::{Fault, note, text};
use super::tree::{Door, Tree};
use crate::engine::{Handle, Notice, Watch};
use crate::id::RunId;
use crate::store::{Run, Status};
use crate::time::elapsed;

/// How often a tree is drawn anew at most: as fast as one can read.
const PERIOD: Duration = Duration::from_millis(100);
/// Reading the journal takes at most a tenth of the time.
const SHARE: u32 = 10;
/// How often a daemon is asked.
const POLL: Duration = Duration::from_millis(250);

/// Follows runs of an engine in this process. Made before the run starts, so that nothing is missed.
pub(super) struct Follow {
    handle: Handle,
    watch: Watch,
    tree: Tree,
    pause: Duration,
}

impl Follow {
    pub(super) fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), watch: handle.watch(), tree: Tree::new(Door::Held), pause: PERIOD }
    }

    /// Follows to the end, a chain to that of its last run; `None`: interrupted.
    pub(super) async fn until_end(&mut self, first: RunId) -> Result<Option<Run>, Fault> {
        let mut interrupted = std::pin::pin!(interrupted());
        let mut is_stale = true;
        let mut run = first;
        loop {
            let row = self.handle.run(run)?;
            if let Some(next) = row.continued_as {
                self.read(run)?;
                self.tree.finish();
                note(&format!("{} continues as {next}", row.workflow));
                (run, is_stale, self.tree) = (next, true, Tree::new(Door::Held));
                continue;
            }
            if !row.status.is_live() && row.status != Status::Paused {
                self.read(run)?;
                self.tree.finish();
                return Ok(Some(row));
            }
            if is_stale {
                self.read(run)?;
            }
            is_stale = tokio::select! {
                stale = self.until_next(run) => stale,
                () = &mut interrupted => {
                    self.tree.finish();
                    return Ok(None);
                }
            };
            if let Some(trouble) = self.handle.trouble() {
                self.tree.finish();
                return Err(Fault::unreachable(format!("the engine has stopped: {trouble}")));
            }
        }
    }

    /// Takes notices until it is time to look; whether there is something new.
    async fn until_next(&mut self, run: RunId) -> bool {
        let mut is_stale = false;
        let tick = tokio::time::sleep(self.pause);
        tokio::pin!(tick);
        loop {
            tokio::select! {
                notice = self.watch.next() => match notice {
                    Some(Notice::Begun(begun)) if begun.run == run => self.tree.begun(&begun.name, &begun.position),
                    Some(Notice::Ended(ended, _)) if ended == run => return true,
                    Some(Notice::Changed(changed)) if changed == run => is_stale = true,
                    Some(Notice::Trouble(_)) => return true,
                    None => is_stale = true,
                    Some(_) => {}
                },
                () = &mut tick => return is_stale,
            }
        }
    }

    fn read(&mut self, run: RunId) -> Result<(), Fault> {
        let began = elapsed();
        let entries = self.handle.journal(run)?;
        let entries: Vec<_> = entries.iter().enumerate().map(|(n, entry)| entry.to_json(n)).collect();
        self.tree.journal(&entries);
        self.tree.progress(&self.handle.progress(run)?.unwrap_or_default());
        self.pause = PERIOD.max(elapsed().saturating_sub(began) * SHARE);
        Ok(())
    }
}

/// Follows a run of a daemon to its end; `None`: interrupted.
pub(super) async fn remote(client: &Client, run: &str) -> Result<Option<Value>, Fault> {
    let mut interrupted = std::pin::pin!(interrupted());
    let mut tree = Tree::new(Door::Open);
    let mut run = run.to_owned();
    loop {
        let row = client.get(&format!("/api/v1/runs/{run}")).await?;
        let path = format!("/api/v1/runs/{run}/journal");
        tree.journal(&client.pages_from(&path, &[], None, "entries", usize::MAX).await?);
        if let Some(next) = row["continued_as"].as_str() {
            tree.finish();
            note(&format!("{} continues as {next}", text(&row, "workflow")));
            (run, tree) = (next.to_owned(), Tree::new(Door::Open));
            continue;
        }
        tree.progress(&row["progress"]);
        let status = Status::from_name(text(&row, "status"));
        if status.is_none_or(|status| !status.is_live() && status != Status::Paused) {
            tree.finish();
            return Ok(Some(row));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = &mut interrupted => {
                tree.finish();
                return Ok(None);
            }
        }
    }
}

/// Resolves when somebody asks this process to end: Ctrl-C, or SIGTERM.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
