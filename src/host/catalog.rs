//! The functions as checks, documentation and completion see them, and what literal arguments have to be.

use std::rc::Rc;

use super::function::{Function, Nature};
use crate::script::catalog::{Catalog, Choice, Kind, Literal, Param, Signature};

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
    signature.options_at = function.options_at();
    signature.options = function
        .options
        .iter()
        .map(|option| Choice { name: option.name, kind: option.kind, doc: option.doc })
        .collect();
    signature.returns = function.returns;
    signature.errors = function.errors;
    signature.capability = function.capability;
    for (index, param) in signature.params.iter().enumerate() {
        if let Some(literal) = literal(param.kind) {
            signature.literals.insert(index, literal);
        }
    }
    signature
}

/// What a text of this type has to be.
fn literal(kind: &str) -> Option<Literal> {
    match kind.trim_end_matches('?') {
        "duration" => Some(Literal::Duration),
        "time" => Some(Literal::Time),
        "duration or time" => Some(Literal::DurationOrTime),
        _ => None,
    }
}

/// What is wrong with a literal text given to a host function, as `check` asks: the function (and the path of an option
/// behind a dot), the index of the argument, the text.
pub fn literal_fault(function: &str, index: usize, text: &str) -> Option<String> {
    let catalog = catalog();
    let (name, option) = match function.split_once('.') {
        Some((name, option)) => (name, Some(option)),
        None => (function, None),
    };
    let signature = catalog.find(name).first()?;
    let expected = match option {
        Some(_) if signature.options_at != Some(index) => None,
        Some(path) => literal(signature.option(path)?.kind),
        None => signature.literals.get(&index).copied(),
    };
    let is_time = text.contains(':') && text.len() >= 16;
    match expected? {
        Literal::Duration if is_time && crate::time::parse_time(text).is_ok() => {
            return Some(format!(
                "`{text}` is a time, and a duration is needed here; hint: write how long, such as `\"2h\"` or `\"60d\"`"
            ));
        }
        Literal::DurationOrTime if crate::time::start_of_date(text).is_some() => {
            crate::time::start_of_date(text).and_then(Result::err)
        }
        Literal::DurationOrTime if is_time => crate::time::parse_time(text).err(),
        Literal::Duration | Literal::DurationOrTime => crate::time::parse_duration(text).err(),
        Literal::Time => crate::time::parse_time(text).err(),
        _ => None,
    }
    .map(|error| format!("{error}; hint: {}", error.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One place says what is known: checks, documentation and the call itself go by it.
    #[test]
    fn functions_say_all_of_themselves() {
        for function in crate::host::tables().into_iter().flatten() {
            let name = function.name;
            assert!(!function.doc.is_empty() && !function.example.is_empty() && !function.returns.is_empty(), "{name}");
            assert!(function.params.iter().all(|param| param.contains(": ")), "{name}: a parameter has a type");
            assert!(function.options.is_empty() || function.options_at().is_some(), "{name}: where its options go");
            for option in function.options {
                assert!(![option.name, option.kind, option.doc].contains(&""), "{name}: {}", option.name);
                let above = option.name.rsplit_once('.').map(|(above, _)| above);
                assert!(above.is_none_or(|above| function.options.iter().any(|o| o.name == above)), "{}", option.name);
            }
            let takes_options = function.params.iter().any(|param| param.starts_with("options:"));
            assert!(!takes_options || !function.options.is_empty(), "{name}: lists its options");
        }
    }

    #[test]
    fn literals_are_checked_where_they_mean_time() {
        assert!(literal_fault("sleep", 0, "90").is_some());
        assert!(literal_fault("sleep", 0, "90s").is_none());
        assert!(literal_fault("sleep_until", 0, "2026-12-24T08:00[Europe/Berlin]").is_none());
        assert!(literal_fault("sleep_until", 0, "2026-12-24").is_none());
        assert!(literal_fault("sleep_until", 0, "2026-13-24").is_some());
        assert!(literal_fault("wait_for.timeout", 1, "soon").is_some());
        assert!(literal_fault("wait_for.key", 1, "soon").is_none());
        assert!(literal_fault("step", 0, "anything").is_none());
        assert!(literal_fault("trigger::event.batch.within", 1, "soon").is_some());
        assert!(literal_fault("log::info.timeout", 1, "soon").is_none());
        assert!(literal_fault("http::post.timeout", 1, "soon").is_none(), "a body is no map of options");
    }
}
