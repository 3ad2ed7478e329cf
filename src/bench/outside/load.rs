//! Those who start runs over HTTP, all at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;

use super::daemon::Daemon;
use crate::bench::{Error, Result};

/// Connections.
pub(in crate::bench) const CONNECTIONS: usize = 64;
/// Before a request that the daemon was too busy for is made again.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes so many requests over [`CONNECTIONS`] connections that stay open; each is made again where the daemon is too busy.
/// `body` gives the path and the body of each.
pub(in crate::bench) async fn post(
    daemon: &Daemon<'_>,
    count: usize,
    request: impl Fn(usize) -> (String, String) + 'static,
) -> Result<()> {
    let (next, request) = (Rc::new(Cell::new(0)), Rc::new(request));
    let local = LocalSet::new();
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS.min(count) {
        let (next, request, mut client) = (Rc::clone(&next), Rc::clone(&request), daemon.client().await?);
        all.push(local.spawn_local(async move {
            while next.get() < count {
                let (path, body) = request(next.replace(next.get() + 1));
                loop {
                    let answer = client.post(&path, &body).await?;
                    if !matches!(answer.status, 429 | 503) {
                        answer.good()?;
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Ok::<(), Error>(())
        }));
    }
    local
        .run_until(async {
            for one in all {
                one.await.expect("a sender does not panic")?;
            }
            Ok(())
        })
        .await
}

/// Starts so many runs of a workflow; each is durable when it is answered.
pub(in crate::bench) async fn start(
    daemon: &Daemon<'_>,
    workflow: &str,
    runs: usize,
    input: impl Fn(usize) -> String + 'static,
) -> Result<()> {
    let path = format!("/api/v1/workflows/{workflow}/runs");
    post(daemon, runs, move |n| (path.clone(), format!("{{\"input\":{}}}", input(n)))).await
}
