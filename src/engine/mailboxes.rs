//! Mailboxes, as whoever follows them needs them: which there are, and who has sent what a message answers.

use std::sync::Arc;

use super::handle::Handle;
use crate::effect::imap::Mailboxes;

impl Handle {
    /// The mailboxes of the configuration.
    pub fn mailboxes(&self) -> Option<&Arc<Mailboxes>> {
        self.options().mailboxes.as_ref()
    }

    /// The workflow whose run has sent the message with this `Message-ID`. `None`: no run of this node has. `Some(None)`: one has
    /// that is not known any more, or whose message does not tell it.
    pub fn sender(&self, message_id: &str) -> Option<Option<Arc<str>>> {
        let run = self.options().links.sender(message_id)?;
        Some(run.and_then(|run| self.run(run).ok()).map(|run| run.workflow))
    }
}
