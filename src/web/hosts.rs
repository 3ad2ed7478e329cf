//! Names by which this server may be called. A page that has its own name point to this machine (DNS rebinding) calls it by
//! another one.

use std::net::{IpAddr, SocketAddr};

/// The names of a server.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Without ports, in lower case.
    names: Vec<String>,
    /// It listens on all addresses of the machine: any of them may be named. An address cannot be rebound.
    any_address: bool,
}

impl Hosts {
    /// The names of a server that listens there: names of this machine, the address itself, and those of the config (names, or
    /// URLs).
    pub fn new<'a>(listen: SocketAddr, others: impl IntoIterator<Item = &'a str>) -> Self {
        let ip = listen.ip();
        let own = match ip {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let others = others.into_iter().map(|other| {
            let rest = other.split_once("://").map_or(other, |(_, rest)| rest);
            name_of(rest.split(['/', '?', '#']).next().unwrap_or_default()).to_ascii_lowercase()
        });
        Self { names: std::iter::once(own).chain(others).collect(), any_address: ip.is_unspecified() }
    }

    /// Whether the value of a `Host` header names this server.
    pub(super) fn allow(&self, host: &str) -> bool {
        let name = name_of(host);
        is_this_machine(name)
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
            || self.any_address && address(name).is_some()
    }
}

/// The address that a host is, where it is none by name.
fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    }
}

/// A host without its port.
pub(super) fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A name of this machine, whatever a server listens on.
pub(super) fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || address(name).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str, others: &[&str]) -> Hosts {
        Hosts::new(listen.parse().expect("an address"), others.iter().copied())
    }

    fn all(hosts: &Hosts, names: &[&str], allowed: bool) {
        for name in names {
            assert_eq!(hosts.allow(name), allowed, "{name}");
        }
    }

    #[test]
    fn names_of_this_machine() {
        let local = hosts("127.0.0.1:7262", &[]);
        all(&local, &["localhost", "LOCALHOST:7262", "127.0.0.1:1", "127.0.0.2", "[::1]", "[::1]:7262"], true);
        let others =
            ["", "example.com", "localhost.example.com", "127.0.0.1.nip.io:80", "localhost:x", "[::1", "10.0.0.1"];
        all(&local, &others, false);
        all(&local, &["user@localhost", "evil.example"], false);
    }

    #[test]
    fn names_of_the_config_and_the_address_itself() {
        let named = hosts("10.0.0.5:80", &["https://Panta.example.com:8443/base", "panta.internal"]);
        all(
            &named,
            &["panta.example.com", "panta.example.com:8443", "PANTA.internal:1", "10.0.0.5", "localhost"],
            true,
        );
        all(&named, &["example.com", "evil.example", "10.0.0.6", "x.panta.internal"], false);
        let open = hosts("0.0.0.0:7262", &[]);
        all(&open, &["10.1.2.3:7262", "[2001:db8::1]:7262"], true);
        all(&open, &["evil.example", "1.2.3.4.evil.example"], false);
    }
}
