//! The script engine as workflows get it: a list of what is allowed, limits that are the same in every build, and own versions of
//! the natives that would swallow errors, grow without bound or recurse without bound.
//!
//! Owns nothing; an [`engine`] is made once a worker. It knows no host function. Scripts must have been through
//! [`super::rewrite`], which sends comparisons, interpolations and nested literals to the natives registered here.
//!
//! - Rhai's own limits on data sizes stay off: with any of them set, every native call walks its whole first argument, so that
//!   `push` takes time in proportion to the array (20,000 pushes: 6.5 ms without, 140 ms with). Memory is bounded by
//!   [`super::guard`]; what one native call may make is checked here before it is made.
//! - `<`, `<=`, `>` and `>=` are ours, so that comparing different kinds is an error. [`super::rewrite`] turns them into nodes
//!   of ours, which leaves the fast operators on for arithmetic. (Rhai's own `<=` on floats is wrong besides: `1.0 <= 2.0` is `false`.)
//! - What would pass a limit ends the run ([`super::guard::limit`]); a `try` does not help.

mod arrays;
pub(super) mod compare;
pub(super) mod frames;
mod mixed;
pub(super) mod nesting;
mod order;
pub mod seen;
pub(super) mod show;
mod text;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicBlobPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, BitFieldPackage, LogicPackage, MoreStringPackage, Package as _,
};
use rhai::{
    Dynamic, Engine, EvalAltResult, EvalContext, Expression, FuncRegistration, OptimizationLevel, Position,
    RhaiNativeFunc, Variant,
};

use super::guard::{self, Outcome};
use super::secret;

/// One string may have this many bytes, where a native can say so beforehand: a large file's text, and no more.
pub const LONGEST_STRING: usize = 32 << 20;

/// One array may have this many values, where a native can say so beforehand: 64 MiB of them.
pub const MOST_ITEMS: usize = 4 << 20;

/// Nested calls of script functions. Rhai's default for release builds; 64 levels take half a megabyte of stack.
const CALL_LEVELS: usize = 64;

/// Nested expressions at the top level, and inside functions.
const EXPRESSION_DEPTHS: (usize, usize) = (64, 32);

/// A new script engine. Host functions and a module resolver are for the caller to add.
pub fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_optimization_level(OptimizationLevel::None);
    set_limits(&mut engine);
    add_packages(&mut engine);
    for register in [
        arrays::register,
        compare::register,
        frames::register,
        mixed::register,
        nesting::register,
        order::register,
        seen::register,
        show::register,
        text::register,
    ] {
        register(&mut engine);
    }
    secret::register(&mut engine);
    refuse_the_clock(&mut engine);
    engine.disable_symbol("eval");
    engine.on_progress(guard::progress);
    engine
}

/// Explicitly, since the defaults of debug and release builds differ.
fn set_limits(engine: &mut Engine) {
    let (top, inside) = EXPRESSION_DEPTHS;
    engine.set_max_call_levels(CALL_LEVELS).set_max_expr_depths(top, inside);
    engine.set_max_functions(1_000).set_max_modules(100).set_max_variables(1_000);
    engine.set_max_operations(0).set_max_string_size(0).set_max_array_size(0).set_max_map_size(0);
}

/// Not here: the language core (a blocking `sleep`, `exit`, `take`), time, function names (they differ between builds), debugging.
fn add_packages(engine: &mut Engine) {
    let modules = [
        ArithmeticPackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BitFieldPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicStringPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
        BasicIteratorPackage::new().as_shared_module(),
        BasicArrayPackage::new().as_shared_module(),
        BasicBlobPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
    ];
    for module in modules {
        engine.register_global_module(module);
    }
}

fn refuse_the_clock(engine: &mut Engine) {
    engine.register_fn("timestamp", || -> Outcome<()> {
        Err(error("`timestamp` is not available: a run must be repeatable; use `now()`"))
    });
}

/// Registers a native that changes its first argument, and therefore refuses a constant.
pub fn register_changing<A, const N: usize, const X: bool, R, const F: bool, FUNC>(
    engine: &mut Engine,
    name: &str,
    function: FUNC,
) where
    A: 'static,
    R: Variant + Clone,
    FUNC: RhaiNativeFunc<A, N, X, R, F> + 'static,
{
    FuncRegistration::new(name).with_purity(false).register_into_engine(engine, function);
}

/// An error if `value` is nested too deeply for being put into another: for host natives that build values out of values.
pub fn check_nesting(value: &Dynamic) -> Outcome<()> {
    nesting::check(value)
}

/// What evaluates a node that `rewrite` made: it gets the node's expressions and its state.
type Node = fn(&mut EvalContext, &[Expression], &Dynamic) -> Outcome<Dynamic>;

/// Nodes go by keys that no script can write.
fn register_node(engine: &mut Engine, key: &str, evaluate: Node) {
    engine.register_custom_syntax_handler(key, false, evaluate).expect("a node that leaves the scope as it is");
}

#[expect(clippy::unnecessary_box_returns, reason = "the error type of all natives")]
fn located(mut error: Box<EvalAltResult>, position: Position) -> Box<EvalAltResult> {
    if error.position().is_none() {
        error.set_position(position);
    }
    error
}

/// A fault of the script's own code, as a map: never taken for something that the script threw.
#[expect(clippy::unnecessary_box_returns, reason = "the error type of all natives")]
pub(super) fn script_error(message: String) -> Box<EvalAltResult> {
    let mut map = rhai::Map::new();
    map.insert("kind".into(), "script".into());
    map.insert("message".into(), message.into());
    map.insert("retryable".into(), false.into());
    EvalAltResult::ErrorRuntime(map.into(), Position::NONE).into()
}

#[expect(clippy::unnecessary_box_returns, reason = "the error type of all natives")]
fn error(message: impl Into<String>) -> Box<EvalAltResult> {
    script_error(message.into())
}

fn check_string(bytes: usize) -> Outcome<()> {
    if bytes > LONGEST_STRING {
        return Err(guard::limit(format!("a string would be longer than {} MiB (string limit)", LONGEST_STRING >> 20)));
    }
    Ok(())
}

fn check_items(items: usize) -> Outcome<()> {
    if items > MOST_ITEMS {
        return Err(guard::limit(format!("an array would have more than {MOST_ITEMS} items (array limit)")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
