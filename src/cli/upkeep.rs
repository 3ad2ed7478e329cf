//! `panta backup`, `panta restore`, `panta prune`: keeping the store, getting it back, and removing what is old.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::access::Access;
use super::audit::note_act;
use super::hand::confirm;
use super::output::{Exit, Fault, json as print_json, line, note, program, text};
use crate::config::Config;
use crate::id::RunId;
use crate::store::sqlite::{self, Restored, Sqlite};
use crate::store::{Applied, Change, RunFilter, Status, Store as _};
use crate::time::{Clock as _, SystemClock, Timestamp, format_duration, parse_duration};

/// Runs that are removed by one commit: some milliseconds.
const BATCH: usize = 128;
/// Runs that are looked at at once.
const PAGE: usize = 1_000;

/// Copies the store to a file, also while a daemon runs
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// The file, which must not be there yet
    file: PathBuf,
}

/// Puts a backup in place of the store; the one that was there is kept beside it
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// What `panta backup` wrote
    file: PathBuf,
    /// Also where the data folder has a store
    #[arg(long)]
    replace: bool,
}

/// Removes finished runs that have expired
#[derive(Args, Debug)]
pub(super) struct Prune {
    /// Also those that ended longer ago, whatever their workflows say
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    keep: Option<Duration>,
    /// Says how many it would be, and removes none
    #[arg(long)]
    dry_run: bool,
    /// Does it without asking
    #[arg(long, short)]
    yes: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; hint: {}", error.hint()))
}

impl Backup {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        if self.file.exists() {
            let shown = self.file.display();
            return Err(Fault::usage(format!("the file `{shown}` is there already; hint: give another name")));
        }
        let bytes = match access {
            Access::Daemon(client) => client.download("/api/v1/backup", &self.file).await?,
            Access::Store(store) => {
                note_act(store, "store.backup", "store", &Value::Null)?;
                written_whole(&self.file, |part| Ok(store.backup(part)?))?
            }
        };
        if common.json {
            print_json(&json!({ "file": self.file, "bytes": bytes }));
        } else {
            line(&format!("{} ({} kB)", self.file.display(), bytes.div_ceil(1_000)));
            note(
                "keys are not in it; hint: keep `secrets.key`, `links.key` and `marks.key` of the data folder in another place",
            );
        }
        Ok(Exit::Done)
    }
}

/// Has a file written under another name, and gives it its own when it is whole. Answers its length.
pub(super) fn written_whole(file: &Path, write: impl FnOnce(&Path) -> Result<(), Fault>) -> Result<u64, Fault> {
    let failed = |error: std::io::Error| Fault::usage(format!("`{}` cannot be written: {error}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = tempfile::Builder::new().prefix(".panta-backup-").tempdir_in(folder).map_err(failed)?;
    let part = part.path().join("part");
    write(&part)?;
    let length = std::fs::metadata(&part).map_err(failed)?.len();
    std::fs::rename(&part, file).map_err(failed)?;
    Ok(length)
}

impl Restore {
    pub(super) fn execute(
        &self,
        common: &Common,
        config: impl FnOnce() -> Result<Config, Fault>,
    ) -> Result<Exit, Fault> {
        if let Some(server) = &common.server {
            return Err(Fault::usage(format!(
                "a backup is put into a data folder of this machine, not into the one of `{server}`; hint: stop that daemon, and \
                 restore where its data folder is, without `--server` and `PANTA_SERVER`"
            )));
        }
        let config = config()?;
        let store = config.data.join("panta.db");
        if store.exists() && !self.replace {
            return Err(Fault::usage(format!(
                "`{}` is there already; hint: `--replace` puts the backup in its place and keeps it beside",
                store.display()
            )));
        }
        let now = SystemClock.now();
        let stamp = now.to_string().replace([':', '.'], "-");
        let Restored { before, runs, open } = sqlite::restore(&config.data, &self.file, &stamp)?;
        let opened = Sqlite::open(&config.data, &sqlite::Options::default())?;
        note_act(&opened, "store.restore", "store", &json!({ "file": self.file, "before": before }))?;
        if common.json {
            print_json(&json!({ "runs": runs, "open": open, "before": before }));
            return Ok(Exit::Done);
        }
        line(&format!("restored {runs} runs, {open} of them open"));
        if let Some(before) = before {
            note(&format!("the store that was there is `{}` now", before.display()));
        }
        if open > 0 {
            note(&format!(
                "open runs go on from where the backup has them: what they did since is done again, with the same idempotency \
                 keys; hint: look at `{} runs` and cancel what must not go on, before a daemon starts",
                program()
            ));
        }
        Ok(Exit::Done)
    }
}

impl Prune {
    pub(super) async fn execute(&self, common: &Common, access: &Access) -> Result<Exit, Fault> {
        // What has expired goes by itself anyway: only what was to be kept for longer is asked about.
        if self.dry_run || (self.keep.is_some() && !self.yes) {
            let meant = self.meant(access).await?;
            if self.dry_run && common.json {
                print_json(&json!({ "matched": meant }));
                return Ok(Exit::Done);
            }
            let runs = format!("{meant} finished run{}", if meant == 1 { "" } else { "s" });
            if self.dry_run {
                line(&format!("{runs} would be removed; those that an open run refers to stay"));
                return Ok(Exit::Done);
            }
            if meant > 0 && !confirm(&format!("remove {runs} with all that is recorded of them"))? {
                return Ok(Exit::Done);
            }
        }
        let removed = match access {
            Access::Daemon(client) => {
                let body = json!({ "keep": self.keep.map(format_duration) });
                client.post("/api/v1/prune", &body, &[]).await?["removed"].as_u64().unwrap_or_default()
            }
            Access::Store(store) => {
                let mut details = json!({ "keep": self.keep.map(format_duration) });
                note_act(store, "store.prune", "store", &details)?;
                let removed = prune(store, self.keep)?;
                details["removed"] = removed.into();
                note_act(store, "store.pruned", "store", &details)?;
                removed
            }
        };
        if common.json {
            print_json(&json!({ "removed": removed }));
        } else {
            line(&format!("removed {removed} runs"));
        }
        Ok(Exit::Done)
    }
}

impl Prune {
    /// How many finished runs have expired, or ended longer ago than is to be kept.
    async fn meant(&self, access: &Access) -> Result<usize, Fault> {
        let now = SystemClock.now();
        let before = self.keep.map(|keep| now.minus(keep));
        let at = |run: &Value, field: &str| Timestamp::from_text(text(run, field));
        let is_meant = |run: &&Value| {
            let is_old = before.is_some_and(|before| at(run, "ended_at").is_some_and(|ended| ended < before));
            is_old || at(run, "expires_at").is_some_and(|expires| expires <= now)
        };
        let statuses: Vec<_> = Status::ALL.into_iter().filter(|status| status.is_final()).collect();
        let (mut meant, mut last) = (0, None);
        loop {
            let filter = RunFilter { statuses: statuses.clone(), limit: PAGE, before: last, ..RunFilter::default() };
            let page = access.runs(&filter).await?;
            meant += page.iter().filter(is_meant).count();
            last = page.last().and_then(|run| text(run, "run").parse().ok());
            if page.len() < PAGE || last.is_none() {
                return Ok(meant);
            }
        }
    }
}

/// Where no engine runs, so that which versions are live is not known: all stay.
fn prune(store: &Sqlite, keep: Option<Duration>) -> Result<u64, Fault> {
    let now = SystemClock.now();
    let before = keep.map_or(Timestamp(i64::MIN), |keep| now.minus(keep));
    let (mut removed, mut behind) = (0, RunId::LOWEST);
    loop {
        let events_before = Timestamp(i64::MIN);
        let change = Change::Prune { before, behind, expired: now, events_before, keep: None, limit: BATCH };
        let applied = store.commit(&[change])?;
        let Some(Applied::Pruned { runs, more, reached }) = applied.first() else { return Ok(removed) };
        removed += *runs as u64;
        behind = *reached;
        if !more {
            return Ok(removed);
        }
    }
}
