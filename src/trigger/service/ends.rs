//! Waiting for the end of any of some runs, without asking again and again.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::Poll;

use crate::engine::Handle;
use crate::id::RunId;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The runs whose end is of interest.
#[derive(Default)]
pub(super) struct Ends {
    runs: BTreeSet<RunId>,
    waits: Vec<Wait>,
}

impl Ends {
    /// Says which. What is waited for already goes on being so.
    pub(super) fn set(&mut self, handle: &Handle, runs: BTreeSet<RunId>) {
        if runs != self.runs {
            self.waits = runs.iter().map(|run| wait(handle.clone(), *run)).collect();
            self.runs = runs;
        }
    }

    /// Resolves when one of them has ended; of none, never.
    pub(super) async fn any(&mut self) {
        let waits = &mut self.waits;
        std::future::poll_fn(|context| {
            let has_ended = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
            if has_ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.runs.clear();
        self.waits.clear();
    }
}

/// Without an end where nothing can be said of the run: whoever waits looks again by the clock.
fn wait(handle: Handle, run: RunId) -> Wait {
    Box::pin(async move {
        if handle.ended(run).await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
