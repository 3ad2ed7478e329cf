//! Comparisons: `<` and its like refuse different kinds, and `==` walks nested data with a bound.
//!
//! Numbers are one kind. Floats are compared with Rhai's tolerance, so that `<`, `==` and `>` exclude each other.

use std::cmp::Ordering;

use rhai::{Array, Dynamic, Engine, EvalContext, Map, NativeCallContext, Position, Token};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::guard::{self, Outcome};
use super::{error, nesting};
use crate::script::value::MOST_NESTED;

pub(super) fn register(engine: &mut Engine) {
    super::register_node(engine, COMPARED, |context, inputs, state| {
        let a = context.eval_expression_tree(&inputs[0])?.flatten();
        let b = context.eval_expression_tree(&inputs[1])?.flatten();
        let (operator, position) = unpack(state);
        if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
            return Ok(operator.holds(a.cmp(&b)).into());
        }
        compared(context, operator, a, b).map_err(|error| super::located(error, position))
    });
    for (name, equal) in [("==", true), ("!=", false)] {
        register_equality(engine, name, equal);
    }
    engine.register_fn("contains", |context: NativeCallContext, items: &mut Array, wanted: Dynamic| -> Outcome<bool> {
        Ok(position(&context, items, &wanted, 0)?.is_some())
    });
    engine.register_fn("index_of", |context: NativeCallContext, items: &mut Array, wanted: Dynamic| -> Outcome<i64> {
        Ok(position(&context, items, &wanted, 0)?.map_or(-1, |at| at as i64))
    });
    engine.register_fn(
        "index_of",
        |context: NativeCallContext, items: &mut Array, wanted: Dynamic, start: i64| -> Outcome<i64> {
            Ok(position(&context, items, &wanted, start)?.map_or(-1, |at| at as i64))
        },
    );
}

/// What `rewrite` puts in the place of a comparison by order.
pub(crate) const COMPARED: &str = "compared$";

/// An operator that asks for the order of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    const ALL: [Self; 4] = [Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    /// The operator that a token is, if it is one of these.
    pub(crate) fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::LessThan => Self::Less,
            Token::LessThanEqualsTo => Self::LessOrEqual,
            Token::GreaterThan => Self::Greater,
            Token::GreaterThanEqualsTo => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        ["<", "<=", ">", ">="][self as usize]
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// What a comparison's node carries: the operator and where it stands, in one number.
pub(crate) fn pack(operator: Operator, position: Position) -> Dynamic {
    let (line, column) = (position.line().unwrap_or(0) as i64, position.position().unwrap_or(0) as i64);
    Dynamic::from_int(operator as i64 | line << 8 | column << 32)
}

fn unpack(state: &Dynamic) -> (Operator, Position) {
    let packed = state.as_int().unwrap_or(0);
    let (line, column) = ((packed >> 8) as u16, (packed >> 32) as u16);
    let position = if line == 0 { Position::NONE } else { Position::new(line, column) };
    (Operator::ALL[(packed & 3) as usize], position)
}

fn compared(context: &mut EvalContext, operator: Operator, mut a: Dynamic, mut b: Dynamic) -> Outcome<Dynamic> {
    if let Some(order) = order(&a, &b) {
        return Ok(order.is_some_and(|order| operator.holds(order)).into());
    }
    // Types of the host may have an order of their own.
    if (a.is_variant() || b.is_variant())
        && let Ok(result) = context.call_native_fn_raw(operator.name(), true, &mut [&mut a, &mut b])
        && !result.is_unit()
        && a.type_id() == b.type_id()
    {
        return Ok(result);
    }
    Err(mixed(operator.name(), &a, &b))
}

#[expect(clippy::unnecessary_box_returns, reason = "the error type of all natives")]
fn mixed(name: &str, a: &Dynamic, b: &Dynamic) -> Box<rhai::EvalAltResult> {
    let (a, b) = (kind(a), kind(b));
    if a == b {
        return error(format!("`{name}` cannot compare two values of kind {a}: they have no order"));
    }
    error(format!("`{name}` cannot compare {a} with {b}; hint: convert one of them, or check for `()` first"))
}

/// What kind of value this is, in the words of an error message.
fn kind(value: &Dynamic) -> &str {
    match value.type_name() {
        "i64" => "int",
        "f64" => "float",
        "()" => "`()`",
        "Fn" => "function",
        name => name.rsplit("::").next().unwrap_or(name),
    }
}

fn order_floats(a: f64, b: f64) -> Option<Ordering> {
    if floats_equal(a, b) { Some(Ordering::Equal) } else { a.partial_cmp(&b) }
}

/// As Rhai's operator: equal up to a relative difference of the machine's precision.
fn floats_equal(a: f64, b: f64) -> bool {
    let scale = if a * b == 0.0 { 1.0 } else { a.abs().max(b.abs()) };
    a.total_cmp(&b).is_eq() || (a - b).abs() / scale <= f64::EPSILON
}

/// `None`: of different kinds, or without an order. `Some(None)`: one is not a number.
#[expect(clippy::option_option, reason = "no order at all, and no order of these two, are different answers")]
pub(super) fn order(a: &Dynamic, b: &Dynamic) -> Option<Option<Ordering>> {
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Some(Some((*a).cmp(&*b)));
    }
    if let (Ok(a), Ok(b)) = (a.as_char(), b.as_char()) {
        return Some(Some(a.cmp(&b)));
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return Some(Some(a.cmp(&b)));
    }
    order_numbers(a, b)
}

#[expect(clippy::option_option, reason = "as above")]
fn order_numbers(a: &Dynamic, b: &Dynamic) -> Option<Option<Ordering>> {
    let (a, b) = (Number::of(a)?, Number::of(b)?);
    Some(match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Float(_), _) | (_, Number::Float(_)) => order_floats(a.float(), b.float()),
        _ => Some(a.decimal().cmp(&b.decimal())),
    })
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
    Decimal(Decimal),
}

impl Number {
    fn of(value: &Dynamic) -> Option<Self> {
        let int = || value.as_int().map(Self::Int);
        let float = || value.as_float().map(Self::Float);
        int().or_else(|_| float()).or_else(|_| value.as_decimal().map(Self::Decimal)).ok()
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
            Self::Decimal(number) => number.to_f64().unwrap_or(f64::NAN),
        }
    }

    fn decimal(self) -> Decimal {
        match self {
            Self::Int(number) => number.into(),
            Self::Float(number) => Decimal::try_from(number).unwrap_or_default(),
            Self::Decimal(number) => number,
        }
    }
}

fn register_equality(engine: &mut Engine, name: &str, wanted: bool) {
    engine.register_fn(name, move |context: NativeCallContext, a: &mut Array, b: Array| -> Outcome<bool> {
        Ok(arrays_equal(&context, a, &b, MOST_NESTED)? == wanted)
    });
    engine.register_fn(name, move |context: NativeCallContext, a: &mut Map, b: Map| -> Outcome<bool> {
        Ok(maps_equal(&context, a, &b, MOST_NESTED)? == wanted)
    });
    engine.register_fn(name, move |a: f64, b: Decimal| floats_equal(a, Number::Decimal(b).float()) == wanted);
    engine.register_fn(name, move |a: Decimal, b: f64| floats_equal(Number::Decimal(a).float(), b) == wanted);
}

fn arrays_equal(context: &NativeCallContext, a: &Array, b: &Array, room: usize) -> Outcome<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b) {
        if !equal(context, a, b, room)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_equal(context: &NativeCallContext, a: &Map, b: &Map, room: usize) -> Outcome<bool> {
    if a.len() != b.len() || a.keys().ne(b.keys()) {
        return Ok(false);
    }
    for (a, b) in a.values().zip(b.values()) {
        if !equal(context, a, b, room)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two values are the same; `room` is how many levels they may still have.
pub(super) fn equal(context: &NativeCallContext, a: &Dynamic, b: &Dynamic, room: usize) -> Outcome<bool> {
    guard::check()?;
    if let Some(order) = order(a, b) {
        return Ok(order == Some(Ordering::Equal));
    }
    if let (Ok(a), Ok(b)) = (a.as_array_ref(), b.as_array_ref()) {
        let room = room.checked_sub(1).ok_or_else(nesting::too_deep)?;
        return arrays_equal(context, &a, &b, room);
    }
    if let (Ok(a), Ok(b)) = (a.as_map_ref(), b.as_map_ref()) {
        let room = room.checked_sub(1).ok_or_else(nesting::too_deep)?;
        return maps_equal(context, &a, &b, room);
    }
    if let (Ok(a), Ok(b)) = (a.as_blob_ref(), b.as_blob_ref()) {
        return Ok(*a == *b);
    }
    let secret = |value: &Dynamic| value.is::<crate::script::secret::SecretRef>();
    if a.type_id() != b.type_id() && !secret(a) && !secret(b) {
        return Ok(false);
    }
    if a.is_unit() {
        return Ok(true);
    }
    let result = context.call_native_fn_raw("==", true, &mut [&mut a.clone(), &mut b.clone()])?;
    Ok(result.as_bool().unwrap_or(false))
}

fn position(context: &NativeCallContext, items: &Array, wanted: &Dynamic, start: i64) -> Outcome<Option<usize>> {
    let start = if start < 0 { items.len().saturating_sub(start.unsigned_abs() as usize) } else { start as usize };
    for (at, item) in items.iter().enumerate().skip(start) {
        if equal(context, item, wanted, MOST_NESTED)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
