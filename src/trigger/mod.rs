//! From the outside to a durable start: what a cron line, a request, a file or an event means.
//!
//! Everything here is pure: the clock, the folder's listing and the secret are handed in, and what is due comes out.
//! It knows nothing of scripts, stores or the engine; whoever drives it starts the runs.

pub mod cron;
mod error;
pub mod event;
pub mod files;
pub mod schedule;
pub mod webhook;

pub use error::Error;
