use proptest::prelude::*;
use rhai::{FnPtr, Map};
use rust_decimal::Decimal;

use super::*;
use crate::script::secret::SecretRef;

fn map(entries: &[(&str, Dynamic)]) -> Dynamic {
    Dynamic::from_map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect::<Map>())
}

fn nested(depth: usize) -> Dynamic {
    (0..depth).fold(Dynamic::from_int(1), |inner, _| Dynamic::from_array(vec![inner]))
}

/// A text that tells every value and type apart: what two values must share to be the same to a script.
fn identity(value: &Dynamic) -> String {
    if let Ok(float) = value.as_float() {
        return format!("float {:x}", float.to_bits());
    }
    if let Ok(items) = value.as_array_ref() {
        return format!("[{}]", items.iter().map(identity).collect::<Vec<_>>().join(","));
    }
    if let Ok(map) = value.as_map_ref() {
        return map.iter().map(|(key, value)| format!("{key:?}={}", identity(value))).collect::<Vec<_>>().join(";");
    }
    if let Ok(decimal) = value.as_decimal() {
        return format!("decimal {decimal} {}", decimal.scale());
    }
    format!("{} {value:?}", value.type_name())
}

fn any_value() -> impl Strategy<Value = Dynamic> {
    let leaf = prop_oneof![
        Just(Dynamic::UNIT),
        any::<bool>().prop_map(Dynamic::from_bool),
        any::<i64>().prop_map(Dynamic::from_int),
        any::<f64>().prop_map(|f| Dynamic::from_float(if f.is_nan() { f64::NAN } else { f })),
        any::<char>().prop_map(Dynamic::from_char),
        any::<String>().prop_map(Dynamic::from),
        any::<Vec<u8>>().prop_map(Dynamic::from_blob),
        (any::<i64>(), 0_u32..18).prop_map(|(n, scale)| Dynamic::from_decimal(Decimal::new(n, scale))),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let key = prop_oneof![any::<String>(), "\\${1,3}[a-z]*"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Dynamic::from_array),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|m| Dynamic::from_map(m.into_iter().map(|(k, v)| (k.into(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(value in any_value()) {
        let text = encode(&value).expect("data");
        let back = decode(&text);
        prop_assert_eq!(identity(&back), identity(&value));
        prop_assert_eq!(encode(&back).expect("data"), text);
    }

    #[test]
    fn our_json_is_what_others_read(value in any_value()) {
        let typed = encode(&value).expect("data");
        prop_assert!(serde_json::from_str::<serde_json::Value>(typed.text()).is_ok());
        for pretty in [false, true] {
            if let Ok(text) = to_json_text(&value, pretty) {
                let theirs: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                prop_assert_eq!(theirs, typed.to_json());
            }
        }
    }

    #[test]
    fn nothing_from_outside_panics(text in any::<String>(), json in "[\\[\\]{}:,\"a1.e\\\\u-]{0,40}") {
        let _ = (from_json_text(&text), from_json_text(&json), try_decode(&Payload::from_text(json)));
    }
}

#[test]
fn texts_are_as_documented() {
    let cases = [
        (Dynamic::from_float(1.0), "1.0"),
        (Dynamic::from_float(1e300), "1e300"),
        (Dynamic::from_float(-0.0), "-0.0"),
        (Dynamic::from_float(f64::NAN), r#"{"$float":"NaN"}"#),
        (Dynamic::from_float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
        (Dynamic::from_char('"'), r#"{"$char":"\""}"#),
        (Dynamic::from_blob(vec![0, 255]), r#"{"$blob":"AP8="}"#),
        (Dynamic::from_decimal(Decimal::new(1020, 2)), r#"{"$decimal":"10.20"}"#),
        (map(&[("b", 1_i64.into()), ("$a", Dynamic::UNIT)]), r#"{"$$a":null,"b":1}"#),
        (Dynamic::from(SecretRef { name: "n".into(), origin: "x".into() }), r#"{"$secret":["n","x"]}"#),
    ];
    for (value, text) in cases {
        assert_eq!(encode(&value).expect(text).text(), text);
        assert_eq!(encode(&decode(&Payload::from_text(text))).expect(text).text(), text);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a timestamp that must be refused")]
fn what_is_not_data_is_refused_with_its_path() {
    let function = Dynamic::from(FnPtr::new("f").expect("a name"));
    let inner = map(&[("cb", function)]);
    let value = map(&[("items", Dynamic::from_array(vec![1_i64.into(), inner]))]);
    let error = encode(&value).expect_err("a function");
    assert_eq!(error.within("result"), "`result.items[1].cb` is a function");
    assert_eq!(encode(&Dynamic::from(0_i64..3)).expect_err("a range").to_string(), "`value` is a range");
    assert_eq!(encode(&Dynamic::from(rhai::Instant::now())).expect_err("a time").what, "is a timestamp");
    assert!(encode(&map(&[("a b", Dynamic::from(1_u8))])).expect_err("a byte").path == "[\"a b\"]");
}

#[test]
fn shared_values_are_read_through() {
    let value = map(&[("n", Dynamic::from_int(1).into_shared())]).into_shared();
    assert_eq!(encode(&value).expect("data").text(), r#"{"n":1}"#);
}

#[test]
fn nesting_is_bounded_both_ways() {
    let deepest = encode(&nested(MOST_NESTED)).expect("deep");
    assert_eq!(encode(&decode(&deepest)).expect("deep"), deepest);
    assert_eq!(encode(&nested(MOST_NESTED + 1)).expect_err("deeper").what, "is nested deeper than 128");
    let text = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(from_json_text(&text(MOST_NESTED)).is_ok());
    assert!(from_json_text(&text(100_000)).is_err());
}

#[test]
fn a_text_without_end_is_refused() {
    let page: Dynamic = "x".repeat(1 << 20).into();
    let error = encode(&Dynamic::from_array(vec![page; 1_000])).expect_err("a gigabyte");
    assert_eq!(error.what, "makes a text of more than 64 MiB");
}

#[test]
fn json_from_outside_means_what_it_says() {
    let value =
        from_json_text(r#"{"$char":"x","n":18446744073709551615,"i":-1,"f":1e2,"s":"\ud83d\ude00\/"}"#).expect("JSON");
    assert_eq!(
        encode(&value).expect("data").text(),
        r#"{"$$char":"x","f":100.0,"i":-1,"n":1.8446744073709552e19,"s":"😀/"}"#
    );
}

#[test]
fn bad_json_is_located() {
    let cases = [
        ("[1,\n  2,,3]", (2, 5)),
        ("{\"a\" 1}", (1, 6)),
        ("", (1, 1)),
        ("\"é\u{1}\"", (1, 3)),
        ("01", (1, 1)),
        ("[1] x", (1, 5)),
        ("\"\\ud800\"", (1, 8)),
        ("1e999", (1, 1)),
        ("\"\\", (1, 2)),
    ];
    for (text, at) in cases {
        let error = from_json_text(text).expect_err(text);
        assert_eq!((error.line, error.column), at, "{text}: {error}");
    }
}
