//! All integration tests, as one binary: linking is what takes long.
#![allow(clippy::unwrap_used, reason = "all of it is tests: to panic is how they fail")]

mod check;
mod cli;
mod docs;
mod hostile;
mod journals;
mod kill;
mod notify;
mod scripts;
mod store;
#[cfg(target_os = "linux")]
mod supervise;
mod support;
mod tidy;
