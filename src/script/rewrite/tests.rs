use rhai::{Dynamic, EvalAltResult};

use super::*;
use crate::script::sandbox;

fn before(script: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let engine = sandbox::engine();
    engine.eval_ast(&engine.compile(script).expect("compiles"))
}

fn after(script: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let engine = sandbox::engine();
    engine.eval_ast(&rewrite(engine.compile(script).expect("compiles")))
}

fn shown(script: &str) -> String {
    match after(script) {
        Ok(value) => format!("{value:?}"),
        Err(error) => panic!("{script}: {error}"),
    }
}

const ORDER: &str = "let order = #{ id: 7, lines: [1, 2], deep: [#{ lines: [3, 4] }] };";

#[test]
fn a_closure_may_use_the_value_whose_method_runs() {
    let cases = [
        ("order.lines.map(|l| order.id + l)", "[8, 9]"),
        ("order.deep[0].lines.map(|l| order.id + l)", "[10, 11]"),
        ("order.deep[order.deep.len() - 1].lines.filter(|l| l > order.id - 4)", "[4]"),
        ("order?.lines?.map(|l| order.id)", "[7, 7]"),
        ("order.lines.filter(|l| order.id > l).map(|l| order.id * l)", "[7, 14]"),
        ("order.lines.reduce(|sum, l| sum + l + order.id, 0)", "17"),
        ("order.lines.map(|l| order.lines.map(|m| order.id * l * m))", "[[7, 14], [14, 28]]"),
        ("order.lines.index_of(|l| l == order.id - 5)", "1"),
        ("order.get(\"lines\").map(|l| order.id)", "[7, 7]"),
        ("order.lines.all(|l| l < order.id) && order.lines.some(|l| l == 1)", "true"),
        ("order.lines.zip([5, 6], |a, b| a * b + order.id)", "[12, 19]"),
        ("`${order.lines.map(|l| order.id)}`", "\"[7, 7]\""),
        ("let f = |l| order.id + l; order.lines.map(f)", "[8, 9]"),
    ];
    for (script, wanted) in cases {
        assert_eq!(shown(&format!("{ORDER} {script}")), wanted, "{script}");
    }
    assert!(before(&format!("{ORDER} order.lines.map(|l| order.id)")).is_err());
}

#[test]
fn it_works_in_functions_closures_and_methods() {
    assert_eq!(shown("fn f(order) { order.lines.map(|l| order.id + l) } f(#{ id: 7, lines: [1] })"), "[8]");
    assert_eq!(shown("fn f(o) { let g = || o.lines.map(|l| o.id + l); g.call() } f(#{ id: 7, lines: [1] })"), "[8]");
    assert_eq!(shown("fn ids() { this.lines.map(|l| l + 1) } let o = #{ lines: [1] }; o.ids()"), "[2]");
    assert_eq!(shown("private fn f(a, b) { a.map(|x| x + b) } f([1], 2)"), "[3]");
}

#[test]
fn methods_that_change_their_receiver_still_do() {
    let cases = [
        ("order.lines.push(3); order.lines", "[1, 2, 3]"),
        ("order.lines.retain(|l| l > 1); order.lines", "[2]"),
        ("order.lines.sort(|a, b| b - a); order.lines", "[2, 1]"),
        ("order.deep[0].lines.drain(|l| l == 3); order.deep", "[#{\"lines\": [4]}]"),
        ("order.lines[0] += 5; order.lines", "[6, 2]"),
        ("let k = #{ i: [1] }; order.lines[k.i[0]] = 9; order.lines", "[1, 9]"),
        ("fn map(f) { this.n += 1; f } let o = #{ n: 1 }; o.map(1); o.n", "2"),
    ];
    for (script, wanted) in cases {
        assert_eq!(shown(&format!("{ORDER} {script}")), wanted, "{script}");
    }
}

#[test]
fn every_round_of_a_loop_has_its_own_variables() {
    let cases = [
        ("let f = []; for i in 0..3 { f.push(|| i); } f.map(|g| g.call())", "[0, 1, 2]"),
        ("let f = []; for (x, i) in [5, 6] { f.push(|| x * 10 + i); } f.map(|g| g.call())", "[50, 61]"),
        (
            "let f = []; let a = 1; for i in 0..2 { let b = a; let b = b + i; f.push(|| a + b + i); } f.map(|g| g.call())",
            "[2, 4]",
        ),
        (
            "let f = []; for i in 0..2 { for j in 0..2 { f.push(|| i * 10 + j); } } f.map(|g| g.call())",
            "[0, 1, 10, 11]",
        ),
        ("let n = 0; for i in 0..3 { let add = || n += i; add.call(); i += 1; } n", "3"),
        (
            "fn f(a) { let r = []; for i in a { if i > 1 { r.push(|| i); } } r.map(|g| g.call()) } f([1, 2, 3])",
            "[2, 3]",
        ),
        ("let r = 0; for i in 0..3 { let c = || i; switch c.call() { 1 => continue, _ => () } r += i; } r", "2"),
    ];
    for (script, wanted) in cases {
        assert_eq!(shown(script), wanted, "{script}");
    }
    assert_eq!(before(cases[0].0).expect("runs").to_string(), "[2, 2, 2]");
}

#[test]
fn errors_keep_their_positions() {
    let script = "let order = #{ lines: [1] };\nlet x =\n  order.lines.map(|l| l.missing());";
    let error = after(script).expect_err("no such function");
    assert_eq!(error.position(), before(script).expect_err("no such function").position());
    let error = after("let a = 1;\n\n   a < \"x\"").expect_err("mixed");
    assert_eq!((error.position().line(), error.position().position()), (Some(3), Some(6)));
    let error = after("fn f() {\n\n `${1 + nothing}` }\nf()").expect_err("no such variable");
    assert_eq!(error.unwrap_inner().position().line(), Some(3));
}

#[test]
fn source_documents_and_access_survive() {
    let engine = sandbox::engine();
    let mut ast =
        engine.compile("//! About.\n\n/// Doc.\nprivate fn f(x) { x.map(|y| y) }\nfn g() { 1 }").expect("compiles");
    ast.set_source("orders/invoice");
    let rewritten = rewrite(ast.clone());
    let list = |ast: &AST| {
        let mut all: Vec<_> = ast.iter_functions().map(|f| format!("{f} {:?} {:?}", f.access, f.comments)).collect();
        all.sort();
        all
    };
    assert_eq!((rewritten.source(), rewritten.doc()), (ast.source(), ast.doc()));
    assert_eq!(list(&rewritten), list(&ast));
}

#[test]
fn ordinary_scripts_mean_what_they_meant() {
    let cases = [
        "let a = [1, [2, #{ b: 3 }]]; a[1][1].b = 4; a[1][1][\"c\"] = [5]; a",
        "let m = #{ a: [1, 2, 3] }; let i = [0, 2]; m.a[i[1]] + m[\"a\"][i[0]]",
        "let s = 0; let i = 0; while i <= 10 { if i >= 5 { break; } s += i; i += 1; } s",
        "let x = #{ f: |y| y + 1 }; x.f(2)",
        "let r = 0; try { throw #{ a: [1] } } catch (e) { r = e; } r",
        "let v = if 1 < 2 && 3.5 >= 3 { [1][0] } else { 0 }; v",
        "[1, 2, 3].filter(|x| x > 1).len",
        "let a = [[1, 2], [3]]; a[0][1..][0]",
        "switch 5 { 1..=3 => 1, 4..9 if 1 < 2 => [2], _ => 3 }",
        "let t = `a${1}b${[1, \"x\"]}${'c'}${2.0}${()}`; t",
        "\"abc\"[1] + \"x\" + [1]",
    ];
    for script in cases {
        let (old, new) = (before(script), after(script));
        assert_eq!(old.map(|v| format!("{v:?}")).ok(), new.map(|v| format!("{v:?}")).ok(), "{script}");
    }
}

#[test]
fn variables_of_functions_are_found_where_they_stand() {
    let many: Vec<_> = (0..300).map(|n| format!("let v{n} = {n};")).collect();
    let many = many.concat();
    let cases = [
        ("let g = []; for i in 0..a { g.push(|| i * 10 + a); } g.map(|h| h.call())".to_owned(), "[3, 13, 23]"),
        (
            "let g = []; for (x, i) in [5, 6] { let y = x; let y = y + a; for x in 0..2 { g.push(|| x * 1000 + y * 10 + i); } } g.map(|h| h.call())".to_owned(),
            "[80, 1080, 91, 1091]",
        ),
        (
            "let g = []; for i in 0..2 { try { let n = 9; throw i; } catch (e) { let k = e + a; g.push(|| k * 10 + e + i); } } g.map(|h| h.call())".to_owned(),
            "[30, 42]",
        ),
        (
            "let g = []; for i in 0..3 { let b = if i == 1 { let c = 7; c + a } else { let d = { let z = 2; z * a }; d }; let s = switch i { 0 => { let q = 5; q + b } _ => b }; g.push(|| s + b + i); } g.map(|h| h.call())".to_owned(),
            "[17, 21, 14]",
        ),
        ("let m = |x| [1, 2].map(|y| x * y + a); [3, 4].map(m)".to_owned(), "[[6, 9], [7, 11]]"),
        ("let s = 0; let add = |k| { s += k; }; for i in 0..4 { let i = i * 2; add.call(i); } s + a".to_owned(), "15"),
        ("let s = a; while s < 9 { let t = s; let t = t + 1; s = t; let h = || t; s += h.call() - t; } s".to_owned(), "9"),
        (format!("{many} let g = []; for i in 0..1 {{ g.push(|| v0 + v299 + i + a); }} g[0].call()"), "302"),
    ];
    for (body, wanted) in cases {
        assert_eq!(shown(&format!("fn f(a) {{ {body} }} f(3)")), wanted, "{body}");
    }
}

/// The variables that are looked up by name in functions, in the order of the tree.
fn by_name(script: &str) -> Vec<String> {
    let mut names = Vec::new();
    let rewritten = rewrite(sandbox::engine().compile(script).expect("compiles"));
    rewritten.walk(&mut |path| {
        if let Some(rhai::ASTNode::Expr(Expr::Variable(parts, _, _))) = path.last()
            && parts.0.is_none()
        {
            names.push(parts.1.to_string());
        }
        true
    });
    names
}

#[test]
fn only_what_no_function_declares_is_looked_up_by_name() {
    let ten_steps = r#"fn main(x) { let t = 0; for i in 0..10 { t += step("s" + i, || i + t); } t }"#;
    assert_eq!(by_name(ten_steps), [""; 0]);
    assert_eq!(by_name("const C = 1; fn f(a) { let g = || C + a; g.call() }"), ["C"]);
}
