//! Steps that change the outside: the intent of each is durable before it begins. What they change is nothing, so that the
//! engine alone is measured.

use std::sync::Arc;

use super::meter::measured;
use super::stage::{IN_FLIGHT, Stage};
use super::{Bench, Figure, Result, Workload};
use crate::effect::Reply;
use crate::effect::http::{HttpBody, HttpReply};
use crate::engine::Options;

pub(super) const WORKLOAD: Workload = Workload {
    name: "mutating",
    about: "64 runs in flight, ten steps each that wait for the disk before they do nothing",
    measure,
};

/// Ten steps with a request in each that changes something.
const IN_STEPS: &str = r#"
    workflow(#{ allow: #{ http: ["127.0.0.1"] } });
    fn main(x) { let t = 0; for i in 0..10 { t += step("s" + i, || http::post("http://127.0.0.1/", i).status); } t }"#;

/// Ten such requests; each is recorded as it is.
const BARE: &str = r#"
    workflow(#{ allow: #{ http: ["127.0.0.1"] } });
    fn main(x) { let t = 0; for i in 0..10 { t += http::post("http://127.0.0.1/", i).status; } t }"#;

fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let strict = bench.strict()?;
    let in_steps = with(bench, "the engine, a no-op request in each step", IN_STEPS)?;
    let bare = with(bench, "the engine, no-op requests without steps around", BARE)?;
    let held = |figure: Figure| figure.share_at_least(0.5, strict, "strict").cpu_at_most(15.0);
    Ok(vec![held(in_steps), held(bare)])
}

fn with(bench: &Bench, what: &str, script: &str) -> Result<Figure> {
    let stage =
        Stage::with(bench, script, |options| Options { instead: Some(Arc::new(|_| Some(Ok(done())))), ..options })?;
    let before = stage.commits();
    let (runs, spent) = measured(|| stage.complete(bench.count(10_000, 1_000)))?;
    let figure = spent.steps(format!("{what}, {IN_FLIGHT} runs in flight"), runs * 10);
    Ok(figure.commits(stage.commits() - before, runs))
}

/// A good answer without a body.
fn done() -> Reply {
    let url = "http://127.0.0.1/".to_owned();
    Reply::Http(HttpReply { status: 200, headers: Vec::new(), body: HttpBody::Empty, url })
}
