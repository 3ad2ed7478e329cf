//! What the tests build their cases from.

pub(crate) mod bench;
pub(crate) mod server;
pub(crate) mod stores;
