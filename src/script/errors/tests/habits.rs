//! What users of JavaScript and Python type.

use insta::assert_snapshot;

use super::parse;

#[test]
fn parse_ternary() {
    assert_snapshot!(parse("let a = x > 1 ? 2 : 3;"), @r"
    error[E0206]: there is no `a ? b : c`
     --> main.rhai:1:15
      |
    1 | let a = x > 1 ? 2 : 3;
      |               ^
      = hint: write `if a { b } else { c }`; it is an expression
    ");
}

#[test]
fn parse_increment() {
    assert_snapshot!(parse("let i = 0;\ni++;"), @r"
    let i = 0;
    i++;

    error[E0206]: there is no `++`
     --> main.rhai:2:2
      |
    2 | i++;
      |  ^^
      = hint: write `i += 1`
    ");
}

#[test]
fn parse_null() {
    assert_snapshot!(parse("let a = null;"), @r"
    error[E0206]: there is no `null`
     --> main.rhai:1:9
      |
    1 | let a = null;
      |         ^^^^
      = hint: write `()` for no value; a value can be tested with `x == ()`
    ");
}

#[test]
fn parse_map_without_hash() {
    assert_snapshot!(parse("f({a: 1})"), @r"
    error[E0206]: a map starts with `#{`
     --> main.rhai:1:3
      |
    1 | f({a: 1})
      |   ^
      = hint: write `#{ a: ... }`
    ");
}

#[test]
fn parse_single_quotes() {
    assert_snapshot!(parse("let a = 'it\\'s';"), @r#"
    error[E0206]: strings are in double quotes
     --> main.rhai:1:9
      |
    1 | let a = 'it\'s';
      |         ^^^^^^^
      = hint: write `"it\'s"`; single quotes are for one character
    "#);
}

#[test]
fn parse_async_function() {
    assert_snapshot!(parse("async fn f() {}"), @r"
    error[E0206]: there is no `async`
     --> main.rhai:1:1
      |
    1 | async fn f() {}
      | ^^^^^
      = hint: host functions wait by themselves; `parallel([|| a(), || b()])` runs several at once
    ");
}

#[test]
fn parse_await_call() {
    assert_snapshot!(parse("let r = await http::get(url);"), @r"
    error[E0206]: there is no `await`
     --> main.rhai:1:9
      |
    1 | let r = await http::get(url);
      |         ^^^^^
      = hint: host functions wait by themselves; `parallel([|| a(), || b()])` runs several at once
    ");
}

#[test]
fn parse_elif() {
    assert_snapshot!(parse("if a { 1 } elif b { 2 }"), @r"
    error[E0206]: there is no `elif`
     --> main.rhai:1:12
      |
    1 | if a { 1 } elif b { 2 }
      |            ^^^^
      = hint: write `else if condition { ... }`
    ");
}

#[test]
fn parse_def() {
    assert_snapshot!(parse("def f(a):\n    return 1"), @r"
    def f(a):
        return 1

    error[E0206]: functions do not start with `def`
     --> main.rhai:1:1
      |
    1 | def f(a):
      | ^^^
      = hint: write `fn name(a, b) { ... }`; a function as a value is `|a, b| ...`
    ");
}

#[test]
fn parse_function_keyword() {
    assert_snapshot!(parse("function f(a) { 1 }"), @r"
    error[E0206]: functions do not start with `function`
     --> main.rhai:1:1
      |
    1 | function f(a) { 1 }
      | ^^^^^^^^
      = hint: write `fn name(a, b) { ... }`; a function as a value is `|a, b| ...`
    ");
}

#[test]
fn parse_fat_arrow() {
    assert_snapshot!(parse("let ids = orders.map(x => x.id);"), @r"
    error[E0206]: functions are not written with `=>`
     --> main.rhai:1:24
      |
    1 | let ids = orders.map(x => x.id);
      |                        ^^
      = hint: write `|x| x + 1`, or `|| { ... }` without parameters
    ");
}

#[test]
fn parse_fat_arrow_alone() {
    assert_snapshot!(parse("let f = (x) => x + 1;"), @r"
    error[E0206]: functions are not written with `=>`
     --> main.rhai:1:13
      |
    1 | let f = (x) => x + 1;
      |             ^^
      = hint: write `|x| x + 1`, or `|| { ... }` without parameters
    ");
}

#[test]
fn parse_triple_equals() {
    assert_snapshot!(parse("if a === b { }"), @r"
    error[E0206]: there is no `===`
     --> main.rhai:1:6
      |
    1 | if a === b { }
      |      ^^^
      = hint: write `==`; values of different kinds are never equal
    ");
}

#[test]
fn parse_and_or() {
    assert_snapshot!(parse("if a and b { 1 }"), @r"
    error[E0206]: there is no `and`
     --> main.rhai:1:6
      |
    1 | if a and b { 1 }
      |      ^^^
      = hint: write `&&`
    ");
}

#[test]
fn parse_not_word() {
    assert_snapshot!(parse("if not a { 1 }"), @r"
    error[E0206]: there is no `not`
     --> main.rhai:1:4
      |
    1 | if not a { 1 }
      |    ^^^
      = hint: write `!` before the condition: `if !done { ... }`
    ");
}

#[test]
fn parse_f_string() {
    assert_snapshot!(parse("let a = f\"order {id}\";"), @r#"
    error[E0206]: strings have no prefix
     --> main.rhai:1:9
      |
    1 | let a = f"order {id}";
      |         ^
      = hint: write `` `order ${id}` `` for text with values in it
    "#);
}

#[test]
fn parse_try_as_expression() {
    assert_snapshot!(parse("let a = try { f() } catch { 2 };"), @r"
    error[E0206]: `try` is a statement without a value
     --> main.rhai:1:9
      |
    1 | let a = try { f() } catch { 2 };
      |         ^^^
      = hint: write `let r = attempt(|| ...);`, which gives `#{ ok, value, error }`
    ");
}

#[test]
fn parse_var_keyword() {
    assert_snapshot!(parse("var x = 1;"), @r"
    error[E0206]: there is no `var`
     --> main.rhai:1:1
      |
    1 | var x = 1;
      | ^^^
      = hint: write `let x = 1;`
    ");
}

#[test]
fn parse_c_style_for() {
    assert_snapshot!(parse("for (let i = 0; i < 3; i++) { }"), @r"
    error[E0206]: `for` goes over values
     --> main.rhai:1:6
      |
    1 | for (let i = 0; i < 3; i++) { }
      |      ^^^
      = hint: write `for i in 0..10 { ... }`
    ");
}

#[test]
fn parse_for_of() {
    assert_snapshot!(parse("for x of xs { }"), @r"
    error[E0206]: `for` goes with `in`
     --> main.rhai:1:7
      |
    1 | for x of xs { }
      |       ^^
      = hint: write `for x in list { ... }`
    ");
}

#[test]
fn parse_python_if() {
    assert_snapshot!(parse("if a == 1:\n    f()"), @r"
    if a == 1:
        f()

    error[E0206]: blocks are in braces
     --> main.rhai:1:10
      |
    1 | if a == 1:
      |          ^
      = hint: write `if condition { ... }`
    ");
}

#[test]
fn parse_destructuring() {
    assert_snapshot!(parse("let {a, b} = order;"), @r"
    error[E0206]: variables cannot be taken out of a map or array at once
     --> main.rhai:1:5
      |
    1 | let {a, b} = order;
      |     ^
      = hint: write `let a = map.a;` for each
    ");
}

#[test]
fn parse_type_annotation() {
    assert_snapshot!(parse("let x: int = 3;"), @r"
    error[E0206]: variables have no types
     --> main.rhai:1:6
      |
    1 | let x: int = 3;
      |      ^
      = hint: write `let x = 1;`
    ");
}

#[test]
fn parse_typed_parameter() {
    assert_snapshot!(parse("fn f(a: int) { }"), @r"
    error[E0206]: parameters have no types
     --> main.rhai:1:7
      |
    1 | fn f(a: int) { }
      |       ^
      = hint: write the names alone: `fn f(a, b) { ... }`
    ");
}

#[test]
fn parse_default_parameter() {
    assert_snapshot!(parse("fn f(a = 1) { }"), @r"
    error[E0206]: parameters have no default values
     --> main.rhai:1:8
      |
    1 | fn f(a = 1) { }
      |        ^
      = hint: write a second function with fewer parameters
    ");
}

#[test]
fn parse_arrow_result() {
    assert_snapshot!(parse("fn f() -> int { }"), @r"
    error[E0206]: there is no `->`
     --> main.rhai:1:8
      |
    1 | fn f() -> int { }
      |        ^^
      = hint: functions declare no type of their result: `fn f(a) { ... }`; fields are `a.b`
    ");
}

#[test]
fn parse_import_from() {
    assert_snapshot!(parse("import x from \"lib/y\";"), @r#"
    error[E0206]: there is no `from`
     --> main.rhai:1:10
      |
    1 | import x from "lib/y";
      |          ^^^^
      = hint: write `import "lib/x" as x;`, and use `x::name`
    "#);
}

#[test]
fn parse_throw_new() {
    assert_snapshot!(parse("throw new Error(\"x\");"), @r#"
    error[E0206]: there is no `new`
     --> main.rhai:1:7
      |
    1 | throw new Error("x");
      |       ^^^
      = hint: write `throw "message"` or `throw #{ kind: ..., message: ... }`
    "#);
}

#[test]
fn parse_switch_colon() {
    assert_snapshot!(parse("switch x { 1: 2 }"), @r"
    error[E0206]: cases are written with `=>`
     --> main.rhai:1:13
      |
    1 | switch x { 1: 2 }
      |             ^
      = hint: write `switch x { 1 => ..., _ => ... }`
    ");
}

#[test]
fn parse_finally() {
    assert_snapshot!(parse("try { f() } finally { g() }"), @r#"
    error[E0206]: there is no `finally`
     --> main.rhai:1:13
      |
    1 | try { f() } finally { g() }
      |             ^^^^^^^
      = hint: register what must happen with `on_exit("name", || ...)` before
    "#);
}

#[test]
fn parse_print_without_call() {
    assert_snapshot!(parse("print \"a\";"), @r#"
    error[E0206]: `print` is a function
     --> main.rhai:1:1
      |
    1 | print "a";
      | ^^^^^
      = hint: write `print(...)`
    "#);
}
