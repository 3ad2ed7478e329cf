//! `[mailboxes.NAME]`: what `trigger::mail` follows, and where replies are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::effect::imap::{After, EVERY, MAX_BYTES, Mailbox};
use crate::effect::mail::Security;

const KEYS: [&str; 11] =
    ["host", "port", "security", "user", "secret", "folder", "ca_file", "every", "after", "replies", "max_bytes"];
/// A message is held in memory while it is read.
const LARGEST: usize = 100 << 20;
/// Servers count who asks more often.
const OFTENEST: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Fields {
    host: Option<String>,
    port: Option<u16>,
    security: Option<Security>,
    user: Option<String>,
    secret: Option<String>,
    folder: Option<String>,
    ca_file: Option<PathBuf>,
    every: Option<Duration>,
    after: After,
    replies: bool,
    max_bytes: Option<usize>,
}

impl Reader<'_> {
    /// All mailboxes; one with faults is left out.
    pub(super) fn mailboxes(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Mailbox> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        let one = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            Some((name.get_ref().to_string(), self.mailbox(name.get_ref(), value)?))
        };
        table.iter().filter_map(one).collect()
    }

    fn mailbox(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Mailbox> {
        let table = self.table(value)?;
        let mut fields = Fields::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "host" => fields.host = self.text(value),
                "port" => fields.port = self.port(value),
                "security" => fields.security = self.security(value),
                "user" => fields.user = self.text(value),
                "secret" => fields.secret = self.text(value),
                "folder" => fields.folder = self.text(value),
                "ca_file" => fields.ca_file = self.text(value).map(PathBuf::from),
                "every" => fields.every = self.pause(value),
                "after" => fields.after = self.after(value).unwrap_or_default(),
                "replies" => fields.replies = self.flag(value).unwrap_or_default(),
                "max_bytes" => fields.max_bytes = self.message_size(value),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        let (Some(host), Some(user), Some(secret)) = (fields.host, fields.user, fields.secret) else {
            self.fault(
                format!("`[mailboxes.{name}]` needs `host`, `user` and `secret`, the name of the password"),
                value.span(),
            );
            return None;
        };
        // What is read are people's letters: not in the clear, unless it is said.
        let security = fields.security.unwrap_or(Security::Tls);
        Some(Mailbox {
            host,
            port: fields.port.unwrap_or(if security == Security::Tls { 993 } else { 143 }),
            security,
            user,
            secret,
            folder: fields.folder.unwrap_or_else(|| "INBOX".to_owned()),
            ca_file: fields.ca_file,
            every: fields.every.unwrap_or(EVERY),
            after: fields.after,
            replies: fields.replies,
            max_bytes: fields.max_bytes.unwrap_or(MAX_BYTES),
        })
    }

    fn pause(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let every = self.duration(value)?;
        if every < OFTENEST {
            self.fault("`every` is a second at least".to_owned(), value.span());
        }
        Some(every)
    }

    fn after(&mut self, value: &Spanned<DeValue<'_>>) -> Option<After> {
        let text = self.text(value)?;
        let found = match text.as_str() {
            "seen" => Some(After::Seen),
            "leave" => Some(After::Leave),
            other => {
                other.strip_prefix("move:").filter(|name| !name.is_empty()).map(|name| After::Move(name.to_owned()))
            }
        };
        if found.is_none() {
            self.fault(format!("`{text}` is not known; hint: `seen`, `leave` or `move:FOLDER`"), value.span());
        }
        found
    }

    fn message_size(&mut self, value: &Spanned<DeValue<'_>>) -> Option<usize> {
        let bytes = self.bytes(value)?;
        if bytes > LARGEST {
            self.fault(format!("`max_bytes` is {} MiB at most", LARGEST >> 20), value.span());
        }
        Some(bytes)
    }
}

/// The same with paths that begin at the folder of the configuration.
pub(super) fn based(mailbox: Mailbox, base: &Path) -> Mailbox {
    Mailbox { ca_file: mailbox.ca_file.map(|file| base.join(file)), ..mailbox }
}
