//! To be filled.

pub mod fiber;
pub mod guard;
pub mod memory;
pub mod rewrite;
pub mod sandbox;
pub mod secret;
pub mod value;
