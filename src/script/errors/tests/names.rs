//! Names that are not there, and calls with other arguments than they take.

use insta::assert_snapshot;

use super::eval;

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
