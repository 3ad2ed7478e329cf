//! Systems that are there already: a variable says where (`PANTA_REAL_NATS=nats://user:password@host:port`).

use url::Url;

/// Where a system is.
pub(crate) struct System {
    pub(crate) url: Url,
    /// The certificates to trust, where the connection is to be by TLS: the variable with `_CA` at its end.
    pub(crate) ca_file: Option<String>,
}

impl System {
    /// The system of this variable; without it, the reason why a test is left out is told.
    pub(crate) fn find(variable: &str) -> Option<Self> {
        let ca_file = std::env::var(format!("{variable}_CA")).ok();
        let Ok(text) = std::env::var(variable) else {
            super::say(&format!("skipped: `{variable}` does not say where the system is"));
            return None;
        };
        Some(Self { url: text.parse().expect("an address"), ca_file })
    }
}
