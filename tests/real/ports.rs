//! Ports that something else has for a moment: what ended just now, or another checkout that drives the same system.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use panta::time::elapsed;

use super::since;

/// How long it is waited for them.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until nothing listens at any of these ports of this machine; or which one was not free by then.
pub(crate) fn free(ports: &[u16]) -> Result<(), String> {
    let begun = elapsed();
    while let Some(taken) = ports.iter().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, **port)).is_err()) {
        if since(begun) > PATIENCE {
            return Err(format!("something else listens at port {taken}"));
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}
