//! What goes on while expired runs are removed.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::audit::{Head, Record};
use crate::id::{RunId, TaskId, Version};
use crate::payload::Payload;
use crate::store::{
    Applied, AuditFilter, Change, Due, Event, EventFilter, Part, Result as Stored, RunFilter, Slot, TaskFilter, Way,
};
use crate::task::Task;
use crate::time::Timestamp;

/// A store in which there is always more to remove.
#[derive(Default)]
struct Endless {
    memory: Memory,
    prunes: AtomicUsize,
    /// The most prunes of one commit.
    at_once: AtomicUsize,
}

impl Store for Endless {
    fn commit(&self, changes: &[Change]) -> Stored<Vec<Applied>> {
        let mut applied = self.memory.commit(changes)?;
        let pruned: Vec<_> = applied.iter_mut().filter(|applied| matches!(applied, Applied::Pruned { .. })).collect();
        self.prunes.fetch_add(pruned.len(), Ordering::SeqCst);
        self.at_once.fetch_max(pruned.len(), Ordering::SeqCst);
        pruned
            .into_iter()
            .for_each(|applied| *applied = Applied::Pruned { runs: 128, more: true, reached: RunId::HIGHEST });
        Ok(applied)
    }

    fn backup(&self, target: &Path) -> Stored<()> {
        self.memory.backup(target)
    }

    fn run(&self, id: RunId) -> Stored<Option<Run>> {
        self.memory.run(id)
    }

    fn newest(&self, id: RunId) -> Stored<Option<Run>> {
        self.memory.newest(id)
    }

    fn runs(&self, filter: &RunFilter) -> Stored<Vec<Run>> {
        self.memory.runs(filter)
    }

    fn counts(&self) -> Stored<Vec<(Arc<str>, Status, u64)>> {
        self.memory.counts()
    }

    fn journal(&self, id: RunId) -> Stored<Vec<Vec<u8>>> {
        self.memory.journal(id)
    }

    fn journal_part(&self, id: RunId, mark: u64, most: usize) -> Stored<Part> {
        self.memory.journal_part(id, mark, most)
    }

    fn journal_way(&self, id: RunId) -> Stored<Arc<Way>> {
        self.memory.journal_way(id)
    }

    fn ready(&self, node: &str, limit: usize) -> Stored<Vec<RunId>> {
        self.memory.ready(node, limit)
    }

    fn due(&self, after: Option<Due>, until: Timestamp, limit: usize) -> Stored<Vec<Due>> {
        self.memory.due(after, until, limit)
    }

    fn workflows_of(&self, runs: &[RunId]) -> Stored<Vec<(RunId, Arc<str>)>> {
        self.memory.workflows_of(runs)
    }

    fn overdue(&self, until: Timestamp, limit: usize) -> Stored<Vec<(Timestamp, RunId)>> {
        self.memory.overdue(until, limit)
    }

    fn next_event(&self, filter: &EventFilter) -> Stored<Option<Event>> {
        self.memory.next_event(filter)
    }

    fn events(&self, after: u64, limit: usize) -> Stored<Vec<Event>> {
        self.memory.events(after, limit)
    }

    fn task(&self, id: TaskId) -> Stored<Option<Task>> {
        self.memory.task(id)
    }

    fn tasks(&self, filter: &TaskFilter) -> Stored<Vec<Task>> {
        self.memory.tasks(filter)
    }

    fn state(&self, scope: &str, key: &str) -> Stored<Option<Payload>> {
        self.memory.state(scope, key)
    }

    fn states(&self, scope: &str, prefix: &str) -> Stored<Vec<(Arc<str>, Payload)>> {
        self.memory.states(scope, prefix)
    }

    fn slots(&self, name: &str) -> Stored<Vec<Slot>> {
        self.memory.slots(name)
    }

    fn slots_of(&self, run: RunId) -> Stored<Vec<Slot>> {
        self.memory.slots_of(run)
    }

    fn acts(&self, after: u64, limit: usize) -> Stored<Vec<Record>> {
        self.memory.acts(after, limit)
    }

    fn audit(&self, filter: &AuditFilter) -> Stored<Vec<Record>> {
        self.memory.audit(filter)
    }

    fn audit_head(&self) -> Stored<Option<Head>> {
        self.memory.audit_head()
    }

    fn bundle(&self, version: &Version) -> Stored<Option<Vec<u8>>> {
        self.memory.bundle(version)
    }
}

#[test]
fn starts_and_timers_go_on_while_runs_are_removed() {
    let store = Arc::new(Endless::default());
    let bench = Bench::new(Arc::clone(&store) as Arc<dyn Store>, &[("w", r#"sleep("300ms"); 1"#)]);
    let prunes = || store.prunes.load(Ordering::SeqCst);
    bench.block(async {
        while prunes() < 2 {
            tokio::task::yield_now().await;
        }
    });
    let before = prunes();
    assert_eq!(bench.run("w", json!(null)).status, Status::Completed);
    assert!(prunes() > before, "it was at it all the time");
    assert_eq!(store.at_once.load(Ordering::SeqCst), 1, "what is started waits for one of them");
    bench.engine.stop();
}
