//! `panta doctor`: looks at everything that keeps a daemon from working well, and says what to do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::check;
use super::client::Client;
use super::output::{Exit, Fault, Paint, Stream, json as print_json, line, program, text};
use crate::config::Config;
use crate::courier::Backlog;
use crate::engine::{Options, Settings, verify_audit};
use crate::store::lock;
use crate::store::sqlite::{self, Sqlite};
use crate::store::{PAUSED, Size, Store as _};

/// Less is soon gone: a busy day may write some gigabytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// What the daemon keeps open beside its connections: files, sockets of services, the store.
const FILES: u64 = 4_096;
/// A write-ahead log that is larger is held back by something that reads for long.
const LARGE_LOG: u64 = 256 << 20;

/// Finds what keeps a daemon from working well, and says what to do
#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// The scripts folder; `scripts` or this folder where none is given
    scripts: Option<PathBuf>,
}

/// How something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Ok,
    Warning,
    Failure,
}

/// What was looked at.
struct Finding {
    what: &'static str,
    health: Health,
    text: String,
    hint: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, health: Health::Ok, text: text.into(), hint: None }
    }

    fn warning(what: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, health: Health::Warning, text: text.into(), hint: Some(hint.into()) }
    }

    fn failure(what: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, health: Health::Failure, text: text.into(), hint: Some(hint.into()) }
    }

    /// From a message that has its hint in it.
    fn failed(what: &'static str, message: &str) -> Self {
        match message.split_once("; hint: ") {
            Some((text, hint)) => Self::failure(what, text, hint),
            None => Self::failure(what, message, "see the message"),
        }
    }

    fn into_warning(self) -> Self {
        Self { health: Health::Warning, ..self }
    }

    fn name(&self) -> &'static str {
        match self.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Failure => "failure",
        }
    }

    fn show(&self) {
        let paint = match self.health {
            Health::Ok => Paint::Green,
            Health::Warning => Paint::Yellow,
            Health::Failure => Paint::Red,
        };
        let name = paint.on(Stream::Out, &format!("{:<8}", self.name()));
        line(&format!("{name} {:<12} {}", self.what, self.text));
        if let Some(hint) = &self.hint {
            line(&format!("{:21} hint: {hint}", ""));
        }
    }
}

impl Doctor {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let scripts = self.scripts.clone().unwrap_or_else(super::default_scripts);
        let config = common.config(&scripts)?;
        let shown = config.file.as_ref().map_or("none: all defaults".to_owned(), |file| file.display().to_string());
        let mut all = vec![Finding::ok("config", shown)];
        all.extend(folder(&config.data));
        all.extend(address(&config));
        all.extend(secrets(&config));
        all.push(scripts_of(&scripts, &config));
        all.extend(match common.daemon(&config.data)? {
            Some(client) => daemon(&client).await,
            None => store(&config.data),
        });
        all.extend(machine(&config));
        if common.json {
            for found in &all {
                let hint = found.hint.as_deref();
                print_json(&json!({ "check": found.what, "status": found.name(), "text": found.text, "hint": hint }));
            }
        } else {
            all.iter().for_each(Finding::show);
        }
        let is_bad = all.iter().any(|found| found.health == Health::Failure);
        Ok(if is_bad { Exit::Failed } else { Exit::Done })
    }
}

/// The data folder: whose it is, and what space there is.
fn folder(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    let Ok(found) = std::fs::metadata(data) else {
        return vec![Finding::ok("data folder", format!("`{shown}` is made by the first run"))];
    };
    if !found.is_dir() {
        return vec![Finding::failure("data folder", format!("`{shown}` is no folder"), "give one with `--data`")];
    }
    let mut all = Vec::new();
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
        all.push(if mode.trailing_zeros() >= 6 {
            Finding::ok("data folder", format!("`{shown}`, for its owner alone"))
        } else {
            let text = format!("`{shown}` can be entered by others (mode {mode:04o})");
            Finding::warning("data folder", text, format!("`chmod 700 {shown}`"))
        });
    }
    #[cfg(target_os = "linux")]
    {
        if let Ok(space) = rustix::fs::statvfs(data) {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("{} MB free", free >> 20);
            all.push(if free > LITTLE_SPACE {
                Finding::ok("space", text)
            } else {
                Finding::warning("space", text, "free some, or give a folder on another disk with `--data`")
            });
        }
    }
    if let Err(error) = tempfile::NamedTempFile::new_in(data) {
        let text = format!("`{shown}` cannot be written: {error}");
        all.push(Finding::failure("data folder", text, "see whose it is: `ls -ld`"));
    }
    all
}

/// Addresses of tasks and runs begin with where the daemon listens, unless something is said.
fn address(config: &Config) -> Option<Finding> {
    let problem = config.unreachable_address(&config.listen)?;
    Some(Finding::failed("address", &problem).into_warning())
}

fn secrets(config: &Config) -> Vec<Finding> {
    let vault = match config.vault(&|name| std::env::var(name).ok()) {
        Ok(vault) => vault,
        Err(error) => return vec![Finding::failed("secrets", &error.to_string())],
    };
    let all = vault.list();
    let mut found = vec![Finding::ok("secrets", format!("{} can be read", all.len()))];
    let unbound = all.iter().filter(|secret| secret.bound.is_none()).map(|secret| secret.secret.as_str());
    let unbound: Vec<_> = unbound.collect();
    if !unbound.is_empty() {
        let text = format!("of the environment, and sent wherever a workflow may call: {}", unbound.join(", "));
        let hint = "list hosts for each under `[secrets.for]`, or keep them with `panta secret set NAME --for HOST`";
        found.push(Finding::warning("secrets", text, hint));
    }
    found
}

fn scripts_of(scripts: &Path, config: &Config) -> Finding {
    let settings = Arc::clone(&config.settings) as Arc<dyn Settings>;
    let shown = scripts.display();
    match check::count(scripts, settings) {
        Err(_) => {
            Finding::warning("scripts", format!("`{shown}` cannot be read"), "name the folder: `panta doctor DIR`")
        }
        Ok((count, 0)) => Finding::ok("scripts", format!("{count} in `{shown}`, no errors")),
        Ok((count, errors)) => {
            let text = format!("{count} in `{shown}`, {errors} errors");
            Finding::warning("scripts", text, format!("`{} check {shown}`", program()))
        }
    }
}

/// The store, when nobody else has it.
fn store(data: &Path) -> Vec<Finding> {
    if let Some(holder) = lock::holder(data) {
        return vec![Finding::ok("store", format!("in use by {holder}"))];
    }
    if !data.join("panta.db").exists() {
        return vec![Finding::ok("store", "there is none yet")];
    }
    let store = match Sqlite::open(data, &sqlite::Options::default()) {
        Ok(store) => store,
        Err(error) => return vec![Finding::failed("store", &error.to_string())],
    };
    let whole = match store.check() {
        Ok(None) => size(store.size().unwrap_or_default()),
        Ok(Some(damage)) => Finding::failure("store", format!("damaged: {damage}"), "`panta restore FILE` of a backup"),
        Err(error) => Finding::failed("store", &error.to_string()),
    };
    let audit = match verify_audit(&store, None) {
        Ok(Ok(head)) => Finding::ok("audit log", format!("whole, {} records", head.seq)),
        Ok(Err(broken)) => {
            Finding::failure("audit log", broken.to_string(), "somebody changed it: `panta audit --verify`")
        }
        Err(error) => Finding::failed("audit log", &error.to_string()),
    };
    let held = store.states(PAUSED, "").unwrap_or_default();
    let held = held.into_iter().map(|(key, value)| {
        let mut hold = value.to_json();
        hold["scope"] = if key.is_empty() { "all" } else { "workflow" }.into();
        (key.to_string(), hold)
    });
    let mut all = vec![whole, audit, notifications(&store)];
    all.extend(holds(&held.collect::<Vec<_>>()));
    all
}

/// What somebody holds: workflows, or everything. With each its name and what the API says of the hold.
fn holds(held: &[(String, Value)]) -> Vec<Finding> {
    let all = held.iter().find(|(_, hold)| hold["scope"] == "all");
    let told = |who: &str, hold: &Value, hint: String| {
        let how = super::runs::held(hold).unwrap_or_default();
        let since = hold["at"].as_str().map(|at| format!(", since {at}")).unwrap_or_default();
        Finding::warning("paused", format!("{who}: {how}{since}"), hint)
    };
    if let Some((_, hold)) = all {
        return vec![told("no run of any workflow begins", hold, format!("`{} resume --all`", program()))];
    }
    let one = |(name, hold): &(String, Value)| {
        told(&format!("`{name}`"), hold, format!("`{} resume --workflow {name}`", program()))
    };
    held.iter().map(one).collect()
}

/// What people are still to be told, and what they never were.
fn notifications(store: &Sqlite) -> Finding {
    let what = "notifications";
    let backlog = match Backlog::read(store) {
        Ok(backlog) => backlog,
        Err(error) => return Finding::failed(what, &error.to_string()),
    };
    let waiting = format!("{} wait to be delivered", backlog.waiting);
    let Some(last) = backlog.lost.iter().max_by_key(|lost| lost.at) else { return Finding::ok(what, waiting) };
    let text = format!(
        "{waiting}, {} were given up, the last at {} for `{}`: {}",
        backlog.lost(),
        last.at,
        last.channel,
        last.error
    );
    Finding::warning(what, text, format!("`{} notify {}` tries the channel", program(), last.channel))
}

fn size(size: Size) -> Finding {
    let text = format!("{} MB, {} MB of it free, log {} MB", size.database >> 20, size.free >> 20, size.log >> 20);
    if size.log > LARGE_LOG {
        return Finding::warning("store", text, "something reads it for long, such as a `sqlite3` shell: end that");
    }
    Finding::ok("store", text)
}

/// What a daemon says of itself.
async fn daemon(client: &Client) -> Vec<Finding> {
    let ready = match client.get("/readyz").await {
        Ok(_) => Finding::ok("daemon", format!("answers at {}", client.base())),
        Err(fault) => return vec![Finding::failed("daemon", &fault.text)],
    };
    let mut all = vec![ready];
    if let Ok(answer) = client.get("/api/v1/runs?status=quarantined,diverged,paused&limit=1000").await {
        for (status, hint) in [
            ("quarantined", "`panta why RUN` says what killed the engine"),
            ("diverged", "`panta why RUN` shows both lines"),
            ("paused", "`panta resume RUN` lets them go on"),
        ] {
            let runs = answer["runs"].as_array().into_iter().flatten().filter(|run| text(run, "status") == status);
            let count = runs.count();
            if count > 0 {
                all.push(Finding::warning("runs", format!("{count} are {status}"), hint));
            }
        }
    }
    if let Ok(answer) = client.get("/api/v1/workflows").await {
        let all_held = answer["workflows"].as_array().into_iter().flatten();
        let held =
            all_held.filter_map(|it| Some((text(it, "name").to_owned(), it["paused"].as_object()?.clone().into())));
        all.extend(holds(&held.collect::<Vec<_>>()));
    }
    all.extend(client.get("/api/v1/audit/verify").await.ok().map(|verdict| audit(&verdict)));
    all
}

fn audit(verdict: &Value) -> Finding {
    if verdict["ok"] == true {
        return Finding::ok("audit log", format!("whole, {} records", verdict["records"]));
    }
    Finding::failure("audit log", text(verdict, "problem"), "somebody changed it: `panta audit --verify`")
}

/// Limits of the system that a busy daemon meets.
fn machine(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let live = Options::new(&config.data).most_live as u64 * 2;
    if let Some(maps) = number("/proc/sys/vm/max_map_count") {
        let text = format!("{maps} memory maps a process");
        all.push(if maps > live * 2 {
            Finding::ok("system", text)
        } else {
            Finding::warning("system", text, "`sysctl vm.max_map_count=262144`: each run in motion takes two")
        });
    }
    if let Some(watches) = number("/proc/sys/fs/inotify/max_user_watches") {
        let text = format!("{watches} watched folders a user");
        all.push(if watches >= 1_024 {
            Finding::ok("system", text)
        } else {
            Finding::warning("system", text, "`sysctl fs.inotify.max_user_watches=65536`")
        });
    }
    if let Some(files) = open_files() {
        let text = format!("{files} open files a process");
        all.push(if files >= FILES {
            Finding::ok("system", text)
        } else {
            Finding::warning("system", text, "`ulimit -n 65536`, or `LimitNOFILE=65536` in the unit")
        });
    }
    all
}

/// The soft limit of this process, which one that is started in the same way has, too.
fn open_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}
