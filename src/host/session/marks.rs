//! Placeholders of secrets in what is recorded.
//!
//! Their marks depend on a key, and a journal outlives it: the hash of a command's arguments, and its name, are taken with the
//! *origin* of a secret in place of its mark, which follows from the run alone. Earlier releases had the origin as the mark.

use std::borrow::Cow;

use super::{Session, current, hash_text};
use crate::id::RunId;
use crate::placeholder::{MarkKind, replaced, written};
use crate::script::secret::DECLARED;

/// The origin of a reference to a secret that a run makes.
pub fn origin(run: RunId, name: &str) -> String {
    format!("{:016x}", hash_text(&format!("{run}/{name}")))
}

impl Session {
    /// The origin of a reference that is made now; in a copy of another run it is the other's, as far as it was copied.
    pub fn origin(&self, name: &str) -> String {
        let taken = self.replay.borrow().taken();
        let copied = self.facts.forked.filter(|(_, inherited)| taken < *inherited);
        origin(copied.map_or(self.facts.run, |(run, _)| run), name)
    }
}

/// The hash of a command's arguments.
pub fn hash_arguments(text: &str) -> u64 {
    hash_text(&unmarked_here(text))
}

/// The text with the origins of secrets in place of their marks, in the run that is being evaluated.
pub fn unmarked_here(text: &str) -> Cow<'_, str> {
    match current() {
        Some((session, _)) => unmarked(text, &|name| session.origin(name)),
        None => Cow::Borrowed(text),
    }
}

/// The same for a run that is told by its origins.
pub fn unmarked<'t>(text: &'t str, origin: &dyn Fn(&str) -> String) -> Cow<'t, str> {
    replaced(text, |placeholder| match MarkKind::of(placeholder.mark)? {
        MarkKind::Run => Some(written(placeholder.name, &origin(placeholder.name))),
        MarkKind::Declared => Some(written(placeholder.name, DECLARED)),
    })
}
