//! `panta audit`: who did what, and whether the log is whole. Also who acts where a command works on the data folder itself.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::access::Access;
use super::client::escaped;
use super::output::{Exit, Fault, json as print_json, line, note, text};
use super::runs::since;
use super::table::{table, when};
use crate::audit::{Act, Actor, Head, Record};
use crate::engine::verify_audit;
use crate::store::sqlite::Sqlite;
use crate::store::{Applied, AuditFilter, Change, Store as _};
use crate::time::{Clock as _, SystemClock, Timestamp};
use crate::web::verdict_json;

/// Shows who did what; `--verify` finds changes of the log
#[derive(Args, Debug)]
pub(super) struct Audit {
    /// Only acts since then: `1h`, or a time
    #[arg(long)]
    since: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Walks along the whole log and names the first record that was changed or is missing
    #[arg(long)]
    verify: bool,
    /// With `--verify`: the head that an earlier one showed must be part of the log
    #[arg(long, value_name = "HEAD", requires = "verify", value_parser = head)]
    expect: Option<Head>,
}

fn head(text: &str) -> Result<Head, String> {
    Head::from_text(text).ok_or_else(|| "a head is a number, `:` and 64 hex digits, as `--verify` shows it".to_owned())
}

impl Audit {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        if self.verify {
            return self.verify(common, access).await;
        }
        let acts = access.audit(self.since.as_deref().map(since).transpose()?, self.limit).await?;
        if common.json {
            acts.iter().for_each(print_json);
            return Ok(Exit::Done);
        }
        let rows: Vec<_> = acts.iter().map(row).collect();
        table(&["SEQ", "AT", "ACTOR", "ACT", "SUBJECT", "DETAILS"], &rows);
        Ok(Exit::Done)
    }

    async fn verify(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        let verdict = access.verify_audit(self.expect).await?;
        let is_whole = verdict["ok"] == true;
        if common.json {
            print_json(&verdict);
        } else if is_whole {
            line(&format!("the audit log is whole: {} records, head {}", verdict["records"], text(&verdict, "head")));
        } else {
            note(&format!("the audit log is broken: {}", text(&verdict, "problem")));
        }
        Ok(if is_whole { Exit::Done } else { Exit::Failed })
    }
}

fn row(act: &Value) -> Vec<String> {
    let field = |name: &str| text(act, name).to_owned();
    let details = if act["details"].is_null() { String::new() } else { act["details"].to_string() };
    vec![act["seq"].to_string(), when(text(act, "at")), field("actor"), field("act"), field("subject"), details]
}

impl Access {
    async fn audit(&self, since: Option<Timestamp>, limit: u32) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Store(store) => {
                let filter = AuditFilter { since, limit: limit as usize, before: None };
                Ok(store.audit(&filter)?.iter().map(Record::to_json).collect())
            }
            Self::Daemon(client) => {
                let since: Vec<_> =
                    since.map(|since| format!("since={}", escaped(&since.to_string()))).into_iter().collect();
                client.pages_from("/api/v1/audit", &since, None, "acts", limit as usize).await
            }
        }
    }

    async fn verify_audit(&self, known: Option<Head>) -> Result<Value, Fault> {
        match self {
            Self::Store(store) => Ok(verdict_json(&verify_audit(&**store, known)?)),
            Self::Daemon(client) => {
                let expect = known.map(|head| format!("?expect={}", escaped(&head.to_string()))).unwrap_or_default();
                client.get(&format!("/api/v1/audit/verify{expect}")).await
            }
        }
    }
}

/// Does a change in a data folder that no daemon holds, with its record; see [`Change::Audit`].
pub(super) fn act(store: &Sqlite, act: &str, subject: &str, details: &Value, change: Change) -> Result<Applied, Fault> {
    let act = Box::new(Act::new(SystemClock.now(), &actor(), act, subject, details));
    let mut applied = store.commit(&[Change::Audit { act, change: Some(Box::new(change)) }])?;
    applied.pop().ok_or_else(|| Fault::unreachable("the store gave no answer"))
}

/// Keeps a record of what was done in a data folder beside its store.
pub(super) fn note_act(store: &Sqlite, act: &str, subject: &str, details: &Value) -> Result<(), Fault> {
    let act = Box::new(Act::new(SystemClock.now(), &actor(), act, subject, details));
    store.commit(&[Change::Audit { act, change: None }])?;
    Ok(())
}

/// Who is at the keyboard.
pub(super) fn actor() -> Actor {
    let user = user_of_process().or_else(|| std::env::var("USER").or_else(|_| std::env::var("USERNAME")).ok());
    Actor::Local { user: user.map(Into::into) }
}

/// The user whose process this is, where the system says so: what the environment says can be anything.
fn user_of_process() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        let id = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?).to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut names = users.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, owner) = (fields.next()?, fields.nth(1)?);
            (owner == id).then(|| name.to_owned())
        });
        // One who comes from elsewhere, such as a directory, has a number.
        names.next().or(Some(format!("uid {id}")))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
