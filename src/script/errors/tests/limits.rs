//! Limits: where the script was, how it came there, and what to do.

use std::time::Duration;

use insta::assert_snapshot;

use super::super::super::guard::Limits;
use super::{eval, limited, shown};
use crate::diag::Color;

/// With little memory and little time.
fn tight(source: &str) -> String {
    let limits = Limits { cpu: Duration::from_millis(300), memory: 8 << 20, ..Limits::default() };
    let told = limited(&[("main.rhai", source)], limits, None).expect("it passes a limit");
    shown(source, &told.render(Color::Plain))
}

#[test]
fn eval_deep_recursion() {
    assert_snapshot!(eval("fn f(n) { f(n + 1) }\nf(0)"), @r"
    fn f(n) { f(n + 1) }
    f(0)

    error[E0510]: functions call each other too deeply
     --> main.rhai:1:11
      |
    1 | fn f(n) { f(n + 1) }
      |           ^
      = `f` called from here: main.rhai:1:11
      = `f` called from here: main.rhai:2:1
      = hint: is there a recursion without an end?
    ");
}

#[test]
fn a_recursion_over_two_functions() {
    let source = "fn even(n) { odd(n + 1) }\nfn odd(n) {\n    even(n + 1)\n}\nfn main() {\n    [1].map(|n| even(n))\n}";
    assert_snapshot!(eval(source), @r"
    fn even(n) { odd(n + 1) }
    fn odd(n) {
        even(n + 1)
    }
    fn main() {
        [1].map(|n| even(n))
    }

    error[E0510]: functions call each other too deeply
     --> main.rhai:3:5
      |
    3 |     even(n + 1)
      |     ^^^^
      = `odd` called from here: main.rhai:1:14
      = `even` called from here: main.rhai:3:5
      = `odd` called from here: main.rhai:1:14
      = `even` called from here: main.rhai:6:17
      = closure called from here: main.rhai:6:9
      = hint: is there a recursion without an end?
    ");
}

#[test]
fn nesting_without_an_end() {
    let source = "fn nested() {\n    let a = [];\n    for i in 0..3000 {\n        a = [a];\n    }\n    a\n}\nfn main() {\n    nested()\n}";
    assert_snapshot!(tight(source), @r"
    fn nested() {
        let a = [];
        for i in 0..3000 {
            a = [a];
        }
        a
    }
    fn main() {
        nested()
    }

    error[E0510]: a value is nested deeper than 128 (nesting limit)
     --> main.rhai:4:13
      |
    4 |         a = [a];
      |             ^
      = `nested` called from here: main.rhai:9:5
      = hint: does a loop put a value into itself? keep a flat list
    ");
}

#[test]
fn a_memory_bomb_in_a_function() {
    let source = "fn fill(all) {\n    loop { all.push(blob(100000)); }\n}\nfn main() {\n    fill([])\n}";
    assert_snapshot!(tight(source), @r"
    fn fill(all) {
        loop { all.push(blob(100000)); }
    }
    fn main() {
        fill([])
    }

    error[E0510]: the run's values take more than 8 MiB (memory limit)
     --> main.rhai:2:12
      |
    2 |     loop { all.push(blob(100000)); }
      |            ^^^
      = `fill` called from here: main.rhai:5:5
      = hint: does a loop add to a value without an end? go through large data in parts
    ");
}

#[test]
fn a_text_that_grows() {
    let source = "fn twice(s) { s + s }\nfn main() {\n    let s = \"0123456789\";\n    loop { s = twice(s); }\n}";
    assert_snapshot!(tight(source), @r#"
    fn twice(s) { s + s }
    fn main() {
        let s = "0123456789";
        loop { s = twice(s); }
    }

    error[E0510]: the run's values take more than 8 MiB (memory limit)
     --> main.rhai:4:12
      |
    4 |     loop { s = twice(s); }
      |            ^
      = hint: does a loop add to a value without an end? go through large data in parts
    "#);
}

#[test]
fn an_endless_loop_in_a_function_of_a_function() {
    let source = "fn spin() {\n    loop { }\n}\nfn outer() {\n    spin();\n}\nfn main() {\n    outer()\n}";
    assert_snapshot!(tight(source), @r"
    fn spin() {
        loop { }
    }
    fn outer() {
        spin();
    }
    fn main() {
        outer()
    }

    error[E0510]: the script computed for more than 0.3 s without calling a host function (CPU limit)
     --> main.rhai:2:10
      |
    2 |     loop { }
      |          ^
      = `spin` called from here: main.rhai:5:5
      = `outer` called from here: main.rhai:8:5
      = hint: does a loop never end? work of that length belongs in a program that the workflow calls
    ");
}

#[test]
fn an_endless_loop_in_another_file() {
    let lib = "fn wait(n) {\n    loop { }\n}";
    let main = "import \"lib/busy\" as busy;\n\nfn main() {\n    busy::wait(1)\n}";
    let limits = Limits { cpu: Duration::from_millis(300), ..Limits::default() };
    let told = limited(&[("main.rhai", main), ("lib/busy.rhai", lib)], limits, None).expect("it passes a limit");
    assert_snapshot!(told.render(Color::Plain), @r"
    error[E0510]: the script computed for more than 0.3 s without calling a host function (CPU limit)
     --> lib/busy.rhai:2:10
      |
    2 |     loop { }
      |          ^
      = `wait` called from here: main.rhai:4:11
      = hint: does a loop never end? work of that length belongs in a program that the workflow calls
    ");
}

#[test]
fn too_many_variables() {
    let lets: Vec<String> = (0..1001).map(|n| format!("let v{n} = {n};")).collect();
    let source = format!("fn f() {{ {} }}\nfn main() {{ f() }}", lets.join(" "));
    let told = eval(&source);
    assert_snapshot!(&told[told.find("error").expect("an error")..].lines().filter(|line| !line.contains("let v")).collect::<Vec<_>>().join("\n"), @r"
    error[E0510]: too many variables at once
     --> main.rhai:2:13
      |
    2 | fn main() { f() }
      |             ^
      = hint: keep values that belong together in a map or an array
    ");
}

/// Every operation of the script at which it can be stopped has a place and its calls.
#[test]
fn wherever_a_script_is_stopped() {
    let source = "fn inner(n) {
    let all = [];
    for i in 0..n {
        all.push(`${i}` + all.len());
    }
    all[0]
}
fn outer(n) {
    let called = [1, 2].map(|x| { inner(x).len() });
    let m = #{ a: called };
    m.a[0] += 1;
    if m.a[0] > 1 && n < 10 { inner(n) }
}
fn main() {
    outer(2)
}";
    let mut seen = Vec::new();
    // The first is the call of `main`, which nobody wrote.
    for at in 2.. {
        let Some(told) = limited(&[("main.rhai", source)], Limits::default(), Some(at)) else { break };
        let calls: Vec<_> = told.calls.iter().map(|call| format!("{} {}", call.function, call.line)).collect();
        seen.push(format!("{} {}", told.place.line, calls.join(" ")).trim().to_owned());
    }
    seen.dedup();
    assert_snapshot!(format!("{source}\n\n{}", seen.join("\n")), @r"
    fn inner(n) {
        let all = [];
        for i in 0..n {
            all.push(`${i}` + all.len());
        }
        all[0]
    }
    fn outer(n) {
        let called = [1, 2].map(|x| { inner(x).len() });
        let m = #{ a: called };
        m.a[0] += 1;
        if m.a[0] > 1 && n < 10 { inner(n) }
    }
    fn main() {
        outer(2)
    }

    0
    15
    9 outer 15
    9 map 9 outer 15
    9 closure 9 outer 15
    3 inner 9 closure 9 outer 15
    4 inner 9 closure 9 outer 15
    6 inner 9 closure 9 outer 15
    9 inner 9 closure 9 outer 15
    9 closure 9 outer 15
    9 map 9 outer 15
    9 closure 9 outer 15
    3 inner 9 closure 9 outer 15
    4 inner 9 closure 9 outer 15
    6 inner 9 closure 9 outer 15
    9 inner 9 closure 9 outer 15
    9 closure 9 outer 15
    10 outer 15
    11 outer 15
    15 outer 15
    12 outer 15
    15 outer 15
    12 outer 15
    3 inner 12 outer 15
    4 inner 12 outer 15
    6 inner 12 outer 15
    12 inner 12 outer 15
    ");
}
