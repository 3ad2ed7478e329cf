//! Journals in parts: a mark is the number of segments before it.

use super::State;
use crate::id::RunId;
use crate::store::part::{Part, STRIDE, Way};

impl State {
    pub(super) fn part(&self, run: RunId, mark: u64, most: usize) -> Part {
        let all = self.journals.get(&run).map_or(&[][..], Vec::as_slice);
        let mut part = Part { segments: Vec::new(), mark, end: mark.max(all.len() as u64) };
        let mut bytes = 0;
        for segment in all.iter().skip(usize::try_from(mark).unwrap_or(usize::MAX)) {
            bytes += segment.len();
            part.segments.push(segment.to_vec());
            part.mark += 1;
            if bytes >= most {
                break;
            }
        }
        part
    }

    pub(super) fn way(&self, run: RunId) -> Way {
        if !self.runs.contains_key(&run) {
            return Way::default();
        }
        let all = self.journals.get(&run).map_or(&[][..], Vec::as_slice);
        let format = all.iter().filter_map(|segment| segment.first()).max().copied().unwrap_or_default();
        let marks = (0..all.len().max(1)).step_by(STRIDE).map(|mark| mark as u64).collect();
        Way { marks, end: all.len() as u64, format }
    }
}
