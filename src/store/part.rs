//! A journal in parts, for those who must not hold all of it.

/// Segments that lie between two landmarks of a [`Way`], about: a number and a few bytes are kept for so many.
pub const STRIDE: usize = 256;

/// Segments of a journal behind a mark.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// They, in order.
    pub segments: Vec<Vec<u8>>,
    /// The mark behind the last of them: what follows begins there.
    pub mark: u64,
    /// The mark behind the last segment of the journal.
    pub end: u64,
}

impl Part {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        self.mark >= self.end
    }
}

/// The way along a journal, for going to the middle of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// Marks along it, in order, the first in front of everything; fewer than three times [`STRIDE`] segments lie between two of them.
    /// None where there is no such run.
    pub marks: Vec<u64>,
    /// The mark behind the last segment.
    pub end: u64,
    /// The largest first byte of a segment: its format.
    pub format: u8,
}
