//! Arithmetic of decimals with floats: refused, since no result would be exact and nobody asked for another one.

use rhai::Engine;
use rust_decimal::Decimal;

use super::error;
use super::guard::Outcome;

pub(super) fn register(engine: &mut Engine) {
    for name in ["+", "-", "*", "/", "%", "**", "+=", "-=", "*=", "/=", "%=", "**="] {
        engine.register_fn(name, move |_: Decimal, _: f64| refuse(name));
        engine.register_fn(name, move |_: f64, _: Decimal| refuse(name));
    }
}

fn refuse(name: &str) -> Outcome<()> {
    Err(error(format!(
        "`{name}` does not mix a decimal and a float: the result would not be exact; \
         hint: make a decimal of the float, `decimal(x)`, or a float of the decimal, `d.to_float()`"
    )))
}
