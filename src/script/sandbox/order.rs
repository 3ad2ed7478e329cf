//! Sorting and removing duplicates. Rhai's own versions swallow every error of their callback; these pass it on, may be suspended
//! inside it, are stable, and leave the array as it was when they fail.

use std::cmp::Ordering;

use rhai::{Array, Dynamic, Engine, FnPtr, NativeCallContext};

use super::guard::{self, Outcome};
use super::{compare, error, register_changing};
use crate::script::value::MOST_NESTED;

pub(super) fn register(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        register_changing(engine, name, |context: NativeCallContext, items: &mut Array, by: FnPtr| -> Outcome<()> {
            *items = sorted(items, |a, b| called(&context, &by, a, b))?;
            Ok(())
        });
    }
    for name in ["order", "order_by"] {
        engine.register_fn(name, |context: NativeCallContext, items: &mut Array, by: FnPtr| {
            sorted(items, |a, b| called(&context, &by, a, b))
        });
    }
    register_changing(engine, "sort", |items: &mut Array| -> Outcome<()> {
        sorted(items, natural).map(|sorted| *items = sorted)
    });
    register_changing(engine, "sort_desc", |items: &mut Array| -> Outcome<()> {
        sorted(items, reversed).map(|sorted| *items = sorted)
    });
    engine.register_fn("order", |items: &mut Array| sorted(items, natural));
    engine.register_fn("order_desc", |items: &mut Array| sorted(items, reversed));
    register_dedup(engine);
}

fn register_dedup(engine: &mut Engine) {
    register_changing(engine, "dedup", |context: NativeCallContext, items: &mut Array| -> Outcome<()> {
        dedup(items, |a, b| compare::equal(&context, a, b, MOST_NESTED))
    });
    for name in ["dedup", "dedup_by"] {
        register_changing(engine, name, |context: NativeCallContext, items: &mut Array, same: FnPtr| -> Outcome<()> {
            dedup(items, |a, b| {
                let result = same.call_raw(&context, None, [a.clone(), b.clone()])?;
                result
                    .as_bool()
                    .map_err(|kind| error(format!("the function given to `dedup` must return a bool, not `{kind}`")))
            })
        });
    }
}

/// Whether `a` comes before `b`: the callback says so by a negative number, or by `true`.
fn called(context: &NativeCallContext, by: &FnPtr, a: &Dynamic, b: &Dynamic) -> Outcome<bool> {
    let result = by.call_raw(context, None, [a.clone(), b.clone()])?;
    if let Ok(number) = result.as_float() {
        return Ok(number < 0.0);
    }
    if let Ok(number) = result.as_decimal() {
        return Ok(number.is_sign_negative() && !number.is_zero());
    }
    let before = result.as_int().map(|number| number < 0).or_else(|_| result.as_bool());
    before.map_err(|kind| error(format!("the function given to `sort` must return a number or a bool, not `{kind}`")))
}

fn natural(a: &Dynamic, b: &Dynamic) -> Outcome<bool> {
    guard::check()?;
    if a.is_unit() && b.is_unit() {
        return Ok(false);
    }
    let order = compare::order(a, b).ok_or_else(|| {
        let hint = "hint: give `sort` a function that compares two items";
        error(format!("items of kind `{}` and `{}` have no order; {hint}", a.type_name(), b.type_name()))
    })?;
    // What is not a number goes to the end, so that there is one order for all.
    let nan = |value: &Dynamic| value.as_float().is_ok_and(f64::is_nan);
    Ok(order.map_or_else(|| !nan(a) && nan(b), Ordering::is_lt))
}

fn reversed(a: &Dynamic, b: &Dynamic) -> Outcome<bool> {
    natural(b, a)
}

/// A stable merge sort, bottom up, on positions: the items stay where they are until the order is known.
fn sorted(items: &Array, mut before: impl FnMut(&Dynamic, &Dynamic) -> Outcome<bool>) -> Outcome<Array> {
    let mut from: Vec<usize> = (0..items.len()).collect();
    if let [only] = items.as_slice() {
        return Ok(vec![only.clone()]);
    }
    let mut to = Vec::with_capacity(from.len());
    let mut width = 1;
    while width < from.len() {
        to.clear();
        for run in from.chunks(2 * width) {
            let (left, right) = run.split_at(width.min(run.len()));
            merge(left, right, &mut to, &mut |a, b| before(&items[a], &items[b]))?;
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    Ok(from.into_iter().map(|at| items[at].clone()).collect())
}

fn merge(
    mut left: &[usize],
    mut right: &[usize],
    to: &mut Vec<usize>,
    before: &mut impl FnMut(usize, usize) -> Outcome<bool>,
) -> Outcome<()> {
    while let ([a, rest_left @ ..], [b, rest_right @ ..]) = (left, right) {
        if before(*b, *a)? {
            to.push(*b);
            right = rest_right;
        } else {
            to.push(*a);
            left = rest_left;
        }
    }
    to.extend_from_slice(left);
    to.extend_from_slice(right);
    Ok(())
}

fn dedup(items: &mut Array, mut same: impl FnMut(&Dynamic, &Dynamic) -> Outcome<bool>) -> Outcome<()> {
    let mut kept: Vec<usize> = Vec::with_capacity(items.len());
    for at in 0..items.len() {
        let repeated = match kept.last() {
            Some(&last) => same(&items[last], &items[at])?,
            None => false,
        };
        if !repeated {
            kept.push(at);
        }
    }
    *items = kept.into_iter().map(|at| std::mem::take(&mut items[at])).collect();
    Ok(())
}
