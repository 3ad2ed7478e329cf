//! `[brokers.NAME]`: what `message::publish` and `trigger::message` may talk to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::file::Reader;
use crate::effect::message::brokers::POOL;
use crate::effect::message::{Address, Broker, Protocol};

const KEYS: [&str; 6] = ["url", "user", "secret", "ca_file", "vhost", "pool"];
/// Connections at a time, at most: more than brokers are set up for.
const MOST: u64 = 1_000;

impl Reader<'_> {
    /// All brokers; one with faults is left out.
    pub(super) fn brokers(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Broker> {
        let Some(table) = self.table(value) else { return BTreeMap::new() };
        let mut brokers: BTreeMap<String, Broker> = BTreeMap::new();
        for (name, value) in table {
            let Some(broker) = self.broker(name.get_ref(), value) else { continue };
            match brokers.iter().find(|(_, known)| known.address == broker.address) {
                Some((known, _)) => {
                    let same = format!("`[brokers.{known}]` is at `{}`, too", broker.address);
                    self.fault(format!("{same}; hint: an address belongs to one broker"), value.span());
                }
                None => drop(brokers.insert(name.get_ref().to_string(), broker)),
            }
        }
        brokers
    }

    fn broker(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Broker> {
        let table = self.table(value)?;
        let (mut url, mut user, mut secret, mut ca_file, mut vhost, mut pool) = (None, None, None, None, None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "url" => url = Some(value),
                "user" => user = self.text(value),
                "secret" => secret = self.text(value),
                "ca_file" => ca_file = self.text(value).map(PathBuf::from),
                "vhost" => vhost = self.text(value).map(|text| (text, value)),
                "pool" => pool = self.count(value, MOST),
                other => self.unknown(other, key.span(), &KEYS),
            }
        }
        let Some(url) = url else {
            self.fault(format!("`[brokers.{name}]` needs `url`, such as `nats://broker.example.com`"), value.span());
            return None;
        };
        let text = self.text(url)?;
        let address = match Address::parse(&text) {
            Ok((address, None)) => address,
            Ok((address, Some(_))) => {
                self.fault(format!("`url` names more than a broker; hint: write `{address}`"), url.span());
                return None;
            }
            Err(why) => {
                self.fault(why, url.span());
                return None;
            }
        };
        if let Some((_, place)) = vhost.as_ref().filter(|_| address.protocol != Protocol::Amqp) {
            self.fault("`vhost` is for AMQP alone".to_owned(), place.span());
        }
        let plain = Broker::at(address);
        let vhost = vhost.map_or(plain.vhost.clone(), |(text, _)| text);
        let pool = pool.map_or(POOL, |pool| pool as usize);
        Some(Broker { user, secret, ca_file, vhost, pool, ..plain })
    }
}

/// The same with paths that begin at the folder of the configuration.
pub(super) fn based(broker: Broker, base: &Path) -> Broker {
    Broker { ca_file: broker.ca_file.as_ref().map(|file| base.join(file)), ..broker }
}
