//! Which hosts and addresses may be called: patterns, the address rule, and the resolver that enforces it.
//!
//! A script that takes a URL from outside must not become a way into the network that it runs in. So an address that
//! is not on the public internet is called only when `allow` names its host; the rule is applied to the address that
//! is connected to, not to one that was looked up earlier.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::allow::allow_line;
use super::{Allow, Failure};

/// An entry of `allow.http`: `host`, `*.host`, `host:port`, an IP address with or without a port, or `*` for every
/// public host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPattern {
    names: Names,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Names {
    Public,
    One(String),
    Under(String),
}

/// Which addresses a connection may go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Only those of the public internet.
    Public,
    /// Any: the host is named by a pattern.
    Named,
}

impl HostPattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { names: Names::Public, port: None });
        }
        let bad = |why: &str| {
            format!(
                "`{text}` is no host pattern: {why}; hint: write `example.com`, `*.example.com` or `127.0.0.1:8080`"
            )
        };
        if text.contains("://") || text.contains(['/', '@', '?', '#', '\\']) {
            return Err(bad("it names more than a host"));
        }
        let (host, port) = split_port(text).ok_or_else(|| bad("its port is no number from 1 to 65535"))?;
        let (under, host) = host.strip_prefix("*.").map_or((false, host), |rest| (true, rest));
        let host = canonical_host(host).ok_or_else(|| bad("its host is no name and no address"))?;
        let names = if under { Names::Under(host) } else { Names::One(host) };
        Ok(Self { names, port })
    }

    /// Whether a host (as in a URL) and port are meant.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = plain_host(host);
        let named = match &self.names {
            Names::Public => true,
            Names::One(name) => host == name,
            Names::Under(parent) => host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')),
        };
        named && self.port.is_none_or(|wanted| wanted == port)
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            Names::Public => f.write_str("*")?,
            Names::One(name) if name.contains(':') && self.port.is_some() => write!(f, "[{name}]")?,
            Names::One(name) => f.write_str(name)?,
            Names::Under(parent) => write!(f, "*.{parent}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') && text.parse::<Ipv6Addr>().is_err() => (host, port),
        _ => return Some((text, None)),
    };
    port.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port)))
}

/// The host of `host`, `host:port`, `[::1]:port` as URLs spell it, and the port where there is one. `None`: it is none.
pub(super) fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = split_port(text)?;
    Some((canonical_host(host)?, port))
}

/// A host as URLs spell it: lower case, punycode, addresses in their usual form; without brackets and final dot.
fn canonical_host(text: &str) -> Option<String> {
    let text = if text.parse::<Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() };
    if text.is_empty() || text.contains('*') || (text.contains(':') && !text.starts_with('[')) {
        return None;
    }
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    url.host_str().map(|host| plain_host(host).to_owned()).filter(|host| !host.is_empty())
}

fn plain_host(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The host of a URL as patterns and secrets know it, and its port.
pub(super) fn host_and_port(url: &Url) -> Option<(&str, u16)> {
    let host = url.host_str().map(plain_host).filter(|host| !host.is_empty())?;
    Some((host, url.port_or_known_default()?))
}

/// Whether `url` may be called, as far as can be said before its name is resolved.
pub fn admit(url: &Url, allow: &Allow) -> Result<Reach, Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("`{}` cannot be called: only `http` and `https` can", url.scheme());
        return Err(Failure::denied(format!("{message}; hint: begin the URL with `https://`")));
    }
    let (host, port) = host_and_port(url).ok_or_else(|| Failure::invalid("the URL has no host; hint: give it one"))?;
    let reach = match allow.http.as_deref() {
        None => Reach::Public,
        Some(patterns) => {
            let mut matching = patterns.iter().filter(|pattern| pattern.matches(host, port)).peekable();
            if matching.peek().is_none() {
                return Err(denied(url, allow, "it is not among the hosts that this workflow may call"));
            }
            if matching.any(|pattern| pattern.names != Names::Public) { Reach::Named } else { Reach::Public }
        }
    };
    if reach == Reach::Public
        && let Ok(address) = host.parse()
        && let Some(what) = not_public(address)
    {
        return Err(denied(url, allow, &format!("`{address}` is {what}")));
    }
    Ok(reach)
}

/// The refusal to call `url`, with the line that would allow it.
pub(super) fn denied(url: &Url, allow: &Allow, why: &str) -> Failure {
    let shown = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let missing = match (host_and_port(url), url.port()) {
        (Some((host, _)), Some(port)) => format!("{}:{port}", shown(host)),
        (Some((host, _)), None) => host.to_owned(),
        (None, _) => String::new(),
    };
    // Without `allow` every public host is open: with it, only those that it names.
    let open = allow.http.is_none().then(|| "*".to_owned());
    let line =
        allow_line("http", open.into_iter().chain(allow.http.iter().flatten().map(ToString::to_string)), &missing);
    Failure::denied(format!("`{missing}` may not be called: {why}; hint: add `{line}` to `workflow(…)`"))
}

/// What an address is when it is not one of the public internet.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// After the IANA special-purpose registry: whatever is not globally reachable, and what is there for relays.
fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, ..] => Some("a link-local address"),
        [100, 64..=127, ..] => Some("a shared address of a carrier's network"),
        [224..=239, ..] => Some("a multicast address"),
        [0 | 240..=255, ..] => Some("a reserved address"),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Some("a reserved address")
        }
        _ => None,
    }
}

/// Only `2000::/3` is public, without the parts of it that are for documents, tests and tunnels. An address that has an
/// IPv4 address inside (mapped, NAT64, 6to4) is what that one is.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let inner = |at: usize| {
        let [high, low] = [segments[at], segments[at + 1]].map(u32::from);
        not_public_v4(Ipv4Addr::from((high << 16) | low))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => inner(6),
        [0x2002, ..] => inner(1),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // `2001::/23` is for protocols: Teredo, benchmarks, ORCHID. Its few public services are no HTTP hosts.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// Resolves names with the system's resolver and keeps the addresses that may be connected to. What it returns is what
/// the client connects to: there is no second look-up in between.
pub(super) struct Resolver(pub(super) Reach);

/// The name resolved, but to no address that may be called.
#[derive(Debug, thiserror::Error)]
#[error("it resolves to `{address}`, {what}")]
pub(super) struct Unreachable {
    address: IpAddr,
    what: &'static str,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refused = addresses.iter().find_map(|found| not_public(found.ip()).map(|what| (found.ip(), what)));
            let allowed: Vec<_> = match reach {
                Reach::Named => addresses,
                Reach::Public => addresses.into_iter().filter(|found| not_public(found.ip()).is_none()).collect(),
            };
            match refused {
                Some((address, what)) if allowed.is_empty() => Err(Unreachable { address, what }.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, http: Option<&[&str]>) -> Result<Reach, String> {
        let http = http.map(|texts| texts.iter().map(|text| HostPattern::parse(text).unwrap()).collect());
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        admit(&url, &Allow { http, ..Allow::default() }).map_err(|failure| failure.message)
    }

    #[test]
    fn only_public_addresses_without_a_pattern() {
        let public = "https://example.com http://example.com:8080/x http://8.8.8.8 http://1.1.1.1:53 http://172.15.0.1 http://172.32.0.1 \
            http://100.63.255.255 http://100.128.0.1 http://192.0.1.1 http://198.17.0.1 http://198.20.0.1 http://223.255.255.255 \
            http://134744072 http://[2606:4700::1111] http://[2a00:1450::1]:8443 http://[::ffff:8.8.8.8] http://[64:ff9b::8.8.8.8] \
            http://[2002:0808:0808::1] http://10.example.com http://127.0.0.1.example.com";
        for url in public.split_whitespace() {
            assert_eq!(verdict(url, None), Ok(Reach::Public), "{url}");
        }
    }

    #[test]
    fn no_other_address_in_any_spelling() {
        let private = "http://127.0.0.1 http://127.1 http://2130706433 http://0x7f000001 http://0x7f.1 http://017700000001 http://0177.0.0.1 \
            http://127.0.0.1. http://127.255.255.254:9000 http://0.0.0.0 http://0 http://0.1.2.3 http://10.0.0.1 http://10.255.255.255 \
            http://172.16.0.1 http://172.31.255.255 http://192.168.1.1 http://169.254.169.254/latest/meta-data http://100.64.0.1 \
            http://100.127.255.255 http://192.0.0.1 http://192.0.2.1 http://192.88.99.1 http://198.18.0.1 http://198.51.100.7 \
            http://203.0.113.9 http://224.0.0.1 http://239.1.1.1 http://240.0.0.1 http://255.255.255.255 http://[::] http://[::1] \
            http://[::ffff:127.0.0.1] http://[::ffff:7f00:1] http://[0:0:0:0:0:ffff:a00:1] http://[::127.0.0.1] http://[64:ff9b::10.0.0.1] \
            http://[64:ff9b::a9fe:a9fe] http://[64:ff9b:1::1] http://[2002:7f00:1::] http://[2002:c0a8:101::1] http://[fc00::1] \
            http://[fd12:3456::1] http://[fe80::1] http://[febf::1] http://[fec0::1] http://[ff02::1] http://[2001::1] http://[2001:db8::1] \
            http://[3fff::1] http://[5f00::1] http://[100::1] http://[4000::1] http://１２７.0.0.1";
        assert!(private.split_whitespace().count() > 50);
        for url in private.split_whitespace() {
            let message = verdict(url, None).expect_err(url);
            assert!(message.contains("hint: add `allow: #{ http: ["), "{url}: {message}");
        }
    }

    #[test]
    fn a_pattern_names_what_may_be_called() {
        let named = [
            ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
            ("http://0x7f.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:80", "::1"),
            ("http://[::1]:81", "[::1]:81"),
            ("http://[0:0::1]", "[::1]"),
            ("https://api.example.com", "*.example.com"),
            ("https://A.b.Example.com.", "*.EXAMPLE.com"),
            ("https://example.com", "example.com:443"),
            ("https://bücher.example", "bücher.example"),
            ("http://localhost:1", "localhost"),
        ];
        for (url, pattern) in named {
            assert_eq!(verdict(url, Some(&["other.example", pattern])), Ok(Reach::Named), "{url} {pattern}");
        }
    }

    #[test]
    fn a_pattern_names_nothing_else() {
        let other = [
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("http://127.0.0.2", "127.0.0.1"),
            ("https://example.com", "*.example.com"),
            ("https://badexample.com", "*.example.com"),
            ("https://example.com.evil.net", "example.com"),
            ("http://example.com", "example.com:443"),
            ("http://127.0.0.1", "*"),
            ("ftp://example.com", "example.com"),
            ("file:///etc/passwd", "*"),
        ];
        for (url, pattern) in other {
            assert!(verdict(url, Some(&[pattern])).is_err(), "{url} {pattern}");
        }
        assert_eq!(verdict("http://example.com", Some(&["*"])), Ok(Reach::Public));
        assert!(verdict("http://example.com", Some(&[])).is_err());
    }

    #[test]
    fn patterns_that_are_none() {
        for text in [
            "",
            "https://x.com",
            "x.com/a",
            "a b",
            "x:0",
            "x:99999",
            "x:y",
            "*.",
            "a.*.b",
            "u@x",
            "[::1",
            "1.2.3.4.5",
            ":80",
        ] {
            let message = HostPattern::parse(text).expect_err(text);
            assert!(message.contains("hint:"), "{message}");
        }
    }

    #[test]
    fn the_refusal_gives_the_whole_line() {
        let message = verdict("http://[::1]:8080/x", Some(&["api.example.com", "10.0.0.1:99"])).expect_err("denied");
        let line = r#"allow: #{ http: ["api.example.com", "10.0.0.1:99", "[::1]:8080"] }"#;
        assert!(message.contains(line), "{message}");
        let message = verdict("http://127.0.0.1:8080/", None).expect_err("denied");
        assert!(message.contains(r#"add `allow: #{ http: ["*", "127.0.0.1:8080"] }`"#), "{message}");
        assert!(message.contains("a loopback address"), "{message}");
    }
}
