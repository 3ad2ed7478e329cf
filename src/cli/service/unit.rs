//! The text of the unit. `docs/panta.service` is the same for a system with usual paths.

use std::fmt;
use std::path::{Path, PathBuf};

/// Whose systemd runs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manager {
    System,
    User,
}

/// What a unit is made of; all paths are absolute.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) manager: Manager,
    pub(super) program: PathBuf,
    pub(super) scripts: PathBuf,
    pub(super) config: Option<PathBuf>,
    /// `None`: where systemd, or the platform, keeps the state of services.
    pub(super) data: Option<PathBuf>,
}

const SERVICE: &str = "\
# Ready once the scripts are loaded and the store is recovered; `systemctl reload` reads the scripts again.
Type=notify
NotifyAccess=main
ExecReload=/bin/kill -HUP $MAINPID

# The engine is started again by its parent in a moment, and runs go on: systemd steps in where that is not enough. Only the
# parent is told to end; it lets runs come to a good point for 30 s.
Restart=on-failure
RestartSec=1
WatchdogSec=30
KillMode=mixed
TimeoutStopSec=45
OOMPolicy=continue

LimitNOFILE=65536
LimitCORE=0
TasksMax=1024
";

const SECRETS: &str = "\
# The key under which secrets lie in the data folder, kept apart from it: 32 random bytes in base64, of root alone.
#LoadCredential=secrets.key:/etc/panta/secrets.key
";

/// Whom it runs as, and what of the system it sees: settings that only the system's manager can make.
const SYSTEM: &str = "\
# A user of its own, made with the service.
DynamicUser=yes
StateDirectory=panta
StateDirectoryMode=0700
WorkingDirectory=%S/panta

ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
PrivateUsers=yes
CapabilityBoundingSet=
AmbientCapabilities=
RemoveIPC=yes
DevicePolicy=closed
";

/// What any manager can hold a process to.
const HARDENING: &str = "\
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
";

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_system = self.manager == Manager::System;
        let edit = if is_system { "systemctl edit panta" } else { "systemctl --user edit panta" };
        writeln!(f, "# Written by `panta service install`. Settings of your own belong into a drop-in: `{edit}`.")?;
        f.write_str("[Unit]\nDescription=panta: durable workflows\n")?;
        if is_system {
            f.write_str("After=network-online.target\nWants=network-online.target\n")?;
        }
        f.write_str("\n[Service]\n")?;
        let word = |path: &Path| quoted(&path.display().to_string());
        write!(f, "ExecStart={} daemon", word(&self.program))?;
        if let Some(config) = &self.config {
            write!(f, " --config {}", word(config))?;
        }
        match (&self.data, is_system) {
            (Some(data), _) => write!(f, " --data {}", word(data))?,
            (None, true) => f.write_str(" --data %S/panta")?,
            (None, false) => {}
        }
        writeln!(f, " {}", word(&self.scripts))?;
        write!(f, "{SERVICE}\n{SECRETS}\n")?;
        if is_system {
            f.write_str(SYSTEM)?;
            writeln!(f, "ProtectHome={}", if self.needs_homes() { "read-only" } else { "yes" })?;
            if let Some(data) = &self.data {
                writeln!(f, "ReadWritePaths={}", word(data))?;
            }
        }
        write!(
            f,
            "{HARDENING}\n[Install]\nWantedBy={}\n",
            if is_system { "multi-user.target" } else { "default.target" }
        )
    }
}

impl Unit {
    /// Something that it reads lies where people live.
    fn needs_homes(&self) -> bool {
        let homes = ["/home", "/root", "/run/user"];
        let read = [Some(&self.program), Some(&self.scripts), self.config.as_ref(), self.data.as_ref()];
        read.into_iter().flatten().any(|path| homes.iter().any(|home| path.starts_with(home)))
    }
}

/// A word of a command line as systemd reads it.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if escaped.contains([' ', '\t', '\'', '"', ';']) { format!("\"{escaped}\"") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(manager: Manager, scripts: &str) -> Unit {
        let (program, scripts) = ("/usr/local/bin/panta".into(), scripts.into());
        Unit { manager, program, scripts, config: None, data: None }
    }

    /// `PANTA_WRITE_DOCS=1` writes it.
    #[test]
    fn the_shipped_unit_is_the_one_for_usual_paths() {
        let path = format!("{}/docs/panta.service", env!("CARGO_MANIFEST_DIR"));
        let text = unit(Manager::System, "/etc/panta/scripts").to_string();
        if std::env::var_os("PANTA_WRITE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn words_are_read_by_systemd_as_they_are_meant() {
        assert_eq!(quoted("/srv/a b"), "\"/srv/a b\"");
        assert_eq!(quoted("/srv/50%$x"), "/srv/50%%$$x");
        let text = unit(Manager::System, "/srv/my scripts").to_string();
        assert!(text.contains("ExecStart=/usr/local/bin/panta daemon --data %S/panta \"/srv/my scripts\"\n"), "{text}");
    }

    #[test]
    fn homes_are_hidden_unless_something_lies_there() {
        assert!(unit(Manager::System, "/srv/scripts").to_string().contains("ProtectHome=yes\n"));
        assert!(unit(Manager::System, "/home/ann/scripts").to_string().contains("ProtectHome=read-only\n"));
    }

    #[test]
    fn a_unit_of_a_user_asks_for_nothing_that_needs_the_system() {
        let text = unit(Manager::User, "/home/ann/scripts").to_string();
        for setting in ["DynamicUser", "ProtectSystem", "StateDirectory", "network-online", "%S"] {
            assert!(!text.contains(setting), "{setting} in {text}");
        }
        assert!(text.contains("NoNewPrivileges=yes") && text.contains("WantedBy=default.target"));
    }
}
