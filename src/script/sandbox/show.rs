//! Values as text for people: `to_string`, `to_debug`, `print`, `debug`, interpolation and `+` with strings, with a bound on
//! depth and length. Functions are shown without the name that Rhai makes up for closures, which differs between builds.

use std::fmt::Write as _;

use rhai::{Array, Dynamic, Engine, EvalContext, FloatWrapper, FnPtr, ImmutableString, Map, NativeCallContext};

use super::guard::{self, Outcome};
use super::{check_string, nesting, register_changing};
use crate::script::rewrite::own;
use crate::script::value::MOST_NESTED;

/// What `rewrite` wraps around the values of an interpolated string. Rhai itself would swallow an error there.
pub(crate) const TEXT: &str = "text$";

pub(super) fn register(engine: &mut Engine) {
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |context: NativeCallContext, items: &mut Array| {
            shown(&context, |show| show.array(items, MOST_NESTED))
        });
        engine.register_fn(name, |context: NativeCallContext, map: &mut Map| {
            shown(&context, |show| show.map(map, MOST_NESTED))
        });
        engine.register_fn(name, |function: &mut FnPtr| function_text(function));
    }
    super::register_node(engine, TEXT, |context, inputs, _| {
        let value = context.eval_expression_tree(&inputs[0])?.flatten();
        text(context, value).map_err(|error| super::located(error, inputs[0].position()))
    });
    register_joins(engine);
    register_numbers(engine);
}

/// `+` between texts and integers, without the way over `to_string`, which is as long as many a step. What that would count as
/// an operation is counted here: interruptions are found again by such counts.
fn register_numbers(engine: &mut Engine) {
    engine.register_fn("+", |text: &mut ImmutableString, number: i64| joined(text, number));
    engine.register_fn("+", |number: &mut i64, text: ImmutableString| -> Outcome<ImmutableString> {
        guard::check()?;
        let mut out = rhai::Identifier::new();
        let _ = write!(out, "{number}{text}");
        Ok(out.into())
    });
    for name in ["+=", "append"] {
        register_changing(engine, name, |text: &mut ImmutableString, number: i64| -> Outcome<()> {
            *text = joined(text, number)?;
            Ok(())
        });
    }
}

fn joined(text: &ImmutableString, number: i64) -> Outcome<ImmutableString> {
    guard::check()?;
    let mut out = AsRef::<rhai::Identifier>::as_ref(text).clone();
    // Texts take what is written to them.
    let _ = write!(out, "{number}");
    Ok(out.into())
}

/// `+` between texts and nested data: Rhai's versions would swallow the error.
fn register_joins(engine: &mut Engine) {
    engine.register_fn("+", |context: NativeCallContext, text: &mut ImmutableString, items: Array| {
        shown(&context, |show| show.push(text).and_then(|()| show.array(&items, MOST_NESTED)))
    });
    engine.register_fn("+", |context: NativeCallContext, text: &mut ImmutableString, map: Map| {
        shown(&context, |show| show.push(text).and_then(|()| show.map(&map, MOST_NESTED)))
    });
    engine.register_fn("+", |context: NativeCallContext, map: &mut Map, text: ImmutableString| {
        shown(&context, |show| show.map(map, MOST_NESTED).and_then(|()| show.push(&text)))
    });
    for name in ["+=", "append"] {
        register_changing(
            engine,
            name,
            |context: NativeCallContext, text: &mut ImmutableString, items: Array| -> Outcome<()> {
                *text = shown(&context, |show| show.push(text).and_then(|()| show.array(&items, MOST_NESTED)))?;
                Ok(())
            },
        );
        register_changing(
            engine,
            name,
            |context: NativeCallContext, text: &mut ImmutableString, map: Map| -> Outcome<()> {
                *text = shown(&context, |show| show.push(text).and_then(|()| show.map(&map, MOST_NESTED)))?;
                Ok(())
            },
        );
    }
}

fn function_text(function: &FnPtr) -> ImmutableString {
    if function.is_anonymous() {
        "Fn(closure)".into()
    } else {
        format!("Fn({})", own::shown(function.fn_name())).into()
    }
}

fn text(context: &mut EvalContext, mut value: Dynamic) -> Outcome<Dynamic> {
    if value.is_string() {
        return Ok(value);
    }
    if let Ok(number) = value.as_int() {
        return Ok(number.to_string().into());
    }
    context.call_native_fn_raw("to_string", true, &mut [&mut value])
}

fn shown(context: &NativeCallContext, write: impl FnOnce(&mut Show) -> Outcome<()>) -> Outcome<ImmutableString> {
    let mut show = Show { out: String::new(), context };
    write(&mut show)?;
    Ok(show.out.into())
}

struct Show<'a, 'c> {
    out: String,
    context: &'a NativeCallContext<'c>,
}

impl Show<'_, '_> {
    fn push(&mut self, text: &str) -> Outcome<()> {
        check_string(self.out.len() + text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn array(&mut self, items: &Array, room: usize) -> Outcome<()> {
        let room = room.checked_sub(1).ok_or_else(nesting::too_deep)?;
        self.push("[")?;
        for (i, item) in items.iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " })?;
            self.value(item, room)?;
        }
        self.push("]")
    }

    fn map(&mut self, map: &Map, room: usize) -> Outcome<()> {
        let room = room.checked_sub(1).ok_or_else(nesting::too_deep)?;
        self.push("#{")?;
        for (i, (key, value)) in map.iter().enumerate() {
            self.push(if i == 0 { "" } else { ", " })?;
            self.push(&format!("{key:?}: "))?;
            self.value(value, room)?;
        }
        self.push("}")
    }

    fn value(&mut self, value: &Dynamic, room: usize) -> Outcome<()> {
        guard::check()?;
        if let Ok(items) = value.as_array_ref() {
            self.array(&items, room)
        } else if let Ok(map) = value.as_map_ref() {
            self.map(&map, room)
        } else if let Ok(text) = value.as_immutable_string_ref() {
            check_string(self.out.len() + text.len())?;
            let _ = write!(self.out, "{:?}", text.as_str());
            Ok(())
        } else if let Ok(number) = value.as_int() {
            self.push(&number.to_string())
        } else if let Ok(number) = value.as_float() {
            self.push(&format!("{:?}", FloatWrapper::new(number)))
        } else if value.is_unit() {
            self.push("()")
        } else if let Some(function) = value.read_lock::<FnPtr>() {
            self.push(&function_text(&function))
        } else {
            self.other(value)
        }
    }

    fn other(&mut self, value: &Dynamic) -> Outcome<()> {
        let shown = self.context.call_native_fn_raw("to_debug", true, &mut [&mut value.flatten_clone()])?;
        let shown = shown.into_immutable_string().unwrap_or_default();
        self.push(&shown)
    }
}
