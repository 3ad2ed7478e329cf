use serde_json::json;

use super::*;

fn schema(text: &str) -> Result<Schema, String> {
    let engine = crate::host::declare::testing::engine();
    let value: Dynamic = engine.eval(text).map_err(|error| error.to_string())?;
    Schema::from_dynamic(&value)
}

fn faults(text: &str, value: &Value) -> Vec<String> {
    let faults = schema(text).expect(text).validate(value).err().unwrap_or_default();
    faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
}

#[test]
fn values_that_fit_each_type() {
    let table = [
        ("string", json!(["", "x"])),
        ("int", json!([0, -3, 4.0])),
        ("number", json!([0, 1.5, -2e3])),
        ("decimal", json!(["12.50", "-3", 4, 12.5, 1e3])),
        ("bool", json!([true, false])),
        ("date", json!(["2024-02-29"])),
        ("datetime", json!(["2026-12-24T08:00:00Z", "2026-12-24T08:00[Europe/Berlin]"])),
        ("email", json!(["ann@example.com", "a.b+c@x.example.co", "root@localhost"])),
        ("url", json!(["https://example.com/a?b=c", "nats://host/x"])),
        ("file", json!(["inbox/a.csv", {"path": "inbox/a.csv", "size": 3}])),
        ("any", json!([1, "x", null, {"a": [1]}])),
    ];
    for (name, values) in table {
        assert_eq!(faults(&format!("[\"{name}\"]"), &values), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn values_that_fit_no_type() {
    let table = [
        ("string", json!([1, null, ["x"], {}])),
        ("int", json!(["3", 1.5, 1e300, 18_446_744_073_709_551_615_u64, true])),
        ("number", json!(["1.5", true, null])),
        ("decimal", json!(["1,50", "1e3", "1_000", "+1", ".5", "", "12345678901234567890123456789012", true])),
        ("bool", json!(["true", 1])),
        ("date", json!(["2026-02-29", "24.12.2026", "2026-12-24T08:00:00Z", 20_261_224])),
        ("datetime", json!(["2026-12-24", "tomorrow"])),
        ("email", json!(["ann", "@example.com", "ann@", "a b@example.com", "a@b..c", "a@-b.c"])),
        ("url", json!(["example.com", "https://", "://x", "https://a b"])),
        ("file", json!(["", {"name": "x"}, 3])),
    ];
    for (name, values) in table {
        let count = values.as_array().map_or(0, Vec::len);
        assert_eq!(faults(&format!("[\"{name}\"]"), &values).len(), count, "{name}");
    }
}

#[test]
fn every_fault_is_listed_with_its_path() {
    let text =
        r#"#{ email: "email", order: #{ lines: [#{ qty: "int", "the sku": "string" }] }, size: one_of("s", "m") }"#;
    let value = json!({"order": {"lines": [{"qty": 1, "the sku": "A"}, {"qty": "two"}]}, "size": "xl", "more": 1});
    assert_eq!(
        faults(text, &value),
        [
            "email: is missing",
            "order.lines[1][\"the sku\"]: is missing",
            "order.lines[1].qty: must be an integer, not \"two\"",
            "size: must be one of \"s\", \"m\", not \"xl\"",
        ]
    );
    assert_eq!(faults(text, &json!([1])), [": must be a map, not a list"]);
}

#[test]
fn a_flood_of_faults_is_bounded() {
    let list = Value::Array(vec![json!("x"); 5_000]);
    let found = faults("[\"int\"]", &list);
    assert_eq!(found.len(), 1_001);
    assert!(found[1_000].contains("has more than 1000 faults"));
}

#[test]
fn optional_parts_may_be_absent_or_null_and_unknown_ones_stay() {
    let schema = schema(r#"#{ a: "string", b: "int?", "c?": ["int"] }"#).expect("a schema");
    let fitted = schema.validate(&json!({"a": "x", "b": null, "c": null, "d": {"e": 1}}));
    assert_eq!(fitted, Ok(json!({"a": "x", "d": {"e": 1}})));
    assert!(schema.validate(&json!({"a": null})).is_err());
}

#[test]
fn decimals_and_odd_keys_arrive_typed() {
    let schema = schema(r#"#{ total: "decimal", qty: "int" }"#).expect("a schema");
    let value = json!({"total": 12.5, "qty": 3.0, "$blob": "no tag"});
    let payload = schema.accept(&value).expect("fits");
    assert_eq!(payload.text(), r#"{"$$blob":"no tag","qty":3,"total":{"$decimal":"12.5"}}"#);
    assert_eq!(schema.validate(&value), Ok(json!({"total": "12.5", "qty": 3, "$blob": "no tag"})));
}

#[test]
fn mistakes_in_the_shorthand_are_explained() {
    let table = [
        ("\"strng\"", "`strng` is no type; hint: did you mean `string`?"),
        ("#{ a: [#{ b: \"float\" }] }", "`a[].b`: `float` is no type; hint: did you mean `number`?"),
        ("#{ a: 3 }", "`a`: a type is a text such as \"string\""),
        ("[\"a\", \"b\"]", "hint: write [\"string\"] for a list of texts, one_of"),
        ("#{ a: \"object\" }", "write a map of its parts"),
        ("#{ schema: #{ typ: \"string\" } }", "keyword `typ` is not supported; hint: did you mean `type`?"),
        ("#{ schema: #{ properties: #{ a: #{ pattern: \"x\" } } } }", "`a`: the JSON Schema keyword `pattern`"),
        ("#{ schema: #{ type: \"integr\" } }", "hint: did you mean `integer`?"),
        ("#{ schema: #{ minimum: \"1\" } }", "`minimum` must be a number"),
    ];
    for (text, wanted) in table {
        let error = schema(text).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

const FULL: &str = r#"#{ schema: #{
    type: "object", required: ["qty", "sku"], additionalProperties: false,
    properties: #{
        qty: #{ type: "integer", minimum: 1, maximum: 9 }, sku: #{ type: ["string", "null"], minLength: 2, maxLength: 3 },
        tags: #{ type: "array", maxItems: 1, items: #{ "enum": ["a", 1] } }, mail: #{ type: "string", format: "email" },
    },
} }"#;

#[test]
fn json_schema_is_understood_where_it_is_common() {
    let wrong = json!({"qty": 10, "sku": "x", "tags": ["b", 1.0], "mail": "x", "qyt": 1});
    assert_eq!(
        faults(FULL, &wrong),
        [
            "qty: must be at most 9, not 10",
            "sku: must have at least 2 characters, not 1",
            "tags: must have at most 1 items, not 2",
            "tags[0]: must be one of \"a\", 1, not \"b\"",
            "mail: must be an email address, not \"x\"",
            "qyt: is not expected; did you mean `qty`?",
        ]
    );
    assert_eq!(faults(FULL, &json!({"qty": 1, "sku": null, "tags": ["a"]})), Vec::<String>::new());
}

#[test]
fn the_json_schema_of_the_shorthand_reads_back_as_the_same() {
    let text = r#"#{ a: "string", "b?": "decimal", c: ["date"], d: one_of(1, "x"), e: #{ f: "file?", g: "any" }, h: "email" }"#;
    let shown = schema(text).expect("a schema").to_json_schema();
    let again = Schema::from_json_schema(&shown).expect("reads");
    assert_eq!(again.to_json_schema(), shown);
    assert_eq!(shown["required"], json!(["a", "c", "d", "e", "h"]));
    assert_eq!(shown["properties"]["c"]["items"], json!({"type": "string", "format": "date"}));
    assert!(again.validate(&json!({"a": "", "b": 1.5, "c": [], "d": 1, "e": {"g": 0}, "h": "a@b"})).is_ok());
}

#[test]
fn keys_are_known_where_they_are_described() {
    let schema = schema(r#"#{ id: "string", lines: [#{ qty: "int" }], more: "any" }"#).expect("a schema");
    assert_eq!(schema.keys(), Some(vec!["id", "lines", "more"]));
    assert_eq!(schema.keys_at(&["lines"]), Some(vec!["qty"]));
    assert_eq!(schema.keys_at(&["more"]), None);
}

fn run(script: &str) -> Result<Dynamic, String> {
    crate::host::declare::testing::run(script)
}

#[test]
fn validate_returns_typed_values_or_throws_every_path() {
    let value = run("validate(#{ total: \"12.50\" }, #{ total: \"decimal\" }).total + 1").expect("a decimal");
    assert_eq!(value.to_string(), "13.50");
    let script = "try { validate(#{ a: 1 }, #{ a: \"string\", b: \"int\" }) } \
                  catch (e) { return [e.kind, e.path, e.faults.map(|f| f.path), e.message] }";
    let shown = run(script).expect("caught").to_string();
    assert!(shown.starts_with(r#"["invalid", "b", ["b", "a"], "#), "{shown}");
    assert!(shown.contains("`b` is missing; `a` must be a text, not 1"), "{shown}");
}

#[test]
fn rows_of_texts_are_read_on_demand() {
    let row = "#{ qty: \"3\", price: \"1.50\", ok: \"TRUE\", note: \"\" }";
    let types = "#{ qty: \"int\", price: \"decimal\", ok: \"bool\", note: \"date?\" }";
    let read = run(&format!("validate({row}, {types}, #{{ from_text: true }})")).expect("fits").to_string();
    assert_eq!(read, "#{\"ok\": true, \"price\": 1.50, \"qty\": 3}");
    assert!(run(&format!("validate({row}, {types})")).is_err());
    assert!(run("validate(#{ a: \"x3\" }, #{ a: \"int\" }, #{ from_text: true })").is_err());
}
