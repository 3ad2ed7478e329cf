//! Faults of a declaration: all of them are told at once, so what is at fault is left out, and the rest is looked at.
//!
//! While a declaration is evaluated, a fault of a function that describes is noted, and a stand-in of the right kind takes the
//! place of what it would have returned. With faults the declaration as a whole is refused, so no stand-in is ever used.

use rhai::{Dynamic, EvalAltResult, Map, Position};

use super::{change, is_collecting};
use crate::host::fail::Fail;
use crate::host::function::{Call, Options};
use crate::script::secret::{DECLARED, SecretRef};

/// A fault of a declaration, and where the function that met it was called.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The file of the call.
    pub file: String,
    thrown: Map,
    position: Position,
}

impl Fault {
    /// The error that it is.
    pub fn to_error(&self) -> Box<EvalAltResult> {
        Fail::Thrown(self.thrown.clone()).into_error(self.position)
    }
}

/// What a function returns in spite of a fault: in a declaration, where it describes, the fault is noted.
pub(in crate::host) fn noted(call: &Call<'_>, fail: Fail) -> Result<Dynamic, Fail> {
    match (fail, stand_in(call.function.name)) {
        (Fail::Thrown(thrown), Some(stand_in)) if is_collecting() => {
            note(call, thrown);
            Ok(stand_in)
        }
        (fail, _) => Err(fail),
    }
}

/// A part of what a function was given; in a declaration a fault of it is noted, and the part left out.
pub(in crate::host) fn kept<T>(call: &Call<'_>, part: Result<Option<T>, Fail>) -> Result<Option<T>, Fail> {
    match part {
        Err(Fail::Thrown(thrown)) if is_collecting() => {
            note(call, thrown);
            Ok(None)
        }
        part => part,
    }
}

/// The same of a check that has no value.
pub(super) fn passed(call: &Call<'_>, part: Result<(), Fail>) -> Result<bool, Fail> {
    Ok(kept(call, part.map(Some))?.is_some())
}

/// The options of a declaration: what has no meaning is noted, and left out.
pub(super) fn options(call: &Call<'_>, n: usize) -> Result<Options, Fail> {
    let (options, unknown) = call.sifted(n)?;
    unknown.into_iter().try_for_each(|fail| passed(call, Err(fail)).map(drop))?;
    Ok(options)
}

/// The options below an option of a declaration, in the same way.
pub(super) fn nested(call: &Call<'_>, options: &Options, key: &str) -> Result<Option<Options>, Fail> {
    let Some(map) = kept(call, options.map(key))? else { return Ok(None) };
    let function = format!("{}: {key}", call.function.name);
    let (options, unknown) = Options::sifted(map, function, &call.function.keys(Some(key)));
    unknown.into_iter().try_for_each(|fail| passed(call, Err(fail)).map(drop))?;
    Ok(Some(options))
}

fn note(call: &Call<'_>, thrown: Map) {
    let file = call.context.call_source().unwrap_or_default().to_owned();
    let position = call.context.call_position();
    change(|declaration| declaration.faults.push(Fault { file, thrown, position }));
}

/// A reference to no secret.
fn nobody() -> Dynamic {
    Dynamic::from(SecretRef { name: "none".into(), origin: DECLARED.into() })
}

/// A value of the kind that a describing function returns; none where no value would do.
fn stand_in(function: &str) -> Option<Dynamic> {
    Some(match function {
        "workflow" => Dynamic::UNIT,
        trigger if crate::script::catalog::is_trigger(trigger) => Dynamic::UNIT,
        "list" => Dynamic::from_array(vec!["any".into()]),
        "one_of" => "any".into(),
        "decimal" => Dynamic::from_decimal(rust_decimal::Decimal::ZERO),
        "secret" => nobody(),
        "hmac" | "bearer" | "basic" | "token" => {
            Dynamic::from_map([("scheme".into(), "bearer".into()), ("secret".into(), nobody())].into())
        }
        _ => return None,
    })
}
