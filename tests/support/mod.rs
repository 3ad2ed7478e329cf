//! What the tests build their cases from.

pub(crate) mod stores;
