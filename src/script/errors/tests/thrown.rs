//! What scripts throw, and the calls that led there.

use insta::assert_snapshot;

use super::{eval, eval_files};

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
