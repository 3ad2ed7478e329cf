//! `panta token`: who may ask the API from elsewhere. And what the daemon makes of it when it starts.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::audit::act;
use super::client::escaped;
use super::output::{Exit, Fault, json as print_json, line, note, text};
use super::table::table;
use crate::config::Config;
use crate::engine::tokens::{self, Edit, Role, Wish};
use crate::store::sqlite::Sqlite;
use crate::time::{Clock as _, SystemClock, format_duration, parse_duration};
use crate::web;

/// Characters of a token that comes by option or environment, at least: 128 bits in base64.
const GIVEN_MIN: usize = 22;

/// Makes, lists and revokes tokens for the API
#[derive(Subcommand, Debug)]
pub(super) enum Token {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Makes a token, and shows it once
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Its name, as lists and the audit log show it
    name: String,
    /// What its holder may do: `read`, `run` (start, emit, cancel), `approve` (answer tasks), `admin`; several with commas
    #[arg(long = "role", required = true, value_delimiter = ',', value_parser = Role::from_name)]
    roles: Vec<Role>,
    /// How long it counts, such as `90d`; until it is revoked where nothing is said
    #[arg(long, value_parser = duration)]
    expires: Option<Duration>,
    /// The person of the config that it stands for: who answers with it answers as this person
    #[arg(long)]
    person: Option<String>,
}

/// Lists tokens, and never shows one
#[derive(Args, Debug)]
pub(super) struct List {}

/// Takes a token back, and the sessions that were begun with it
#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// Its name
    name: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; hint: {}", error.hint()))
}

impl Token {
    pub(super) async fn execute(&self, common: &Common, config: &Config, access: &Access) -> Result<Exit, Fault> {
        match self {
            Self::Create(create) => create.execute(common, config, access).await,
            Self::List(List {}) => list(common, access).await,
            Self::Revoke(Revoke { name }) => {
                access.revoke_token(name).await?;
                if common.json {
                    print_json(&json!({ "name": name, "revoked": true }));
                } else {
                    line(&format!("the token `{name}` opens nothing any more"));
                }
                Ok(Exit::Done)
            }
        }
    }
}

impl Create {
    async fn execute(&self, common: &Common, config: &Config, access: &Access) -> Result<Exit, Fault> {
        let Self { name, roles, expires, person } = self;
        let (name, roles, person) = (name.clone(), roles.clone(), person.clone());
        let made = access.create_token(config, &Wish { name, roles, expires: *expires, person }).await?;
        if common.json {
            print_json(&made);
        } else {
            line(text(&made, "token"));
            note("keep it well: it is not shown again; `PANTA_TOKEN` or `--token` gives it to commands");
        }
        Ok(Exit::Done)
    }
}

async fn list(common: &Common, access: &Access) -> Result<Exit, Fault> {
    let tokens = access.tokens().await?;
    if common.json {
        tokens.iter().for_each(print_json);
        return Ok(Exit::Done);
    }
    let time = |token: &Value, field: &str| text(token, field).get(..16).unwrap_or("-").replace('T', " ");
    let row = |token: &Value| {
        let roles: Vec<_> = token["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let person = token["person"].as_str().unwrap_or("-").to_owned();
        let state = match (token["valid"] == true, token["revoked_at"].is_null()) {
            (true, _) => "valid",
            (false, false) => "revoked",
            (false, true) => "expired",
        };
        let times = ["created_at", "used_at", "expires_at"].map(|field| time(token, field));
        let mut row = vec![text(token, "name").to_owned(), roles.join(","), person, state.to_owned()];
        row.extend(times);
        row
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    table(&["NAME", "ROLE", "PERSON", "STATE", "CREATED", "LAST USED", "EXPIRES"], &rows);
    Ok(Exit::Done)
}

impl Access {
    async fn tokens(&self) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Store(store) => {
                let now = SystemClock.now();
                Ok(tokens::list(&**store)?.iter().map(|token| token.to_json(now)).collect())
            }
            Self::Daemon(client) => client.pages_from("/api/v1/tokens", &[], None, "tokens", usize::MAX).await,
        }
    }

    /// The token as it is listed, and `token`: its secret.
    async fn create_token(&self, config: &Config, wish: &Wish) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => {
                let now = SystemClock.now();
                let (secret, edit) = tokens::create(&**store, &config.people, wish, now)?;
                let mut shown = edit.token.to_json(now);
                write(store, edit)?;
                shown["token"] = secret.into();
                Ok(shown)
            }
            Self::Daemon(client) => {
                let roles: Vec<_> = wish.roles.iter().map(|role| role.name()).collect();
                let expires = wish.expires.map(format_duration);
                let body = json!({ "name": wish.name, "roles": roles, "expires": expires, "person": wish.person });
                client.post("/api/v1/tokens", &body, &[]).await
            }
        }
    }

    async fn revoke_token(&self, name: &str) -> Result<(), Fault> {
        match self {
            Self::Store(store) => match tokens::revoke(&**store, name, SystemClock.now())? {
                Some(edit) => write(store, edit),
                None => Ok(()),
            },
            Self::Daemon(client) => {
                let path = format!("/api/v1/tokens/{}", escaped(name));
                client.send(Method::DELETE, &path, None, &[]).await?.success().map(drop)
            }
        }
    }
}

fn write(store: &Sqlite, edit: Edit) -> Result<(), Fault> {
    act(store, edit.act, &edit.token.name, &edit.details, edit.change).map(drop)
}

/// Who may ask a daemon that listens there. Where others can reach it, there must be a token.
pub(super) fn access(
    store: &Sqlite,
    config: &Config,
    listen: SocketAddr,
    given: Option<&str>,
) -> Result<web::Access, Fault> {
    let is_loopback = listen.ip().is_loopback();
    if !is_loopback && given.is_some_and(|given| given.len() < GIVEN_MIN) {
        return Err(Fault::usage(format!(
            "others can reach this address, and the token of `PANTA_TOKEN` has fewer than {GIVEN_MIN} characters; hint: `panta token create NAME --role admin` makes a good one"
        )));
    }
    let now = SystemClock.now();
    if !is_loopback && given.is_none() && !tokens::list(store)?.iter().any(|token| token.is_valid(now)) {
        return Err(Fault::usage(format!(
            "others can reach `{listen}`, and there is no token; hint: `panta token create NAME --role admin` makes one, or listen on 127.0.0.1"
        )));
    }
    let names = config.url.iter().chain(&config.hosts).map(String::as_str);
    let https = config.url.as_deref().and_then(|url| url.strip_prefix("https://"));
    let https = https.map(|rest| rest.split(['/', ':']).next().unwrap_or_default().to_owned());
    Ok(web::Access {
        local: is_loopback && given.is_none(),
        given: given.map(Into::into),
        hosts: web::Hosts::new(listen, names),
        https,
        requests: config.limits.requests.unwrap_or(web::REQUESTS),
    })
}
