//! Functions against real systems: `cargo test --features real -- real`.
//!
//! A variable of the environment says where each system is (`PANTA_REAL_POSTGRES=postgres://user:password@host:port/database`);
//! a test whose system is not named says so, and does nothing.

mod brokers;
mod databases;

use url::Url;

/// Where a system is.
pub(crate) struct System {
    pub(crate) url: Url,
    /// The certificates to trust, where the connection is to be by TLS: the variable with `_CA` at its end.
    pub(crate) ca_file: Option<String>,
}

impl System {
    /// The system of this variable; without it, the reason why a test is left out is printed.
    #[expect(clippy::print_stdout, reason = "a test that is left out says so to whoever runs it")]
    pub(crate) fn find(variable: &str) -> Option<Self> {
        let ca_file = std::env::var(format!("{variable}_CA")).ok();
        let Ok(text) = std::env::var(variable) else {
            println!("skipped: `{variable}` does not say where the system is");
            return None;
        };
        Some(Self { url: text.parse().expect("an address"), ca_file })
    }
}
