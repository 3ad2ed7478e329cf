//! What a day has spent, by model. A small file keeps it over restarts: written after each call, without waiting for the disk, so
//! that a crash of the machine may forget the last calls of a day.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Spent;
use crate::time::{Clock as _, SystemClock};

/// What was spent, and in which file that is kept.
pub(super) struct Ledger {
    file: PathBuf,
    /// `None`: nobody has looked yet.
    day: Mutex<Option<Day>>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Day {
    /// `2026-12-24`, in UTC.
    date: String,
    spent: BTreeMap<String, Spent>,
}

impl Ledger {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, day: Mutex::new(None) }
    }

    /// What was spent today.
    pub(super) fn today(&self, model: &str) -> Spent {
        self.with(|day| day.spent.get(model).copied().unwrap_or_default())
    }

    /// Counts a call.
    pub(super) fn add(&self, model: &str, spent: Spent) {
        let day = self.with(|day| {
            let all = day.spent.entry(model.to_owned()).or_default();
            *all = all.plus(spent);
            day.clone()
        });
        let text = serde_json::to_string(&day).expect("texts and numbers");
        if let Err(error) = self.write(&text) {
            tracing::warn!("what models cost today cannot be written to `{}`: {error}", self.file.display());
        }
    }

    /// The old file or the new one, whole.
    fn write(&self, text: &str) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(std::path::Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(&self.file).map(drop).map_err(|error| error.error)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Day) -> T) -> T {
        let date: String = SystemClock.now().to_string().chars().take(10).collect();
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = || std::fs::read(&self.file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let day = day.get_or_insert_with(|| kept().unwrap_or_default());
        if day.date != date {
            *day = Day { date, spent: BTreeMap::new() };
        }
        act(day)
    }
}
