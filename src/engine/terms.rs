//! What a workflow's declaration lays down for the engine: how long, whom to tell, what follows.

use std::sync::Arc;
use std::time::Duration;

use crate::host::declare::{Declaration, Upgrade};
use crate::store::Sla;
use crate::time::Timestamp;

/// See the fields; by default nothing is laid down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// From acceptance, waits included.
    pub deadline: Option<Duration>,
    /// Time spent running, waits excluded.
    pub timeout: Option<Duration>,
    /// How long finished runs are kept.
    pub keep: Option<Duration>,
    /// After how long which channel is told that a run is open.
    pub sla: Option<(Duration, Arc<str>)>,
    /// What follows when a run does not complete.
    pub on_failure: Option<OnFailure>,
    /// Open runs are moved to a new version that fits their journal.
    pub upgrades: bool,
}

/// What follows when a run fails or runs out of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// This channel is told.
    Notify(Arc<str>),
    /// This workflow is started.
    Start(Arc<str>),
}

impl Terms {
    /// From a declaration, whose options were checked.
    pub(super) fn of(declaration: &Declaration) -> Self {
        let sla = declaration.sla.as_ref().and_then(|sla| {
            let after = crate::time::parse_duration(&sla.get("after")?.to_string()).ok()?;
            Some((after, sla.get("notify")?.to_string().into()))
        });
        let on_failure = declaration.on_failure.as_ref().and_then(|target| {
            let target = target.to_json();
            match target.as_str() {
                Some(channel) => Some(OnFailure::Notify(channel.into())),
                None => Some(OnFailure::Start(target["workflow"].as_str()?.into())),
            }
        });
        Self {
            deadline: declaration.deadline,
            timeout: declaration.timeout,
            keep: declaration.keep,
            sla,
            on_failure,
            upgrades: declaration.upgrade == Upgrade::WhenCompatible,
        }
    }

    /// Whom to tell of a run that is accepted now, and when.
    pub(super) fn sla_of_run(&self, accepted_at: Timestamp) -> Option<Sla> {
        let (after, notify) = self.sla.as_ref()?;
        Some(Sla { at: accepted_at.plus(*after), notify: Arc::clone(notify) })
    }
}
