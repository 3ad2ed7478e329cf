//! The command `panta`: one file a verb, output for people or as JSON, exit codes.
//!
//! Acts through the engine's handle, a daemon's API, or (to look, where no daemon runs) the store. Owns no state.

mod access;
mod act;
mod audit;
mod backfill;
mod bench;
mod check;
mod client;
mod connect;
mod control;
mod daemon;
mod doctor;
mod envelope;
mod fault;
mod follow;
mod functions;
mod gate;
mod graph;
mod hand;
mod ids;
mod import;
mod input;
mod known;
mod log;
mod logs;
mod new;
mod notify;
mod output;
mod pages;
mod record;
mod replay;
mod run;
mod runs;
mod scripts;
mod secret;
mod service;
mod shell;
mod show;
mod simulate;
mod sse;
mod table;
mod tasks;
mod templates;
mod test;
mod token;
mod tree;
mod trigger;
mod unlock;
mod upgrade;
mod upkeep;
mod watch;
mod why;
mod workflows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use access::Access;
use client::Client;
use hand::Hand;
pub use output::Exit;
use output::{Fault, line};

use crate::config::{Config, Flags};
use crate::effect::shell::{KEEPER, keep};
use crate::store::lock;

/// Durable workflows as Rhai scripts
#[derive(Parser, Debug)]
#[command(name = "panta", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
struct Common {
    /// Where state lives
    #[arg(long, global = true, env = "PANTA_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file
    #[arg(long, global = true, env = "PANTA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A daemon elsewhere
    #[arg(long, global = true, env = "PANTA_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The token for it
    #[arg(long, global = true, env = "PANTA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Data as JSON on stdout, and nothing else there
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Run(run::Run),
    Daemon(daemon::Daemon),
    Check(check::Check),
    Graph(graph::Draw),
    New(new::New),
    Init(new::Init),
    #[command(subcommand)]
    Import(import::Import),
    Test(test::Test),
    Simulate(simulate::Simulate),
    Start(act::Start),
    Backfill(backfill::Backfill),
    Emit(act::Emit),
    Cancel(control::Cancel),
    Pause(control::Pause),
    Resume(control::Resume),
    Retry(control::Retry),
    Skip(control::Skip),
    SetResult(control::SetResult),
    Fork(control::Fork),
    Upgrade(upgrade::Upgrade),
    Gate(gate::Gate),
    Unlock(unlock::Unlock),
    Secret(secret::Secret),
    Connect(connect::Connect),
    Backup(upkeep::Backup),
    Restore(upkeep::Restore),
    Prune(upkeep::Prune),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Audit(audit::Audit),
    Notify(notify::Notify),
    #[command(subcommand)]
    Token(token::Token),
    Tasks(tasks::Tasks),
    Answer(tasks::Answer),
    Runs(runs::Runs),
    Show(show::Show),
    Logs(logs::Logs),
    Watch(watch::Watch),
    Why(why::Why),
    Replay(replay::Replay),
    Record(record::Record),
    Workflows(workflows::Workflows),
    Explain(check::Explain),
    Functions(functions::Functions),
    Service(service::Service),
    Completions(shell::Completions),
    Man(shell::Man),
}

const WELCOME: &str = "\
panta runs durable workflows that are Rhai scripts.

  panta run FILE         run one script to its end
  panta daemon           run a folder of scripts: triggers, reload, API
  panta check            find mistakes without running
  panta runs             what has run, what waits, what failed
  panta why RUN          why a run waits or failed, and what to do

`panta --help` shows all commands.";

impl Common {
    fn flags(&self, listen: Option<String>) -> Flags {
        Flags { config: self.config.clone(), data: self.data.clone(), listen, log_format: None }
    }

    /// The configuration that belongs to a scripts folder.
    fn config(&self, scripts: &Path) -> Result<Config, Fault> {
        self.config_with(scripts, None)
    }

    fn config_with(&self, scripts: &Path, listen: Option<String>) -> Result<Config, Fault> {
        Config::load(&self.flags(listen), scripts, &|name| std::env::var(name).ok()).map_err(Fault::diagnosed)
    }

    /// The daemon to talk to: the one that was named, or the one that holds the data folder.
    fn daemon(&self, data: &Path) -> Result<Option<Client>, Fault> {
        if let Some(server) = &self.server {
            return Client::new(server, self.token.clone()).map(Some);
        }
        match lock::holder(data).and_then(|holder| holder.listen) {
            Some(listen) => Client::new(&listen, self.token.clone()).map(Some),
            None => Ok(None),
        }
    }
}

/// Threads for what waits for a disk, at most: more would not read faster, and each takes memory and a connection to the store.
const BLOCKING_MAX: usize = 16;

/// Does what the command line says.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == KEEPER) {
        keep(std::io::stdin().lock());
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(understood()),
        Err(error) => Err(Fault::unreachable(format!("the system gives no event loop: {error}"))),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(fault) => {
            fault.show();
            fault.exit.into()
        }
    }
}

async fn understood() -> Result<Exit, Fault> {
    if let Some(done) = daemon::parent().await {
        return done;
    }
    match ids::parsed(std::env::args_os().collect()).await? {
        Ok(cli) => execute(&cli).await,
        Err(error) => {
            let _ = error.print();
            Ok(if error.use_stderr() { Exit::Usage } else { Exit::Done })
        }
    }
}

async fn execute(cli: &Cli) -> Result<Exit, Fault> {
    let common = &cli.common;
    // What comes from the environment counts for the next command, too.
    let typed = |given: &Option<PathBuf>, variable: &str| {
        given.clone().filter(|given| std::env::var_os(variable).is_none_or(|value| value != *given.as_os_str()))
    };
    let (file, data) = (typed(&common.config, "PANTA_CONFIG"), typed(&common.data, "PANTA_DATA"));
    output::set_program(file.as_deref(), data.as_deref(), common.server.as_deref());
    let config = || common.config(&default_scripts());
    let access = || Access::open(common, &config()?);
    let hand = || Hand::open(common, &config()?);
    let Some(verb) = &cli.verb else {
        line(WELCOME);
        return Ok(Exit::Done);
    };
    // The daemon's is as its configuration says.
    if !matches!(verb, Verb::Daemon(_)) {
        logging();
    }
    match verb {
        Verb::Run(run) => run.execute(common).await,
        Verb::Daemon(daemon) => daemon.execute(common).await,
        Verb::Check(check) => check.execute(common),
        Verb::Graph(graph) => graph.execute(common).await,
        Verb::Test(test) => test.execute(common),
        Verb::Simulate(simulate) => simulate.execute(common),
        Verb::Start(start) => start.execute(common, access()?).await,
        Verb::Backfill(backfill) => backfill.execute(common, access()?).await,
        Verb::Emit(emit) => emit.execute(common, &access()?).await,
        Verb::Cancel(cancel) => cancel.execute(common, &hand()?).await,
        Verb::Pause(pause) => pause.execute(common, &hand()?).await,
        Verb::Resume(resume) => resume.execute(common, &hand()?).await,
        Verb::Retry(retry) => retry.execute(common, &hand()?).await,
        Verb::Skip(skip) => skip.execute(common, &hand()?).await,
        Verb::SetResult(set) => set.execute(common, &hand()?).await,
        Verb::Fork(fork) => fork.execute(common, &hand()?).await,
        Verb::Upgrade(upgrade) => upgrade.execute(common, access()?).await,
        Verb::Gate(gate) => gate.execute(common).await,
        Verb::Unlock(unlock) => unlock.execute(common, &access()?).await,
        Verb::Token(token) => token.execute(common, &config()?, &access()?).await,
        Verb::Secret(secret) => secret.execute(common, &config()?, access()?).await,
        Verb::Connect(connect) => connect.execute(common, &config()?).await,
        Verb::Audit(audit) => audit.execute(common, &access()?).await,
        Verb::Notify(notify) => notify.execute(common, &config()?).await,
        Verb::Backup(backup) => backup.execute(common, &access()?).await,
        Verb::Restore(restore) => restore.execute(common, config),
        Verb::Prune(prune) => prune.execute(common, &access()?).await,
        Verb::Doctor(doctor) => doctor.execute(common).await,
        Verb::Bench(bench) => bench.execute(common).await,
        Verb::Tasks(tasks) => tasks.execute(common, &config()?, &access()?).await,
        Verb::Answer(answer) => answer.execute(common, &config()?, &access()?).await,
        Verb::Runs(runs) => runs.execute(common, &access()?).await,
        Verb::Show(show) => show.execute(common, &access()?).await,
        Verb::Logs(logs) => logs.execute(common, &access()?).await,
        Verb::Watch(watch) => watch.execute(common, access()?).await,
        Verb::Why(why) => why.execute(common, &access()?).await,
        Verb::Replay(replay) => replay.execute(common, &access()?).await,
        Verb::Record(record) => record.execute(common, &access()?).await,
        Verb::Workflows(workflows) => workflows.execute(common, access()?).await,
        Verb::Explain(explain) => explain.execute(common),
        Verb::Functions(functions) => Ok(functions.execute(common)),
        Verb::Service(service) => service.execute(common),
        Verb::New(new) => new.execute(common),
        Verb::Init(init) => init.execute(common),
        Verb::Import(import) => import.execute(common).await,
        Verb::Completions(completions) => Ok(completions.execute()),
        Verb::Man(_) => shell::Man::execute(),
    }
}

/// `scripts` where there is such a folder, else this one.
fn default_scripts() -> PathBuf {
    let scripts = Path::new("scripts");
    if scripts.is_dir() { scripts.to_owned() } else { PathBuf::from(".") }
}

/// What the engine itself has to say goes to stderr; `PANTA_LOG` tells how much (`info`, `panta::engine=debug`).
fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PANTA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .try_init();
}
