//! `panta daemon`: a folder of scripts, its triggers and the API, until it is told to end.
//!
//! What is here is the engine's process. On Linux its parent comes first ([`overseer`]): it binds the socket, and starts this
//! command again with what it has.

#[cfg(target_os = "linux")]
mod anew;
mod collector;
mod overseer;

use std::io::{ErrorKind, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::Common;
use super::follow::interrupted;
use super::log::Log;
use super::output::{Exit, Fault, draw, line};
use crate::config::{Config, Flags, LogFormat};
use crate::courier::Courier;
use crate::diag::Color;
use crate::engine::{Engine, Handle};
use crate::host::declare::TriggerKind;
use crate::reload;
use crate::store::lock;
use crate::store::sqlite::{self, Sqlite};
use crate::supervise::Sign;
use crate::time::{format_duration, parse_duration};
use crate::trigger;
use crate::web;
use overseer::Overseer;

/// Does what the parent of a daemon does, where this process is one that was begun anew.
pub(super) async fn parent() -> Option<Result<Exit, Fault>> {
    #[cfg(target_os = "linux")]
    return anew::parent().await;
    #[cfg(not(target_os = "linux"))]
    None
}

/// Runs a folder of scripts: triggers, hot reload, API
#[derive(Args, Debug)]
pub(super) struct Daemon {
    /// The scripts folder; `scripts` or this folder where none is given
    scripts: Option<PathBuf>,
    /// Where the API listens [default: 127.0.0.1:7262]
    #[arg(long, env = "PANTA_LISTEN", value_name = "ADDR")]
    listen: Option<String>,
    /// How lines of its log look: `people` or `json` [default: people]
    #[arg(long, env = "PANTA_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// How long runs may go on once it is told to end
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    drain: Duration,
    /// One process, for debuggers: what kills the engine ends the daemon
    #[arg(long)]
    no_supervise: bool,
    /// Where the parent is found
    #[cfg(target_os = "linux")]
    #[arg(long, hide = true)]
    engine: Option<crate::supervise::Link>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; hint: {}", error.hint()))
}

/// How often a draining daemon looks whether runs are still busy.
const LOOK: Duration = Duration::from_millis(50);

/// The server has so long for its last answers once the runs are drained.
const LAST: Duration = Duration::from_secs(2);

/// What people are to be told has so long to be delivered; what is not is told after the next start.
const TELLING: Duration = Duration::from_secs(5);

/// The reload service as the API sees it.
struct Records(Arc<reload::Service>);

impl web::Reloads for Records {
    fn reloads(&self) -> Value {
        let newest_first: Vec<_> = self.0.reloads().iter().rev().map(reload::Reload::to_json).collect();
        json!({ "reloads": newest_first, "next": null })
    }

    fn broken(&self, workflow: &str) -> Option<Value> {
        serde_json::to_value(self.0.broken(workflow)?).ok()
    }

    fn gate(&self, workflow: &str) -> Option<Value> {
        serde_json::to_value(self.0.gate(workflow)?).ok()
    }

    fn follow(&self) -> Option<tokio::sync::broadcast::Receiver<Value>> {
        Some(self.0.follow_shown())
    }
}

/// What the engine's process stands in.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    log: &'a Log,
    overseer: &'a Overseer,
}

impl Daemon {
    pub(super) async fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let scripts = self.scripts.clone().unwrap_or_else(super::default_scripts);
        if !scripts.is_dir() {
            return Err(Fault::usage(format!("there is no folder `{}`", scripts.display())));
        }
        let flags = Flags { log_format: self.log_format, ..common.flags(self.listen.clone()) };
        let config = Config::load(&flags, &scripts, &|name| std::env::var(name).ok()).map_err(Fault::diagnosed)?;
        if let Some((overseer, listener)) = self.joined()? {
            return self.drive(common, &scripts, &config, listener, overseer).await;
        }
        // Bound before anything else: a second daemon must not touch the store.
        let listener = bind(&config).await?;
        #[cfg(target_os = "linux")]
        if !self.no_supervise {
            let brief = anew::Brief { drain: self.drain, log: config.log.clone() };
            let failed = |error: std::io::Error| Fault::unreachable(format!("the engine cannot be started: {error}"));
            let listener = brief.begin(listener).map_err(failed)?;
            return brief.supervise(listener, std::env::args_os().collect()).await;
        }
        self.drive(common, &scripts, &config, listener, Overseer::systemd()).await
    }

    /// The engine's process, with a socket that it got or has bound.
    async fn drive(
        &self,
        common: &Common,
        scripts: &Path,
        config: &Config,
        listener: TcpListener,
        overseer: Overseer,
    ) -> Result<Exit, Fault> {
        let address = listener.local_addr().map_err(|error| Fault::unreachable(error.to_string()))?;
        let vault = super::secret::vault(config)?;
        let log = Log::start(&config.log, Arc::clone(&vault))?;
        let options = sqlite::Options {
            listen: Some(address.to_string()),
            parent: overseer.parent(),
            ..sqlite::Options::default()
        };
        let store = open(&config.data, &options).await?;
        vault.prepare_marks().map_err(|error| Fault::usage(error.to_string()))?;
        let access = super::token::access(&store, config, address, common.token.as_deref())?;
        let store = Arc::new(store);
        let courier = Courier::new();
        let options = crate::engine::Options {
            // The port may have been free to choose.
            links: Arc::new(config.links(&address.to_string())),
            lines: Some(log.lines()),
            follower: collector::follower(config, &vault, Arc::clone(&store) as _)?,
            witness: overseer.witness(),
            notifier: Arc::clone(&courier) as Arc<dyn crate::engine::Notifier>,
            ..config.engine(Arc::clone(&vault))
        };
        if let Some(witness) = &options.witness {
            for run in crate::engine::charge(&*store, &**witness, &*options.clock)? {
                tracing::error!(%run, "the run is quarantined: the process died too often while it evaluated it");
            }
        }
        sweep(options.workspace.clone());
        let engine = Engine::start(store, options);
        let telling = courier.start(engine.handle(), config.sender(&vault), config.outlets.repeat)?;
        let done = self
            .serve(&engine.handle(), scripts, config, listener, access, Surroundings { log: &log, overseer: &overseer })
            .await;
        blocking(move || telling.stop(TELLING)).await;
        engine.stop();
        done
    }

    async fn serve(
        &self,
        handle: &Handle,
        scripts: &Path,
        config: &Config,
        listener: TcpListener,
        access: web::Access,
        around: Surroundings<'_>,
    ) -> Result<Exit, Fault> {
        let Surroundings { log, overseer } = around;
        let address = listener.local_addr().map_err(|error| Fault::unreachable(error.to_string()))?;
        let reloads =
            reload::Service::start(handle.clone(), scripts).map_err(|error| Fault::usage(error.to_string()))?;
        let shown = tell(&reloads, log, handle);
        let taken_up = handle.recover()?;
        let triggers = trigger::service::Service::start(handle.clone());
        let (stop, mut stopped) = watch::channel(false);
        let app = web::App { handle: handle.clone(), reloads: Arc::new(Records(Arc::clone(&reloads))), access };
        let mut server = tokio::spawn(web::serve(listener, app, async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        if overseer.is_first() {
            greet(handle, address, scripts);
        }
        if let Some(problem) = config.unreachable_address(&address.to_string()) {
            warn(log, &problem);
        }
        let workflows = handle.workflows();
        let told = workflows.iter().find_map(|workflow| handle.channels().to_nobody(workflow, handle.people()));
        if let Some(problem) = told {
            warn(log, &problem);
        }
        held(handle, log);
        if taken_up > 0 {
            let go_on = if taken_up == 1 { "run of {} goes on" } else { "runs of {} go on" };
            say(log, &format!("{taken_up} open {}", go_on.replacen("{}", &config.data.display().to_string(), 1)));
        }
        let trouble = tokio::select! {
            // In order: it says that it is ready when it can be told to end.
            biased;
            () = interrupted() => None,
            trouble = handle.failed() => Some(trouble),
            never = overseer.attend(&reloads) => match never {},
        };
        overseer.tell(Sign::Stopping);
        // Nothing new is started; what is under way may end.
        blocking(move || triggers.stop()).await;
        stop.send_replace(true);
        if trouble.is_none() {
            self.drain(handle, log).await;
        }
        // Its last answers go out; what then still hangs is cut off.
        let _ = tokio::time::timeout(LAST, &mut server).await;
        server.abort();
        shown.abort();
        blocking(move || reloads.stop()).await;
        match trouble {
            Some(trouble) => Err(Fault::unreachable(format!("the engine has stopped: {trouble}"))),
            None => Ok(Exit::Done),
        }
    }

    /// Waits for the runs in motion, as long as is allowed; a second signal ends it at once.
    async fn drain(&self, handle: &Handle, log: &Log) {
        if busy(handle) == 0 {
            return;
        }
        say(
            log,
            &format!(
                "{} under way; ending within {}, or at once with a second signal",
                match busy(handle) {
                    1 => "1 run is".to_owned(),
                    count => format!("{count} runs are"),
                },
                format_duration(self.drain)
            ),
        );
        let quiet = async {
            while busy(handle) > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = quiet => {}
            () = tokio::time::sleep(self.drain) => say(log, "what is still under way goes on with the next start"),
            () = interrupted() => {}
        }
    }
}

/// Says what somebody holds, as they may have forgotten it: no run of it begins.
fn held(handle: &Handle, log: &Log) {
    for (name, hold) in handle.holds().unwrap_or_default() {
        let mut hold = hold.to_json();
        hold["scope"] = "run".into();
        let how = super::runs::held(&hold).unwrap_or_default();
        let since = hold["at"].as_str().map(|at| format!(", since {at}")).unwrap_or_default();
        let (who, which) = match &*name {
            "" => ("everything".to_owned(), "--all".to_owned()),
            name => (format!("the workflow `{name}`"), format!("--workflow {name}")),
        };
        warn(log, &format!("{who} is {how}{since}; hint: `{} resume {which}` lets it go on", super::output::program()));
    }
}

/// A warning for people, in the form of the log.
fn warn(log: &Log, text: &str) {
    if log.is_json() { tracing::warn!("{text}") } else { say(log, &format!("warning: {text}")) }
}

/// A line for people; where the log is JSON, one of its lines.
fn say(log: &Log, text: &str) {
    log.voice()(text);
}

/// The line that tells where it is.
fn greet(handle: &Handle, address: SocketAddr, scripts: &Path) {
    let count = handle.workflows().len();
    let plural = if count == 1 { "" } else { "s" };
    let folder = scripts.display().to_string();
    let folder = folder.trim_end_matches('/');
    line(&format!("panta is listening on http://{address} ({count} workflow{plural} from {folder}/)"));
}

/// Runs that compute or perform something: those that wait need nobody.
fn busy(handle: &Handle) -> usize {
    use crate::store::Status;
    let counts = handle.counts().unwrap_or_default();
    let running = counts.iter().filter(|(_, status, _)| *status == Status::Running).map(|(_, _, n)| *n as usize);
    running.sum::<usize>().min(handle.in_motion().0)
}

/// Why not, and where the port is taken, by whom as far as that is known.
fn cannot_listen(config: &Config, error: &std::io::Error) -> Fault {
    let listen = &config.listen;
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let has_port = listen.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let hint = if has_port { "" } else { "; hint: an address and a port: `--listen 127.0.0.1:7262`" };
        return Fault::unreachable(format!("cannot listen on `{listen}`: {error}{hint}"));
    }
    let port = listen.rsplit(':').next().unwrap_or(listen);
    let who = match lock::holder(&config.data).filter(|holder| holder.listen.as_deref() == Some(listen)) {
        Some(holder) => format!("{holder}, which holds this data folder, too"),
        None => "another program".to_owned(),
    };
    Fault::unreachable(format!(
        "cannot listen on `{listen}`: port {port} is in use by {who}; hint: stop it, or listen elsewhere: `--listen 127.0.0.1:0` takes a free port"
    ))
}

/// Shows what came of each save.
fn tell(reloads: &reload::Service, log: &Log, handle: &Handle) -> tokio::task::JoinHandle<()> {
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let color = if is_coloured { Color::Ansi } else { Color::Plain };
    let is_json = log.is_json();
    let (handle_of_first, handle) = (handle, handle.clone());
    let show = move |record: &reload::Reload| {
        if is_json {
            record_json(record);
        } else {
            draw(&record.render(color));
        }
        cannot_verify(&handle, &record.workflow);
    };
    let show_gate = move |record: &reload::Reload| {
        let text = record.render_gate(if is_json { Color::Plain } else { color });
        let is_passed = record.gate.as_ref().is_none_or(crate::engine::gate::Report::is_passed);
        match (text.trim_end(), is_json, is_passed) {
            // Nothing was tried.
            ("", ..) => {}
            (_, false, _) => draw(&text),
            (text, true, true) => tracing::info!(workflow = &*record.workflow, "{text}"),
            (text, true, false) => tracing::warn!(workflow = &*record.workflow, "{text}"),
        }
    };
    let (first, mut later) = reloads.follow();
    let mut gates = reloads.follow_gates();
    first.iter().filter(|record| !record.diagnostics.is_empty()).for_each(&show);
    let is_quiet = |record: &&reload::Reload| record.diagnostics.is_empty();
    first.iter().filter(is_quiet).for_each(|record| cannot_verify(handle_of_first, &record.workflow));
    tokio::spawn(async move {
        loop {
            let shown = tokio::select! {
                record = later.recv() => record.map(|record| show(&record)),
                record = gates.recv() => record.map(|record| show_gate(&record)),
            };
            if matches!(shown, Err(RecvError::Closed)) {
                return;
            }
        }
    })
}

/// Tells of webhooks that will turn everybody away, before the first sender is.
fn cannot_verify(handle: &Handle, workflow: &str) {
    let Ok(deployed) = handle.workflow(workflow) else { return };
    for webhook in deployed.triggers.iter().filter(|trigger| trigger.kind == TriggerKind::Webhook) {
        let declared = webhook.options.get("verify").filter(|declared| declared.is_object());
        if let Some(why) = declared.and_then(|declared| trigger::receive::unusable(handle.secrets(), declared)) {
            tracing::warn!(workflow, "the webhook `{}` turns all requests away: {why}", webhook.subject);
        }
    }
}

/// What came of a save, as a line of the log.
fn record_json(record: &reload::Reload) {
    let (workflow, status, file) = (&*record.workflow, record.status.name(), &*record.file);
    let text = record.render(Color::Plain);
    if record.status == reload::Status::Broken {
        tracing::error!(workflow, status, file, "{}", text.trim_end());
    } else {
        tracing::info!(workflow, status, file, "{}", text.trim_end());
    }
}

/// Joining threads would hold up the server's last answers.
async fn blocking(act: impl FnOnce() + Send + 'static) {
    let _ = tokio::task::spawn_blocking(act).await;
}

/// Between two tries to get the data folder, and how often: a command that looks or acts holds it for a moment.
const HELD_PAUSE: Duration = Duration::from_millis(100);
const HELD_TRIES: usize = 30;
/// How often where a daemon holds it. It will not let it go; but one whose parent was killed dies in a moment.
const DAEMON_TRIES: usize = 15;

async fn bind(config: &Config) -> Result<TcpListener, Fault> {
    for _ in 0..DAEMON_TRIES {
        match TcpListener::bind(&config.listen).await {
            // By a daemon on this folder: it may be about to die, as above.
            Err(error) if error.kind() == ErrorKind::AddrInUse && lock::holder(&config.data).is_some() => {
                tokio::time::sleep(HELD_PAUSE).await;
            }
            Ok(listener) => return Ok(listener),
            Err(_) => break,
        }
    }
    TcpListener::bind(&config.listen).await.map_err(|error| cannot_listen(config, &error))
}

async fn open(data: &Path, options: &sqlite::Options) -> Result<Sqlite, Fault> {
    for tried in 0..HELD_TRIES {
        match Sqlite::open(data, options) {
            Err(crate::store::Error::Held { .. })
                if tried < DAEMON_TRIES || lock::holder(data).is_none_or(|holder| holder.listen.is_none()) =>
            {
                tokio::time::sleep(HELD_PAUSE).await;
            }
            other => return Ok(other?),
        }
    }
    Ok(Sqlite::open(data, options)?)
}

/// Removes what a crash left of uploads, beside everything else: a large folder holds up no start. Nobody waits for its end.
fn sweep(workspace: PathBuf) {
    std::thread::spawn(move || match crate::effect::file::sweep(&workspace) {
        0 => {}
        count => tracing::info!("{count} files that a crash had cut off were removed"),
    });
}
