//! What systemd is told (`sd_notify`), and what it asks for: a line of text on a socket.
//!
//! Under a unit of `Type=notify` the variable `NOTIFY_SOCKET` names the socket, by a path or (with `@`) abstractly. Nothing that
//! goes wrong here is a reason to stop: a daemon that systemd does not hear runs on.

use std::time::Duration;

use super::Sign;

/// The environment, as a function: tests give their own.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where systemd listens, if it does.
#[derive(Debug, Default)]
pub struct Systemd {
    #[cfg(unix)]
    socket: Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)>,
}

impl Systemd {
    /// The one that the environment names.
    pub fn from_environment(variable: Variable<'_>) -> Self {
        #[cfg(unix)]
        {
            Self { socket: variable("NOTIFY_SOCKET").and_then(|name| open(&name)) }
        }
        #[cfg(not(unix))]
        {
            let _ = variable;
            Self {}
        }
    }

    /// Tells a sign, with a sentence for `systemctl status` where there is one.
    pub fn tell(&self, sign: Sign, status: Option<&str>) {
        let mut text = match sign {
            Sign::Ready => "READY=1".to_owned(),
            Sign::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", crate::time::monotonic().as_micros()),
            Sign::Stopping => "STOPPING=1".to_owned(),
            Sign::Alive => "WATCHDOG=1".to_owned(),
        };
        if let Some(status) = status {
            text.push_str("\nSTATUS=");
            text.push_str(&status.replace('\n', " "));
        }
        self.send(&text);
    }

    /// A sentence for `systemctl status` alone.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", status.replace('\n', " ")));
    }

    #[cfg(unix)]
    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!(%error, "systemd was not told");
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "there is no systemd here")]
    fn send(&self, _: &str) {}
}

#[cfg(unix)]
fn open(name: &str) -> Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)> {
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name),
        #[cfg(not(target_os = "linux"))]
        Some(_) => return None,
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    // A reader that does not read must not hold the daemon up.
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}

/// How often systemd wants to hear that the daemon is alive, at the latest; `None`: it does not ask.
pub fn watchdog(variable: Variable<'_>) -> Option<Duration> {
    let pid = variable("WATCHDOG_PID").map(|pid| pid.parse::<u32>());
    if pid.is_some_and(|pid| pid != Ok(std::process::id())) {
        return None;
    }
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Option<Duration> {
        watchdog(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_watchdog_is_asked_for_by_the_environment() {
        let own = std::process::id().to_string();
        assert_eq!(asked(&[("WATCHDOG_USEC", "30000000")]), Some(Duration::from_secs(30)));
        assert_eq!(asked(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", &own)]), Some(Duration::from_millis(1)));
        assert_eq!(asked(&[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(asked(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(asked(&[]), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn signs_reach_a_socket_by_path_and_by_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify").display().to_string();
        let name = format!("panta-test-{}", std::process::id());
        let abstractly = SocketAddr::from_abstract_name(&name).expect("a name");
        let sockets = [
            (path.clone(), UnixDatagram::bind(&path).expect("a socket")),
            (format!("@{name}"), UnixDatagram::bind_addr(&abstractly).expect("a socket")),
        ];
        for (given, socket) in sockets {
            let systemd = Systemd::from_environment(&|_| Some(given.clone()));
            systemd.tell(Sign::Ready, Some("two\nlines"));
            systemd.tell(Sign::Reloading, None);
            let mut read = [0; 256];
            let first = socket.recv(&mut read).expect("a message");
            assert_eq!(&read[..first], b"READY=1\nSTATUS=two lines");
            let second = socket.recv(&mut read).expect("a message");
            assert!(read[..second].starts_with(b"RELOADING=1\nMONOTONIC_USEC="));
        }
    }

    #[test]
    fn without_a_socket_nobody_is_told() {
        Systemd::from_environment(&|_| None).tell(Sign::Ready, None);
        Systemd::from_environment(&|_| Some("/nowhere/at/all".to_owned())).tell(Sign::Stopping, None);
    }
}
