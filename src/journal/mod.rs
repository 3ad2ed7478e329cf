//! The journal of a run: entries, their positions and their versioned encoding. Data only.
//!
//! An entry is either *opened* (an intent, a timer that was set, a wait that began: what must survive for the command to
//! go on after a crash) or *closed* (the outcome of a command, which never changes). The closed entries, in order, are
//! what a replay feeds back to the script.
//!
//! What a person repairs is appended, too: [`Repair`] entries say which of the entries before them do not count any more.
//! [`History`] reads a journal with its repairs, and is the only way in which the others get to see one.
//!
//! Knows nothing of Rhai, tokio and SQL.

mod codec;
mod entry;
mod history;
mod position;
mod repair;

pub use codec::{Error, decode_segment, encode_segment, may_be_repaired};
pub use entry::{Entry, Kind, Outcome, Phase};
pub use history::History;
pub use position::{Position, Segment, Sub};
pub use repair::{Cut, Repair, Repaired};
