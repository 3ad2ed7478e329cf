//! What became of the compensations of a run.

use serde::{Deserialize, Serialize};

/// What became of a run's compensations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// None ran.
    #[default]
    None,
    /// All succeeded.
    Complete,
    /// At least one failed for good.
    Incomplete,
}

impl Rollback {
    /// The name that is shown and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
        }
    }

    /// The value with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Self {
        match name {
            "complete" => Self::Complete,
            "incomplete" => Self::Incomplete,
            _ => Self::None,
        }
    }
}
