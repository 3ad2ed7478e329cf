//! Which runs that can go on are put in motion, and when: so many at a time, and each workflow in its turn.
//!
//! A run that waits outside of memory costs a row; one in motion costs a stack and its values. So what can go on is claimed only
//! as there is room for it, and stands in line until then: a line for each workflow, of which each gives a few in its turn, so
//! that a hundred thousand runs of one hold up none of another. Lines are bounded: what finds no place in them is found in the
//! store when they are empty.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::log::Item;
use super::options::Reach;
use super::shared::{Shared, held};
use super::timekeeper;
use crate::id::RunId;
use crate::store::Change;

/// Runs that are claimed, or about to be, and that no worker has taken up yet, at most. A new start stands behind these in the
/// inbox of its worker: 512 take some 30 ms. Fewer would let the workers run dry while a claim is on its way to the disk.
const ARRIVING: usize = 512;
/// Runs claimed by one commit. While one batch is taken up, the next is claimed.
const BATCH: usize = ARRIVING / 2;
/// Runs of one workflow before it is the next one's turn.
const SHARE: usize = 16;

/// Runs that can go on and are not in motion yet.
#[derive(Default)]
pub(super) struct Admission {
    queue: Mutex<Queue>,
    /// How many stand in line, for those who only look.
    waiting: AtomicUsize,
    /// More can go on than found a place: they are to be found in the store.
    missed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    lines: BTreeMap<Arc<str>, VecDeque<RunId>>,
    /// All that stand in a line.
    queued: HashSet<RunId>,
    /// Those whose claim is on its way to the disk.
    claiming: HashSet<RunId>,
    /// How many are claimed, or about to be, and not taken up.
    arriving: usize,
    /// Whose turn was last.
    last: Option<Arc<str>>,
}

impl Queue {
    fn is_known(&self, run: RunId) -> bool {
        self.claiming.contains(&run) || self.queued.contains(&run)
    }

    fn stand(&mut self, run: RunId, workflow: Arc<str>) {
        if self.queued.insert(run) {
            self.lines.entry(workflow).or_default().push_back(run);
        }
    }

    /// The workflow whose turn it is.
    fn turn(&self) -> Option<Arc<str>> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.lines.range::<Arc<str>, _>((after, Bound::Unbounded)).next();
        next.or_else(|| self.lines.first_key_value()).map(|(workflow, _)| Arc::clone(workflow))
    }

    /// Takes so many out of their lines, each workflow in its turn.
    fn take(&mut self, most: usize) -> Vec<RunId> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(workflow) = self.turn()
        {
            let line = self.lines.get_mut(&workflow).expect("it was just found");
            let share = SHARE.min(most - taken.len()).min(line.len());
            taken.extend(line.drain(..share));
            if line.is_empty() {
                self.lines.remove(&workflow);
            }
            self.last = Some(workflow);
        }
        for run in &taken {
            self.queued.remove(run);
        }
        taken
    }
}

impl Admission {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        held(&self.queue)
    }

    /// Something stands in line: there is more to do than there is room for.
    pub(super) fn is_pressed(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// The claim of a run is on its way to the disk.
    pub(super) fn is_claiming(&self, run: RunId) -> bool {
        self.queue().claiming.contains(&run)
    }

    /// A run is about to come to a worker without a claim of its own: it was accepted.
    pub(super) fn comes(&self) {
        self.queue().arriving += 1;
    }

    /// The claim of these is durable, and so many of them were got.
    pub(super) fn claimed(&self, runs: &[RunId], got: usize) {
        let mut queue = self.queue();
        for run in runs {
            queue.claiming.remove(run);
        }
        queue.arriving = queue.arriving.saturating_sub(runs.len() - got);
    }

    /// A worker has taken one up.
    pub(super) fn arrived(&self) {
        let mut queue = self.queue();
        queue.arriving = queue.arriving.saturating_sub(1);
    }

    /// How many more find a place in line.
    pub(super) fn places(&self, most: usize) -> usize {
        most.saturating_sub(self.waiting.load(Ordering::SeqCst))
    }
}

impl Shared {
    /// Claims runs as there is room for them; those that are got are put in motion when the claim is durable.
    pub(super) fn claim(&self, mut runs: Vec<RunId>) {
        if self.options.reach == Reach::Own {
            self.retain_own(&mut runs);
        }
        self.settling.retain(&mut runs);
        let mut queue = self.admission.queue();
        // What rests is claimed by who ends its rest. Claimed twice, the second claim would take a run from the first.
        let mut seen = HashSet::new();
        // One whose claim became durable since it was looked at has its route before it leaves those that are being claimed.
        runs.retain(|run| !self.holds.rests(*run) && !queue.is_known(*run) && seen.insert(*run) && !self.tell(*run));
        let room = if queue.lines.is_empty() { self.room(&queue) } else { 0 };
        let rest = runs.split_off(room.min(runs.len()));
        self.send_claim(&mut queue, runs);
        drop(queue);
        if !rest.is_empty() {
            self.stand(&rest);
            self.admit();
        }
    }

    /// How many runs may be in motion before others wait.
    pub(super) fn most_live(&self) -> usize {
        self.options.most_live.saturating_mul(self.workers.len())
    }

    /// How many may be claimed now.
    fn room(&self, queue: &Queue) -> usize {
        let live = held(&self.routes).len() + queue.claiming.len();
        self.most_live().saturating_sub(live).min(ARRIVING.saturating_sub(queue.arriving))
    }

    fn send_claim(&self, queue: &mut Queue, runs: Vec<RunId>) {
        if runs.is_empty() || self.closing.load(Ordering::Relaxed) {
            return;
        }
        queue.claiming.extend(runs.iter().copied());
        queue.arriving += runs.len();
        let node = Arc::clone(&self.options.node);
        self.log.send(Item { changes: vec![Change::Claim { runs, node, at: self.now() }], done: None });
    }

    /// Puts runs in line.
    fn stand(&self, runs: &[RunId]) {
        let workflows = self.store.workflows_of(runs).unwrap_or_else(|error| {
            tracing::warn!("runs that can go on cannot be read: {error}");
            self.miss();
            Vec::new()
        });
        let mut queue = self.admission.queue();
        for (run, workflow) in workflows {
            if queue.queued.len() >= self.options.most_queued {
                self.miss();
                break;
            }
            if !queue.is_known(run) {
                queue.stand(run, workflow);
            }
        }
        self.admission.waiting.store(queue.queued.len(), Ordering::SeqCst);
    }

    fn miss(&self) {
        self.admission.missed.store(true, Ordering::SeqCst);
    }

    /// Claims what stands in line, as far as there is room.
    pub(super) fn admit(&self) {
        if !self.admission.is_pressed() {
            return;
        }
        let mut queue = self.admission.queue();
        if queue.arriving > ARRIVING - BATCH {
            return;
        }
        let room = self.room(&queue);
        let mut runs = queue.take(room.min(BATCH));
        let makes_place = !runs.is_empty() && queue.queued.len() + runs.len() >= self.options.most_queued;
        runs.retain(|run| !self.holds.rests(*run) && !self.tell(*run));
        self.send_claim(&mut queue, runs);
        self.admission.waiting.store(queue.queued.len(), Ordering::SeqCst);
        let is_dry = queue.queued.is_empty() && self.admission.missed.load(Ordering::SeqCst);
        drop(queue);
        if makes_place || is_dry {
            self.timeline.wake();
        }
    }

    /// Looks in the store for what found no place in line, once there is place again.
    pub(super) fn make_up(&self) {
        if self.admission.is_pressed() || !self.admission.missed.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.claim_ready() {
            tracing::warn!("runs that can go on cannot be read: {error}");
            self.miss();
        }
        // What was due and found no place is not ready by its row.
        timekeeper::load_soon(self);
    }

    /// Claims what can go on by what the store says, as far as it finds a place in line. Returns how many these are.
    pub(super) fn claim_ready(&self) -> crate::store::Result<usize> {
        // Those in motion are among them.
        let most = self.options.most_queued.saturating_add(self.most_live());
        let ready = self.store.ready(&self.options.node, most)?;
        if ready.len() == most {
            self.miss();
        }
        let routes = held(&self.routes);
        let runs: Vec<_> = ready.into_iter().filter(|run| !routes.contains_key(run)).collect();
        drop(routes);
        let count = runs.len();
        self.claim(runs);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lines: &[(&str, usize)]) -> (Queue, Vec<RunId>) {
        let (mut queue, mut all) = (Queue::default(), Vec::new());
        for (workflow, count) in lines {
            for _ in 0..*count {
                let run = RunId::new();
                queue.stand(run, (*workflow).into());
                all.push(run);
            }
        }
        (queue, all)
    }

    #[test]
    fn a_workflow_with_many_runs_holds_up_no_other() {
        let (mut queue, all) = filled(&[("few", 1), ("many", 1_000), ("two", 2)]);
        let taken = queue.take(3 * SHARE);
        assert!([0, 1_001, 1_002].iter().all(|n| taken.contains(&all[*n])), "each had its turn");
        assert_eq!((taken.len(), queue.queued.len()), (3 * SHARE, 1_003 - 3 * SHARE));
    }

    #[test]
    fn a_line_keeps_its_order_and_turns_go_on_where_they_were() {
        let (mut queue, all) = filled(&[("a", 2 * SHARE), ("b", 2 * SHARE)]);
        assert_eq!(queue.take(SHARE), all[..SHARE], "the first of `a`");
        assert_eq!(queue.take(SHARE), all[2 * SHARE..3 * SHARE], "then `b` has its turn");
        assert_eq!(queue.take(usize::MAX).len(), 2 * SHARE);
        assert!(queue.lines.is_empty() && queue.queued.is_empty());
    }

    #[test]
    fn a_run_stands_in_line_once() {
        let (mut queue, all) = filled(&[("a", 1)]);
        queue.stand(all[0], "a".into());
        assert_eq!(queue.take(9), all);
    }
}
