//! The brokers of the configuration, and the connections to all, which the workers share.
//!
//! A connection serves one message at a time: it is published, and the broker has acknowledged it, before the next one goes. So
//! whose answer it is that comes is never a question, and an error belongs to one message.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::address::Address;
use super::connection::Connection;
use super::fault::{self, Fault};
use super::idle::Idle;
use super::{MessageReply, Outgoing};
use crate::effect::aside::{self, Aside, Ended};
use crate::effect::{Failure, Secrets, Target};
use crate::time::elapsed;

/// Connections to a broker at a time, unless it is said: each publishes hundreds of messages a second.
pub const POOL: usize = 4;
/// How long a connection that nobody uses stays open: brokers end silent ones after a minute and more.
const IDLE: Duration = Duration::from_secs(30);

/// A broker, and whom it knows us as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Where it is.
    pub address: Address,
    /// The user.
    pub user: Option<String>,
    /// The name of the secret that is the password; for NATS without a user, the token.
    pub secret: Option<String>,
    /// The certificates that are trusted, in place of the usual ones: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// AMQP: the virtual host.
    pub vhost: String,
    /// Connections that publish, at most.
    pub pool: usize,
}

impl Broker {
    /// One of which nothing but the address is known.
    pub fn at(address: Address) -> Self {
        Self { address, user: None, secret: None, ca_file: None, vhost: "/".to_owned(), pool: POOL }
    }
}

/// A broker with its password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) broker: Broker,
    pub(super) password: Option<String>,
}

/// Gives the password of a broker: the name of the secret, and where it goes. The error says why there is none.
pub type Password = dyn Fn(&str, Target<'_>) -> Result<String, String> + Send + Sync;

/// All brokers.
pub struct Brokers {
    /// Those of the configuration, by name.
    named: BTreeMap<String, Broker>,
    password: Box<Password>,
    /// Connections, also to brokers that only an `allow` names.
    pools: Mutex<BTreeMap<Address, Arc<Pool>>>,
    aside: Aside,
}

/// The connections that publish to one broker.
struct Pool {
    places: Semaphore,
    idle: Arc<Mutex<Idle<Connection>>>,
}

impl Brokers {
    /// Those of a configuration.
    pub fn new(named: BTreeMap<String, Broker>, password: Box<Password>) -> Self {
        Self { named, password, pools: Mutex::default(), aside: Aside::new("brokers") }
    }

    /// The name that the configuration has for a broker.
    pub(super) fn name_of(&self, address: &Address) -> Option<&str> {
        self.named.iter().find(|(_, broker)| broker.address == *address).map(|(name, _)| name.as_str())
    }

    /// Who we are to a broker.
    pub(super) fn login(&self, address: &Address) -> Result<Login, Failure> {
        let known = self.named.values().find(|broker| broker.address == *address);
        let broker = known.cloned().unwrap_or_else(|| Broker::at(address.clone()));
        let target = Target::Host { name: &address.host, port: address.port };
        let password = broker.secret.as_deref().map(|secret| (self.password)(secret, target)).transpose();
        let password = password.map_err(|why| Failure::denied(format!("broker `{address}`: {why}")))?;
        Ok(Login { broker, password })
    }

    fn pool(&self, login: &Login) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Pool { places: Semaphore::new(login.broker.pool), idle: Arc::default() });
        Arc::clone(pools.entry(login.broker.address.clone()).or_insert_with(make))
    }

    /// Publishes a message, on the thread for that, and waits until the broker has it. Dropped, it is given up there, too.
    pub(super) async fn publish(
        &self,
        address: &Address,
        message: Outgoing,
        time: Duration,
    ) -> Result<MessageReply, Failure> {
        let login = self.login(address)?;
        let runtime = self.aside.runtime();
        let runtime = runtime
            .ok_or_else(|| Failure::new("network", "the system gives no thread to talk to brokers").retryable())?;
        let pool = self.pool(&login);
        let begun = runtime.spawn(async move { pool.publish(&login, &message).await });
        match aside::within(time, begun).await {
            Ended::Done(outcome) => outcome.map_err(|fault| fault.of(address)),
            Ended::Stopped => {
                let message = format!("broker `{address}`: the daemon is going down; hint: it is redone by itself");
                Err(Failure::new("message", message).retryable().maybe_sent())
            }
            Ended::TimedOut => Err(fault::timed_out(address, time)),
        }
    }
}

impl std::fmt::Debug for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}

impl Pool {
    /// Publishes on a connection of its own for that time.
    async fn publish(&self, login: &Login, message: &Outgoing) -> Result<MessageReply, Fault> {
        let _place = self.places.acquire().await;
        let mut connection = match self.rested().await {
            Some(connection) => connection,
            None => Connection::open(login, None).await.map_err(Fault::while_connecting)?,
        };
        let published = connection.publish(message).await;
        if published.as_ref().err().is_none_or(|fault| !fault.breaks_off()) {
            self.rest(connection);
        }
        published
    }

    async fn rested(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            if connection.is_open().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for a while.
    fn rest(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).put(elapsed(), connection);
        let idle = Arc::clone(&self.idle);
        tokio::runtime::Handle::current().spawn(async move {
            tokio::time::sleep(IDLE).await;
            idle.lock().unwrap_or_else(PoisonError::into_inner).expire(elapsed(), IDLE);
        });
    }
}

/// The text with its secrets, for a broker.
pub(super) fn resolved(secrets: &dyn Secrets, text: &str, address: &Address) -> Result<String, Failure> {
    let target = Target::Host { name: &address.host, port: address.port };
    secrets.resolve(text, target).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// One broker of a configuration.
    pub(in crate::effect::message) fn brokers(name: &str, url: &str) -> Brokers {
        let (address, _) = Address::parse(url).expect("an address");
        let broker = Broker { user: Some("app".to_owned()), secret: Some("pw".to_owned()), ..Broker::at(address) };
        Brokers::new([(name.to_owned(), broker)].into(), Box::new(|_, _| Ok("hunter22".to_owned())))
    }
}
