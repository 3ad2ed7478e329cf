//! All integration tests, as one binary: linking is what takes long.

mod store;
mod support;
