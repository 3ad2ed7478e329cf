//! The body of a function as a node, which notes the way of an error that no `try` may catch.

use rhai::{Dynamic, Engine, ImmutableString};

use crate::script::{guard, unwind};

/// The node evaluates its one input; its state is the function's name.
pub(crate) const FRAME: &str = "frame$";

/// What the interpreter counts for the node: the statement and the expression. The script did none of it, and what a
/// journal tells by the number of operations must not depend on it.
const OPERATIONS: u32 = 2;

pub(super) fn register(engine: &mut Engine) {
    super::register_node(engine, FRAME, |context, inputs, name| {
        guard::forgive(OPERATIONS);
        match context.eval_expression_tree(&inputs[0]) {
            Err(error) if error.is_system_exception() => {
                let file = context.global_runtime_state().source().unwrap_or_default();
                Err(unwind::leave(error, name_of(name), file))
            }
            result => result,
        }
    });
}

fn name_of(state: &Dynamic) -> ImmutableString {
    state.read_lock::<ImmutableString>().map(|name| name.clone()).unwrap_or_default()
}
