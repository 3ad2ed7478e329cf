//! `trigger::mail`, and replies to mail that runs have sent: one connection a mailbox, however many listen.
//!
//! Each who listens has a state in the store: how far it has come (`trigger::mail`). Of each message is noted, before anything is
//! started for it, under which key that will be, so that it is recognised after a crash, and where the server numbers its messages
//! anew. Replies listen to every mailbox that is followed at all.

mod deliver;
mod follow;
mod notes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::follow::Follower;
use super::AGAIN;
use crate::diag::suggest;
use crate::effect::imap::Mailboxes;
use crate::engine::Handle;
use crate::host::declare::TriggerKind;

/// All mailboxes.
pub(super) struct Mails {
    handle: Handle,
    /// Triggers of which it was said that there is no such mailbox.
    told: BTreeSet<(Arc<str>, String)>,
}

impl Mails {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, told: BTreeSet::new() }
    }

    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut followers, mut names) = (JoinSet::new(), BTreeMap::new());
        let mailboxes = self.handle.mailboxes().cloned();
        let mut begin: Vec<String> =
            mailboxes.iter().flat_map(|all| all.all()).map(|(name, _)| name.to_owned()).collect();
        let mut deployments = self.handle.deployments();
        loop {
            for name in begin.drain(..) {
                let follower = Follower::new(self.handle.clone(), &name);
                names.insert(followers.spawn(follower.follow()).id().to_string(), name);
            }
            deployments.mark_unchanged();
            self.tell_unknown(mailboxes.as_deref());
            tokio::select! {
                _ = stop.changed() => return,
                _ = deployments.changed() => {}
                Some(ended) = followers.join_next_with_id() => {
                    // It never ends by itself: this is a fault of ours, which must not cost the mailbox.
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    begin.extend(names.remove(&id.to_string()));
                    tracing::error!("following the mailboxes {begin:?} is begun again after an internal error; hint: see above");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Says once of each trigger whose mailbox nobody has configured that it waits for nothing.
    fn tell_unknown(&mut self, mailboxes: Option<&Mailboxes>) {
        for workflow in self.handle.workflows() {
            for spec in workflow.triggers.iter().filter(|spec| spec.kind == TriggerKind::Mail) {
                let Some(problem) = unknown(mailboxes, &spec.subject) else { continue };
                if self.told.insert((Arc::clone(&workflow.name), spec.id.clone())) {
                    tracing::warn!("{} of `{}` starts nothing: {problem}", spec.id, workflow.name);
                    self.handle.refuse(&workflow.name, &spec.id, problem);
                }
            }
        }
    }
}

fn unknown(mailboxes: Option<&Mailboxes>, name: &str) -> Option<String> {
    if mailboxes.is_some_and(|all| all.get(name).is_some()) {
        return None;
    }
    let names = mailboxes.into_iter().flat_map(Mailboxes::all).map(|(name, _)| name);
    let hint = suggest::did_you_mean(name, names)
        .unwrap_or_else(|| format!("add a section `[mailboxes.{name}]` to `panta.toml`"));
    Some(format!("there is no mailbox `{name}`; hint: {hint}"))
}
