//! `panta notify`: a test message through a channel, now, and what came of it.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Common;
use super::output::{Exit, Fault, json as print_json, line};
use crate::config::Config;
use crate::courier::Message;
use crate::time::{Clock as _, SystemClock, elapsed, format_duration};

/// Sends a test message through a channel of the config, and says what came of it
#[derive(Args, Debug)]
pub(super) struct Notify {
    /// A channel, a person or a group of the config
    channel: String,
    /// What it says
    text: Option<String>,
}

impl Notify {
    pub(super) async fn execute(&self, common: &Common, config: &Config) -> Result<Exit, Fault> {
        let sender = config.sender(&super::secret::vault(config)?);
        let name = self.channel.as_str();
        let Some(kind) = sender.kind(name) else { return Err(self.unknown(config)) };
        let message = Message::test(self.text.as_deref().unwrap_or_default(), SystemClock.now());
        let began = elapsed();
        let sent = sender.send(name, &message).await;
        let took = elapsed().saturating_sub(began);
        if common.json {
            print_json(&json!({
                "channel": name, "kind": kind, "ok": sent.is_ok(), "error": sent.as_ref().err(), "took_ms": ms(took),
            }));
            return Ok(if sent.is_ok() { Exit::Done } else { Exit::Failed });
        }
        match sent {
            Ok(()) => {
                line(&format!("told `{name}` ({kind}) in {}", format_duration(took)));
                Ok(Exit::Done)
            }
            Err(error) => Err(Fault::new(Exit::Failed, format!("`{name}` ({kind}) was not told: {error}"))),
        }
    }

    fn unknown(&self, config: &Config) -> Fault {
        let name = &self.channel;
        if config.people.addresses(name).is_some() {
            return Fault::usage(format!("`{name}` has no email; hint: add one under `[people]` in the config"));
        }
        let known = config.outlets.names().known(name, &config.people).err();
        Fault::usage(
            known.unwrap_or_else(|| {
                format!("there is no channel `{name}`; hint: add `[channels.{name}]` to the config")
            }),
        )
    }
}

fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
