//! `[mail]`: the server that takes mail.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::effect::MailServer;
use crate::effect::mail::Security;

const KEYS: [&str; 7] = ["host", "port", "security", "user", "secret", "from", "ca_file"];

/// The server as it is written: the password is a secret, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    server: MailServer,
    user: Option<String>,
    secret: Option<String>,
}

impl Mail {
    /// The server with its password. `value` gives secrets by name; without the password nobody is logged in, and the
    /// server will say so.
    pub fn server(&self, value: impl Fn(&str) -> Option<String>) -> MailServer {
        let password = self.secret.as_deref().and_then(|name| {
            let found = value(name);
            if found.is_none() {
                tracing::warn!("`[mail]` names the secret `{name}`, which is not there");
            }
            found
        });
        MailServer { login: self.user.clone().zip(password), ..self.server.clone() }
    }

    /// The same with paths that begin at the folder of the configuration.
    pub(super) fn based(mut self, base: &Path) -> Self {
        self.server.ca_file = self.server.ca_file.map(|file| base.join(file));
        self
    }
}

impl Reader<'_> {
    /// The section; `None` where it is no table, or has faults.
    pub(super) fn mail(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Mail> {
        let table = self.table(value)?;
        let (mut host, mut port, mut security) = (None, None, Security::default());
        let (mut user, mut secret, mut from, mut ca_file) = (None, None, None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "host" => host = self.text(value),
                "port" => port = self.port(value),
                "security" => security = self.security(value).unwrap_or_default(),
                "user" => user = self.text(value),
                "secret" => secret = self.text(value),
                "from" => from = self.text(value),
                "ca_file" => ca_file = self.text(value).map(PathBuf::from),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        if host.is_none() {
            self.fault("`[mail]` needs `host`, the name of the server".to_owned(), value.span());
        }
        let server = MailServer { host: host?, port, security, login: None, from, ca_file };
        Some(Mail { server, user, secret })
    }

    pub(super) fn port(&mut self, value: &Spanned<DeValue<'_>>) -> Option<u16> {
        let port = value.get_ref().as_integer().and_then(|port| port.as_str().parse().ok()).filter(|port| *port > 0);
        if port.is_none() {
            self.fault("a port is a number from 1 to 65535".to_owned(), value.span());
        }
        port
    }

    pub(super) fn security(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Security> {
        let text = self.text(value)?;
        let found = match text.as_str() {
            "starttls" => Some(Security::StartTls),
            "tls" => Some(Security::Tls),
            "none" => Some(Security::None),
            _ => None,
        };
        if found.is_none() {
            self.fault(format!("`{text}` is not known; hint: `starttls`, `tls` or `none`"), value.span());
        }
        found
    }
}
