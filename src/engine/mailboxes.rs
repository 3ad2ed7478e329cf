//! Mailboxes, as whoever follows them needs them: which there are, and who has sent what a message answers.

use std::sync::Arc;

use super::handle::Handle;
use super::links::Sender;
use crate::effect::imap::Mailboxes;

impl Handle {
    /// The mailboxes of the configuration.
    pub fn mailboxes(&self) -> Option<&Arc<Mailboxes>> {
        self.options().mailboxes.as_ref()
    }

    /// Who has sent the message with this `Message-ID`; `None`: no run of this node has.
    pub fn sender(&self, message_id: &str) -> Option<Sender> {
        self.options().links.sender(message_id)
    }

    /// The workflow of who has sent a message, where it is known and kept.
    pub fn sender_workflow(&self, sender: Sender) -> Option<Arc<str>> {
        match sender {
            Sender::Run(run) => self.run(run).ok().map(|run| run.workflow),
            Sender::Unnamed => None,
        }
    }
}
