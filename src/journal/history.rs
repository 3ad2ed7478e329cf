//! A journal as it counts now: all that was written, with the repairs applied.

use std::mem;

use super::repair::is_in;
use super::{Cut, Entry, Error, Kind, Phase, Repair, decode_segment};

/// The journal of a run.
///
/// Segments of a run's own are numbered, so that a missing one is found. Those of repairs stand between them in the order
/// in which they were written, and have no numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The entries that count, in order. Repairs are among them; outcomes that are given again stand where they were.
    pub entries: Vec<Entry>,
    /// The place of each of them among all that were ever written, from 0.
    pub places: Vec<usize>,
    /// How many entries were ever written.
    pub written: usize,
    /// How many of these are the run's own: the number of the next one.
    pub numbered: usize,
}

impl History {
    /// Reads the segments of a run, in the order in which they were written.
    pub fn read<S: AsRef<[u8]>>(segments: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut history = Self::default();
        for segment in segments {
            let (first, entries) = decode_segment(segment.as_ref())?;
            let is_repair = entries.iter().all(|entry| entry.kind == Kind::Repair);
            if !is_repair && first != history.numbered {
                return Err(Error::Gap { found: first, expected: history.numbered });
            }
            for entry in entries {
                history.add(entry);
            }
        }
        Ok(history)
    }

    /// The entries alone.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn add(&mut self, entry: Entry) {
        if let Some(cut) = Repair::from_entry(&entry).and_then(|repair| repair.cut) {
            self.cut(&cut);
        }
        self.numbered += usize::from(entry.kind != Kind::Repair);
        self.entries.push(entry);
        self.places.push(self.written);
        self.written += 1;
    }

    /// As it counts with this cut.
    pub fn cut(&mut self, cut: &Cut) {
        let (entries, places) = (mem::take(&mut self.entries), mem::take(&mut self.places));
        for (mut entry, place) in entries.into_iter().zip(places) {
            let is_cut = place >= cut.from || is_in(&cut.dropped, place);
            if is_cut && entry.kind == Kind::Repair {
                // That it was done stays to be seen. What it gave does not count.
                if is_in(&cut.dropped, place) {
                    entry.outcome = None;
                }
            } else if is_cut && is_in(&cut.given, place) {
                entry.phase = Phase::Given;
            } else if is_cut && !is_in(&cut.kept, place) {
                continue;
            }
            self.entries.push(entry);
            self.places.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Repaired, encode_segment};
    use crate::payload::Payload;
    use crate::time::Timestamp;

    fn entry(name: &str) -> Entry {
        let opened = Entry::opened(Kind::Effect, name.parse().expect("a position"), name.into(), Timestamp(1));
        Entry { phase: Phase::Closed, outcome: Some(Ok(Payload::unit())), ..opened }
    }

    fn own(first: usize, names: &[&str]) -> Vec<u8> {
        encode_segment(first, &names.iter().map(|name| entry(name)).collect::<Vec<_>>())
    }

    fn repair(cut: Option<Cut>) -> Vec<u8> {
        encode_segment(0, &[Repair { cut, ..Repair::new(Repaired::Retry, Timestamp(2)) }.to_entry()])
    }

    fn shown(history: &History) -> Vec<String> {
        let of = |(entry, place): (&Entry, &usize)| format!("{place}:{}:{:?}", entry.name, entry.phase);
        history.entries.iter().zip(&history.places).map(of).collect()
    }

    #[test]
    fn what_is_cut_is_gone_given_or_kept_and_what_follows_goes_on_with_the_numbers() {
        let cut = Cut { from: 1, given: Cut::ranges([2]), kept: Cut::ranges([3]), ..Cut::default() };
        let history = History::read([own(0, &["0", "1", "2", "3"]), repair(Some(cut)), own(4, &["1"])]).expect("reads");
        assert_eq!(shown(&history), ["0:0:Closed", "2:2:Given", "3:3:Closed", "4:retry:Closed", "5:1:Closed"]);
        assert_eq!((history.written, history.numbered), (6, 5));
    }

    #[test]
    fn a_second_cut_names_what_the_first_gave() {
        let first = Cut { from: 1, given: Cut::ranges([1, 2]), ..Cut::default() };
        let second = Cut { from: 4, dropped: Cut::ranges([1]), ..Cut::default() };
        let segments = [own(0, &["0", "1", "2"]), repair(Some(first)), own(3, &["3"]), repair(Some(second))];
        let history = History::read(segments).expect("reads");
        assert_eq!(shown(&history), ["0:0:Closed", "2:2:Given", "3:retry:Closed", "5:retry:Closed"]);
    }

    #[test]
    fn a_missing_segment_is_found() {
        assert_eq!(
            History::read([own(0, &["0"]), repair(None), own(2, &["2"])]),
            Err(Error::Gap { found: 2, expected: 1 })
        );
    }
}
