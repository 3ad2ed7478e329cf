//! `[databases.NAME]`: what `sql::query` and its like may be asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::effect::sql::{Database, MAX_ROWS, POOL, Server, Where};

const KEYS: [&str; 6] = ["url", "secret", "max_rows", "pool", "tls", "ca_file"];
/// Connections at a time, at most: more than servers are set up for.
const MOST: u64 = 1_000;

/// Where a server's connection must be encrypted: unless it is on this machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What a table says.
#[derive(Default)]
struct Fields {
    secret: Option<String>,
    max_rows: Option<u64>,
    pool: Option<u64>,
    tls: Option<bool>,
    ca_file: Option<PathBuf>,
}

impl Reader<'_> {
    /// All databases; one with faults is left out.
    pub(super) fn databases(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Database> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        let one = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            Some((name.get_ref().to_string(), self.database(name.get_ref(), value)?))
        };
        table.iter().filter_map(one).collect()
    }

    fn database(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Database> {
        let table = self.table(value)?;
        let (mut url, mut fields) = (None, Fields::default());
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "url" => url = Some(value),
                "secret" => fields.secret = self.text(value),
                "max_rows" => fields.max_rows = self.count(value, u64::MAX),
                "pool" => fields.pool = self.count(value, MOST),
                "tls" => fields.tls = self.flag(value),
                "ca_file" => fields.ca_file = self.text(value).map(PathBuf::from),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        let Some(url) = url else {
            let example = "such as `sqlite:data/crm.db` or `postgres://app@db.example.com/crm`";
            self.fault(format!("`[databases.{name}]` needs `url`, {example}"), value.span());
            return None;
        };
        let text = self.text(url)?;
        let place = place(&text, &fields).map_err(|why| self.fault(why, url.span())).ok()?;
        Some(Database {
            place,
            secret: fields.secret,
            max_rows: fields.max_rows.unwrap_or(MAX_ROWS),
            pool: fields.pool.map_or(POOL, |pool| pool as usize),
        })
    }

    pub(super) fn count(&mut self, value: &Spanned<DeValue<'_>>, most: u64) -> Option<u64> {
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.fault("a whole number from 1 up is expected here".to_owned(), value.span());
        }
        number
    }

    pub(super) fn flag(&mut self, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.fault("`true` or `false` is expected here".to_owned(), value.span());
        }
        flag
    }
}

fn place(text: &str, fields: &Fields) -> Result<Where, String> {
    let hint = "hint: `sqlite:PATH`, `postgres://USER@HOST/DATABASE` or `mysql://USER@HOST/DATABASE`";
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err(format!("`{text}` names no file; {hint}"))
        } else {
            Ok(Where::Sqlite(path.into()))
        };
    }
    let url =
        url::Url::parse(text).map_err(|error| format!("`{text}` is no address of a database: {error}; {hint}"))?;
    if url.password().is_some() {
        return Err(
            "a password does not belong into the file; hint: leave it out of `url`, and name a secret in `secret`"
                .to_owned(),
        );
    }
    if url.query().is_some() {
        return Err(format!("`{text}` has `?…`, which is not read; hint: the keys here are `{}`", KEYS.join("`, `")));
    }
    let (usual, make): (u16, fn(Server) -> Where) = match url.scheme() {
        "postgres" | "postgresql" => (5432, Where::Postgres),
        "mysql" | "mariadb" => (3306, Where::Mysql),
        other => return Err(format!("`{other}` is no kind of database; {hint}")),
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let database = url.path().trim_matches('/').to_owned();
    if host.is_empty() || url.username().is_empty() || database.is_empty() {
        return Err(format!("`{text}` needs a user, a host and a database; {hint}"));
    }
    let tls = fields.tls.unwrap_or_else(|| fields.ca_file.is_some() || !LOCAL.contains(&&*host));
    let port = url.port().unwrap_or(usual);
    Ok(make(Server { host, port, user: url.username().to_owned(), database, tls, ca_file: fields.ca_file.clone() }))
}

/// The same with paths that begin at the folder of the configuration.
pub(super) fn based(mut database: Database, base: &Path) -> Database {
    match &mut database.place {
        Where::Sqlite(path) => *path = base.join(&*path),
        Where::Postgres(server) | Where::Mysql(server) => {
            server.ca_file = server.ca_file.take().map(|file| base.join(file));
        }
    }
    database
}
