//! Whether what was sent again is what was sent first.

use super::{Error, Handle};
use crate::engine::outside::event_from_outside;
use crate::store::Event;

impl Handle {
    /// Whether the event that is kept at this place says the same as this one; also where it is not kept any more.
    pub fn is_repeat(&self, seq: u64, event: Event) -> Result<bool, Error> {
        let event = event_from_outside(&self.shared.options.secrets, event);
        let kept = self.shared.store.events(seq.saturating_sub(1), 1)?;
        let first = kept.first().filter(|first| first.seq == seq && first.id == event.id);
        Ok(first
            .is_none_or(|first| (&first.name, &first.key, &first.payload) == (&event.name, &event.key, &event.payload)))
    }
}
