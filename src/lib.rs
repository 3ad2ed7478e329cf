//! `panta` runs durable workflows that are Rhai scripts.
//!
//! The map is in `docs/ARCHITECTURE.md`; arrows between modules run one way:
//! `cli, web, trigger, reload → engine → {host, script, effect, store} → replay → journal → {payload, id, time, diag}`.

pub mod audit;
pub mod bench;
pub mod cli;
pub mod config;
pub mod courier;
pub mod diag;
pub mod effect;
pub mod engine;
pub mod host;
pub mod id;
pub mod journal;
pub mod openapi;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod pattern;
pub mod payload;
pub mod placeholder;
pub mod reload;
pub mod replay;
pub mod script;
pub mod sim;
pub mod store;
pub mod supervise;
pub mod task;
pub mod time;
pub mod trace;
pub mod trigger;
pub mod vault;
pub mod web;
