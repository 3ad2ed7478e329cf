//! The pooled clients: one for each combination of which addresses may be reached and whether TLS is spoken.
//!
//! Connections are pooled by host. A connection to a private address that one workflow may call must not serve another
//! that may not, so those that may go anywhere and those that may not never share a pool.

use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use reqwest::{Client, Url};

use crate::effect::Failure;
use crate::effect::net::{Reach, Resolver};

/// Servers close idle connections after 5 s and up; a request that is sent just then fails without need. So: a bit less.
const IDLE: Duration = Duration::from_secs(4);

/// Connections to one host that are kept for the next requests. 32: more than come at once in the time that they are kept.
const SPARE: usize = 32;

/// The clients, each built when it is first needed.
pub(in crate::effect) struct Clients {
    connect: Duration,
    public: [OnceLock<Client>; 2],
    named: [OnceLock<Client>; 2],
}

impl Clients {
    pub(in crate::effect) fn new(connect: Duration) -> Self {
        Self { connect, public: Default::default(), named: Default::default() }
    }

    /// The client for `url`.
    pub(in crate::effect) fn get(&self, url: &Url, reach: Reach) -> Result<Client, Failure> {
        let tls = url.scheme() == "https";
        let slots = if reach == Reach::Public { &self.public } else { &self.named };
        let slot = &slots[usize::from(tls)];
        if let Some(client) = slot.get() {
            return Ok(client.clone());
        }
        let client = self.build(reach, tls).map_err(|error| {
            let why = super::fault::cause(&error);
            let hint = "install the package `ca-certificates`, or name a file in `SSL_CERT_FILE`";
            Failure::new("network", format!("no HTTP client can be made: {why}; hint: {hint}"))
        })?;
        Ok(slot.get_or_init(|| client).clone())
    }

    fn build(&self, reach: Reach, tls: bool) -> reqwest::Result<Client> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error says that some provider is installed already, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let builder = Client::builder()
            .user_agent(concat!("panta/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.connect)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(SPARE)
            .dns_resolver(Arc::new(Resolver(reach)));
        // Without TLS no certificates are read, so that plain HTTP works where none are installed.
        if tls { builder.build() } else { builder.tls_certs_only([]).build() }
    }
}
