//! The programs that install, start and stop real systems. README.md says what they are asked.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports;
use super::systems::System;

/// How long each verb may take: packages come over the network.
const VERBS: [(&str, u32); 3] = [("install", 900), ("start", 420), ("seed", 240)];

/// The folder of the programs.
pub(crate) struct Programs {
    folder: PathBuf,
    /// Where they keep what they install.
    packages: PathBuf,
}

impl Programs {
    /// The folder that `PANTA_REAL` names, else `shared/real` beside the checkout or beside a folder that it is in; or the reason why
    /// there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let named = std::env::var_os("PANTA_REAL").map(PathBuf::from);
        let beside = || {
            let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
            checkout.ancestors().skip(1).map(|folder| folder.join("shared/real")).find(|folder| folder.is_dir())
        };
        let folder = named.or_else(beside).ok_or("`PANTA_REAL` names no folder of programs that run the systems")?;
        let folder = folder.canonicalize().map_err(|error| format!("`PANTA_REAL`: {}: {error}", folder.display()))?;
        Ok(Self { folder, packages: packages() })
    }

    /// Starts the programs of a system; or why that is not possible.
    pub(crate) fn start(&self, system: &System) -> Result<Running, String> {
        // Some of them change to a user of their own, who has to reach it.
        let open = Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("panta-real-").permissions(open).tempdir().expect("a folder");
        std::fs::create_dir_all(&self.packages).map_err(|error| format!("{}: {error}", self.packages.display()))?;
        let first = system.programs[0].clone();
        let packages = self.packages.clone();
        let mut running = Running { folder: Some(folder), first, packages, started: Vec::new(), beside: None };
        let files = system.programs.iter().map(|name| self.program(name)).collect::<Result<Vec<_>, _>>()?;
        system.programs.iter().for_each(|name| std::fs::create_dir(running.path(name)).expect("a folder"));
        for (verb, seconds) in VERBS {
            if verb == "start" {
                running.prepare(system.before.as_deref())?;
                ports::free(&system.ports)?;
            }
            for (name, file) in system.programs.iter().zip(&files) {
                if verb == "start" {
                    running.started.push((name.clone(), file.clone()));
                }
                let longer = system.start_minutes.filter(|_| verb == "start").map(|minutes| minutes * 60);
                running.verb(file, name, verb, longer.unwrap_or(seconds), system)?;
            }
        }
        running.begin_beside(system)?;
        running.prepare(system.after.as_deref())?;
        Ok(running)
    }

    fn program(&self, name: &str) -> Result<PathBuf, String> {
        let files = [format!("{name}.sh"), name.to_owned()].map(|file| self.folder.join(file));
        files.into_iter().find(|file| file.is_file()).ok_or_else(|| format!("there is no program `{name}` to run it"))
    }
}

/// `REAL_PKG`, else a folder in the user's cache: what was fetched once serves every checkout.
fn packages() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let own = || cache.unwrap_or_else(std::env::temp_dir).join("panta-real");
    std::env::var_os("REAL_PKG").map_or_else(own, PathBuf::from)
}

/// A system that runs; stopped when dropped.
pub(crate) struct Running {
    /// `None` once it is to be kept.
    folder: Option<TempDir>,
    /// The program in whose folder commands run.
    first: String,
    packages: PathBuf,
    /// Names and files of the programs.
    started: Vec<(String, PathBuf)>,
    beside: Option<Child>,
}

impl Running {
    fn root(&self) -> &Path {
        self.folder.as_ref().expect("it is kept last").path()
    }

    /// The folder of a program.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.root().join(program)
    }

    /// What a command in the folder of the first program prints.
    pub(crate) fn ask(&self, command: &str) -> Result<String, String> {
        self.ask_in(&self.first, command)
    }

    /// What a command in the folder of a program prints.
    pub(crate) fn ask_in(&self, program: &str, command: &str) -> Result<String, String> {
        let came = self.bash(program, command).stderr(Stdio::piped()).output().expect("bash runs");
        let text = String::from_utf8_lossy(&came.stdout).trim().to_owned();
        let error = || format!("`{command}`: {text} {}", String::from_utf8_lossy(&came.stderr).trim());
        if came.status.success() { Ok(text) } else { Err(error()) }
    }

    /// The version of the system, or nothing.
    pub(crate) fn version(&self, system: &System) -> String {
        let asked = system.version.as_ref().and_then(|command| self.ask(command).ok());
        asked.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    }

    /// Leaves the folder where it is, for whoever wants to know more; a hint at it.
    pub(crate) fn keep(mut self) -> String {
        self.stop();
        let folder = self.folder.take().expect("it is kept once").keep();
        format!("\nhint: its folder is {}", folder.display())
    }

    fn bash(&self, program: &str, line: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "900", "bash", "-c", line]).current_dir(self.path(program)).stdin(Stdio::null());
        command.env("REAL_PKG", &self.packages);
        command.env("FIXTURES", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/fixtures"));
        command
    }

    fn prepare(&self, line: Option<&str>) -> Result<(), String> {
        let Some(line) = line else { return Ok(()) };
        self.ask(line).map(drop)
    }

    fn begin_beside(&mut self, system: &System) -> Result<(), String> {
        let Some(line) = &system.beside else { return Ok(()) };
        let log = || std::fs::File::create(self.root().join("beside.log")).map_err(|error| error.to_string());
        let mut command = self.bash(&self.first, "exec bash -c \"$0\"");
        command.arg(line).stdout(log()?).stderr(log()?).process_group(0);
        self.beside = Some(command.spawn().map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Runs a verb of a program; what it says at the end, where it fails.
    fn verb(&self, file: &Path, name: &str, verb: &str, seconds: u32, system: &System) -> Result<(), String> {
        let log = self.root().join(format!("{name}.{verb}.log"));
        let out = std::fs::File::create(&log).expect("a log");
        let mut command = Command::new("timeout");
        command.args(["-k", "10", &seconds.to_string()]).arg(file).arg(verb).arg(self.path(name));
        command.env("REAL_PKG", &self.packages).envs(&system.environment).current_dir(self.root());
        command.stdin(Stdio::null()).stderr(out.try_clone().expect("a log")).stdout(out);
        let status = command.status().map_err(|error| format!("{name} {verb}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let text = std::fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<_> = text.lines().rev().take(4).map(str::trim).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        let why = if status.code() == Some(124) { format!("not done within {seconds} s") } else { status.to_string() };
        Err(format!("{name} {verb}: {why}: {}", last.join(" / ")))
    }

    fn stop(&mut self) {
        if let Some(mut beside) = self.beside.take() {
            let group = rustix::process::Pid::from_child(&beside);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = beside.wait();
        }
        for (name, file) in std::mem::take(&mut self.started).into_iter().rev() {
            let mut command = Command::new("timeout");
            command.args(["-k", "10", "90"]).arg(&file).arg("stop").arg(self.path(&name));
            command.env("REAL_PKG", &self.packages).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = command.status();
        }
        super::left::end(self.root());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.folder.is_some() {
            self.stop();
        }
    }
}
