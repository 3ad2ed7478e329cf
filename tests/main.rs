//! All integration tests, as one binary: linking is what takes long.

mod scripts;
mod store;
mod support;
mod tidy;
