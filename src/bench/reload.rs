//! A folder of many scripts: how soon a daemon has read it, and how soon a save counts.

use std::time::Duration;

use super::figure::counted;
use super::meter::{median, ms};
use super::outside::daemon::Site;
use super::outside::wait;
use super::{Bench, Error, Figure, Result, Workload};
use crate::reload::SETTLE;
use crate::time::elapsed;

pub(super) const WORKLOAD: Workload = Workload {
    name: "reload",
    about: "5,000 scripts: a start, and a save until it is live",
    measure: |bench| wait(measure(bench)),
};

/// Of how many the bars tell.
const FULL: usize = 5_000;
/// How often something is saved.
const SAVES: usize = 5;
/// Longer than any save takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks whether it is live.
const PAUSE: Duration = Duration::from_millis(2);

async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::new(bench, &[])?;
    let scripts = bench.count(FULL, 200);
    for n in 0..scripts {
        std::fs::write(site.script(&format!("w{n}")), script(n))?;
    }
    let first = site.start(bench).await?;
    let name = counted(scripts);
    let new = Figure::new(format!("the first start with {name} scripts"), first.ready_after.as_secs_f64(), "s");
    first.kill();
    let daemon = site.start(bench).await?;
    let again = Figure::new(format!("a start with {name} scripts"), daemon.ready_after.as_secs_f64(), "s");
    let mut client = daemon.client().await?;
    let path = format!("/api/v1/workflows/w{}", scripts / 2);
    let mut times = Vec::with_capacity(SAVES);
    for save in 1..=SAVES {
        let before = client.get(&path).await?.good()?.json()["version"].clone();
        std::fs::write(site.script(&format!("w{}", scripts / 2)), script(scripts + save))?;
        let begun = elapsed();
        while client.get(&path).await?.good()?.json()["version"] == before {
            if elapsed().saturating_sub(begun) > PATIENCE {
                return Err(Error::wrong("a save did not become live"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        times.push(elapsed().saturating_sub(begun).saturating_sub(SETTLE));
    }
    let save = Figure::new(
        format!("a save until it is live, less the {} ms to settle (median)", SETTLE.as_millis()),
        ms(median(times)),
        "ms",
    );
    let held = |figure: Figure, limit| if scripts == FULL { figure.at_most(limit) } else { figure };
    Ok(vec![held(new, 3.0), held(again, 3.0), held(save, 100.0)])
}

/// A script like others of its size, and unlike each other.
fn script(n: usize) -> String {
    format!(
        r#"//! Number {n} of many.
workflow(#{{ title: "Number {n}", tags: ["many"], input: #{{ id: "int" }} }});
fn price(id) {{ if id % 2 == 0 {{ id * {n} }} else {{ id + {n} }} }}
fn main(order) {{
    let total = step("price", || price(order.id));
    if total > 100 {{
        wait_for("approved", #{{ key: `${{order.id}}`, timeout: "2d" }});
    }}
    step("report", #{{ retry: 3 }}, || `order ${{order.id}}: ${{total}}`)
}}
"#
    )
}
