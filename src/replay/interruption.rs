//! A computation that was interrupted: the only thing that ends a strand in between two of its commands.
//!
//! `timeout` and a cancellation end a strand that only computes. What it had changed by then can be seen by others, so the
//! place is recorded exactly: the strand, and how many operations it had done since its last command.

use serde_json::json;

use crate::journal::{Entry, Position, Segment};
use crate::payload::Payload;

/// Where a strand computed when it was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// The scope in which the strand began.
    pub scope: Vec<Segment>,
    /// Operations of the script engine since the strand's last command.
    pub ticks: u64,
}

impl Interruption {
    /// As the entry of a timer keeps it: `{"interrupted": scope, "ticks": number}`.
    pub fn to_detail(&self) -> Payload {
        Payload::from_json(&json!({ "interrupted": self.place().to_string(), "ticks": self.ticks }))
    }

    /// From the detail of a timer's entry.
    pub(super) fn from_detail(detail: &Payload) -> Option<Self> {
        let detail = detail.to_json();
        let place: Position = detail["interrupted"].as_str()?.parse().ok()?;
        Some(Self { scope: place.scope, ticks: detail["ticks"].as_u64()? })
    }

    /// The strand's scope as a position, as the entry of a cancellation keeps it.
    pub fn place(&self) -> Position {
        Position { scope: self.scope.clone(), ordinal: 0 }
    }

    /// From the entry of a cancellation, whose arguments are the operations; 0 where everything waited.
    pub(super) fn of_cancel(entry: &Entry) -> Option<Self> {
        (entry.arguments > 0).then(|| Self { scope: entry.position.scope.clone(), ticks: entry.arguments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_and_back() {
        for place in ["0", "3#2.0", "4.1.7#1.0"] {
            let scope = place.parse::<Position>().expect("parses").scope;
            let interruption = Interruption { scope, ticks: 12_345 };
            assert_eq!(Interruption::from_detail(&interruption.to_detail()), Some(interruption));
        }
        assert_eq!(Interruption::from_detail(&Payload::from_text("{\"message\":\"x\"}")), None);
    }
}
