//! Scripts: from files to a compiled program, its faults as diagnostics, and what it may call.

pub mod bundle;
pub mod catalog;
pub mod check;
pub mod errors;
pub mod lex;
pub mod program;
pub mod source;
