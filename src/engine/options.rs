//! How an engine works, and whom it works with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::channels::Channels;
use super::lines::Lines;
use super::links::Links;
use super::notification::{LogNotifier, Notifier};
use super::people::Directory;
use super::semantics::Semantics;
use super::surroundings::{Follower, NoSettings, Settings};
use super::witness::Witness;
use crate::effect;
use crate::id::RunId;
use crate::time::{Clock, SystemClock};
use crate::vault::Vault;

/// How long a finished run is kept unless something else is said.
pub const KEEP: Duration = Duration::from_hours(30 * 24);
/// Where signed addresses lead unless a caller knows better: a daemon on this machine.
const LOCAL: &str = "http://127.0.0.1:7262";

/// How an engine works.
#[derive(Clone)]
pub struct Options {
    /// Folder of the workflows' own folders.
    pub workspace: PathBuf,
    /// Worker threads; one a core is best.
    pub workers: usize,
    /// The name under which runs are claimed.
    pub node: Arc<str>,
    /// Plain settings for scripts.
    pub settings: Arc<dyn Settings>,
    /// Secrets.
    pub secrets: Arc<Vault>,
    /// Who tells people.
    pub notifier: Arc<dyn Notifier>,
    /// Who can be told something.
    pub channels: Arc<Channels>,
    /// Who can be asked.
    pub people: Arc<Directory>,
    /// Signed addresses.
    pub links: Arc<Links>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// A run that has waited so long leaves memory. 10 s: most answers of services and children come sooner.
    pub evict_after: Duration,
    /// Runs in motion on one worker at most, before waiting ones leave memory sooner. 5,000: two stacks maps each, 65,530 in all.
    pub most_live: usize,
    /// Waiting runs that are kept in memory, by all workers together; the one that has waited the longest leaves first. 512:
    /// some 16 MB, and going on from the journal costs no more than a tenth of a millisecond.
    pub most_resting: usize,
    /// Due times, and runs that can go on, that are held in memory, at most; more are left to the store until then. 100,000:
    /// some 10 MB.
    pub most_queued: usize,
    /// CPU of a script between two host calls.
    pub script_cpu: Duration,
    /// Bytes that a run's values may take.
    pub script_memory: usize,
    /// How long a finished run is kept whose workflow does not say `keep`.
    pub keep: Duration,
    /// Bounds of single effects.
    pub limits: effect::Limits,
    /// The server that takes mail.
    pub mail: Option<Arc<effect::MailServer>>,
    /// Who ends programs of runs when this process dies.
    pub keeper: Option<Arc<effect::shell::Keeper>>,
    /// The databases that scripts may ask.
    pub databases: Option<Arc<effect::sql::Databases>>,
    /// The mailboxes that are followed.
    pub mailboxes: Option<Arc<effect::imap::Mailboxes>>,
    /// The brokers that messages go to and come from.
    pub brokers: Option<Arc<effect::message::Brokers>>,
    /// The clients whose tokens requests may use.
    pub oauth: Option<Arc<effect::oauth::OAuth>>,
    /// The models that may be asked.
    pub models: Option<Arc<effect::ai::Models>>,
    /// Which services fail: what one worker sees, all know.
    pub breakers: Arc<effect::http::Breakers>,
    /// Which runs of the store are put in motion.
    pub reach: Reach,
    /// Who shows what runs write to their logs.
    pub lines: Option<Arc<dyn Lines>>,
    /// Who follows what runs do, as spans of traces.
    pub follower: Option<Arc<dyn Follower>>,
    /// What scripts mean.
    pub semantics: Semantics,
    /// Where the ids of runs come from that are given none.
    pub new_run: Arc<dyn Fn() -> RunId + Send + Sync>,
    /// Who is told what is evaluated; nobody, where the process stands alone.
    pub witness: Option<Arc<dyn Witness>>,
    /// What answers effects in place of the outside, at once; `None`, or where it says `None`: they are carried out. For
    /// measuring what the engine itself takes.
    pub instead: Option<Arc<Instead>>,
}

/// Answers an effect in place of the outside.
pub type Instead = dyn Fn(&effect::Request) -> Option<effect::Outcome> + Send + Sync;

/// Which runs of its store an engine puts in motion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// All that can go on.
    #[default]
    All,
    /// Those that it starts or is told to take up, and what these start; others wait for an engine that takes all.
    Own,
}

impl Options {
    /// The defaults, with this data folder's workspace.
    pub fn new(data: &Path) -> Self {
        let limits = crate::script::guard::Limits::default();
        Self {
            workspace: data.join("workspace"),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            node: "local".into(),
            settings: Arc::new(NoSettings),
            secrets: Arc::new(Vault::from_process()),
            notifier: Arc::new(LogNotifier),
            channels: Arc::default(),
            people: Arc::default(),
            links: Arc::new(Links::new(LOCAL, data)),
            clock: Arc::new(SystemClock),
            evict_after: Duration::from_secs(10),
            most_live: 5_000,
            most_resting: 512,
            most_queued: 100_000,
            script_cpu: limits.cpu,
            script_memory: limits.memory,
            keep: KEEP,
            limits: effect::Limits::default(),
            mail: None,
            keeper: None,
            databases: None,
            mailboxes: None,
            brokers: None,
            oauth: None,
            breakers: Arc::default(),
            models: None,
            reach: Reach::All,
            lines: None,
            follower: None,
            semantics: Semantics::current(),
            new_run: Arc::new(RunId::new),
            witness: None,
            instead: None,
        }
    }
}
