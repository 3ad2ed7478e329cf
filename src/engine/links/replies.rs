//! Identifiers of messages that runs send, so that a reply can be recognised without a table: under this node's key, as addresses are.

use std::sync::Arc;

use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use super::{Links, Purpose, mac};
use crate::effect::mail::MessageIds;
use crate::id::RunId;

/// Bytes of a signature: what nobody guesses by sending mail.
const SIZE: usize = 16;
/// Characters of a key that goes into an identifier as it is; headers are lines.
const LONGEST: usize = 200;
/// Characters of a run's id.
const RUN: usize = 36;

/// Who has sent a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// This run.
    Run(RunId),
    /// Some run, under a key of its own choice.
    Unnamed,
}

impl Links {
    /// What makes identifiers.
    pub(crate) fn message_ids(self: &Arc<Self>) -> Arc<MessageIds> {
        let links = Arc::clone(self);
        Arc::new(move |key| links.message_id(key))
    }

    /// What stands before the `@`; `None`: there is no key to sign with, and the log says why.
    fn message_id(&self, key: &str) -> Option<String> {
        let own = self.key().map_err(|problem| tracing::error!("{problem}")).ok()?;
        let name = plain(key);
        let signature = mac(&own, Purpose::Mail, name.as_bytes()).finalize().into_bytes();
        Some(format!("{name}.{}", hex::encode(&signature[..SIZE])))
    }

    /// Who has sent the message with this identifier, as `<…@…>`. `None`: no run of this node has.
    pub fn sender(&self, message_id: &str) -> Option<Sender> {
        let (name, signature) = message_id.strip_prefix('<')?.split('@').next()?.rsplit_once('.')?;
        let signature = hex::decode(signature).ok().filter(|signature| signature.len() == SIZE)?;
        let own = self.key().map_err(|problem| tracing::error!("{problem}")).ok()?;
        // In constant time.
        mac(&own, Purpose::Mail, name.as_bytes()).verify_truncated_left(&signature).ok()?;
        Some(name.get(..RUN).and_then(|run| run.parse().ok()).map_or(Sender::Unnamed, Sender::Run))
    }
}

/// A key as it may stand in an identifier.
fn plain(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '~' | '+' | '=');
    let is_dotted = |key: &str| key.split('.').all(|part| !part.is_empty() && part.chars().all(is_plain));
    if key.len() <= LONGEST && is_dotted(key) {
        return key.to_owned();
    }
    let run = key.get(..RUN).filter(|run| run.parse::<RunId>().is_ok());
    let digest = hex::encode(&Sha256::digest(key)[..SIZE]);
    run.map_or_else(|| digest.clone(), |run| format!("{run}-{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(key: u8) -> Links {
        Links::with_key("http://x", [key; 32])
    }

    fn id(key: &str) -> String {
        format!("<{}@mail.example.com>", links(1).message_id(key).expect("a key"))
    }

    #[test]
    fn what_a_run_has_sent_is_recognised_and_nothing_else() {
        let run = RunId::new();
        for place in ["0", "s:1/2.3", "b x/é", &"long".repeat(100)] {
            let id = id(&format!("{run}-{place}"));
            assert_eq!(links(1).sender(&id), Some(Sender::Run(run)), "{id}");
            assert_eq!(links(2).sender(&id), None, "another node's");
            assert!(id.is_ascii() && !id.contains(' ') && id.len() < 300, "{id}");
        }
        assert_eq!(links(1).sender(&id("order-5")), Some(Sender::Unnamed));
        assert_eq!(id("order-5"), id("order-5"));
        for forged in [
            "<order-5@mail.example.com>",
            "<order-5.00@x>",
            "",
            "<>",
            "order-5",
            "<.@>",
            &id("order-5").replace("order-5", "order-6"),
        ] {
            assert_eq!(links(1).sender(forged), None, "{forged}");
        }
    }
}
