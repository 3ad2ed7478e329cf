//! Putting segments of finished runs together, so that a long journal takes a fraction of its space.
//!
//! Nobody who reads sees it: a journal gives the same segments in the same order behind the same marks, before, between and
//! after. So it does not matter what becomes of the run meanwhile.

use crate::id::RunId;

/// What one commit puts together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compaction {
    /// Pieces, each of several segments of one run.
    pub pieces: Vec<Piece>,
    /// From where the next look goes on.
    pub place: Place,
}

/// How far segments were looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Up to this segment everything is done, durably.
    pub reached: i64,
    /// Behind it, a journal that is done in part: its last segment, and the last one that is still to be looked at.
    pub within: Option<(i64, i64)>,
}

/// Segments of one run that follow each other, as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Whose.
    pub run: RunId,
    /// Their numbers, from the first on.
    pub segments: Vec<i64>,
    /// The segment before them, or 0.
    pub prev: i64,
    /// They, as the store keeps them.
    pub body: Vec<u8>,
}
