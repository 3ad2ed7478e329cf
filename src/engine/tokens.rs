//! Tokens: who may ask the API from elsewhere, and for what.
//!
//! A token is 256 random bits, shown once, when it is made. The store keeps its SHA-256: nobody can guess 256 bits, so a hash
//! that is slow on purpose, as for passwords, would only slow every request. Tokens are durable values of the scope `$tokens`,
//! which no script reaches. Names are never given twice: the audit log speaks of tokens by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::handle::{Error, Handle};
use super::log::Item;
use super::people::Directory;
use super::shared::held;
use crate::audit::Actor;
use crate::payload::Payload;
use crate::store::{self, Change, Store};
use crate::time::Timestamp;
use crate::vault::key_file;

/// What every token begins with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "panta_";
/// The scope of their rows, by name.
const SCOPE: &str = "$tokens";
/// When each was used last; by name.
const USED: &str = "$tokens.used";
/// The use of a token is noted again after so long: a write a minute is nothing, one a request would be.
const NOTED: Duration = Duration::from_mins(1);
/// Characters of a name: it is shown in lists.
const NAME_MAX: usize = 64;

/// What its holder may do. `read` is part of all; `run` and `approve` are side by side, so that who starts does not approve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but the audit log and tokens.
    Read,
    /// Start, emit, cancel, and what else moves runs.
    Run,
    /// Answer tasks.
    Approve,
    /// Everything.
    Admin,
}

impl Role {
    /// All.
    pub const ALL: [Self; 4] = [Self::Read, Self::Run, Self::Approve, Self::Admin];

    /// The name that commands, the API and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Approve => "approve",
            Self::Admin => "admin",
        }
    }

    /// The role with this name; the error names all.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|role| format!("`{}`", role.name())).collect();
            format!("`{name}` is no role; hint: one of {}", known.join(", "))
        })
    }

    /// Whoever has this role may do what takes the other.
    pub fn includes(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Read
    }
}

/// A token, without what only its holder knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its name.
    pub name: Arc<str>,
    /// When its use was noted last.
    pub used_at: Option<Timestamp>,
    row: Row,
}

/// What is stored of a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Row {
    /// SHA-256 of the whole token, as hex.
    hash: String,
    roles: Vec<Role>,
    person: Option<Arc<str>>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// A token that is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What its holder may do.
    pub roles: Vec<Role>,
    /// How long it counts; `None`: until it is revoked.
    pub expires: Option<Duration>,
    /// The person of the config that it stands for.
    pub person: Option<String>,
}

impl Token {
    /// Neither revoked nor expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.row.revoked_at.is_none() && self.row.expires_at.is_none_or(|expires| now < expires)
    }

    /// Its holder may do what takes this role.
    pub fn allows(&self, needed: Role) -> bool {
        self.row.roles.iter().any(|role| role.includes(needed))
    }

    /// Who acts with it.
    pub fn actor(&self) -> Actor {
        Actor::Token { name: Arc::clone(&self.name), person: self.row.person.clone() }
    }

    /// SHA-256 of the token, as hex.
    pub fn hash(&self) -> &str {
        &self.row.hash
    }

    /// The token as commands and the API show it.
    pub fn to_json(&self, now: Timestamp) -> Value {
        let Row { roles, person, created_at, expires_at, revoked_at, .. } = &self.row;
        json!({
            "name": &*self.name, "roles": roles, "person": person, "valid": self.is_valid(now), "created_at": created_at,
            "used_at": self.used_at, "expires_at": expires_at, "revoked_at": revoked_at,
        })
    }

    fn change(&self) -> Change {
        let row = serde_json::to_value(&self.row).expect("texts and times are JSON");
        Change::SetState { scope: SCOPE.into(), key: Arc::clone(&self.name), value: Some(Payload::from_json(&row)) }
    }

    /// What the audit log keeps of it.
    fn details(&self) -> Value {
        json!({ "roles": self.row.roles, "person": self.row.person, "expires_at": self.row.expires_at })
    }
}

/// A change of tokens, with what is to be kept of it.
#[derive(Debug)]
pub struct Edit {
    /// The token as it is then.
    pub token: Token,
    /// `token.create` or `token.revoke`.
    pub act: &'static str,
    /// For the audit log.
    pub details: Value,
    /// The write.
    pub change: Change,
}

/// All tokens of a store, by name, also those that do not count any more.
pub fn list(store: &dyn Store) -> store::Result<Vec<Token>> {
    let used: HashMap<_, _> = store.states(USED, "")?.into_iter().collect();
    let read = |(name, value): (Arc<str>, Payload)| {
        let row = serde_json::from_value(value.to_json())
            .map_err(|error| store::Error::Damaged(format!("the token `{name}`: {error}")))?;
        let used_at = used.get(&name).and_then(|at| at.to_json().as_i64()).map(Timestamp);
        Ok(Token { name, used_at, row })
    };
    store.states(SCOPE, "")?.into_iter().map(read).collect()
}

/// Makes a token: what its holder is told, and what is to be written.
pub fn create(store: &dyn Store, people: &Directory, wish: &Wish, now: Timestamp) -> Result<(String, Edit), Error> {
    check(people, wish)?;
    if list(store)?.iter().any(|token| *token.name == *wish.name) {
        return Err(Error::BadToken(format!(
            "there is or was a token `{}`; hint: take another name, the audit log speaks of it",
            wish.name
        )));
    }
    let secret = secret().map_err(Error::Stopped)?;
    let expires_at = wish.expires.map(|expires| now.plus(expires));
    let mut roles = wish.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    let person = wish.person.as_deref().map(Into::into);
    let row = Row { hash: hash(&secret), roles, person, created_at: now, expires_at, revoked_at: None };
    let token = Token { name: wish.name.as_str().into(), used_at: None, row };
    let edit = Edit { act: "token.create", details: token.details(), change: token.change(), token };
    Ok((secret, edit))
}

fn check(people: &Directory, wish: &Wish) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if wish.name.is_empty() || wish.name.len() > NAME_MAX || !wish.name.chars().all(is_plain) {
        let name = &wish.name;
        return Err(Error::BadToken(format!(
            "`{name}` is no name of a token; hint: up to {NAME_MAX} letters, digits, `-`, `_` and `.`"
        )));
    }
    if wish.roles.is_empty() {
        return Err(Error::BadToken("a token needs a role; hint: `read`, `run`, `approve` or `admin`".to_owned()));
    }
    if let Some(person) = wish.person.as_deref().filter(|_| !people.people.is_empty())
        && !people.people.contains_key(person)
    {
        let hint = crate::diag::suggest::did_you_mean(person, people.people.keys().map(|name| &**name))
            .unwrap_or_else(|| "a person of `[people]` in the config".to_owned());
        return Err(Error::BadToken(format!("there is no person `{person}` in the config; hint: {hint}")));
    }
    Ok(())
}

/// Takes a token back. One that was taken back before stays as it is.
pub fn revoke(store: &dyn Store, name: &str, now: Timestamp) -> Result<Option<Edit>, Error> {
    let found = list(store)?.into_iter().find(|token| *token.name == *name);
    let mut token = found.ok_or_else(|| Error::UnknownToken(name.to_owned()))?;
    if token.row.revoked_at.is_some() {
        return Ok(None);
    }
    token.row.revoked_at = Some(now);
    Ok(Some(Edit { act: "token.revoke", details: Value::Null, change: token.change(), token }))
}

/// A new secret: the prefix and 256 random bits.
pub(super) fn secret() -> Result<String, String> {
    let mut bytes = [0; 32];
    key_file::random(&mut bytes).map_err(|error| error.to_string())?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is kept of a secret.
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// What an engine knows of tokens, so that a request needs no look into the store.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// `None`: to be read.
    known: RwLock<Option<Arc<[Token]>>>,
    /// When the use of each was noted, by this process.
    noted: Mutex<HashMap<Arc<str>, Timestamp>>,
    /// Held while one is made: names are given once.
    making: tokio::sync::Mutex<()>,
}

impl Handle {
    /// All tokens, by name.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        Ok(list(&**self.store())?)
    }

    /// Makes a token; its secret is told here and never again.
    pub async fn create_token(&self, wish: &Wish, by: &Actor) -> Result<(String, Token), Error> {
        if [Some(&wish.name), wish.person.as_ref()].into_iter().flatten().any(|name| self.names_a_secret(name)) {
            let why = "a name of the token is the value of a secret; hint: take another one, names are shown";
            return Err(Error::BadToken(why.to_owned()));
        }
        let _making = self.shared().tokens.making.lock().await;
        let (secret, edit) = create(&**self.store(), self.people(), wish, self.clock().now())?;
        Ok((secret, self.edit_tokens(edit, by).await?))
    }

    /// Takes a token back: from then on it opens nothing, nor does a session that was begun with it.
    pub async fn revoke_token(&self, name: &str, by: &Actor) -> Result<(), Error> {
        let _making = self.shared().tokens.making.lock().await;
        match revoke(&**self.store(), name, self.clock().now())? {
            Some(edit) => self.edit_tokens(edit, by).await.map(drop),
            None => Ok(()),
        }
    }

    async fn edit_tokens(&self, edit: Edit, by: &Actor) -> Result<Token, Error> {
        let done = self.act(by, edit.act, &edit.token.name, &edit.details, edit.change).await;
        // Whatever came of it: it is read again.
        *self.shared().tokens.known.write().unwrap_or_else(PoisonError::into_inner) = None;
        done.map(|_| edit.token)
    }

    /// The token with this secret, where it counts. Notes its use.
    pub fn token_of(&self, secret: &str) -> Result<Option<Token>, Error> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        self.token_with_hash(&hash(secret))
    }

    /// The same by its hash.
    pub fn token_with_hash(&self, hash: &str) -> Result<Option<Token>, Error> {
        let now = self.clock().now();
        // Every hash is compared, and each in constant time: how long it takes tells nothing.
        let same = |token: &&Token| bool::from(token.hash().as_bytes().ct_eq(hash.as_bytes()));
        let known = self.known_tokens()?;
        let found = known.iter().filter(same).fold(None, |_, token| Some(token.clone()));
        let found = found.filter(|token| token.is_valid(now));
        if let Some(token) = &found {
            self.note_use(token, now);
        }
        Ok(found)
    }

    fn known_tokens(&self) -> Result<Arc<[Token]>, Error> {
        let tokens = &self.shared().tokens;
        if let Some(known) = &*tokens.known.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(known));
        }
        // Read under the lock: what is written meanwhile makes it unknown again.
        let mut known = tokens.known.write().unwrap_or_else(PoisonError::into_inner);
        let read: Arc<[Token]> = self.tokens()?.into();
        *known = Some(Arc::clone(&read));
        Ok(read)
    }

    fn note_use(&self, token: &Token, now: Timestamp) {
        let mut noted = held(&self.shared().tokens.noted);
        let last = noted.get(&token.name).copied().or(token.used_at);
        if last.is_some_and(|last| now < last.plus(NOTED)) {
            return;
        }
        noted.insert(Arc::clone(&token.name), now);
        let (scope, value) = (USED.into(), Some(Payload::from_json(&now.0.into())));
        let change = Change::SetState { scope, key: Arc::clone(&token.name), value };
        // Nobody waits for it: that it was used is no promise.
        self.shared().log.send(Item { changes: vec![change], done: None });
    }
}
