//! Which marked places of scripts were evaluated on this thread, where somebody wants to know.

use std::cell::RefCell;
use std::collections::BTreeSet;

use rhai::{Dynamic, Engine, Position};

use crate::script::memory;

/// The node of a mark; its state is the place.
pub(crate) const SEEN: &str = "seen$";

/// File, line and column.
pub type Place = (String, usize, usize);

thread_local! {
    static PLACES: RefCell<BTreeSet<Place>> = const { RefCell::new(BTreeSet::new()) };
}

/// A place as the state of a node.
pub(crate) fn pack(position: Position) -> Dynamic {
    let line = position.line().unwrap_or(0) as i64;
    (line << 16 | position.position().unwrap_or(1) as i64).into()
}

/// What was evaluated since the last call.
pub fn take() -> BTreeSet<Place> {
    PLACES.take()
}

pub(super) fn register(engine: &mut Engine) {
    super::register_node(engine, SEEN, |context, _, state| {
        let packed = state.as_int().unwrap_or(0);
        let file = context.global_runtime_state().source().unwrap_or_default();
        // What is noted outlives the run.
        memory::uncounted(|| {
            PLACES.with_borrow_mut(|places| {
                places.insert((file.to_owned(), (packed >> 16) as usize, (packed & 0xffff) as usize))
            })
        });
        Ok(Dynamic::UNIT)
    });
}
