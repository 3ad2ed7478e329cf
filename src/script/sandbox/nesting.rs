//! How deeply values may be nested. Dropping, cloning and hashing values recurse in native code that asks nobody, so depth is
//! bounded where it grows: at literals, assignments and captures (which `rewrite` leads here) and in the natives that insert.

use std::cell::Cell;

use rhai::{Dynamic, Engine};

use super::guard::{self, Outcome};
use crate::script::value::MOST_NESTED;

/// What `rewrite` wraps around an expression whose value is about to be put into another: its value, or the run ends.
pub(crate) const NESTED: &str = "nested$";

/// Parts of a captured value that are looked at. A closure is made in constant time whatever it captures, and so it shall stay;
/// chains of closures, which is what grows by accident, are narrow.
const CAPTURED_PARTS: u32 = 256;

pub(super) fn register(engine: &mut Engine) {
    super::register_node(engine, NESTED, |context, inputs, _| {
        let value = context.eval_expression_tree(&inputs[0])?;
        check(&value).map_err(|error| super::located(error, inputs[0].position()))?;
        Ok(value)
    });
}

/// An error if the value is nested too deeply for being put into another.
pub(super) fn check(value: &Dynamic) -> Outcome<()> {
    if is_leaf(value) || fits(value, MOST_NESTED) { Ok(()) } else { Err(too_deep()) }
}

#[expect(clippy::unnecessary_box_returns, reason = "the error type of all natives")]
pub(super) fn too_deep() -> Box<rhai::EvalAltResult> {
    guard::limit(format!("a value is nested deeper than {MOST_NESTED} (nesting limit)"))
}

fn is_leaf(value: &Dynamic) -> bool {
    !(value.is_array() || value.is_map() || value.is_fnptr())
}

/// Whether `value` has at most `room` levels. Recurses that deep at most.
fn fits(value: &Dynamic, room: usize) -> bool {
    if let Ok(items) = value.as_array_ref() {
        return room > 0 && items.iter().all(|item| is_leaf(item) || fits(item, room - 1));
    }
    if let Ok(map) = value.as_map_ref() {
        return room > 0 && map.values().all(|item| is_leaf(item) || fits(item, room - 1));
    }
    capture_fits(value, room, &Cell::new(CAPTURED_PARTS))
}

fn capture_fits(value: &Dynamic, room: usize, parts: &Cell<u32>) -> bool {
    if parts.get() == 0 {
        return true;
    }
    parts.set(parts.get() - 1);
    let Some(room) = room.checked_sub(1) else { return false };
    let fits = |item: &Dynamic| parts.get() == 0 || capture_fits(item, room, parts);
    if let Some(function) = value.read_lock::<rhai::FnPtr>() {
        function.iter_curry().all(fits)
    } else if let Ok(items) = value.as_array_ref() {
        items.iter().take(CAPTURED_PARTS as usize).all(fits)
    } else if let Ok(map) = value.as_map_ref() {
        map.values().take(CAPTURED_PARTS as usize).all(fits)
    } else {
        true
    }
}
