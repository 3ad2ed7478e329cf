//! What is wrong with a trigger's declaration.

/// A declaration that cannot be used: a fault of the script's author, found when the file is loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a cron line.
    #[error("`{line}` is not a cron line: {reason}")]
    Cron {
        /// What was written.
        line: String,
        /// What is wrong with it.
        reason: String,
        /// Where the fault begins in the line, counted in characters from 1.
        column: usize,
        /// How many characters are at fault.
        width: usize,
        /// What to write instead.
        hint: String,
    },
    /// Not a usable pattern for files.
    #[error("`{pattern}` is not a file pattern: {reason}")]
    Files {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
        /// What to write instead.
        hint: String,
    },
    /// Not a usable event name or pattern.
    #[error(transparent)]
    Event(#[from] crate::pattern::Error),
    /// Not a usable path below `/hooks/`.
    #[error("`{path}` is not a webhook path: {reason}")]
    Path {
        /// What was written.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// What to write instead.
        hint: String,
    },
    /// A way to verify requests that does not exist or lacks something.
    #[error("cannot verify requests: {reason}")]
    Verify {
        /// What is wrong.
        reason: String,
        /// What to write instead.
        hint: String,
    },
    /// A duration, time or zone in it cannot be read.
    #[error(transparent)]
    Time(#[from] crate::time::Error),
}

impl Error {
    /// What to do about it, without the word `hint`.
    pub fn hint(&self) -> &str {
        match self {
            Self::Cron { hint, .. }
            | Self::Files { hint, .. }
            | Self::Path { hint, .. }
            | Self::Verify { hint, .. } => hint,
            Self::Event(error) => &error.hint,
            Self::Time(error) => error.hint(),
        }
    }

    /// Where the fault begins in the text at fault, counted in characters from 1.
    pub fn column(&self) -> usize {
        match self {
            Self::Cron { column, .. } => *column,
            Self::Time(error) => error.column(),
            Self::Files { .. } | Self::Event(_) | Self::Path { .. } | Self::Verify { .. } => 1,
        }
    }
}
