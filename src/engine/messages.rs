//! Messages for triggers: what a broker hands over, outside of any run, as it may be kept.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::deploy::{Deployed, TriggerSpec};
use super::handle::Handle;
use crate::effect::message::{Address, Arrived, Consumer, Wanted};

/// What one trigger consumes, on a connection of its own. Dropped, the broker gets back what was not settled.
#[derive(Debug)]
pub struct Messages {
    consumer: Consumer,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It need not come again.
    Done,
    /// It is to come again.
    Later,
}

impl Handle {
    /// Begins to consume what a trigger wants, within what its workflow may. Stays with the runtime on which this is called. The
    /// error is told to people.
    pub async fn messages(&self, deployed: &Deployed, spec: &TriggerSpec) -> Result<Messages, String> {
        let (address, filter) = Address::parse(&spec.subject)?;
        let wanted = Wanted {
            filter: filter.unwrap_or_default(),
            name: spec.options["consumer"].as_str().map_or_else(|| name(&deployed.name, &spec.id), str::to_owned),
            all: spec.options["from"] == "all",
        };
        let opened = Consumer::open(self.options().brokers.as_ref(), &address, &wanted, &deployed.allow).await;
        opened.map(|consumer| Messages { consumer }).map_err(|failure| self.text_from_outside(&failure.message))
    }

    /// A value from a message as it may be kept.
    pub fn message_value(&self, value: &Value) -> Value {
        self.value_from_outside(value)
    }
}

impl Messages {
    /// Waits for the next message. May be given up in between: nothing is lost. The error is told to people.
    pub async fn next(&mut self) -> Result<Arrived, String> {
        self.consumer.next().await.map_err(|failure| failure.message)
    }

    /// Tells the broker what became of a message.
    pub async fn settle(&mut self, message: &Arrived, settled: Settled) -> Result<(), String> {
        let told = match settled {
            Settled::Done => self.consumer.acknowledge(&message.mark).await,
            Settled::Later => self.consumer.give_back(&message.mark).await,
        };
        told.map_err(|failure| failure.message)
    }
}

/// The name by which a broker knows a trigger: readable, of what no broker minds, and of no other trigger.
fn name(workflow: &str, trigger: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let shown: String = workflow.chars().map(plain).take(40).collect();
    let digest = hex::encode(Sha256::digest(format!("{workflow}/{trigger}")));
    format!("panta-{shown}-{}", &digest[..10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_has_a_name_that_brokers_take() {
        let one = name("shop/orders", "message:nats://b/orders.>");
        assert!(one.starts_with("panta-shop_orders-") && one.len() < 64, "{one}");
        assert_ne!(one, name("shop/orders", "message:nats://b/orders.new"));
        assert!(name(&"ü".repeat(100), "x").bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }
}
