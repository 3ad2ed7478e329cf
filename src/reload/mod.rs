//! From a save to a new version: noticing that the scripts folder changed, and which contents have settled.
//!
//! [`Watch`] only says that something may have changed; [`Listing`] reads the folder; [`Snapshot`] owns what is live and
//! what is still settling; [`Scripts`] puts them together. None of these knows what a script means.
//!
//! [`load`] makes a workflow of a file or says what is wrong with it; [`Service`] follows the folder and tells the engine.

mod folder;
mod gates;
mod load;
mod record;
mod scripts;
mod service;
mod snapshot;
mod spot;
mod watch;
mod workflows;

pub use folder::{Listing, SOURCE_MAX, Skipped, Source, is_script};
pub use load::{Loaded, STDLIB, load, one, surveyed};
pub use record::{Reload, Status};
pub use scripts::{Scripts, Update};
pub use service::Service;
pub use snapshot::{Change, SETTLE, Snapshot};
pub use watch::{Caller, Event, Options, Watch};

/// The scripts folder cannot be watched or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the folder failed.
    #[error("cannot read the scripts folder `{folder}`: {source}")]
    Read {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start watching: {0}")]
    Start(std::io::Error),
    /// The service ended before it had read the folder.
    #[error("the scripts folder is not followed: its thread ended; hint: the log says why")]
    Ended,
}
