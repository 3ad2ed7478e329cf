//! The functions as checks, documentation and completion see them, and what literal arguments have to be.

use std::rc::Rc;

use super::function::{Function, Nature};
use crate::script::catalog::{Catalog, Kind, Literal, Param, Signature};

/// All host functions.
pub fn catalog() -> Rc<Catalog> {
    thread_local! {
        static CATALOG: Rc<Catalog> = Rc::new(Catalog::new(super::tables().into_iter().flatten().map(signature)));
    }
    CATALOG.with(Rc::clone)
}

fn signature(function: &'static Function) -> Signature {
    let (least, most) = function.arity();
    let kind = match function.nature {
        Nature::Pure => Kind::Pure,
        Nature::Reading => Kind::Reading,
        Nature::Mutating => Kind::Mutating,
        Nature::Internal => Kind::Internal,
        Nature::Control => Kind::Control,
        Nature::Declarative => Kind::Declarative,
    };
    let mut signature = Signature::new(function.name, least, most, kind).doc(function.doc);
    function.example.clone_into(&mut signature.example);
    signature.params = function
        .params
        .iter()
        .map(|param| param.split_once(':').unwrap_or((param, "any")))
        .map(|(name, kind)| Param { name, kind: kind.trim() })
        .collect();
    signature.options = function.options.iter().map(|option| Param { name: option.name, kind: option.kind }).collect();
    signature.capability = function.capability;
    for (index, param) in signature.params.iter().enumerate() {
        let literal = match param.name {
            "duration" | "interval" => Literal::Duration,
            "time" => Literal::Time,
            _ => continue,
        };
        signature.literals.insert(index, literal);
    }
    signature
}

/// Options whose texts are durations.
const DURATIONS: &[&str] =
    &["every", "delay", "max_delay", "within", "settle", "jitter", "expires", "since", "after", "remind"];
/// Options whose texts are durations or times.
const TIMES: &[&str] = &["timeout", "at", "due", "deadline", "keep"];

/// What is wrong with a literal text given to a host function, as `check` asks: the function (and the key of an option
/// behind a dot), the index of the argument, the text.
pub fn literal_fault(function: &str, index: usize, text: &str) -> Option<String> {
    let (name, option) = match function.rsplit_once('.') {
        Some((name, option)) => (name, Some(option)),
        None => (function, None),
    };
    let is_time = text.contains(':') && text.len() >= 16;
    let told = |error: crate::time::Error| format!("{error}; hint: {}", error.hint());
    let duration = || crate::time::parse_duration(text).err().map(told);
    let either = || if is_time { crate::time::parse_time(text).err().map(told) } else { duration() };
    match option {
        Some(option) if DURATIONS.contains(&option) && !name.starts_with("log::") => either(),
        Some(option) if TIMES.contains(&option) && !name.starts_with("log::") => either(),
        Some(_) => None,
        None => match catalog().find(name).first()?.literals.get(&index)? {
            Literal::Duration | Literal::DurationOrTime | Literal::Time => either(),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_checked_where_they_mean_time() {
        assert!(literal_fault("sleep", 0, "90").is_some());
        assert!(literal_fault("sleep", 0, "90s").is_none());
        assert!(literal_fault("sleep_until", 0, "2026-12-24T08:00[Europe/Berlin]").is_none());
        assert!(literal_fault("wait_for.timeout", 1, "soon").is_some());
        assert!(literal_fault("wait_for.key", 1, "soon").is_none());
        assert!(literal_fault("step", 0, "anything").is_none());
    }
}
