//! `panta secret`: what scripts send and nobody sees.

use std::io::{IsTerminal as _, Read as _};
use std::sync::Arc;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Common;
use super::access::Access;
use super::audit::note_act;
use super::client::{Client, escaped};
use super::output::{Exit, Fault, json as print_json, line, note};
use crate::config::Config;
use crate::store::sqlite::Sqlite;
use crate::time::{Clock as _, SystemClock};
use crate::vault::{self, LONGEST, SHORTEST, Vault};

/// Sets, lists and removes secrets: the value comes from a prompt or from stdin
#[derive(Args, Debug)]
pub(super) struct Secret {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand, Debug)]
enum Act {
    /// Sets a secret; its value is asked for, or read from stdin
    Set {
        /// Letters, digits, `_`, `-` and `.`: what scripts say in `secret("NAME")`
        name: String,
        /// What it may be sent to: `host`, `*.host`, `host:port`, `program:NAME`, `database:NAME`; may be repeated
        #[arg(long = "for", value_name = "HOST")]
        bound: Vec<String>,
    },
    /// Says anew what a secret may be sent to, and leaves its value
    Bind {
        /// The secret
        name: String,
        /// As for `set`
        #[arg(long = "for", value_name = "HOST", required = true)]
        bound: Vec<String>,
    },
    /// Lists names, and what each may be sent to; never a value
    List,
    /// Removes a secret
    Remove {
        /// The secret
        name: String,
    },
}

/// The secrets of this process; a fault of the configuration where they cannot be opened.
pub(super) fn vault(config: &Config) -> Result<Arc<Vault>, Fault> {
    let opened = config.vault(&|name| std::env::var(name).ok());
    opened.map(Arc::new).map_err(|error| Fault::usage(error.to_string()))
}

impl Secret {
    pub(super) async fn execute(&self, common: &Common, config: &Config, access: Access) -> Result<Exit, Fault> {
        let place = match access {
            Access::Daemon(client) => Place::Daemon(client),
            Access::Store(store) => Place::Folder(vault(config)?, store),
        };
        match &self.act {
            Act::Set { name, bound } => {
                let value = given()?;
                if value.len() < SHORTEST {
                    note(&format!(
                        "warning: a value of fewer than {SHORTEST} bytes is not hidden where a service repeats it"
                    ));
                }
                let bound = (!bound.is_empty()).then(|| bound.clone());
                place.set(name, value, bound).await?;
                place.tell(common, name).await
            }
            Act::Bind { name, bound } => {
                place.bind(name, bound).await?;
                place.tell(common, name).await
            }
            Act::List => {
                let all = place.list().await?;
                if common.json {
                    print_json(&json!({ "secrets": all }));
                } else if all.is_empty() {
                    note("there are no secrets; hint: `panta secret set NAME --for HOST`");
                } else {
                    all.iter().for_each(show);
                }
                Ok(Exit::Done)
            }
            Act::Remove { name } => {
                place.remove(name).await?;
                if common.json {
                    print_json(&json!({ "secret": name, "removed": true }));
                } else {
                    line(&format!("removed `{name}`"));
                }
                Ok(Exit::Done)
            }
        }
    }
}

/// The value, from a prompt that does not show it or from stdin; a line break at its end does not belong to it.
fn given() -> Result<Zeroizing<String>, Fault> {
    let unreadable =
        |error: std::io::Error| Fault::usage(format!("the value cannot be read: {error}; hint: text in UTF-8"));
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("value (not shown): ").map(Zeroizing::new).map_err(unreadable);
    }
    let mut value = Zeroizing::new(String::new());
    std::io::stdin().take(LONGEST as u64 + 2).read_to_string(&mut value).map_err(unreadable)?;
    for end in ["\n", "\r"] {
        if value.ends_with(end) {
            let shorter = value.len() - 1;
            value.truncate(shorter);
        }
    }
    Ok(value)
}

fn show(secret: &Value) {
    let bound = match secret["for"].as_array() {
        None => "wherever a workflow may call (of the environment)".to_owned(),
        Some(_) if secret["secret"].as_str().is_some_and(|name| name.starts_with("oauth2.")) => {
            "the hosts of its client (tokens, of `panta connect`)".to_owned()
        }
        Some(all) if all.is_empty() => "nowhere: it only verifies".to_owned(),
        Some(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    };
    line(&format!("{:<24} {bound}", secret["secret"].as_str().unwrap_or_default()));
}

/// Who keeps the secrets.
enum Place {
    Daemon(Client),
    Folder(Arc<Vault>, Box<Sqlite>),
}

impl From<vault::Error> for Fault {
    fn from(error: vault::Error) -> Self {
        Self::usage(error.to_string())
    }
}

impl Place {
    async fn set(&self, name: &str, value: Zeroizing<String>, bound: Option<Vec<String>>) -> Result<(), Fault> {
        match self {
            Self::Folder(vault, store) => {
                let details = json!({ "value": true, "for": bound });
                vault.set(name, value, bound, &SystemClock.now().to_string())?;
                note_act(store, "secret.set", name, &details)
            }
            Self::Daemon(client) => {
                let mut body = json!({ "value": value.as_str() });
                if let Some(bound) = bound {
                    body["for"] = json!(bound);
                }
                client.send(Method::PUT, &path(name), Some(&body), &[]).await?.success().map(drop)
            }
        }
    }

    async fn bind(&self, name: &str, bound: &[String]) -> Result<(), Fault> {
        match self {
            Self::Folder(vault, store) => {
                vault.bind(name, bound)?;
                note_act(store, "secret.set", name, &json!({ "value": false, "for": bound }))
            }
            Self::Daemon(client) => {
                let body = json!({ "for": bound });
                client.send(Method::PUT, &path(name), Some(&body), &[]).await?.success().map(drop)
            }
        }
    }

    async fn remove(&self, name: &str) -> Result<(), Fault> {
        match self {
            Self::Folder(vault, store) => {
                vault.remove(name)?;
                note_act(store, "secret.remove", name, &Value::Null)
            }
            Self::Daemon(client) => client.send(Method::DELETE, &path(name), None, &[]).await?.success().map(drop),
        }
    }

    async fn list(&self) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Folder(vault, _) => Ok(vault.list().iter().map(|secret| json!(secret)).collect()),
            Self::Daemon(client) => client.pages_from("/api/v1/secrets", &[], None, "secrets", usize::MAX).await,
        }
    }

    /// Says what a secret is for now.
    async fn tell(&self, common: &Common, name: &str) -> Result<Exit, Fault> {
        let all = self.list().await?;
        let Some(secret) = all.iter().find(|secret| secret["secret"] == name && secret["origin"] == "file") else {
            return Ok(Exit::Done);
        };
        if all.iter().any(|other| other["origin"] == "environment" && other["secret"] == name) {
            note(&format!("warning: the environment has a secret `{name}`, too, which comes first"));
        }
        if common.json {
            print_json(secret);
            return Ok(Exit::Done);
        }
        if secret["for"].as_array().is_some_and(Vec::is_empty) {
            note(&format!("it is sent nowhere yet; hint: `panta secret bind {name} --for HOST`"));
        }
        show(secret);
        Ok(Exit::Done)
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/secrets/{}", escaped(name))
}
