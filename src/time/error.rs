//! What is wrong with a written duration, time or zone: where, and what to write instead.

/// A duration, time or zone that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a duration.
    #[error("`{text}` is not a duration: {reason}")]
    Duration {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// Where in the text, counted in characters from 1.
        column: usize,
        /// What to write instead.
        hint: String,
    },
    /// Not a point in time.
    #[error("`{text}` is not a time: {reason}")]
    Time {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// What to write instead.
        hint: String,
    },
    /// Not a known time zone.
    #[error("unknown time zone `{text}`")]
    Zone {
        /// What was written.
        text: String,
        /// What to write instead.
        hint: String,
    },
}

impl Error {
    /// What to do about it, without the word `hint`.
    pub fn hint(&self) -> &str {
        match self {
            Self::Duration { hint, .. } | Self::Time { hint, .. } | Self::Zone { hint, .. } => hint,
        }
    }

    /// Where in the text, counted in characters from 1; 1 where the whole text is meant.
    pub fn column(&self) -> usize {
        match self {
            Self::Duration { column, .. } => *column,
            Self::Time { .. } | Self::Zone { .. } => 1,
        }
    }
}

/// How many single-character edits (a swap of neighbours counts as one) turn `a` into `b`.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
