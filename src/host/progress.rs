//! `progress`: how far a run has come, for those who watch.
//!
//! Only the newest one matters, so it is no entry of the journal: it is one durable value a run, written at most once a turn
//! with whatever the run writes then. While recorded outcomes are replayed nothing is written again.

use rhai::Dynamic;
use serde_json::json;

use super::fail::Fail;
use super::function::{Call, Function, Nature, type_of};
use super::session::Mode;
use crate::payload::Payload;
use crate::script::secret;

/// The functions of this topic.
pub(super) static FUNCTIONS: &[Function] = &[Function {
    name: "progress",
    params: &["value: number", "text: string?"],
    returns: "()",
    nature: Nature::Internal,
    doc: "Shows how far the run has come: a number from 0 to 1, and what it is at. Only the newest is kept.",
    example: "progress(0.4, \"uploading\")",
    call: progress,
    ..Function::BASE
}];

/// Characters of the text: it is shown on one line.
const LONGEST: usize = 200;

fn progress(call: &mut Call<'_>) -> Result<Dynamic, Fail> {
    let value = number(call)?;
    let text = if call.arg(1).is_some() { call.text(1)? } else { String::new() };
    let (session, strand) = call.session()?;
    super::no_pure(call, &strand)?;
    if strand.mode.get() == Mode::Recorded && session.replay.borrow().is_live() {
        let shown: String = secret::mask(&text).chars().take(LONGEST).collect();
        *session.progress.borrow_mut() = Some(Payload::from_json(&json!({ "value": value, "text": shown })));
    }
    Ok(Dynamic::UNIT)
}

/// From 0 to 1, a decimal too.
fn number(call: &Call<'_>) -> Result<f64, Fail> {
    let given = &call.args[0];
    let number = match (given.as_float(), given.as_int(), given.as_decimal()) {
        (Ok(float), ..) => Some(float),
        (_, Ok(int), _) => Some(int as f64),
        (.., Ok(decimal)) => decimal.to_string().parse().ok(),
        _ => return Err(call.invalid(format!("`value` must be a number from 0 to 1, not {}", type_of(given)))),
    };
    number.filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| {
        call.invalid(format!("`value` must be a number from 0 to 1, not {given}; hint: 40 percent are `0.4`"))
    })
}
