//! `panta connect`: signs in for an OAuth2 client of the configuration, once, so that runs get tokens by themselves.

mod callback;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Common;
use super::access::Access;
use super::audit::note_act;
use super::output::{Exit, Fault, json as print_json, line, note};
use super::table::table;
use crate::config::Config;
use crate::effect::Failure;
use crate::effect::oauth::{Grant, OAuth, Polled, SignIn, Tokens};
use crate::vault::{Vault, key_file};

/// How long somebody may take to sign in with a browser.
const PATIENCE: Duration = Duration::from_mins(10);

/// Signs in for a client of `[oauth2]`, so that scripts may say `oauth2("NAME")`
#[derive(Args, Debug)]
pub(super) struct Connect {
    /// The client: `[oauth2.NAME]` of the configuration
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Asks for what the browser shows, in place of listening for it: where the browser is on another machine
    #[arg(long)]
    manual: bool,
    /// Lists all clients, and whether there are tokens
    #[arg(long, conflicts_with_all = ["remove", "manual"])]
    list: bool,
    /// Removes the tokens of the client
    #[arg(long, conflicts_with = "manual")]
    remove: bool,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::new(Exit::Failed, failure.message)
    }
}

impl Connect {
    pub(super) async fn execute(&self, common: &Common, config: &Config) -> Result<Exit, Fault> {
        if common.server.is_some() {
            return Err(Fault::usage(
                "tokens are kept in the data folder of the daemon; hint: use `panta connect` on its machine, without `--server`",
            ));
        }
        let access = Access::open(common, config)?;
        let vault = super::secret::vault(config)?;
        let oauth = config.oauth(&vault);
        match self.name.as_deref().filter(|_| !self.list) {
            None => Ok(list(common, &oauth)),
            Some(name) if self.remove => remove(common, name, &vault, &access).await,
            Some(name) => {
                // The server's own words may repeat what it was sent.
                let hide = |failure: Failure| {
                    Fault::new(Exit::Failed, vault.redact(&failure.message, &|_| "***".to_owned()).into_owned())
                };
                let tokens = self.sign_in(name, &oauth).await?.map_err(hide)?;
                tell_of(&access, name).await?;
                done(common, name, &tokens);
                Ok(Exit::Done)
            }
        }
    }

    async fn sign_in(&self, name: &str, oauth: &Arc<OAuth>) -> Result<Result<Tokens, Failure>, Fault> {
        let mut random = Zeroizing::new([0; 64]);
        key_file::random(&mut *random).map_err(|error| Fault::new(Exit::Failed, error.to_string()))?;
        let sign_in = SignIn::new(oauth, name, &random)?;
        match oauth.client(name)?.grant {
            Grant::AuthorizationCode => {
                let port = oauth.client(name)?.redirect_port;
                let (code, redirect) = self.code(&sign_in, port).await?;
                Ok(sign_in.exchange(code, &redirect).await)
            }
            Grant::DeviceCode => Ok(by_device(&sign_in).await),
            Grant::ClientCredentials | Grant::RefreshToken | Grant::IbmApikey | Grant::Password => {
                Ok(sign_in.renew().await)
            }
        }
    }

    /// The code that a browser brings back, and the address to which it does.
    async fn code(&self, sign_in: &SignIn, port: Option<u16>) -> Result<(String, String), Fault> {
        let listener = callback::listen(port).await?;
        let redirect = listener.address()?;
        note(&format!("open this address in a browser:\n\n  {}\n", sign_in.address(&redirect)?));
        if self.manual {
            note("then paste the address at which the browser ends (it may show an error there):");
            let _ = std::io::stderr().flush();
            let read = tokio::task::spawn_blocking(|| {
                let mut text = String::new();
                std::io::stdin().read_line(&mut text).map(|_| text)
            });
            let text = read.await.map_err(|error| Fault::usage(error.to_string()))?;
            let text = text.map_err(|error| Fault::usage(format!("the address cannot be read: {error}")))?;
            return Ok((sign_in.code(&text)?, redirect));
        }
        let back = tokio::time::timeout(PATIENCE, listener.code(sign_in)).await;
        let late =
            || Fault::new(Exit::Waiting, "nobody has signed in within ten minutes; hint: try again, or `--manual`");
        Ok((back.map_err(|_| late())??, redirect))
    }
}

async fn by_device(sign_in: &SignIn) -> Result<Tokens, Failure> {
    let mut device = sign_in.device().await?;
    note(&format!("open {} and type the code {}", device.address, device.user_code));
    let (mut polled, begun) = (Polled::Wait(Duration::ZERO), crate::time::elapsed());
    loop {
        match polled {
            Polled::Done(tokens) => return Ok(tokens),
            Polled::Wait(pause) => tokio::time::sleep(pause).await,
        }
        if crate::time::elapsed().saturating_sub(begun) > device.expires_in {
            return Err(Failure::new("timeout", "nobody has typed the code in time; hint: try again"));
        }
        polled = sign_in.poll(&mut device).await?;
    }
}

/// Keeps a record of the sign-in. What is kept was written to the data folder, where a daemon sees it.
async fn tell_of(access: &Access, name: &str) -> Result<(), Fault> {
    match access {
        Access::Store(store) => note_act(store, "connect", name, &Value::Null),
        Access::Daemon(client) => {
            let path = format!("/api/v1/secrets/oauth2.{name}");
            client.send(Method::PUT, &path, Some(&json!({ "for": [] })), &[]).await?.success().map(drop)
        }
    }
}

async fn remove(common: &Common, name: &str, vault: &Vault, access: &Access) -> Result<Exit, Fault> {
    match access {
        Access::Store(store) => {
            vault.forget_tokens(name)?;
            note_act(store, "connect.remove", name, &Value::Null)?;
        }
        Access::Daemon(client) => {
            let path = format!("/api/v1/secrets/oauth2.{name}");
            client.send(Method::DELETE, &path, None, &[]).await?.success()?;
        }
    }
    if common.json {
        print_json(&json!({ "client": name, "removed": true }));
    } else {
        line(&format!("removed the tokens of `{name}`; the service may still count them: revoke them there"));
    }
    Ok(Exit::Done)
}

fn shown(name: &str, grant: Grant, tokens: Option<&Tokens>) -> Value {
    json!({
        "client": name,
        "grant": grant.name(),
        "connected": tokens.is_some(),
        "renews": tokens.is_some_and(Tokens::renews) || !grant.is_personal(),
        "got_at": tokens.map(Tokens::got_at),
        "expires_at": tokens.and_then(Tokens::expires_at),
        "scope": tokens.and_then(Tokens::scope),
    })
}

fn list(common: &Common, oauth: &OAuth) -> Exit {
    let all: Vec<_> =
        oauth.clients().map(|(name, client)| shown(name, client.grant, oauth.tokens(name).as_ref())).collect();
    if common.json {
        print_json(&json!({ "clients": all }));
    } else if all.is_empty() {
        note("there are no OAuth2 clients; hint: add `[oauth2.NAME]` to `panta.toml`");
    } else {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let state = |client: &Value| match (&client["connected"], &client["renews"]) {
            (Value::Bool(true), Value::Bool(true)) => "connected",
            (Value::Bool(true), _) => "until it expires",
            (_, Value::Bool(true)) => "by itself",
            _ => "not connected",
        };
        let row = |client: &Value| {
            let state = state(client).to_owned();
            vec![text(&client["client"]), text(&client["grant"]), state, text(&client["expires_at"])]
        };
        table(&["CLIENT", "GRANT", "STATE", "EXPIRES"], &all.iter().map(row).collect::<Vec<_>>());
    }
    Exit::Done
}

fn done(common: &Common, name: &str, tokens: &Tokens) {
    if common.json {
        return print_json(&json!({
            "client": name, "connected": true, "renews": tokens.renews(), "expires_at": tokens.expires_at(), "scope": tokens.scope(),
        }));
    }
    line(&format!("`{name}` is connected; scripts say `auth: oauth2(\"{name}\")` and `secrets: [\"oauth2:{name}\"]`"));
}
