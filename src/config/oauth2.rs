//! `[oauth2.NAME]`: clients of authorization servers. Passwords are secrets, by name; what is well known of a service is a
//! preset (`oauth2_presets.toml`).

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Reader;
use crate::diag::{Diagnostic, suggest};
use crate::effect::net::HostPattern;
use crate::effect::oauth::{Client, Coding, Grant, Login};

const PRESETS: &str = include_str!("oauth2_presets.toml");
const KEYS: [&str; 18] = [
    "preset",
    "grant",
    "token_url",
    "auth_url",
    "device_url",
    "client_id",
    "client_secret",
    "username",
    "secret",
    "body",
    "refresh_token",
    "scopes",
    "audience",
    "extra",
    "login",
    "hosts",
    "redirect_port",
    "tenant",
];
/// What stands in addresses of presets for the key `tenant`.
const TENANT: &str = "{tenant}";

impl Reader<'_> {
    /// All clients that have no fault.
    pub(super) fn oauth2(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Client> {
        let mut clients = BTreeMap::new();
        let Some(table) = self.table(value) else { return clients };
        for (name, value) in table {
            let Some(fields) = self.table(value) else { continue };
            let known = self.faults.len();
            let mut client = self.preset(fields);
            let mut tenant = None;
            self.client(&mut client, &mut tenant, fields);
            self.whole(name.get_ref(), &mut client, tenant.as_deref(), name.span());
            if self.faults.len() == known {
                clients.insert(name.get_ref().to_string(), client);
            }
        }
        clients
    }

    /// What `preset` stands for.
    fn preset(&mut self, fields: &DeTable<'_>) -> Client {
        let mut client = Client::default();
        let Some((_, value)) = fields.iter().find(|(key, _)| key.get_ref() == "preset") else { return client };
        let Some(name) = self.text(value) else { return client };
        let presets = DeTable::parse(PRESETS).expect("the presets are a table");
        let presets = presets.get_ref();
        let names = || presets.iter().map(|(name, _)| name.get_ref().as_ref());
        let Some((_, preset)) = presets.iter().find(|(known, _)| known.get_ref() == name.as_str()) else {
            let known = names().collect::<Vec<_>>().join("`, `");
            let hint = suggest::did_you_mean(&name, names()).unwrap_or_else(|| format!("one of `{known}`"));
            let place = self.place(value.span());
            self.faults.push(Diagnostic::new("E0601", format!("there is no preset `{name}`"), place).hint(hint));
            return client;
        };
        let preset = preset.get_ref().as_table().expect("a preset is a table");
        self.client(&mut client, &mut None, preset);
        client
    }

    fn client(&mut self, client: &mut Client, tenant: &mut Option<String>, fields: &DeTable<'_>) {
        for (key, value) in fields {
            match key.get_ref().as_ref() {
                "preset" => {}
                "tenant" => *tenant = self.text(value),
                "grant" => client.grant = self.one_of(value, &Grant::NAMES).unwrap_or_default(),
                "token_url" => client.token_url = self.address(value).unwrap_or_default(),
                "auth_url" => client.auth_url = self.address(value),
                "device_url" => client.device_url = self.address(value),
                "client_id" => client.client_id = self.text(value),
                "client_secret" => client.client_secret = self.text(value),
                "username" => client.username = self.text(value),
                "secret" => client.secret = self.text(value),
                "body" => {
                    let known = [("form", Coding::Form), ("json", Coding::Json)];
                    client.body = self.one_of(value, &known).unwrap_or_default();
                }
                "refresh_token" => client.refresh_token = self.text(value),
                "scopes" => client.scopes = self.list(value, "scopes, such as `[\"read\"]`"),
                "audience" => client.audience = self.text(value),
                "extra" => client.extra.extend(self.pairs(value)),
                "login" => {
                    let known = [("body", Login::Body), ("basic", Login::Basic)];
                    client.login = self.one_of(value, &known).unwrap_or_default();
                }
                "hosts" => client.hosts = self.patterns(value),
                "redirect_port" => client.redirect_port = self.port(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
    }

    /// What is missing, and the tenant in its places.
    fn whole(&mut self, name: &str, client: &mut Client, tenant: Option<&str>, span: std::ops::Range<usize>) {
        let places = [Some(&mut client.token_url), client.auth_url.as_mut(), client.device_url.as_mut()];
        for url in places.into_iter().flatten() {
            *url = url.replace(TENANT, tenant.unwrap_or("common"));
        }
        let mut missing = |what: &str| self.fault(format!("`[oauth2.{name}]` needs {what}"), span.clone());
        if client.token_url.is_empty() {
            missing("`token_url`, or a `preset`");
        }
        if client.hosts.is_empty() {
            missing("`hosts`: where its tokens may go, such as `[\"api.example.com\"]`");
        }
        if client.grant == Grant::IbmApikey && client.client_secret.is_none() {
            missing("`client_secret`, the name of the secret that is the API key");
        }
        if client.grant == Grant::ClientCredentials && client.client_secret.is_none() {
            missing("`client_secret`, the name of a secret");
        }
        if client.grant == Grant::Password {
            if client.username.is_none() {
                missing("`username`, whose password is given");
            }
            if client.secret.is_none() {
                missing("`secret`, the name of the secret that is the password");
            }
        }
        if !matches!(client.grant, Grant::IbmApikey | Grant::Password) && client.client_id.is_none() {
            missing("`client_id`");
        }
        if client.grant == Grant::AuthorizationCode && client.auth_url.is_none() {
            missing("`auth_url`, where people sign in");
        }
        if client.grant == Grant::DeviceCode && client.device_url.is_none() {
            missing("`device_url`, where a sign-in begins");
        }
        if client.grant == Grant::RefreshToken && client.refresh_token.is_none() {
            missing("`refresh_token`, the name of the secret that is one");
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            self.fault(format!("`{name}` is no name of a client; hint: letters, digits, `_` and `-`"), span);
        }
    }

    /// An address to which passwords are sent: by TLS, unless it is this machine.
    fn address(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(value)?;
        let (host, _) = crate::effect::host_of(&text.replace(TENANT, "tenant")).unwrap_or_default();
        let local = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if host.is_empty() || !(text.starts_with("https://") || local && text.starts_with("http://")) {
            let why = "an address that begins with `https://` is expected here: passwords are sent there";
            self.fault(why.to_owned(), value.span());
            return None;
        }
        Some(text)
    }

    pub(super) fn one_of<T: Copy>(&mut self, value: &Spanned<DeValue<'_>>, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(value)?;
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, found)| *found);
        if found.is_none() {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            self.fault(format!("`{text}` is not known; hint: one of `{}`", names.join("`, `")), value.span());
        }
        found
    }

    fn list(&mut self, value: &Spanned<DeValue<'_>>, of: &str) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            self.fault(format!("a list of {of} is expected here"), value.span());
            return Vec::new();
        };
        list.iter().filter_map(|item| self.text(item)).collect()
    }

    fn pairs(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, String> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        table.iter().filter_map(|(name, value)| Some((name.get_ref().to_string(), self.text(value)?))).collect()
    }

    fn patterns(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<HostPattern> {
        let texts = self.list(value, "hosts, such as `[\"api.example.com\"]`");
        let mut patterns = Vec::new();
        for text in texts {
            match HostPattern::parse(&text) {
                Ok(_) if text == "*" => {
                    self.fault("a token is not for every host; hint: name the hosts".to_owned(), value.span());
                }
                Ok(pattern) => patterns.push(pattern),
                Err(why) => self.fault(why, value.span()),
            }
        }
        patterns
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        parse("panta.toml", text).expect_err("faults").iter().map(|fault| fault.title.clone()).collect()
    }

    #[test]
    fn a_preset_gives_what_the_file_does_not() {
        let text =
            "[oauth2.mail]\npreset = \"microsoft\"\ntenant = \"acme\"\nclient_id = \"x\"\nscopes = [\"Mail.Read\"]";
        let read = parse("panta.toml", text).expect("no faults");
        let client = &read.oauth2["mail"];
        assert_eq!(client.token_url, "https://login.microsoftonline.com/acme/oauth2/v2.0/token");
        assert_eq!((client.grant, client.hosts.len()), (Grant::AuthorizationCode, 1));
    }

    #[test]
    fn a_password_is_a_secret_by_name() {
        let start = "[oauth2.x]\ngrant = \"password\"\ntoken_url = \"https://a.example/t\"\nhosts = [\"a.example\"]\n";
        let read = parse("panta.toml", &format!("{start}username = \"ann\"\nsecret = \"pw\"\nbody = \"json\""))
            .expect("no faults");
        let client = &read.oauth2["x"];
        assert_eq!((client.username.as_deref(), client.secret.as_deref()), (Some("ann"), Some("pw")));
        let missing = faults(start).join("; ");
        assert!(missing.contains("needs `username`") && missing.contains("needs `secret`"), "{missing}");
    }

    #[test]
    fn every_preset_is_whole() {
        let presets = DeTable::parse(PRESETS).expect("a table");
        for (name, _) in presets.get_ref() {
            let name = name.get_ref();
            let text = format!("[oauth2.x]\npreset = \"{name}\"\nclient_id = \"a\"\nclient_secret = \"b\"");
            assert!(parse("panta.toml", &text).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_would_send_a_password_in_the_clear_or_a_token_anywhere_is_refused() {
        let start = "[oauth2.x]\nclient_id = \"a\"\nclient_secret = \"b\"\n";
        let of = |rest: &str| faults(&format!("{start}{rest}")).join("; ");
        assert!(of("token_url = \"http://a.example/t\"\nhosts = [\"a.example\"]").contains("https://"));
        assert!(of("token_url = \"https://a.example/t\"\nhosts = [\"*\"]").contains("not for every host"));
        assert!(of("token_url = \"https://a.example/t\"").contains("needs `hosts`"));
        assert!(of("hosts = [\"a.example\"]").contains("needs `token_url`"));
        assert!(of("preset = \"gogle\"").contains("no preset `gogle`"));
    }
}
