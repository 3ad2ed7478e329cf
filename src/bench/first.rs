//! How long it takes from a request until its run looks at something outside.

use std::time::Duration;

use super::meter::{median, ms};
use super::outside::daemon::Site;
use super::outside::noop::Noop;
use super::outside::wait;
use super::{Bench, Error, Figure, Result, Workload};
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "first",
    about: "from the request that starts a run to the first GET of its script, seen by a local server",
    measure: |bench| wait(measure(bench)),
};

const READING: &str = r#"
    workflow(#{ allow: #{ http: ["127.0.0.1"] } });
    fn main(url) { http::get(url).status }"#;

/// Longer than any run takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether the server was asked.
const PAUSE: Duration = Duration::from_millis(1);

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[("w", READING)])?;
    let (noop, daemon) = (Noop::start(false)?, site.start(bench).await?);
    let mut client = daemon.client().await?;
    let (path, body) = ("/api/v1/workflows/w/runs", format!("{{\"input\":\"{}\"}}", noop.url()));
    let runs = bench.count(500, 100);
    let mut times = Vec::with_capacity(runs);
    for n in 1..=runs {
        let begun = elapsed();
        client.post(path, &body).await?.good()?;
        while noop.seen().count < n {
            if elapsed().saturating_sub(begun) > PATIENCE {
                return Err(Error::wrong("a run did not ask the server"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        times.push(noop.seen().last.saturating_sub(begun));
        daemon.until_completed(n, PAUSE).await?;
    }
    Ok(vec![Figure::new("from the request to the first reading step (median)", ms(median(times)), "ms").at_most(0.2)])
}
