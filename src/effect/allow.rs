//! What a workflow may touch: its `allow` declaration, narrowed by the operator.

use globset::GlobBuilder;

use super::net::{self, HostPattern, Reach};

/// The capabilities that effects check.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Allow {
    /// Hosts that may be called. `None` (no `allow` was declared): every public host. `Some`: only those named here.
    /// A host that a pattern names may have any address; others must resolve to public ones.
    pub http: Option<Vec<HostPattern>>,
    /// Absolute globs (`/srv/inbox/*.csv`) of files outside the workflow's own folder that may be touched.
    pub files: Vec<String>,
    /// Whether mail may be sent.
    pub mail: bool,
    /// Programs that may be run, each by the name or the absolute path that a script writes.
    pub shell: Vec<String>,
    /// Databases that may be asked, by their names in the configuration.
    pub sql: Vec<String>,
    /// Brokers that may be talked to.
    pub message: super::message::MayTalk,
    /// Models that may be asked.
    pub ai: super::ai::MayAsk,
    /// Names of secrets that may be used.
    pub secrets: Vec<String>,
}

impl Allow {
    /// From the texts of a declaration; the error names the text that is no pattern.
    pub fn parse(http: Option<&[String]>, files: &[String]) -> Result<Self, String> {
        let http = http.map(|texts| texts.iter().map(|text| HostPattern::parse(text)).collect()).transpose()?;
        files.iter().try_for_each(|glob| super::file::check_allowed_glob(glob))?;
        Ok(Self { http, files: files.to_vec(), ..Self::default() })
    }

    /// Whether a secret may be used; the failure says which line to add.
    pub fn admit_secret(&self, name: &str) -> Result<(), super::Failure> {
        if self.secrets.iter().any(|listed| listed == name) {
            return Ok(());
        }
        let line = allow_line("secrets", self.secrets.iter().cloned(), name);
        let message = format!("the secret `{name}` is not among those of this workflow");
        Err(super::Failure::denied(format!("{message}; hint: add `{line}` to `workflow(#{{ … }})`")))
    }

    /// Whether a path or pattern outside of the workflow's folder is allowed.
    pub fn covers(&self, path: &str) -> bool {
        self.files.iter().any(|glob| {
            let covering = GlobBuilder::new(glob).literal_separator(true).build();
            glob == path || covering.is_ok_and(|glob| glob.compile_matcher().is_match(path))
        })
    }
}

/// What `allow.http` needs so that an address may be called, and why, as far as can be said before its name is resolved.
pub fn missing_host(url: &str, allow: &Allow) -> Option<(String, String)> {
    let url = reqwest::Url::parse(url).ok()?;
    let (host, _) = net::host_and_port(&url)?;
    let local = host == "localhost" || host.ends_with(".localhost");
    let entry = entry_of(host, url.port());
    match net::admit(&url, allow) {
        Ok(Reach::Public) if local => Some((entry, "it is this machine".to_owned())),
        Err(failure) if failure.kind == "denied" && matches!(url.scheme(), "http" | "https") => {
            let why = match host.parse().ok().and_then(net::not_public) {
                Some(what) => format!("it is {what}"),
                None => "it is not among the hosts of `allow`".to_owned(),
            };
            Some((entry, why))
        }
        Ok(_) | Err(_) => None,
    }
}

/// The host of an address and its port; `None`: it is no address of a host.
pub fn host_of(url: &str) -> Option<(String, u16)> {
    let url = reqwest::Url::parse(url).ok()?;
    net::host_and_port(&url).map(|(host, port)| (host.to_owned(), port))
}

/// The entry of `allow.http` that names the host of an address, with its port where it has one. `None`: it is no address of a host.
pub fn host_entry(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    net::host_and_port(&url).map(|(host, _)| entry_of(host, url.port()))
}

fn entry_of(host: &str, port: Option<u16>) -> String {
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    port.map_or_else(|| host.to_owned(), |port| format!("{shown}:{port}"))
}

/// The line that a script needs, existing entries first: `allow: #{ http: ["a", "b"] }`.
pub(super) fn allow_line(capability: &str, existing: impl Iterator<Item = String>, missing: &str) -> String {
    let entries: Vec<_> = existing.chain([missing.to_owned()]).map(|entry| format!("{entry:?}")).collect();
    format!("allow: #{{ {capability}: [{}] }}", entries.join(", "))
}
