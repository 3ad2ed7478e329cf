//! Expressions whose values tell whether scripts still mean the same.

use std::collections::BTreeMap;

use rhai::Engine;

use crate::host::function::Nature;
use crate::script::value;

/// Of the language, and of what the sandbox puts in its place. The examples of all pure functions come beside them.
const LANGUAGE: &[&str] = &[
    "7 / 2",
    "-7 / 2",
    "-7 % 3",
    "2 ** 10",
    "7.0 / 2",
    "0.1 + 0.2",
    "1e21",
    "1 + 2.5",
    "decimal(\"0.1\") + decimal(\"0.20\")",
    "decimal(\"10\") / decimal(\"3\")",
    "decimal(\"1.10\").to_string()",
    "1 == 1.0",
    "\"a\" < \"b\"",
    "\"10\" < \"9\"",
    "[3, 1, 2].sort()",
    "let l = [3, 1, 2]; l.sort(); l",
    "let l = [\"b\", \"a\", \"B\"]; l.sort(); l",
    "let l = [1, 1, 2]; l.dedup(); l",
    "[1, 2, 3].map(|x| x * 2)",
    "[1, 2, 3].filter(|x| x > 1)",
    "[1, 2, 3].reduce(|a, b| (if a == () { 0 } else { a }) + b)",
    "#{ b: 1, a: 2 }.keys()",
    "#{ b: 1, a: #{ d: [1], c: () } }.to_string()",
    "`${[1, \"a\", 'c', 1.5, true, ()]}`",
    "\"Straße\".to_upper()",
    "\"ÀB\".to_lower()",
    "\"a-b-c\".split(\"-\")",
    "\"naïve\".len()",
    "\"hello\".sub_string(1, 3)",
    "\"hello\"[1]",
    "\"abc\".to_blob()",
    "'a'.to_int()",
    "\"12\".parse_int()",
    "\"1.5\".parse_float()",
    "1.0.to_string()",
    "(1.0 / 3).to_string()",
    "5.7.floor()",
    "5.5.round()",
    "(-5.5).round()",
    "let s = \"\"; for (x, i) in [5, 6] { s += `${i}:${x} `; } s",
    "let s = 0; for i in 0..5 { if i == 3 { continue; } s += i; } s",
    "switch 3 { 1..3 => \"low\", 3 => \"three\", _ => \"other\" }",
    "let x = 1; let f = || x + 1; x = 5; f.call()",
    "try { throw #{ kind: \"k\" } } catch (e) { e.kind }",
    "() == ()",
    "[1, 2] == [1, 2]",
    "#{ a: 1 } == #{ a: 1 }",
    "9223372036854775807 + 1",
    "1 < \"a\"",
    "[1, 2, 3].contains(2)",
    "[1, 2, 3].index_of(3)",
    "1 << 3 | 1",
    "type_of(1.5)",
];

/// What each gives: its value in the journal's encoding, or `error`, whose words may change.
pub(super) fn outcomes(engine: &Engine) -> BTreeMap<String, String> {
    let pure = crate::host::tables().into_iter().flatten().filter(|function| function.nature == Nature::Pure);
    let all = LANGUAGE.iter().copied().chain(pure.map(|function| function.example));
    all.map(|probe| (probe.to_owned(), outcome(engine, probe))).collect()
}

pub(super) fn outcome(engine: &Engine, probe: &str) -> String {
    let value = engine.eval::<rhai::Dynamic>(probe).ok();
    let payload = value.and_then(|value| value::encode(&value).ok());
    payload.map_or_else(|| "error".to_owned(), |payload| payload.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_probes_have_a_value_and_it_is_the_same_each_time() {
        let engine = crate::engine::script_engine();
        let first = outcomes(&engine);
        let failing: Vec<_> = first.iter().filter(|(_, outcome)| *outcome == "error").map(|(probe, _)| probe).collect();
        assert!(failing.len() * 10 < first.len(), "{failing:#?}");
        assert_eq!(first, outcomes(&crate::engine::script_engine()));
    }
}
