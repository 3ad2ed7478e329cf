//! Words and places that the language keeps for itself.

use insta::assert_snapshot;

use super::parse;

#[test]
fn parse_reserved_property() {
    assert_snapshot!(parse("let a = repo.new;"), @r#"
    error[E0203]: `new` is a reserved word
     --> main.rhai:1:14
      |
    1 | let a = repo.new;
      |              ^^^
      = hint: write `["new"]` instead of `.new`
    "#);
}

#[test]
fn parse_keyword_property() {
    assert_snapshot!(parse("let a = repo.private;"), @r#"
    error[E0203]: `private` is a reserved word
     --> main.rhai:1:14
      |
    1 | let a = repo.private;
      |              ^^^^^^^
      = hint: write `["private"]` instead of `.private`
    "#);
}

#[test]
fn parse_reserved_map_key() {
    assert_snapshot!(parse("let a = #{ id: 1, default: 2 };"), @r#"
    error[E0203]: `default` is a reserved word
     --> main.rhai:1:19
      |
    1 | let a = #{ id: 1, default: 2 };
      |                   ^^^^^^^
      = hint: put it in quotes: `"default": ...`
    "#);
}

#[test]
fn parse_constant_assigned() {
    assert_snapshot!(parse("const A = 1;\nA = 2;"), @r"
    const A = 1;
    A = 2;

    error[E0209]: constant `A` cannot be assigned to
     --> main.rhai:2:1
      |
    2 | A = 2;
      | ^
      = hint: declare it with `let` to change it
    ");
}

#[test]
fn parse_break_outside() {
    assert_snapshot!(parse("break;"), @r"
    error[E0210]: `break` outside of a loop
     --> main.rhai:1:1
      |
    1 | break;
      | ^^^^^
      = hint: `return` leaves a function or script
    ");
}

#[test]
fn parse_nested_function() {
    assert_snapshot!(parse("fn f() {\n    fn g() { }\n}"), @r"
    fn f() {
        fn g() { }
    }

    error[E0208]: functions are defined at the top level of a file
     --> main.rhai:2:5
      |
    2 |     fn g() { }
      |     ^^
      = hint: a function within a function is a closure: `let f = |a| ...;`
    ");
}

#[test]
fn parse_duplicate_parameter() {
    assert_snapshot!(parse("fn f(a, a) {}"), @r"
    error[E0208]: parameter `a` of `f` occurs twice
     --> main.rhai:1:9
      |
    1 | fn f(a, a) {}
      |         ^
    ");
}

#[test]
fn parse_bad_name() {
    assert_snapshot!(parse("let 1a = 3;"), @r"
    error[E0205]: `1a` is not a name
     --> main.rhai:1:5
      |
    1 | let 1a = 3;
      |     ^^
      = hint: names start with a letter or `_`
    ");
}

#[test]
fn parse_doc_comment() {
    assert_snapshot!(parse("/// doc\nconst A = 1;"), @r"
    /// doc
    const A = 1;

    error[E0210]: a `///` comment belongs directly before a function
     --> main.rhai:1:1
      |
    1 | /// doc
      | ^^^^^^^
      = hint: use `//` here, `//!` for the file
    ");
}

#[test]
fn parse_assignment_in_condition() {
    assert_snapshot!(parse("if x = 1 { 2 }"), @r"
    error[E0201]: `=` within an expression
     --> main.rhai:1:6
      |
    1 | if x = 1 { 2 }
      |      ^
      = hint: write `==` to compare; an assignment has no value
    ");
}

#[test]
fn parse_reserved_name() {
    assert_snapshot!(parse("let shared = 1;"), @r#"
    error[E0203]: `shared` is a reserved word
     --> main.rhai:1:5
      |
    1 | let shared = 1;
      |     ^^^^^^
      = hint: choose another name, such as `shared_`; as a key of a map it goes in quotes: `map["shared"]`
    "#);
}

#[test]
fn a_reserved_word_that_is_called_is_no_key() {
    for (text, hint) in [
        (
            "let a = repo.new(1);",
            "no method has that name; a function that a map holds is called by `[\"new\"].call(...)`",
        ),
        ("let a = shared(1);", "no function has that name: choose another, such as `shared_it`"),
    ] {
        let said = parse(text);
        assert!(said.contains("E0203") && said.contains(hint), "{said}");
    }
}
