//! Waiting for the end of a run; and rows of runs that have just ended, since whoever starts a short run asks for its end a
//! moment later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::handle::{Error, Handle};
use super::shared::held;
use crate::id::RunId;
use crate::payload::Payload;
use crate::store::{Run, Status};

/// Rows that are kept for a moment.
const RECENT: usize = 512;
/// Rows with more text than this are read from the store: 2 MB for all that are kept.
const SMALL: usize = 4 << 10;

/// The end of a run, with its row where that is at hand.
type Over = Option<Arc<Run>>;

/// Those who wait for the end of a run, and the rows of those that have just ended.
#[derive(Default)]
pub(super) struct Ends {
    waiters: Mutex<HashMap<RunId, Vec<oneshot::Sender<Over>>>>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    rows: HashMap<RunId, Arc<Run>>,
    order: VecDeque<RunId>,
}

impl Recent {
    fn keep(&mut self, row: Arc<Run>) {
        if self.order.len() == RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
        self.order.push_back(row.id);
        self.rows.insert(row.id, row);
    }
}

fn is_small(row: &Run) -> bool {
    let size = |payload: &Payload| payload.text().len();
    let more = [&row.output, &row.error].into_iter().flatten().map(size).sum::<usize>();
    size(&row.input) + size(&row.trigger) + more <= SMALL
}

impl Ends {
    /// A run has ended, durably; `row` is what the store has of it, where that is known.
    pub(super) fn over(&self, run: RunId, row: Over) {
        let waiting = held(&self.waiters).remove(&run);
        match (waiting, row) {
            (None, Some(row)) if is_small(&row) => held(&self.recent).keep(row),
            (waiting, row) => waiting.into_iter().flatten().for_each(|waiter| {
                let _ = waiter.send(row.clone());
            }),
        }
    }

    /// It may have ended: who waits for it looks.
    pub(super) fn tell(&self, run: RunId) {
        for waiter in held(&self.waiters).remove(&run).into_iter().flatten() {
            let _ = waiter.send(None);
        }
    }

    /// Another run goes on in a run's place: who waits for the one waits for the other.
    pub(super) fn go_on(&self, run: RunId, next: RunId) {
        let mut waiters = held(&self.waiters);
        let waiting = waiters.remove(&run).unwrap_or_default();
        if !waiting.is_empty() {
            waiters.entry(next).or_default().extend(waiting);
        }
    }

    /// Nobody is told of an end any more.
    pub(super) fn close(&self) {
        held(&self.waiters).clear();
    }

    /// A run is open again.
    pub(super) fn forget(&self, run: RunId) {
        held(&self.recent).rows.remove(&run);
    }

    /// Rows may be gone from the store.
    pub(super) fn forget_all(&self) {
        *held(&self.recent) = Recent::default();
    }

    fn take(&self, run: RunId) -> Over {
        held(&self.recent).rows.remove(&run)
    }

    fn wait(&self, run: RunId) -> Waiting<'_> {
        let (sender, receiver) = oneshot::channel();
        held(&self.waiters).entry(run).or_default().push(sender);
        Waiting { ends: self, run, receiver: Some(receiver) }
    }
}

/// Somebody waits for a run; given up when it is dropped.
struct Waiting<'a> {
    ends: &'a Ends,
    run: RunId,
    receiver: Option<oneshot::Receiver<Over>>,
}

impl Waiting<'_> {
    async fn over(&mut self) -> Over {
        self.receiver.as_mut()?.await.ok().flatten()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver = None;
        let mut waiters = held(&self.ends.waiters);
        if let Some(waiting) = waiters.get_mut(&self.run) {
            waiting.retain(|waiter| !waiter.is_closed());
            if waiting.is_empty() {
                waiters.remove(&self.run);
            }
        }
    }
}

impl Handle {
    /// Waits for the end of a run, or until it is stopped for a person to look at; of a chain, for the last run's.
    pub async fn ended(&self, run: RunId) -> Result<Run, Error> {
        let shared = self.shared();
        let mut run = run;
        loop {
            if let Some(row) = shared.ended.take(run) {
                return Ok(Arc::unwrap_or_clone(row));
            }
            let mut waiting = shared.ended.wait(run);
            // Looked at after the waiter is there, so that no end falls in between. What is in motion has not ended, or tells
            // its waiters once more when it leaves.
            if self.trouble().is_some() || !held(&shared.routes).contains_key(&run) {
                let row = self.newest(run)?;
                if row.id != run {
                    run = row.id;
                    continue;
                }
                if !row.status.is_live() && row.status != Status::Paused {
                    return Ok(row);
                }
                if let Some(problem) = self.trouble() {
                    return Err(Error::Stopped(problem));
                }
            }
            if let Some(row) = waiting.over().await {
                return Ok(Arc::unwrap_or_clone(row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Version;
    use crate::time::Timestamp;

    fn small(run: RunId) -> Arc<Run> {
        Arc::new(Run::accepted(run, "w".into(), Version("v".into()), Payload::unit(), Timestamp(1)))
    }

    #[test]
    fn who_waits_gets_the_row_and_who_comes_later_finds_it_once() {
        let (ends, run) = (Ends::default(), RunId::new());
        let mut waiting = ends.wait(run);
        ends.over(run, Some(small(run)));
        assert_eq!(waiting.receiver.as_mut().unwrap().try_recv().unwrap().unwrap().id, run);
        assert!(ends.take(run).is_none(), "nobody else is expected to ask");
        ends.over(run, Some(small(run)));
        assert!(ends.take(run).is_some());
        assert!(ends.take(run).is_none());
    }

    #[test]
    fn so_many_rows_are_kept_and_no_more() {
        let ends = Ends::default();
        let ids: Vec<_> = (0..RECENT + 10).map(|_| RunId::new()).collect();
        ids.iter().for_each(|run| ends.over(*run, Some(small(*run))));
        assert_eq!(held(&ends.recent).rows.len(), RECENT);
        assert!(ends.take(ids[9]).is_none());
        assert!(ends.take(ids[10]).is_some());
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let (ends, run) = (Ends::default(), RunId::new());
        let (first, second) = (ends.wait(run), ends.wait(run));
        drop(first);
        assert_eq!(held(&ends.waiters)[&run].len(), 1);
        drop(second);
        assert!(held(&ends.waiters).is_empty());
    }
}
