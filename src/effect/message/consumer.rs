//! Messages as they come, for a trigger.

use std::sync::Arc;

use super::connection::Connection;
use super::{Address, Arrived, Brokers, Mark, Wanted, allowed};
use crate::effect::{Allow, Failure};

/// A connection of its own that consumes. Dropped, the broker gets back what it has no word for.
pub struct Consumer {
    address: Address,
    connection: Connection,
}

impl Consumer {
    /// Connects and begins to consume, where the workflow may. Stays with the runtime on which this is called.
    pub async fn open(
        brokers: Option<&Arc<Brokers>>,
        address: &Address,
        wanted: &Wanted,
        allow: &Allow,
    ) -> Result<Self, Failure> {
        let known = brokers.ok_or_else(|| Failure::new("not_found", "this process knows no brokers"))?;
        allowed::admit(address, &allow.message, Some(known))?;
        let login = known.login(address)?;
        let opened = Connection::open(&login, Some(wanted)).await;
        let connection = opened.map_err(|fault| fault.while_connecting().of(address))?;
        Ok(Self { address: address.clone(), connection })
    }

    /// Waits for the next message. May be given up in between: nothing is lost.
    pub async fn next(&mut self) -> Result<Arrived, Failure> {
        self.connection.next().await.map_err(|fault| fault.of(&self.address))
    }

    /// Tells the broker that a message need not come again.
    pub async fn acknowledge(&mut self, mark: &Mark) -> Result<(), Failure> {
        self.connection.acknowledge(mark).await.map_err(|fault| fault.of(&self.address))
    }

    /// Tells the broker that a message is to come again, where it can be told; else it comes when the connection is gone.
    pub async fn give_back(&mut self, mark: &Mark) -> Result<(), Failure> {
        self.connection.give_back(mark).await.map_err(|fault| fault.of(&self.address))
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("address", &self.address).finish_non_exhaustive()
    }
}
