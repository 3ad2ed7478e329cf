//! A daemon of our own: the same program, on a free port of this machine, on a data folder of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;
use crate::bench::meter::resident;
use crate::bench::{Bench, Error, Result};
use crate::store::lock;
use crate::time::elapsed;

/// Between two looks whether it is ready.
const PAUSE: Duration = Duration::from_millis(1);
/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_mins(5);
/// The name of its configuration: nothing in it, so that that of this machine's user does not count.
const CONFIG: &str = "bench.toml";

/// A folder of scripts and a data folder, over which daemons run.
pub(in crate::bench) struct Site {
    folder: TempDir,
}

/// A daemon that runs; killed when dropped.
pub(in crate::bench) struct Daemon<'a> {
    bench: &'a Bench,
    child: Child,
    /// The process that evaluates.
    engine: u32,
    address: SocketAddr,
    data: PathBuf,
    /// How long it took until it was ready.
    pub(in crate::bench) ready_after: Duration,
}

impl Site {
    /// With these scripts, by the names of their workflows.
    pub(in crate::bench) fn new(bench: &Bench, scripts: &[(&str, &str)]) -> Result<Self> {
        let site = Self { folder: bench.scratch()? };
        std::fs::create_dir(site.scripts())?;
        std::fs::write(site.folder.path().join(CONFIG), "")?;
        for (name, text) in scripts {
            std::fs::write(site.script(name), text)?;
        }
        Ok(site)
    }

    /// The data folder.
    pub(in crate::bench) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The scripts folder.
    pub(in crate::bench) fn scripts(&self) -> PathBuf {
        self.folder.path().join("scripts")
    }

    /// The file of a workflow.
    pub(in crate::bench) fn script(&self, name: &str) -> PathBuf {
        self.scripts().join(format!("{name}.rhai"))
    }

    /// Starts a daemon and waits until it is ready.
    pub(in crate::bench) async fn start<'a>(&self, bench: &'a Bench) -> Result<Daemon<'a>> {
        let address = free_address()?;
        let log = self.folder.path().join("daemon.log");
        let mut command = Command::new(bench.program());
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PANTA_")) {
            command.env_remove(variable);
        }
        command.args(["daemon", "--listen", &address.to_string(), "--config"]).arg(self.folder.path().join(CONFIG));
        command.arg("--data").args([self.data(), self.scripts()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let begun = elapsed();
        let mut child = command.spawn()?;
        bench.begun(child.id());
        let ready = ready(&mut child, address, begun).await;
        let ready_after = elapsed().saturating_sub(begun);
        let engine = child_of(child.id()).unwrap_or(child.id());
        let daemon = Daemon { bench, child, engine, address, data: self.data(), ready_after };
        if ready? {
            return Ok(daemon);
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(Error::wrong(format!("a daemon did not start: {}", said.trim())))
    }
}

/// Waits until it is ready; whether it is.
async fn ready(child: &mut Child, address: SocketAddr, begun: Duration) -> Result<bool> {
    while child.try_wait()?.is_none() && elapsed().saturating_sub(begun) < PATIENCE {
        if let Ok(mut client) = Client::connect(address).await
            && let Ok(answer) = client.get("/readyz").await
            && answer.status == 200
        {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// An address that nobody has just now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The process that another one has started.
fn child_of(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&parent.to_string())
    })
}

impl Daemon<'_> {
    /// Its processes: the parent, and the one that evaluates.
    pub(in crate::bench) fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id(), self.engine];
        all.dedup();
        all
    }

    /// Memory of all of it, in bytes.
    pub(in crate::bench) fn resident(&self) -> u64 {
        self.processes().into_iter().filter_map(resident).sum()
    }

    /// A connection to it.
    pub(in crate::bench) async fn client(&self) -> Result<Client> {
        Client::connect(self.address).await
    }

    /// What it counts under this name, all labels together that have this text.
    pub(in crate::bench) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let answer = self.client().await?.get("/metrics").await?.good()?;
        Ok(sum(&String::from_utf8_lossy(&answer.body), name, label))
    }

    /// Commits so far.
    pub(in crate::bench) async fn commits(&self) -> Result<u64> {
        Ok(self.metric("panta_commit_seconds_count", "").await? as u64)
    }

    /// Runs of its store that ended well.
    pub(in crate::bench) async fn completed(&self) -> Result<usize> {
        Ok(self.metric("panta_runs", "status=\"completed\"").await? as usize)
    }

    /// Waits until so many runs in all have ended well.
    pub(in crate::bench) async fn until_completed(&self, runs: usize, pause: Duration) -> Result<()> {
        let begun = elapsed();
        while self.completed().await? < runs {
            if elapsed().saturating_sub(begun) > PATIENCE {
                let done = self.completed().await?;
                return Err(Error::wrong(format!("{done} of {runs} runs have completed after {PATIENCE:?}")));
            }
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// `kill -9`. When this returns, its folder is free.
    pub(in crate::bench) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.bench.ended(self.child.id());
        // The engine dies with its parent, a moment later.
        while lock::holder(&self.data).is_some_and(|holder| holder.pid == self.child.id()) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The values of a family in Prometheus' text format, added up.
fn sum(text: &str, name: &str, label: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let of_family = rest.starts_with([' ', '{']) && rest.contains(label);
        of_family.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_family_are_added_up() {
        let text = "# TYPE a counter\na{s=\"x\",t=\"1\"} 2\na{s=\"y\",t=\"1\"} 3\na_b 7\nc 5\n";
        let of = |name, label| sum(text, name, label) as u64;
        assert_eq!([of("a", ""), of("a", "s=\"x\""), of("c", "")], [5, 2, 5]);
    }
}
