//! What people see: source and message together.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use rhai::{Dynamic, Engine};

use super::super::bundle::Bundle;
use super::super::catalog::{Catalog, Kind, Signature};
use super::super::program::{Constants, Program, install};
use super::super::rewrite::rewrite;
use super::super::sandbox;
use super::LAST_LINE;
use crate::diag::Color;

fn engine() -> Engine {
    let mut engine = sandbox::engine();
    engine.set_max_call_levels(6);
    install(&mut engine);
    engine
}

fn catalog() -> Catalog {
    let signature = |name: &str, min, max| Signature::new(name, min, max, Kind::Internal);
    Catalog::new([signature("sleep", 1, 1), signature("http::get", 1, 2), signature("step", 2, 3)])
}

/// The message; before it the source, if it has several lines.
fn shown(source: &str, message: &str) -> String {
    if source.contains('\n') { format!("{source}\n\n{message}") } else { message.to_owned() }
}

fn parse(source: &str) -> String {
    let faults = Bundle::of_text("main.rhai", source)
        .and_then(|bundle| Program::compile_with(&engine(), &bundle, rewrite))
        .unwrap_err();
    shown(source, &faults[0].render(Color::Plain))
}

fn eval(source: &str) -> String {
    let message = eval_files(&[("main.rhai", source)]);
    shown(source, &message)
}

fn eval_files(files: &[(&str, &str)]) -> String {
    let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let bundle = Bundle::load("main.rhai", &files, &[]).unwrap();
    let engine = engine();
    let program = Program::compile_with(&engine, &bundle, rewrite).unwrap();
    let error = program.run(&engine, &Constants::default(), Dynamic::UNIT).unwrap_err();
    program.diagnose(&engine, &error, &catalog()).render(Color::Plain)
}

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

#[test]
fn parse_reserved_name() {
    assert_snapshot!(parse("let shared = 1;"), @r#"
    error[E0203]: `shared` is a reserved word
     --> main.rhai:1:5
      |
    1 | let shared = 1;
      |     ^^^^^^
      = hint: choose another name; `["shared"]` works as a key
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
fn eval_unknown_function() {
    assert_snapshot!(eval("slepe(\"5m\")"), @r#"
    error[E0503]: there is no function `slepe` for string
     --> main.rhai:1:1
      |
    1 | slepe("5m")
      | ^^^^^
      = hint: did you mean `sleep`?
    "#);
}

#[test]
fn eval_unknown_namespaced_function() {
    assert_snapshot!(eval("let r = http::gte(\"x\");"), @r#"
    error[E0304]: unknown module `http`
     --> main.rhai:1:9
      |
    1 | let r = http::gte("x");
      |         ^^^^^^^^^
      = hint: import it at the top of the file: `import "lib/http" as http;`
    "#);
}

#[test]
fn eval_wrong_count() {
    assert_snapshot!(eval("sleep(1, 2, 3)"), @r"
    error[E0303]: `sleep` takes 1 argument, 3 given
     --> main.rhai:1:1
      |
    1 | sleep(1, 2, 3)
      | ^^^^^
    ");
}

#[test]
fn eval_unknown_method() {
    assert_snapshot!(eval("let a = [1];\na.psuh(1)"), @r"
    let a = [1];
    a.psuh(1)

    error[E0503]: there is no function `psuh` for array, int
     --> main.rhai:2:3
      |
    2 | a.psuh(1)
      |   ^^^^
      = hint: did you mean `push`?
    ");
}

#[test]
fn eval_unknown_variable() {
    assert_snapshot!(eval("let total = 1;\nprint(totl)"), @r"
    let total = 1;
    print(totl)

    error[E0302]: unknown variable `totl`
     --> main.rhai:2:7
      |
    2 | print(totl)
      |       ^^^^
      = hint: did you mean `total`?
    ");
}

#[test]
fn eval_python_none() {
    assert_snapshot!(eval("if x() == None { } fn x() { 1 }"), @r"
    error[E0302]: unknown variable `None`
     --> main.rhai:1:11
      |
    1 | if x() == None { } fn x() { 1 }
      |           ^^^^
      = hint: write `()` for no value
    ");
}

#[test]
fn eval_input_in_function() {
    assert_snapshot!(eval("fn f() { input.id }\nf()"), @r"
    fn f() { input.id }
    f()

    error[E0302]: unknown variable `input`
     --> main.rhai:1:10
      |
    1 | fn f() { input.id }
      |          ^^^^^
      = `f` called from here: main.rhai:2:1
      = hint: `input` is visible at the top level of a bare script; functions take it as a parameter
    ");
}

#[test]
fn eval_unknown_module() {
    assert_snapshot!(eval("money::add(1)"), @r#"
    error[E0304]: unknown module `money`
     --> main.rhai:1:1
      |
    1 | money::add(1)
      | ^^^^^^^^^^
      = hint: import it at the top of the file: `import "lib/money" as money;`
    "#);
}

#[test]
fn eval_unit_property() {
    assert_snapshot!(eval("let m = #{};\nm.address.city"), @r"
    let m = #{};
    m.address.city

    error[E0505]: `()` has no property `city`
     --> main.rhai:2:11
      |
    2 | m.address.city
      |           ^^^^
      = hint: the value before `.city` is `()`; write `?.city` if it may be missing, or test it with `== ()`
    ");
}

#[test]
fn eval_text_and_number() {
    assert_snapshot!(eval("let n = \"5\" * 2;"), @r#"
    error[E0502]: `*` is not defined for string and int
     --> main.rhai:1:13
      |
    1 | let n = "5" * 2;
      |             ^
      = hint: turn text into a number with `parse_int(text)` or `parse_float(text)`, a number into text with `` `${n}` ``
    "#);
}

#[test]
fn eval_division_by_zero() {
    assert_snapshot!(eval("let n = 1 / 0;"), @r"
    error[E0506]: division by zero: 1 / 0
     --> main.rhai:1:11
      |
    1 | let n = 1 / 0;
      |           ^
    ");
}

#[test]
fn eval_array_bounds() {
    assert_snapshot!(eval("let a = [1, 2];\na[5]"), @r"
    let a = [1, 2];
    a[5]

    error[E0504]: there is no element 5: the array has 2 elements, 0 to 1
     --> main.rhai:2:3
      |
    2 | a[5]
      |   ^
    ");
}

#[test]
fn eval_thrown_text() {
    assert_snapshot!(eval("fn check(n) {\n    if n > 1 { throw `too many: ${n}`; }\n}\ncheck(3);"), @r"
    fn check(n) {
        if n > 1 { throw `too many: ${n}`; }
    }
    check(3);

    error[E0501]: too many: 3
     --> main.rhai:2:16
      |
    2 |     if n > 1 { throw `too many: ${n}`; }
      |                ^^^^^
      = `check` called from here: main.rhai:4:1
    ");
}

#[test]
fn eval_thrown_map() {
    assert_snapshot!(eval("throw #{ kind: \"http\", status: 503, message: \"service is away\" };"), @r#"
    error[E0501]: service is away
     --> main.rhai:1:1
      |
    1 | throw #{ kind: "http", status: 503, message: "service is away" };
      | ^^^^^
      = kind: `http`, status: `503`
    "#);
}

#[test]
fn eval_thrown_in_closure() {
    assert_snapshot!(eval("fn work(list) {\n    list.map(|item| {\n        throw item;\n    })\n}\nwork([7]);"), @r"
    fn work(list) {
        list.map(|item| {
            throw item;
        })
    }
    work([7]);

    error[E0501]: 7
     --> main.rhai:3:9
      |
    3 |         throw item;
      |         ^^^^^
      = closure called from here: main.rhai:2:10
      = `work` called from here: main.rhai:6:1
    ");
}

#[test]
fn eval_data_race() {
    assert_snapshot!(eval("let order = #{ lines: [1], id: 2 };\norder.lines.retain(|line| order.id > 1)"), @r"
    let order = #{ lines: [1], id: 2 };
    order.lines.retain(|line| order.id > 1)

    error[E0507]: the value is in use while its own method runs
     --> main.rhai:2:13
      |
    2 | order.lines.retain(|line| order.id > 1)
      |             ^^^^^^
      = hint: copy what the closure needs into a variable before the call: `let id = order.id;`
    ");
}

#[test]
fn eval_wrong_type() {
    assert_snapshot!(eval("let a = [1];\na[\"x\"]"), @r#"
    let a = [1];
    a["x"]

    error[E0502]: int is needed here, not string
     --> main.rhai:2:3
      |
    2 | a["x"]
      |   ^^^
    "#);
}

#[test]
fn eval_closure_arguments() {
    assert_snapshot!(eval("let f = |x| x;\nf.call(1, 2)"), @r"
    let f = |x| x;
    f.call(1, 2)

    error[E0503]: closure does not take 2 arguments
     --> main.rhai:2:3
      |
    2 | f.call(1, 2)
      |   ^^^^
      = hint: a closure takes exactly the arguments between its bars: `|a, b| ...`
    ");
}

#[test]
fn eval_own_function_count() {
    assert_snapshot!(eval("fn add(a, b) { a + b }\nadd(1)"), @r"
    fn add(a, b) { a + b }
    add(1)

    error[E0303]: `add` takes 2 arguments, 1 given
     --> main.rhai:2:1
      |
    2 | add(1)
      | ^^^
    ");
}

#[test]
fn eval_constant_changed() {
    assert_snapshot!(eval("const A = [1];\nA.push(2);"), @r"
    const A = [1];
    A.push(2);

    error[E0508]: `push` would change a constant
     --> main.rhai:2:3
      |
    2 | A.push(2);
      |   ^^^^
      = hint: copy it into a `let` variable
    ");
}

#[test]
fn eval_this_unbound() {
    assert_snapshot!(eval("fn f() { this + 1 }\nf()"), @r"
    fn f() { this + 1 }
    f()

    error[E0512]: `this` has no value here
     --> main.rhai:1:10
      |
    1 | fn f() { this + 1 }
      |          ^^^^
      = `f` called from here: main.rhai:2:1
      = hint: call the function as a method: `value.name()`
    ");
}

#[test]
fn eval_for_over_number() {
    assert_snapshot!(eval("let n = 5;\nfor x in n { }"), @r"
    let n = 5;
    for x in n { }

    error[E0509]: `for` cannot go over this value
     --> main.rhai:2:10
      |
    2 | for x in n { }
      |          ^
      = hint: it takes an array, a range, a string or a blob; of a map `map.keys()` or `map.values()`
    ");
}

#[test]
fn eval_deep_recursion() {
    assert_snapshot!(eval("fn f(n) { f(n + 1) }\nf(0)"), @r"
    fn f(n) { f(n + 1) }
    f(0)

    error[E0510]: functions call each other too deeply
     --> main.rhai:2:1
      |
    2 | f(0)
      | ^
      = hint: is there a recursion without an end?
    ");
}

#[test]
fn eval_across_files() {
    let lib = "import \"./deep\" as deep;\n\nfn pay(order, then) {\n    deep::check(order);\n    then.call(order)\n}";
    let deep = "fn check(order) {\n    if order.total < 0 { throw \"negative\"; }\n}";
    let main = |total: i64| {
        format!(
            "import \"lib/pay\" as pay;\n\nfn main() {{\n    pay::pay(#{{ total: {total} }}, |o| o.total.nothing);\n}}"
        )
    };
    let run = |total| eval_files(&[("lib/pay.rhai", lib), ("lib/deep.rhai", deep), ("main.rhai", &main(total))]);
    assert_snapshot!(run(-1), @r#"
    error[E0501]: negative
     --> lib/deep.rhai:2:26
      |
    2 |     if order.total < 0 { throw "negative"; }
      |                          ^^^^^
      = `check` called from here: lib/pay.rhai:4:11
      = `pay` called from here: main.rhai:4:10
    "#);
    assert_snapshot!(run(1), @r"
    error[E0505]: int has no property `nothing`
     --> main.rhai:4:41
      |
    4 |     pay::pay(#{ total: 1 }, |o| o.total.nothing);
      |                                         ^^^^^^^
      = closure called from here: lib/pay.rhai:5:10
      = `pay` called from here: main.rhai:4:10
    ");
}

#[test]
fn lines_beyond_what_positions_count() {
    let blank = "\n".repeat(LAST_LINE + 5);
    assert_snapshot!(parse(&format!("{blank}let a = ;")).trim_start(), @r"
    let a = ;

    error[E0201]: unexpected `;`
     --> main.rhai
      = positions are counted up to line 65,535
    ");
    assert_snapshot!(parse(&format!("{}let a = ;", "\n".repeat(2000))).trim_start(), @r"
    let a = ;

    error[E0201]: unexpected `;`
        --> main.rhai:2001:9
         |
    2001 | let a = ;
         |         ^
         = hint: a value is missing before `;`
    ");
}

#[test]
fn line_numbers_survive_what_is_stripped() {
    assert_snapshot!(parse("\u{feff}#!/usr/bin/env panta\r\nlet a = 1;\r\nlet b = ;\r\n"), @r"
    ﻿#!/usr/bin/env panta
    let a = 1;
    let b = ;


    error[E0201]: unexpected `;`
     --> main.rhai:3:9
      |
    3 | let b = ;
      |         ^
      = hint: a value is missing before `;`
    ");
}
