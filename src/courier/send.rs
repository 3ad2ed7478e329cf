//! Handing a message to its channel, now. What goes wrong is said in words that hold no secret.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::channel::{Address, Channel, Outlets};
use super::message::Message;
use super::program;
use crate::effect::http::{Auth, Body, HttpRequest};
use crate::effect::{self, Allow, Attempt, MailRequest, MailServer, NoSecrets, Performer, Request, Target};
use crate::engine::people::Directory;
use crate::placeholder::mask;
use crate::vault::{Refusal, Vault};

/// What stands for a secret where something is shown.
const HIDDEN: &str = "***";
/// Addresses of one mail.
const MOST_ADDRESSES: usize = 100;

/// Hands messages to channels. Belongs to the runtime that it is first used on.
pub struct Sender {
    outlets: Outlets,
    people: Arc<Directory>,
    vault: Arc<Vault>,
    performer: Performer,
}

/// Where a message for a name goes.
enum Way<'a> {
    Channel(&'a Channel),
    /// To a person, or to the members of a group.
    Mail(Vec<String>),
    Log,
}

impl Sender {
    /// With all that it needs to reach them.
    pub fn new(
        outlets: Outlets,
        people: Arc<Directory>,
        vault: Arc<Vault>,
        mail: Option<Arc<MailServer>>,
        time: Duration,
    ) -> Self {
        let limits = effect::Limits { request: time, ..effect::Limits::default() };
        Self { outlets, people, vault, performer: Performer::new(limits).with_mail(mail) }
    }

    /// The kind of a channel, `mail` of a person; `None`: there is nothing of this name.
    pub fn kind(&self, name: &str) -> Option<&'static str> {
        let channel = self.outlets.channels.get(name).map(Channel::kind);
        channel.or_else(|| self.people.addresses(name).filter(|all| !all.is_empty()).map(|_| "mail"))
    }

    /// Hands it over. What is not there goes to the default channel; without one, to the log.
    pub async fn send(&self, name: &str, message: &Message) -> Result<(), String> {
        let hide = |text: &str| self.hidden(text);
        let message = &Message { title: hide(&message.title), text: hide(&message.text), ..message.clone() };
        let done = match self.way(name) {
            Way::Channel(channel) => self.by(channel, name, message).await,
            Way::Mail(to) => self.mail(&to, message).await,
            Way::Log => {
                message.log(name);
                Ok(())
            }
        };
        done.map_err(|error| hide(&error))
    }

    /// The text without values of secrets, and without what stands for them.
    fn hidden(&self, text: &str) -> String {
        self.vault.redact(&mask(text), &|_| HIDDEN.to_owned()).into_owned()
    }

    /// The same of a text that may have been cut at its end.
    fn hidden_cut(&self, text: &str) -> String {
        let mut text = self.hidden(text);
        text.truncate(text.floor_char_boundary(text.len() - self.vault.begun_at_end(text.as_bytes())));
        text
    }

    fn way(&self, name: &str) -> Way<'_> {
        if let Some(channel) = self.outlets.channels.get(name) {
            return Way::Channel(channel);
        }
        let addresses = self.people.addresses(name);
        let problem = match addresses {
            Some(to) if !to.is_empty() => return Way::Mail(to),
            Some(_) => format!("`{name}` has no email in the config"),
            None => format!("there is no channel `{name}`"),
        };
        let default = self.outlets.default.as_ref().and_then(|name| Some((name, self.outlets.channels.get(name)?)));
        match default {
            Some((default, channel)) => {
                tracing::error!("{problem}: what it is told goes to `{default}`; hint: add it to the config");
                Way::Channel(channel)
            }
            None if self.outlets.channels.is_empty() => Way::Log,
            None => {
                tracing::error!(
                    "{problem}, and no default channel; hint: set `default` under `[notify]` in the config"
                );
                Way::Log
            }
        }
    }

    async fn by(&self, channel: &Channel, name: &str, message: &Message) -> Result<(), String> {
        match channel {
            Channel::Mail { to } => self.mail(to, message).await,
            Channel::Program { command } => {
                program::run(command, name, message, program::TIME, &|text| self.hidden_cut(text)).await
            }
            Channel::Slack { address } => {
                let body = Body::Json(message.to_slack().to_string());
                self.post(address, HttpRequest { body, ..HttpRequest::new("POST", "") }, message).await
            }
            Channel::Webhook { address, token_secret, headers } => {
                let body = Body::Json(message.to_json(name).to_string());
                let (headers, token) = (headers.clone(), token_secret.as_deref());
                let request = HttpRequest { headers, body, ..HttpRequest::new("POST", "") };
                self.post_with(address, request, token, message).await
            }
            Channel::Ntfy { address, token_secret, priority } => {
                let body =
                    Body::Text(if message.text.is_empty() { message.title.clone() } else { message.text.clone() });
                let headers = message.ntfy_headers(priority.as_deref());
                let request = HttpRequest { headers, body, ..HttpRequest::new("POST", "") };
                self.post_with(address, request, token_secret.as_deref(), message).await
            }
        }
    }

    async fn post(&self, address: &Address, request: HttpRequest, message: &Message) -> Result<(), String> {
        self.post_with(address, request, None, message).await
    }

    /// Posts it, with the secret of this name as its bearer token. A secret goes to what it is for alone, and so does an
    /// address that is one.
    async fn post_with(
        &self,
        address: &Address,
        request: HttpRequest,
        token: Option<&str>,
        message: &Message,
    ) -> Result<(), String> {
        let url = match address {
            Address::Url(url) => url.clone(),
            Address::Secret(name) => {
                let value = self.vault.value(name).ok_or_else(|| self.vault.missing(name))?;
                value.trim().to_owned()
            }
        };
        // What the operator configured may be called, wherever it is; nothing else, by no redirect.
        let nothing = Allow { http: Some(Vec::new()), ..Allow::default() };
        let host = effect::missing_host(&url, &nothing).map(|(host, _)| host);
        let no_url = || "the address is no URL; hint: it looks like `https://example.com/path`".to_owned();
        let allow = Allow::parse(Some(&[host.ok_or_else(no_url)?]), &[])?;
        if let Address::Secret(name) = address {
            self.value_for(name, &url)?;
        }
        let auth = token.map(|name| self.value_for(name, &url).map(|value| Auth::Bearer(value.to_string())));
        let request = Request::Http(HttpRequest { url: url.clone(), auth: auth.transpose()?, ..request });
        let done = self.perform(&request, &allow, &message.id).await;
        done.map_err(|error| match address {
            Address::Url(_) => error,
            Address::Secret(_) => without(&error, &url),
        })
    }

    /// The value of a secret that is about to be sent to this address.
    fn value_for(&self, name: &str, url: &str) -> Result<Zeroizing<String>, String> {
        let host =
            effect::host_of(url).ok_or("the address is no URL; hint: it looks like `https://example.com/path`")?;
        let value = self.vault.value_for(name, Target::Host { name: &host.0, port: host.1 });
        value.map_err(|refusal| match refusal {
            Refusal::Unknown(why) | Refusal::NotFor(why) => why,
        })
    }

    async fn mail(&self, to: &[String], message: &Message) -> Result<(), String> {
        let allow = Allow { mail: true, ..Allow::default() };
        for (number, to) in to.chunks(MOST_ADDRESSES).enumerate() {
            let request = MailRequest {
                to: to.to_vec(),
                subject: message.title.clone(),
                text: Some(message.body()),
                ..MailRequest::default()
            };
            let id = if number == 0 { message.id.to_string() } else { format!("{}.{number}", message.id) };
            self.perform(&Request::Mail(Box::new(request)), &allow, &id).await?;
        }
        Ok(())
    }

    async fn perform(&self, request: &Request, allow: &Allow, id: &str) -> Result<(), String> {
        let attempt = Attempt {
            number: 1,
            idempotency_key: id,
            undo: None,
            again: false,
            allow,
            secrets: &NoSecrets,
            trace: None,
        };
        self.performer.perform(request, attempt).await.map(drop).map_err(|failure| failure.message)
    }
}

/// The text without an address, or a part of it that says more than its host.
fn without(text: &str, url: &str) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let text = text.replace(url, HIDDEN);
    match path.filter(|path| path.len() > 1) {
        Some(path) => text.replace(path, HIDDEN),
        None => text,
    }
}

#[cfg(test)]
mod tests;
