use crate::host::declare::testing::{engine, run};

/// What a script makes of `text`, as JSON.
fn with_text(text: &str, script: &str) -> String {
    let mut scope = rhai::Scope::new();
    scope.push("text", text.to_owned());
    match engine().eval_with_scope::<rhai::Dynamic>(&mut scope, script) {
        Ok(value) => crate::script::value::to_json_text(&value, false).expect("data"),
        Err(error) => crate::host::fail::error_map(&error)["message"].to_string(),
    }
}

fn parsed(text: &str) -> String {
    with_text(text, "csv::parse(text)")
}

#[test]
fn rows_become_maps_of_texts() {
    assert_eq!(parsed("a,b\n1,x\n2,\n"), r#"[{"a":"1","b":"x"},{"a":"2","b":""}]"#);
    assert_eq!(parsed("\u{feff}a,b\r\n1,x\r\n\r\n2,y"), r#"[{"a":"1","b":"x"},{"a":"2","b":"y"}]"#);
    assert_eq!(parsed("a\n\"x, \"\"y\"\"\nz\"\n\"\"\n"), r#"[{"a":"x, \"y\"\nz"},{"a":""}]"#);
    assert_eq!(parsed("a\n\"\"\"\"\n\"\"\"x\"\n"), r#"[{"a":"\""},{"a":"\"x"}]"#);
    assert_eq!((parsed(""), parsed("a,b\n")), ("[]".to_owned(), "[]".to_owned()));
}

#[test]
fn options_of_reading() {
    assert_eq!(with_text("1;x\n2", "csv::parse(text, #{ separator: \";\", header: false })"), r#"[["1","x"],["2"]]"#);
    assert_eq!(
        with_text("1\tx\n", "csv::parse(text, #{ separator: \"tab\", header: [\"n\", \"t\"] })"),
        r#"[{"n":"1","t":"x"}]"#
    );
    let german = "p;q;r;s;t\n1.234,50;-3,5;12.3;1,2,3;1.234\n";
    let script = "csv::parse(text, #{ separator: \";\", decimal: \",\" })";
    assert_eq!(with_text(german, script), r#"[{"p":"1234.50","q":"-3.5","r":"12.3","s":"1,2,3","t":"1234"}]"#);
}

#[test]
fn broken_tables_name_the_line() {
    let table = [
        ("a,b\n1,2\n\n1\n", "line 4: has 1 fields, and there are 2 columns"),
        ("a,b\n\"x\ny\",2\n1,2,3\n", "line 4: has 3 fields"),
        ("a\nx\n\"never\nends", "line 3: a quoted field that begins here has no end"),
        ("a\nx\"y\"\n", "line 2: a quote in a field that does not begin with one"),
        ("a\n\"x\"y\n", "line 2: something follows the quote"),
        ("a,b,a\n", "line 1: the column `a` is there twice"),
    ];
    for (text, wanted) in table {
        assert!(parsed(text).contains(wanted), "{text:?}: {}", parsed(text));
    }
    assert_eq!(
        with_text("a\n\"", "try { csv::parse(text) } catch (e) { return [e.kind, e.path]; }"),
        r#"["invalid","line 2"]"#
    );
}

#[test]
fn wrong_options_are_explained() {
    let table = [
        ("csv::parse(\"\", #{ seperator: \";\" })", "did you mean `separator`?"),
        ("csv::parse(\"\", #{ separator: \"::\" })", "is one character"),
        ("csv::parse(\"\", #{ decimal: \";\" })", "is \".\" or \",\""),
        ("csv::parse(\"\", #{ header: [1] })", "a list of names"),
        ("csv::encode(3)", "must be a list of maps or lists"),
        ("csv::encode([3])", "row 0 must be a map or a list"),
        ("csv::encode([#{ a: [1] }])", "row 0, column `a`: a list cannot be a field"),
        ("csv::encode([#{ a: 1 }], #{ header: [\"b\"] })", "row 0 has none of the columns"),
    ];
    for (script, wanted) in table {
        let error = run(script).expect_err(script);
        assert!(error.contains(wanted), "{script}: {error}");
    }
}

fn encoded(script: &str) -> String {
    run(script).map_or_else(|error| error, |value| value.to_string())
}

#[test]
fn rows_are_written_with_quotes_where_needed() {
    assert_eq!(encoded("csv::encode([#{ a: 1, b: \"x,y\" }, #{ c: true, a: () }])"), "a,b,c\n1,\"x,y\",\n,,true\n");
    assert_eq!(
        encoded("csv::encode([[1.5, \"a \\\"q\\\"\"], [decimal(\"2.50\"), \" x\"]])"),
        "1.5,\"a \"\"q\"\"\"\n2.50,\" x\"\n"
    );
    let options = "#{ header: [\"b\", \"a\"], separator: \";\", decimal: \",\" }";
    assert_eq!(encoded(&format!("csv::encode([#{{ a: 1.5, b: \"1.5\", c: 0 }}], {options})")), "b;a\n1.5;1,5\n");
    assert_eq!(encoded("csv::encode([#{ a: \"\" }], #{ header: false })"), "\"\"\n");
    assert_eq!(encoded("csv::encode([])"), "");
}

#[test]
fn what_was_written_is_read_back() {
    let script = "let rows = [#{ a: \"x\\r\\ny\", b: \"\" }, #{ a: \"\\\"\", b: \"ü,;\" }, #{ a: \"\", b: \" \" }]; \
                  csv::parse(csv::encode(rows)) == rows";
    assert_eq!(encoded(script), "true");
    assert_eq!(encoded("csv::parse(csv::encode([#{ a: \"\" }, #{ a: () }])).len()"), "2");
}

#[test]
fn time_grows_with_the_size_alone() {
    let table = |rows: usize| format!("a,b,c,d,e,f\n{}", "one,\"two\",3,4.5,five,\n".repeat(rows));
    let rows = with_text(&table(20_000), "let rows = csv::parse(text); [rows.len(), csv::encode(rows).len() > 1000]");
    assert_eq!(rows, "[20000,true]");
}
