//! What is missing, left open or not text of the language.

use insta::assert_snapshot;

use super::parse;

#[test]
fn parse_missing_semicolon() {
    assert_snapshot!(parse("let a = 1\nlet b = 2;"), @r"
    let a = 1
    let b = 2;

    error[E0202]: missing `;` to terminate this statement
     --> main.rhai:1:10
      |
    1 | let a = 1
      |          ^
      = hint: put a `;` here
    ");
}

#[test]
fn parse_unclosed_block() {
    assert_snapshot!(parse("fn main(order) {\n    if order.ok {\n        f();\n}\n"), @r"
    fn main(order) {
        if order.ok {
            f();
    }


    error[E0204]: `{` is never closed
     --> main.rhai:2:17
      |
    2 |     if order.ok {
      |                 ^
      = hint: put `}` where it ends
    ");
}

#[test]
fn parse_unclosed_call() {
    assert_snapshot!(parse("step(\"a\", || {\n    f();\n}"), @r#"
    step("a", || {
        f();
    }

    error[E0204]: `(` is never closed
     --> main.rhai:1:5
      |
    1 | step("a", || {
      |     ^
      = hint: put `)` where it ends
    "#);
}

#[test]
fn parse_unclosed_string() {
    assert_snapshot!(parse("let a = \"abc;\nlet b = 1;"), @r#"
    let a = "abc;
    let b = 1;

    error[E0205]: string is not closed
     --> main.rhai:1:9
      |
    1 | let a = "abc;
      |         ^^^^^
      = hint: put `"` at its end; text over several lines is written in backticks
    "#);
}

#[test]
fn parse_missing_comma() {
    assert_snapshot!(parse("f(a b)"), @r"
    error[E0202]: missing `,` to separate the arguments to function call `f`
     --> main.rhai:1:4
      |
    1 | f(a b)
      |    ^
      = hint: put a `,` here
    ");
}

#[test]
fn parse_unclosed_array() {
    assert_snapshot!(parse("let a = [1, 2, 3;\nlet b = 2;"), @r"
    let a = [1, 2, 3;
    let b = 2;

    error[E0202]: missing `,` to separate the items of this array literal
     --> main.rhai:1:17
      |
    1 | let a = [1, 2, 3;
      |                 ^
      = hint: the bracket before it is not closed
    ");
}

#[test]
fn parse_stray_brace() {
    assert_snapshot!(parse("let a = 1;\n}"), @r"
    let a = 1;
    }

    error[E0201]: unexpected `}`
     --> main.rhai:2:1
      |
    2 | }
      | ^
      = hint: nothing that is open is closed by it
    ");
}

#[test]
fn parse_value_missing() {
    assert_snapshot!(parse("let a = ;"), @r"
    error[E0201]: unexpected `;`
     --> main.rhai:1:9
      |
    1 | let a = ;
      |         ^
      = hint: a value is missing before `;`
    ");
}

#[test]
fn parse_bad_escape() {
    assert_snapshot!(parse("let a = \"C:\\dir\";"), @r#"
    error[E0205]: unknown escape `\d` in a string
     --> main.rhai:1:13
      |
    1 | let a = "C:\dir";
      |             ^^^
      = hint: write `\\` for a backslash; known are `\n`, `\r`, `\t`, `\"`, `\xHH`, `\uHHHH`
    "#);
}

#[test]
fn parse_typographic_quotes() {
    assert_snapshot!(parse("let a = “abc”;"), @r#"
    error[E0206]: typographic quotes are no quotes
     --> main.rhai:1:9
      |
    1 | let a = “abc”;
      |         ^
      = hint: write straight ones: `"text"`
    "#);
}

#[test]
fn parse_wide_characters() {
    assert_snapshot!(parse("let größe = \"日本\" \"x\";"), @r#"
    error[E0201]: unexpected `ö`
     --> main.rhai:1:7
      |
    1 | let größe = "日本" "x";
      |       ^^^
      = hint: names are written with the letters a to z, digits and `_`; text goes in quotes
    "#);
}

#[test]
fn parse_unclosed_at_the_end() {
    assert_snapshot!(parse("fn main(order) {\n    let x = 1;\n    x"), @r"
    fn main(order) {
        let x = 1;
        x

    error[E0204]: `{` is never closed
     --> main.rhai:1:16
      |
    1 | fn main(order) {
      |                ^
      = hint: put `}` where it ends
    ");
}
