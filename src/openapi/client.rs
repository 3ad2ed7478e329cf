//! The client of OAuth2 that a description tells of, as `panta.toml` has it.

use serde_json::Value;
use url::Url;

/// What stands where the description does not say a host.
pub(super) const UNKNOWN_HOST: &str = "service.example.com";
/// What stands where it does not say where tokens are handed out.
const UNKNOWN: &str = "https://id.example.com/to-be-filled-in";

/// How tokens are got, as the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    ClientCredentials,
    AuthorizationCode,
    Password,
}

impl Grant {
    fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::Password => "password",
        }
    }
}

/// Flows of descriptions, those first that need nobody; `None`: it is not known here.
const FLOWS: [(&str, Option<Grant>); 7] = [
    ("clientCredentials", Some(Grant::ClientCredentials)),
    ("application", Some(Grant::ClientCredentials)),
    ("authorizationCode", Some(Grant::AuthorizationCode)),
    ("accessCode", Some(Grant::AuthorizationCode)),
    ("password", Some(Grant::Password)),
    ("implicit", None),
    ("deviceAuthorization", None),
];

/// A client that has to be registered.
#[derive(Clone, Debug)]
pub(super) struct Client {
    name: String,
    grant: Grant,
    /// The flow of the description, where there is none like it.
    unlike: Option<String>,
    token_url: Option<String>,
    auth_url: Option<String>,
    scopes: Vec<String>,
}

impl Client {
    /// Reads a scheme; addresses in it may be relative to that of the service.
    pub(super) fn read(name: &str, scheme: &Value, server: Option<&str>) -> Self {
        let flows = scheme["flows"].as_object();
        let modern = FLOWS.iter().find_map(|(flow, _)| Some((*flow, flows?.get(*flow)?)));
        let (flow, about) = modern.unwrap_or_else(|| (scheme["flow"].as_str().unwrap_or_default(), scheme));
        let grant = FLOWS.iter().find(|(known, _)| *known == flow).and_then(|(_, grant)| *grant);
        let address = |key: &str| secure(about[key].as_str()?, server);
        Self {
            name: name.to_owned(),
            grant: grant.unwrap_or(Grant::AuthorizationCode),
            unlike: grant.is_none().then(|| flow.to_owned()),
            token_url: address("tokenUrl"),
            auth_url: address("authorizationUrl"),
            scopes: about["scopes"].as_object().into_iter().flatten().map(|(scope, _)| scope.clone()).collect(),
        }
    }

    fn password(&self) -> String {
        format!("{}_{}", self.name, if self.grant == Grant::Password { "password" } else { "client" })
    }

    /// The section of `panta.toml`; its tokens go to `host`.
    pub(super) fn table(&self, host: &str) -> String {
        let mut lines = vec![format!("[oauth2.{}]", self.name)];
        if let Some(flow) = &self.unlike {
            lines.push(format!(
                "# The service describes the flow `{flow}`, which is not known here: see whether it has this one."
            ));
        }
        lines.push(format!("grant = {:?}", self.grant.name()));
        let mut address = |key: &str, url: Option<&String>| {
            if url.is_none() {
                lines.push("# The description does not say it, or not by https.".to_owned());
            }
            lines.push(format!("{key} = {:?}", url.map_or(UNKNOWN, String::as_str)));
        };
        address("token_url", self.token_url.as_ref());
        if self.grant == Grant::AuthorizationCode {
            address("auth_url", self.auth_url.as_ref());
        }
        let secret = self.password();
        if self.grant == Grant::Password {
            lines.push("username = \"…\"".to_owned());
            lines.push(format!("secret = {secret:?} # the name of a secret"));
        } else {
            lines.push("client_id = \"…\"".to_owned());
            lines.push(format!("client_secret = {secret:?} # the name of a secret"));
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<_> = self.scopes.iter().map(|scope| format!("{scope:?}")).collect();
            lines.push(format!("scopes = [{}] # those that you need", scopes.join(", ")));
        }
        lines.push(format!("hosts = [{host:?}]"));
        lines.join("\n")
    }

    /// What is to be done beside.
    pub(super) fn commands(&self) -> Vec<String> {
        let token_url = self.token_url.as_deref().unwrap_or(UNKNOWN);
        let host = crate::effect::host_entry(token_url).unwrap_or_else(|| "HOST".to_owned());
        let set = format!("panta secret set {} --for {host}", self.password());
        let sign_in = (self.grant == Grant::AuthorizationCode).then(|| format!("panta connect {}", self.name));
        std::iter::once(set).chain(sign_in).collect()
    }
}

/// An address that passwords may be sent to: by TLS, unless it is this machine.
fn secure(url: &str, server: Option<&str>) -> Option<String> {
    let whole = Url::parse(url).ok().or_else(|| Url::parse(server?).ok()?.join(url).ok())?;
    let host = whole.host_str()?;
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    (whole.scheme() == "https" || is_here && whole.scheme() == "http").then(|| whole.to_string())
}
