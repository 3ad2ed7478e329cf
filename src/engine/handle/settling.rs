//! What the engine waits for after a change of what scripts mean, and what it does not evaluate any more.

use serde_json::Value;

use super::{Error, Handle};
use crate::engine::deploy::Deployed;
use crate::engine::retrace::{self, retrace};
use crate::engine::semantics::Trials;
use crate::id::RunId;

impl Handle {
    /// How far the trials of open runs are that have to be over before these go on; `None`: nothing is waited for.
    pub fn settling(&self) -> Option<Trials> {
        self.shared.settling.progress()
    }

    /// Waits until open runs were tried, and those that can go on were taken up.
    pub async fn settled(&self) {
        let mut follow = self.shared.settling.follow();
        // The sender lives as long as the engine does.
        let _ = follow.wait_for(|is_over| *is_over).await;
    }

    /// A run, evaluated again from its journal: see [`retrace`]. Takes as long as the script computes: call it where blocking
    /// is allowed. [`retrace::Error::Broken`] also where the process died of it.
    pub fn retrace(&self, run: RunId, until: Option<&str>) -> Result<Result<Value, retrace::Error>, Error> {
        let row = self.run(run)?;
        let bundle = self.sources(&row)?;
        let journal = self.journal(run)?;
        Ok(match self.shared.replaying(run) {
            Err(said) => Err(retrace::Error::Broken(said)),
            Ok(_watched) => retrace(&row, journal, &bundle, until),
        })
    }

    /// Closures of a workflow's declaration that are not called any more, since the process died of them: the identity of the
    /// trigger (`None`: of the workflow itself), the option, and why.
    pub fn paused_closures(&self, deployed: &Deployed) -> Vec<(Option<String>, &'static str, String)> {
        self.shared.paused_closures(deployed)
    }
}
