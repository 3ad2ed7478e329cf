//! What a run has begun inside the engine and has no outcome of: other runs, tasks, places in line.
//!
//! Kept from the journal alone, so that what a line of execution leaves behind is known even where it was dropped before it
//! asked for that again.

use std::collections::BTreeMap;

use crate::journal::{Entry, Kind, Phase, Position, Segment};

/// Beginnings without an outcome, by position.
#[derive(Debug, Default)]
pub(super) struct Begun(BTreeMap<Position, Entry>);

impl Begun {
    /// An entry of the journal, in its order.
    pub(super) fn note(&mut self, entry: &Entry) {
        match entry.phase {
            Phase::Opened if is_kept(entry) => {
                self.0.insert(entry.position.clone(), entry.clone());
            }
            Phase::Closed if !self.0.is_empty() && is_kept(entry) => {
                self.0.remove(&entry.position);
            }
            _ => {}
        }
    }

    /// What had begun in these scopes and inside of them. It is not known any more after that.
    pub(super) fn take(&mut self, scope: &[Segment]) -> Vec<Entry> {
        if scope.is_empty() {
            return std::mem::take(&mut self.0).into_values().collect();
        }
        self.0.extract_if(.., |position, _| position.scope.starts_with(scope)).map(|(_, entry)| entry).collect()
    }
}

/// What is there beside the run as long as it waits for it.
fn is_kept(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Child | Kind::Task) || entry.kind == Kind::Wait && entry.name.starts_with("lock:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::time::Timestamp;

    fn begun(positions: &[&str]) -> Begun {
        let mut begun = Begun::default();
        for position in positions {
            begun.note(&opened(position));
        }
        begun
    }

    fn opened(position: &str) -> Entry {
        let position = position.parse().expect("a position");
        Entry::opened(Kind::Child, position, "w".into(), Timestamp(1))
    }

    fn taken(begun: &mut Begun, scope_of: &str) -> Vec<String> {
        let scope = scope_of.parse::<Position>().expect("a position").scope;
        begun.take(&scope).iter().map(|entry| entry.position.to_string()).collect()
    }

    #[test]
    fn what_a_branch_has_begun_goes_with_it_and_what_others_have_stays() {
        let mut begun = begun(&["0.0.0", "0.1.0", "0.1.1#1.0", "0.10.0", "1"]);
        assert_eq!(taken(&mut begun, "0.1.7"), ["0.1.0", "0.1.1#1.0"]);
        assert_eq!(taken(&mut begun, "0.1.7"), [""; 0]);
        assert_eq!(taken(&mut begun, "9"), ["0.0.0", "0.10.0", "1"]);
    }

    #[test]
    fn what_has_an_outcome_is_over() {
        let mut begun = begun(&["0", "1"]);
        begun.note(&Entry { phase: Phase::Closed, outcome: Some(Ok(Payload::unit())), ..opened("0") });
        assert_eq!(taken(&mut begun, "9"), ["1"]);
    }
}
