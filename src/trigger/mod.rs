//! From the outside to a durable start: what a cron line, a request, a file or an event means.
//!
//! All but three modules are pure: the clock, the folder's listing and the secret are handed in, and what is due comes out;
//! they know nothing of scripts, stores or the engine. [`verify`] and [`cycles`] look at what workflows declare, [`receive`] at
//! requests that come to it, and [`service`] follows the deployed workflows and starts their runs, through the engine's
//! handle alone.

pub mod cron;
pub mod cycles;
mod error;
pub mod files;
pub mod mail;
pub mod message;
pub mod receive;
pub mod schedule;
pub mod service;
pub mod verify;
pub mod webhook;

pub use error::Error;
