//! Scripts: from files to a compiled program, its faults as diagnostics, what it may call, and what it runs on.

pub mod bundle;
pub mod catalog;
pub mod check;
pub mod errors;
pub mod fiber;
pub mod flow;
pub mod guard;
pub mod lex;
pub mod literal;
pub mod memory;
pub mod program;
mod recover;
pub mod rewrite;
pub mod sandbox;
pub mod secret;
pub mod source;
pub mod stand;
pub mod stdlib;
mod stopwatch;
pub mod unwind;
pub mod value;
