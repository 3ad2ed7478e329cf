//! `panta service install`: the unit by which systemd runs the daemon.

mod unit;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Common;
use super::output::{Exit, Fault, line, note};
use unit::{Manager, Unit};

/// Runs the daemon as a service of the system
#[derive(Args, Debug)]
pub(super) struct Service {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand, Debug)]
enum Act {
    Install(Install),
}

/// Writes a systemd unit, and says what to do next
#[derive(Args, Debug)]
struct Install {
    /// The scripts folder
    #[arg(default_value = "scripts")]
    scripts: PathBuf,
    /// A service of this user, without root
    #[arg(long)]
    user: bool,
    /// Prints the unit instead of writing it
    #[arg(long)]
    print: bool,
}

/// Name of the unit's file.
const FILE: &str = "panta.service";
/// Where an administrator's units lie.
const SYSTEM: &str = "/etc/systemd/system";

impl Service {
    pub(super) fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let Act::Install(install) = &self.act;
        install.execute(common)
    }
}

impl Install {
    fn execute(&self, common: &Common) -> Result<Exit, Fault> {
        let unit = self.unit(common)?;
        for path in [&unit.program, &unit.scripts].into_iter().chain(&unit.config).chain(&unit.data) {
            if path.starts_with("/tmp") || path.starts_with("/var/tmp") {
                let path = path.display();
                note(&format!(
                    "warning: the service has a `/tmp` of its own, so it does not find `{path}`; hint: put it elsewhere"
                ));
            }
        }
        let unit = unit.to_string();
        if self.print {
            line(unit.trim_end());
            return Ok(Exit::Done);
        }
        let folder = self.folder()?;
        let path = folder.join(FILE);
        if std::fs::read_to_string(&path).is_ok_and(|there| there != unit) {
            let text = format!(
                "`{}` is there, and is another; hint: compare it with `--print`, and remove it first",
                path.display()
            );
            return Err(Fault::new(Exit::Failed, text));
        }
        let failed = |error| Fault::new(Exit::Failed, format!("`{}` cannot be written: {error}", path.display()));
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &unit)).map_err(failed)?;
        note(&format!("wrote {}", path.display()));
        self.next().iter().for_each(|command| line(command));
        Ok(Exit::Done)
    }

    fn unit(&self, common: &Common) -> Result<Unit, Fault> {
        let absolute = |path: &Path| {
            let absolute = path.canonicalize();
            absolute.map_err(|error| Fault::usage(format!("`{}` cannot be served: {error}", path.display())))
        };
        let config = common.config.as_deref().map(absolute).transpose()?;
        let program = std::env::current_exe()
            .map_err(|error| Fault::new(Exit::Failed, format!("this program cannot be found: {error}")))?;
        let manager = if self.user { Manager::User } else { Manager::System };
        // Only what was typed: a variable of this shell is none of the service.
        let data =
            common.data.clone().filter(|data| std::env::var_os("PANTA_DATA").as_deref() != Some(data.as_os_str()));
        let data = data.map(|data| std::path::absolute(&data).unwrap_or(data));
        Ok(Unit { manager, program, scripts: absolute(&self.scripts)?, config, data })
    }

    fn folder(&self) -> Result<PathBuf, Fault> {
        if !self.user {
            return Ok(PathBuf::from(SYSTEM));
        }
        let folders = directories::BaseDirs::new();
        let folders = folders.ok_or_else(|| Fault::usage("this user has no home folder; hint: `--print`"))?;
        Ok(folders.config_dir().join("systemd/user"))
    }

    /// The commands that come next.
    fn next(&self) -> Vec<String> {
        let systemctl = if self.user { "systemctl --user" } else { "systemctl" };
        let mut commands = vec![
            format!("{systemctl} daemon-reload"),
            format!("{systemctl} enable --now {FILE}"),
            format!("{systemctl} status {FILE}"),
        ];
        if self.user {
            commands.push("loginctl enable-linger   # so that it runs while nobody is logged in".to_owned());
        }
        commands
    }
}
