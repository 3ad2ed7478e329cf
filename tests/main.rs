//! All integration tests, as one binary: linking is what takes long.
#![allow(clippy::unwrap_used, reason = "all of it is tests: to panic is how they fail")]

mod altered;
mod check;
mod cli;
mod connectors;
mod docs;
mod flood;
mod hostile;
mod journals;
mod kill;
mod notify;
#[cfg(feature = "real")]
mod real;
mod reload;
mod scripts;
mod store;
#[cfg(target_os = "linux")]
mod supervise;
mod support;
mod tidy;
