//! Programs: started without a shell in between, in the workflow's own folder, with an environment of their own.
//!
//! Each runs in a process group, which is killed as a whole when its time is over, when nobody waits for it any more, and
//! when the program itself has ended: nothing that it started stays behind. When this process dies, the [`Keeper`] does the
//! same; and before a second try begins, what is left of the first is looked for and ended (`earlier.rs`), so no program ever
//! runs beside itself.

mod earlier;
mod find;
mod group;
mod keeper;
mod output;
#[cfg(all(test, unix))]
mod tests;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Semaphore;

use super::allow::allow_line;
use super::file::{self, FileStat, Inflow, Place, Spot};
use super::{Allow, Attempt, Failure, Field, Limits, Secrets, Target};
use group::Group;
pub use keeper::{KEEPER, Keeper, keep};
use output::{Collected, Sink};

/// Programs that run at a time for one worker: more wait for their turn.
const MOST: usize = 64;
/// What a program may do unasked: its time.
const TIME: Duration = Duration::from_mins(10);
/// The variable by which the keeper finds a program: another value at each start.
const MARK: &str = "PANTA_PROGRAM";
/// The variable by which a program can tell a second try from another call.
const KEY: &str = "PANTA_IDEMPOTENCY_KEY";

/// A program to be run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShellRequest {
    /// Its name, or its absolute path, as `allow.shell` lists it.
    pub program: String,
    /// Its arguments, each as it is: nothing in them is looked at.
    pub args: Vec<String>,
    /// Where it runs; the workflow's own folder where it is left out.
    pub cwd: Option<String>,
    /// Variables beside `PATH`, `HOME` and `LANG`.
    pub env: Vec<(String, String)>,
    /// What it reads from its standard input.
    pub stdin: Option<Input>,
    /// How long it may take; 10 minutes where it is left out.
    pub timeout: Option<Duration>,
    /// Codes other than 0 that do not throw.
    pub accept: Vec<i32>,
    /// The most bytes that it may write to its standard output, and to its standard error.
    pub max_bytes: Option<u64>,
    /// The file that gets its standard output.
    pub save_to: Option<String>,
}

/// What a program reads.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Text, in which secrets may stand.
    Text(String),
    /// Bytes, as they are.
    Bytes(Vec<u8>),
}

/// How a program ended.
#[derive(Clone, PartialEq, Debug)]
pub struct ShellReply {
    /// Its code; 128 and the signal's number where it was ended by one, as shells say it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: Written,
    /// What it wrote to its standard error; what is no UTF-8 in it is U+FFFD.
    pub stderr: String,
}

/// What a program wrote.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// UTF-8.
    Text(String),
    /// Bytes that are none.
    Bytes(Vec<u8>),
    /// It is in a file.
    Saved(FileStat),
}

impl ShellRequest {
    pub(super) fn arguments(&self) -> Value {
        let stdin = match &self.stdin {
            Some(Input::Text(text)) => json!(["text", text]),
            Some(Input::Bytes(bytes)) => json!(["bytes", file::digest(bytes)]),
            None => Value::Null,
        };
        let timeout = self.timeout.map(|time| time.as_millis() as u64);
        let limits = json!([timeout, self.accept, self.max_bytes]);
        json!(["shell", self.program, self.args, self.cwd, self.env, stdin, limits, self.save_to])
    }
}

/// Who may be asked to run programs: what the workers of this process share.
#[derive(Clone)]
pub(super) struct Programs {
    keeper: Option<Arc<Keeper>>,
    places: Arc<Semaphore>,
}

impl Programs {
    pub(super) fn new(keeper: Option<Arc<Keeper>>) -> Self {
        Self { keeper, places: Arc::new(Semaphore::new(MOST)) }
    }
}

/// Whether a workflow may run this program.
pub(super) fn admit(request: &ShellRequest, allow: &Allow) -> Result<(), Failure> {
    let program = &request.program;
    if allow.shell.iter().any(|listed| listed == program) {
        return find::check(program);
    }
    let line = allow_line("shell", allow.shell.iter().cloned(), program);
    Err(Failure::denied(format!(
        "the program `{program}` is not among those of this workflow; hint: add `{line}` to `workflow(#{{ … }})`"
    )))
}

/// Runs a program to its end.
pub(super) async fn perform(
    request: &ShellRequest,
    attempt: &Attempt<'_>,
    place: Place,
    limits: &Limits,
    programs: &Programs,
) -> Result<ShellReply, Failure> {
    admit(request, attempt.allow)?;
    let _turn = programs.places.acquire().await;
    let mut prepared = Prepared::of(request, attempt, place).await?;
    let stdin = input(request, attempt.secrets)?;
    let sink = match prepared.save_to.take() {
        Some(spot) => {
            let most = request.max_bytes.unwrap_or(limits.saved_bytes);
            Sink::File(Box::new(Inflow::start(spot, attempt.idempotency_key.to_owned(), most).await?))
        }
        None => Sink::Memory(Vec::new()),
    };
    let most = request.max_bytes.unwrap_or(limits.body_bytes);
    let running = Running::start(prepared, stdin.is_some(), programs.keeper.clone(), &request.program)?;
    let collected = running.end(stdin, Collected::new(sink, most), request.timeout.unwrap_or(TIME)).await;
    let told = output::Teller { request, secrets: attempt.secrets, most: limits.error_body_bytes };
    told.reply(collected).await.map_err(Failure::maybe_sent)
}

/// What was found before the program starts.
struct Prepared {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
    save_to: Option<Spot>,
}

impl Prepared {
    async fn of(request: &ShellRequest, attempt: &Attempt<'_>, place: Place) -> Result<Self, Failure> {
        let target = Target::Program(&request.program);
        let resolved = |text: &String| attempt.secrets.resolve(text, target).map(std::borrow::Cow::into_owned);
        let args = request.args.iter().map(resolved).collect::<Result<_, _>>()?;
        let given: Vec<_> =
            request.env.iter().map(|(name, value)| Ok((name.clone(), resolved(value)?))).collect::<Result<_, _>>()?;
        let (request, again) = (request.clone(), attempt.again);
        let key = attempt.idempotency_key.to_owned();
        file::off_thread(move || {
            if again {
                earlier::end(KEY, &key)?;
            }
            let (home, cwd) = folders(&request, &place)?;
            let save_to = request.save_to.as_deref().map(|path| place.target(path)).transpose()?;
            let own = [("PATH".to_owned(), find::path()), ("HOME".to_owned(), home.display().to_string())];
            let lang = std::env::var("LANG").unwrap_or_else(|_| "C.UTF-8".to_owned());
            // What comes later counts.
            let env = own.into_iter().chain([("LANG".to_owned(), lang)]).chain(given).chain([(KEY.to_owned(), key)]);
            Ok(Self { program: find::program(&request.program)?, args, env: env.collect(), cwd, save_to })
        })
        .await
    }

    fn command(self) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.args).env_clear().envs(self.env).current_dir(self.cwd);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command
    }
}

/// The workflow's own folder, made where it is missing, and where the program runs.
fn folders(request: &ShellRequest, place: &Place) -> Result<(PathBuf, PathBuf), Failure> {
    let own = place.target(".")?;
    file::make_folder(&own)?;
    let Some(path) = &request.cwd else { return Ok((own.real.clone(), own.real)) };
    let cwd = place.target(path)?;
    if !cwd.real.is_dir() {
        let message = format!("`{path}` is no folder to run `{}` in", request.program);
        return Err(Failure::new("not_found", format!("{message}; hint: name one that is there, or leave out `cwd`")));
    }
    Ok((own.real, cwd.real))
}

fn input(request: &ShellRequest, secrets: &dyn Secrets) -> Result<Option<Vec<u8>>, Failure> {
    Ok(match &request.stdin {
        None => None,
        Some(Input::Bytes(bytes)) => Some(bytes.clone()),
        Some(Input::Text(text)) => {
            Some(secrets.resolve(text, Target::Program(&request.program))?.into_owned().into_bytes())
        }
    })
}

/// A program that runs. Dropped, it is killed with all that it started.
struct Running {
    child: Child,
    group: Group,
}

impl Running {
    fn start(prepared: Prepared, reads: bool, keeper: Option<Arc<Keeper>>, name: &str) -> Result<Self, Failure> {
        let mut command = prepared.command();
        command.stdin(if reads { Stdio::piped() } else { Stdio::null() });
        let mark = uuid::Uuid::now_v7().to_string();
        command.env(MARK, &mark);
        let mut group = Group::announced(mark, keeper);
        let child = command.spawn().map_err(|error| {
            Failure::new("shell", format!("`{name}` cannot be started: {error}"))
                .with("program", Field::Text(name.to_owned()))
        })?;
        group.is_of(&child);
        Ok(Self { child, group })
    }

    /// Feeds it and takes what it writes, until it has ended or its time is over.
    async fn end(mut self, stdin: Option<Vec<u8>>, mut collected: Collected, time: Duration) -> Collected {
        let (input, out, err) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let group = &mut self.group;
        let child = &mut self.child;
        let ended = async {
            let status = child.wait().await;
            group.end();
            status
        };
        let fed = feed(input, stdin);
        // Where its time is over, what was taken so far is what there is.
        let _ = tokio::time::timeout(time, collected.take(out, err, fed, ended)).await;
        collected
    }
}

async fn feed(pipe: Option<ChildStdin>, stdin: Option<Vec<u8>>) {
    if let (Some(mut pipe), Some(bytes)) = (pipe, stdin) {
        // It need not read it.
        let _ = pipe.write_all(&bytes).await;
    }
}
