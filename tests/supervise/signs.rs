//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use super::{PATIENCE, Place, ask, persist, start, until};
use crate::support::daemon::Daemon;

/// Stands for systemd.
struct Systemd(UnixDatagram);

impl Systemd {
    fn new(place: &Place, watchdog_usec: &str) -> (Self, Daemon) {
        let path = place.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let path = path.display().to_string();
        let daemon = place.start_with(&[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", watchdog_usec)]);
        (Self(socket), daemon)
    }

    fn next(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).expect("a bound");
        let mut read = [0; 512];
        let length = self.0.recv(&mut read).ok()?;
        Some(String::from_utf8_lossy(&read[..length]).into_owned())
    }

    /// The next message that begins so; others are passed over.
    fn until(&self, begin: &str) -> String {
        let all = std::iter::from_fn(|| self.next(PATIENCE));
        all.into_iter().find(|text| text.starts_with(begin)).unwrap_or_else(|| panic!("{begin} is told"))
    }
}

#[test]
fn it_says_when_it_is_ready_reloads_and_ends() {
    let place = Place::new(&[("w", "1")]);
    let (systemd, daemon) = Systemd::new(&place, "60000000");
    assert_eq!(systemd.until("READY=1"), "READY=1\nSTATUS=running");
    place.write("w", "2");
    daemon.signal("HUP");
    let reloading = systemd.until("RELOADING=1");
    assert!(reloading.split_once("\nMONOTONIC_USEC=").is_some_and(|(_, at)| at.parse::<u64>().is_ok()), "{reloading}");
    systemd.until("READY=1");
    let id = start(daemon.address(), "w", "1");
    assert_eq!(until(daemon.address(), &id, "completed")["output"], json!(2), "the reload is done when it says so");
    daemon.signal("TERM");
    systemd.until("STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn it_says_that_another_engine_is_ready() {
    let place = Place::new(&[("w", "1")]);
    let (systemd, daemon) = Systemd::new(&place, "60000000");
    systemd.until("READY=1");
    daemon.signal_engine("KILL");
    assert_eq!(systemd.until("READY=1"), "READY=1\nSTATUS=running; the engine was started again once");
    assert_eq!(persist(|| ask(daemon.address(), "GET", "/healthz", "", "")).0, 200);
}

#[test]
fn the_watchdog_is_fed_only_while_the_engine_answers() {
    let place = Place::new(&[("w", "1")]);
    let (systemd, daemon) = Systemd::new(&place, "400000");
    systemd.until("WATCHDOG=1");
    daemon.signal_engine("STOP");
    let silence = std::iter::repeat_with(|| systemd.next(Duration::from_secs(2))).take(30).any(|told| told.is_none());
    assert!(silence, "an engine that hangs is not alive");
    daemon.signal_engine("CONT");
    systemd.until("WATCHDOG=1");
}
