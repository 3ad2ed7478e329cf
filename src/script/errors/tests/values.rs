//! Values that cannot do what is asked of them.

use insta::assert_snapshot;

use super::eval;

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
fn a_method_of_lists_on_a_range() {
    for range in ["(0..3)", "(0..=3)"] {
        let told = eval(&format!("{range}.map(|x| x)"));
        assert!(told.contains("`map` is not for a range") && told.contains("hint: a range is for `for`"), "{told}");
    }
}
