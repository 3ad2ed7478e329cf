//! Flags, environment and file, as one validated [`Config`].
//!
//! A flag comes before a variable `PANTA_…`, that before `panta.toml`, and the file before the default. The file lies beside
//! the scripts folder, else in the platform's config folder. Owns no state; the environment comes in as a function, so that
//! tests give their own.

mod ai;
mod brokers;
mod calendars;
mod channels;
mod databases;
mod file;
mod log;
mod mail;
mod mailboxes;
mod oauth2;
mod otlp;
mod people;
mod secrets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::courier::{self, Outlets};
use crate::diag::{Diagnostic, Place};
use crate::effect::MailServer;
use crate::effect::Target;
use crate::effect::ai::{Model, Models};
use crate::effect::imap::{Mailbox, Mailboxes};
use crate::effect::message::{Broker, Brokers};
use crate::effect::oauth::{Client, OAuth};
use crate::effect::shell::Keeper;
use crate::effect::sql::{Database, Databases};
use crate::engine;
use crate::engine::links::Links;
use crate::engine::people::Directory;
use crate::payload::Payload;
use crate::time::Rate;
use crate::vault::{self, KeySource, Vault};
pub use log::{LogFormat, LogSettings};
pub use otlp::Otlp;

/// Where the daemon listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:7262";
/// How long a channel may take for one message.
const SENDING: Duration = Duration::from_secs(30);
/// What models cost today, in the data folder.
const SPENT: &str = "ai-spent.json";
/// Name of the file.
pub const FILE: &str = "panta.toml";

/// What the command line says; flags and their variables are one here.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// How scripts, runs and requests are bounded; `None` leaves the engine's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU of a script between two host calls.
    pub script_cpu: Option<Duration>,
    /// Bytes of a run's values.
    pub script_memory: Option<usize>,
    /// When a waiting run leaves memory.
    pub evict_after: Option<Duration>,
    /// How long finished runs are kept.
    pub keep: Option<Duration>,
    /// How often one token or address may ask the API.
    pub requests: Option<Rate>,
    /// Runs in motion on one worker.
    pub most_live: Option<usize>,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where state lives.
    pub data: PathBuf,
    /// Where the daemon listens.
    pub listen: String,
    /// Where others reach the daemon, for signed addresses; where it listens unless it is said.
    pub url: Option<String>,
    /// Further names by which the daemon may be called.
    pub hosts: Vec<String>,
    /// Who can be asked.
    pub people: Arc<Directory>,
    /// Plain settings for scripts; the calendar `de` is the setting `calendars.de`.
    pub settings: Arc<BTreeMap<String, Payload>>,
    /// Bounds.
    pub limits: Limits,
    /// The server that takes mail.
    pub mail: Option<mail::Mail>,
    /// The databases that scripts may ask.
    pub databases: BTreeMap<String, Database>,
    /// The mailboxes that are followed.
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// The brokers that messages go to and come from.
    pub brokers: BTreeMap<String, Broker>,
    /// How people are reached.
    pub outlets: Outlets,
    /// Where the key of the secrets is, and what secrets of the environment are for.
    pub secrets: secrets::Secrets,
    /// The daemon's own log.
    pub log: LogSettings,
    /// The collector that gets spans of runs.
    pub otlp: Option<Otlp>,
    /// Clients of authorization servers.
    pub oauth2: BTreeMap<String, Client>,
    /// Language models.
    pub ai: BTreeMap<String, Model>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads the file that belongs to a scripts folder, and puts all together.
    pub fn load(
        flags: &Flags,
        scripts: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let path = find(flags, scripts);
        let read = match &path {
            Some(path) => file::read(path)?,
            None => file::Read::default(),
        };
        let base = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut read = read;
        read.secrets.key_file = read.secrets.key_file.map(|path| base.join(path));
        let from_file = read.data.map(|data| base.join(data));
        let data = flags.data.clone().or(from_file).or_else(default_data).ok_or_else(no_data)?;
        let listen = flags.listen.clone().or(read.listen).unwrap_or_else(|| LISTEN.to_owned());
        let limits = over(read.limits, variable)?;
        let outlets = Outlets {
            channels: read.channels,
            default: read.notify.default.map(|(name, _)| name.into()),
            repeat: read.notify.repeat.unwrap_or(courier::REPEAT),
        };
        // A level that is given for one start comes before the one that is written down.
        let level = variable("PANTA_LOG").filter(|level| !level.is_empty()).or(read.log.level);
        let log = LogSettings { format: flags.log_format.or(read.log.format), level };
        let (settings, people) = (Arc::new(read.settings), Arc::new(read.people));
        Ok(Self {
            data,
            listen,
            url: read.url,
            hosts: read.hosts,
            people,
            settings,
            limits,
            mail: read.mail.map(|mail| mail.based(base)),
            databases: read.databases.into_iter().map(|(name, one)| (name, databases::based(one, base))).collect(),
            mailboxes: read.mailboxes.into_iter().map(|(name, one)| (name, mailboxes::based(one, base))).collect(),
            brokers: read.brokers.into_iter().map(|(name, one)| (name, brokers::based(one, base))).collect(),
            outlets,
            secrets: read.secrets,
            log,
            otlp: read.otlp,
            oauth2: read.oauth2,
            ai: read.ai,
            file: path,
        })
    }

    /// Signed addresses of a daemon that listens there.
    pub fn links(&self, listen: &str) -> Links {
        let local = || format!("http://{listen}");
        Links::new(&self.url.clone().unwrap_or_else(local), &self.data)
    }

    /// What is wrong with addresses that are made from where a daemon listens: every address of the machine is none that a
    /// browser elsewhere can open. `None`: nothing, or `url` says another. Ends with what to do.
    pub fn unreachable_address(&self, listen: &str) -> Option<String> {
        let is_unspecified = |ip: std::net::SocketAddr| ip.ip().is_unspecified();
        if self.url.is_some() || !listen.parse().is_ok_and(is_unspecified) {
            return None;
        }
        Some(format!(
            "links to tasks, events and runs begin with `http://{listen}`, which nobody elsewhere can open; hint: say where others \
             reach the daemon: `url = \"https://panta.example.com\"` in `{FILE}`"
        ))
    }

    /// The secrets of the environment and of the data folder. An error when they cannot be opened.
    pub fn vault(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vault, vault::Error> {
        let key = KeySource::new(variable, &self.data, self.secrets.key_file.clone());
        Vault::from_process().binding(&self.secrets.bound)?.with_file(&self.data, key)
    }

    fn mail_server(&self, secrets: &Vault) -> Option<Arc<MailServer>> {
        let mail = self.mail.as_ref()?;
        Some(Arc::new(mail.server(|name| secrets.value(name).map(|value| value.to_string()))))
    }

    /// The databases, with passwords that are for them.
    pub fn databases(&self, secrets: &Arc<Vault>) -> Arc<Databases> {
        let secrets = Arc::clone(secrets);
        let password = move |database: &str, secret: &str| {
            let value = secrets.value_for(secret, Target::Database(database));
            value.map(|value| value.to_string()).map_err(|refusal| match refusal {
                vault::Refusal::Unknown(why) | vault::Refusal::NotFor(why) => why,
            })
        };
        Arc::new(Databases::new(self.databases.clone(), Box::new(password)))
    }

    /// The mailboxes, with passwords that are for their servers.
    pub fn mailboxes(&self, secrets: &Arc<Vault>) -> Arc<Mailboxes> {
        let secrets = Arc::clone(secrets);
        let password = move |secret: &str, host: &str, port: u16| {
            let value = secrets.value_for(secret, Target::Host { name: &host.to_lowercase(), port });
            value.map(|value| value.to_string()).map_err(|refusal| match refusal {
                vault::Refusal::Unknown(why) | vault::Refusal::NotFor(why) => why,
            })
        };
        Arc::new(Mailboxes::new(self.mailboxes.clone(), Box::new(password)))
    }

    /// The brokers, with passwords that may go there.
    pub fn brokers(&self, secrets: &Arc<Vault>) -> Arc<Brokers> {
        let secrets = Arc::clone(secrets);
        let password = move |secret: &str, target: Target<'_>| {
            let value = secrets.value_for(secret, target);
            value.map(|value| value.to_string()).map_err(|refusal| match refusal {
                vault::Refusal::Unknown(why) | vault::Refusal::NotFor(why) => why,
            })
        };
        Arc::new(Brokers::new(self.brokers.clone(), Box::new(password)))
    }

    /// What gets tokens.
    pub fn oauth(&self, secrets: &Arc<Vault>) -> Arc<OAuth> {
        Arc::new(OAuth::new(self.oauth2.clone(), Arc::clone(secrets) as _))
    }

    /// What hands messages to channels.
    pub fn sender(&self, secrets: &Arc<Vault>) -> courier::Sender {
        let mail = self.mail_server(secrets);
        courier::Sender::new(self.outlets.clone(), Arc::clone(&self.people), Arc::clone(secrets), mail, SENDING)
    }

    /// The engine's options that follow from it.
    pub fn engine(&self, secrets: Arc<Vault>) -> engine::Options {
        let defaults = engine::Options::new(&self.data);
        engine::Options {
            channels: Arc::new(self.outlets.names()),
            people: Arc::clone(&self.people),
            links: Arc::new(self.links(&self.listen)),
            settings: Arc::clone(&self.settings) as Arc<dyn engine::Settings>,
            mail: self.mail_server(&secrets),
            keeper: keeper(),
            databases: Some(self.databases(&secrets)),
            mailboxes: Some(self.mailboxes(&secrets)),
            brokers: Some(self.brokers(&secrets)),
            oauth: Some(self.oauth(&secrets)),
            models: Some(Arc::new(Models::new(self.ai.clone(), Arc::clone(&secrets) as _, self.data.join(SPENT)))),
            secrets,
            script_cpu: self.limits.script_cpu.unwrap_or(defaults.script_cpu),
            script_memory: self.limits.script_memory.unwrap_or(defaults.script_memory),
            evict_after: self.limits.evict_after.unwrap_or(defaults.evict_after),
            keep: self.limits.keep.unwrap_or(defaults.keep),
            most_live: self.limits.most_live.unwrap_or(defaults.most_live),
            ..defaults
        }
    }
}

/// Ends programs when this process dies: it is this very program, also where its file was replaced meanwhile.
fn keeper() -> Option<Arc<Keeper>> {
    let program = if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
    program.ok().map(|program| Arc::new(Keeper::new(program)))
}

fn find(flags: &Flags, scripts: &Path) -> Option<PathBuf> {
    if flags.config.is_some() {
        return flags.config.clone();
    }
    let scripts = scripts.canonicalize().unwrap_or_else(|_| scripts.to_owned());
    let platform = folders().map(|folders| folders.config_dir().to_owned());
    [scripts.parent().map(Path::to_owned), Some(scripts.clone()), platform]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(FILE))
        .find(|path| path.is_file())
}

fn folders() -> Option<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "panta")
}

fn default_data() -> Option<PathBuf> {
    folders().map(|folders| folders.data_dir().to_owned())
}

fn no_data() -> Vec<Diagnostic> {
    let title = "there is no place for the data folder: the user has no home folder";
    vec![Diagnostic::new("E0601", title, Place::default()).hint("give one with `--data` or `PANTA_DATA`")]
}

/// Variables over what the file says.
fn over(limits: Limits, variable: &dyn Fn(&str) -> Option<String>) -> Result<Limits, Vec<Diagnostic>> {
    let fault = |name: &str, why: String| {
        vec![Diagnostic::new("E0601", format!("the variable `{name}`: {why}"), Place::default())]
    };
    let duration = |name: &str, or: Option<Duration>| match variable(name) {
        Some(text) => file::duration(&text).map(Some).map_err(|why| fault(name, why)),
        None => Ok(or),
    };
    let script_memory = match variable("PANTA_SCRIPT_MEMORY") {
        Some(text) => Some(file::bytes(&text).map_err(|why| fault("PANTA_SCRIPT_MEMORY", why))?),
        None => limits.script_memory,
    };
    let requests = match variable("PANTA_REQUESTS") {
        Some(text) => Some(file::rate(&text).map_err(|why| fault("PANTA_REQUESTS", why))?),
        None => limits.requests,
    };
    let most_live = match variable("PANTA_MOST_LIVE") {
        Some(text) => Some(file::count(&text).map_err(|why| fault("PANTA_MOST_LIVE", why))?),
        None => limits.most_live,
    };
    Ok(Limits {
        requests,
        most_live,
        script_cpu: duration("PANTA_SCRIPT_CPU", limits.script_cpu)?,
        script_memory,
        evict_after: duration("PANTA_EVICT_AFTER", limits.evict_after)?,
        keep: duration("PANTA_KEEP", limits.keep)?,
    })
}

#[cfg(test)]
mod tests;
