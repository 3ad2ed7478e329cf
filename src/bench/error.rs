//! Why something could not be measured.

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system: files, processes, sockets.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// `SQLite` alone.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// What came out is not what the workload does.
    #[error("{0}")]
    Wrong(String),
}

impl Error {
    /// What came out is not what the workload does.
    pub(super) fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }
}

/// What was measured, or why not.
pub type Result<T> = std::result::Result<T, Error>;
