//! What `check` finds, and what it leaves in peace.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::super::bundle::{Bundle, Stdlib};
use super::super::catalog::{Catalog, Choice, Kind, Literal, Signature};
use super::super::program::install;
use super::super::sandbox;
use super::Shape;
use super::{Options, check};
use crate::diag::Color;

const STD: Stdlib = &[("slack", "fn post(channel, text) { http::post(channel, text) }")];

fn catalog() -> Catalog {
    let signature = Signature::new;
    Catalog::new([
        signature("workflow", 1, 1, Kind::Declarative),
        signature("trigger::webhook", 1, 2, Kind::Declarative),
        signature("trigger::event", 1, 2, Kind::Declarative),
        signature("secret", 1, 1, Kind::Declarative),
        signature("bearer", 1, 1, Kind::Declarative),
        signature("http::get", 1, 2, Kind::Reading),
        signature("http::post", 2, 3, Kind::Mutating),
        signature("http::delete", 1, 2, Kind::Mutating),
        signature("mail::send", 1, 1, Kind::Mutating),
        signature("sleep", 1, 1, Kind::Internal).literal(0, Literal::Duration),
        Signature {
            options_at: Some(1),
            options: ["key", "timeout", "batch", "batch.size"]
                .map(|name| Choice { name, kind: "any", doc: "" })
                .to_vec(),
            ..signature("wait_for", 1, 2, Kind::Internal)
        },
        signature("task::ask", 1, 1, Kind::Internal),
        signature("step", 2, 3, Kind::Control),
        signature("parallel", 1, 1, Kind::Control),
        signature("parallel_map", 2, 3, Kind::Control),
    ])
}

fn literal(function: &str, _: usize, text: &str) -> Option<String> {
    let is_duration = matches!(function, "sleep" | "wait_for.timeout");
    (is_duration && !text.ends_with(['d', 'h', 'm', 's'])).then(|| format!("`{text}` is not a duration"))
}

fn found_in(files: &[(&str, &str)]) -> String {
    let files: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let bundle = Bundle::load("main.rhai", &files, STD).unwrap();
    let mut engine = sandbox::engine();
    install(&mut engine);
    let input = Shape::Map(["order_id", "email", "total"].map(|name| (name.to_owned(), Shape::Any)).into());
    let options = Options { input: Some(&input), literal: &literal, ..Options::default() };
    check(&engine, &bundle, &catalog(), options).iter().map(|finding| finding.render(Color::Plain)).collect()
}

fn found(source: &str) -> String {
    found_in(&[("main.rhai", source)])
}

const INVOICE: &str = r#"//! Invoice an order once it is delivered, and chase the payment.

import "std/slack" as slack;

const BILLING = "https://billing.example.com/invoices";

workflow(#{
    input: #{ order_id: "string", email: "email", total: "decimal" },
    allow: #{ http: ["billing.example.com"], mail: true, secrets: ["billing"], std: true },
    deadline: "60d",
    on_failure: "ops",
});
trigger::webhook("orders");
trigger::event("order.placed");

fn main(order) {
    if wait_for("delivery.confirmed", #{ key: order.order_id, timeout: "14d" }) == () {
        throw `order ${order.order_id} was never delivered`;
    }
    let invoice = step("create invoice", #{ retry: 5, undo: |inv| http::delete(`${BILLING}/${inv.id}`) }, || {
        http::post(BILLING, order, #{ auth: bearer(secret("billing")) }).body
    });
    parallel([
        || mail::send(#{ to: order.email, subject: "Your invoice", text: invoice.text }),
        || slack::post("\#accounting", `Invoice ${invoice.id}: ${order.total}`),
    ]);
    let payment = wait_for("payment.received", #{ key: invoice.id, timeout: "30d" });
    if payment == () { task::ask(#{ title: `Chase invoice ${invoice.id}`, to: "finance", due: "2d" }); }
    #{ invoice: invoice.id, paid: payment != () }
}
"#;

#[test]
fn the_story_of_the_manual_is_clean() {
    assert_eq!(found(&INVOICE.replace("\\#", "#")), "");
}

#[test]
fn clean_scripts() {
    for source in [
        "",
        "// nothing",
        "input.order_id",
        "let f = |x| x + input.total; f.call(1)",
        "fn f(a) { a } let g = f; [1].map(f)",
        "let handlers = #{ paid: |x| x }; handlers.paid(1)",
        "fn double() { this * 2 } let a = 1; a.double()",
        "const A = 1; fn f() { A + global::A } f()",
        "for x in 0..3 { [1].map(|y| x + y); let f = || x; f.call(); }",
        "let fs = []; for x in 0..3 { fs.push(|| x); fs += [|| x]; }",
        "loop { if input.total > 1 { break; } } print(1)",
        "let r = switch input.total { 1 => { return 5; }, _ => 3 }; r",
        "try { throw 1 } catch (e) { print(e) }",
        "workflow(#{}); sleep(\"5m\");",
        "let a = []; a.push(1); a.len(); \"x\".to_upper(); #{}.keys()",
        "input.added = 1; input.added",
    ] {
        assert_eq!(found(source), "", "{source}");
    }
}

#[test]
fn unknown_names() {
    assert_snapshot!(found("const LIMIT = 3;\nfn main(order) {\n    let total = order.total;\n    if totl > LIMTI { slepe(\"5m\"); }\n    [1].map(|x| x + missing);\n    `value ${totall}`;\n}"), @r#"
    error[E0302]: unknown variable `totl`
     --> main.rhai:4:8
      |
    4 |     if totl > LIMTI { slepe("5m"); }
      |        ^^^^
      = hint: did you mean `total`?
    error[E0302]: unknown variable `LIMTI`
     --> main.rhai:4:15
      |
    4 |     if totl > LIMTI { slepe("5m"); }
      |               ^^^^^
      = hint: did you mean `LIMIT`?
    error[E0301]: unknown function `slepe`
     --> main.rhai:4:23
      |
    4 |     if totl > LIMTI { slepe("5m"); }
      |                       ^^^^^
      = hint: did you mean `sleep`?
    error[E0302]: unknown variable `missing`
     --> main.rhai:5:21
      |
    5 |     [1].map(|x| x + missing);
      |                     ^^^^^^^
    error[E0302]: unknown variable `totall`
     --> main.rhai:6:14
      |
    6 |     `value ${totall}`;
      |              ^^^^^^
      = hint: did you mean `total`?
    "#);
}

#[test]
fn unknown_functions_and_modules() {
    assert_snapshot!(found("http::gte(\"x\");\nhtpp::get(\"x\");\nmoney::add(1);\nlet a = [1];\na.psuh(2);\nlet f = |x| x;\nf(1);"), @r#"
    error[E0301]: unknown function `http::gte`
     --> main.rhai:1:1
      |
    1 | http::gte("x");
      | ^^^^^^^^^
      = hint: did you mean `http::get`?
    error[E0304]: unknown module `htpp`
     --> main.rhai:2:1
      |
    2 | htpp::get("x");
      | ^^^^^^^^^
      = hint: did you mean `http::get`?
    error[E0304]: unknown module `money`
     --> main.rhai:3:1
      |
    3 | money::add(1);
      | ^^^^^^^^^^
      = hint: import it at the top of the file: `import "lib/money" as money;`
    error[E0301]: unknown method `psuh`
     --> main.rhai:5:3
      |
    5 | a.psuh(2);
      |   ^^^^
      = hint: did you mean `push`?
    error[E0301]: unknown function `f`
     --> main.rhai:7:1
      |
    7 | f(1);
      | ^
      = hint: `f` is a variable: write `f.call(...)`
    "#);
}

#[test]
fn wrong_counts() {
    assert_snapshot!(found("fn add(a, b) { a + b }\nadd(1);\nsleep();\nstep(\"a\", #{}, || 1, 2);\nlet a = [1];\na.len(3);\na.map(|x| sleep(1, 2));"), @r#"
    error[E0303]: `add` takes 2 arguments, 1 given
     --> main.rhai:2:1
      |
    2 | add(1);
      | ^^^
    error[E0303]: `sleep` takes 1 argument, 0 given
     --> main.rhai:3:1
      |
    3 | sleep();
      | ^^^^^
    error[E0303]: `step` takes 2 or 3 arguments, 4 given
     --> main.rhai:4:1
      |
    4 | step("a", #{}, || 1, 2);
      | ^^^^
    error[E0303]: `len` takes no arguments, 1 given
     --> main.rhai:6:3
      |
    6 | a.len(3);
      |   ^^^
    error[E0303]: `sleep` takes 1 argument, 2 given
     --> main.rhai:7:11
      |
    7 | a.map(|x| sleep(1, 2));
      |           ^^^^^
    "#);
}

#[test]
fn functions_and_constants_of_modules() {
    let lib =
        "const RATE = 2;\nfn add(a, b) { a + b }\nprivate fn hidden() { helper(1) }\nfn helper(a) { RATE + rate }";
    let main = "import \"lib/money\" as money;\nmoney::add(1, 2) + money::RATE;\nmoney::ad(1);\nmoney::add(1);\nmoney::hidden();\nmoney::RAT;";
    assert_snapshot!(found_in(&[("lib/money.rhai", lib), ("main.rhai", main)]), @r"
    error[E0302]: unknown variable `rate`
     --> lib/money.rhai:4:23
      |
    4 | fn helper(a) { RATE + rate }
      |                       ^^^^
      = hint: did you mean `RATE`?
    error[E0301]: unknown function `money::ad`
     --> main.rhai:3:1
      |
    3 | money::ad(1);
      | ^^^^^^^^^
      = hint: did you mean `money::add`?
    error[E0303]: `money::add` takes 2 arguments, 1 given
     --> main.rhai:4:1
      |
    4 | money::add(1);
      | ^^^^^^^^^^
    error[E0301]: unknown function `money::hidden`
     --> main.rhai:5:1
      |
    5 | money::hidden();
      | ^^^^^^^^^^^^^
    error[E0302]: unknown constant `money::RAT`
     --> main.rhai:6:1
      |
    6 | money::RAT;
      | ^^^^^^^^^^
      = hint: did you mean `RATE`?
    ");
}

#[test]
fn closures_of_a_declaration_are_asked_outside_of_any_run() {
    let with = |closure: &str| {
        found(&format!(
            "fn stamp(r) {{ sleep(\"1s\"); r }}\nfn plain(r) {{ r.ok }}\ntrigger::webhook(\"a\", #{{ when: {closure} }});\nfn main() {{ stamp(1) }}"
        ))
    };
    let told = with("|r| http::get(r.x).ok");
    assert!(
        told.contains("E0306")
            && told.contains("`http::get` is called in a closure of a declaration: it is asked outside"),
        "{told}"
    );
    assert!(told.contains("main.rhai:3:"), "{told}");
    assert!(with("|r| stamp(r)").contains("`sleep` is called in a closure of a declaration, by `stamp`"));
    assert_eq!(with("|r| plain(r)"), "");
}

#[test]
fn effects_at_top_level() {
    assert_snapshot!(found("const TOKEN = secret(\"a\");\nconst DATA = http::get(\"x\");\nsleep(\"1s\");\ntrigger::webhook(\"a\", #{ when: |r| r.ok });\nlet count = 1;\nfn main() { http::get(\"x\") }"), @r#"
error[E0306]: `http::get` is called at top level
 --> main.rhai:2:14
  |
2 | const DATA = http::get("x");
  |              ^^^^^^^^^
  = hint: the top level only declares: move the call into `main`, or into a function that `main` calls
error[E0306]: `sleep` is called at top level
 --> main.rhai:3:1
  |
3 | sleep("1s");
  | ^^^^^
  = hint: the top level only declares: move the call into `main`, or into a function that `main` calls
warning[W0405]: variable `count` at top level is visible in no function
 --> main.rhai:5:5
  |
5 | let count = 1;
  |     ^^^^^
  = hint: write `const count = ...`, or move it into a function
"#);
}

#[test]
fn unreachable_code() {
    assert_snapshot!(found("fn f(a) {\n    if a { return 1; } else { throw 2; }\n    let b = a;\n}\nfn g() {\n    loop { sleep(\"1s\"); }\n    sleep(\"2s\");\n}\nf(1);\nreturn 1;\nprint(2);"), @r#"
warning[W0401]: this is never reached, after `return`
 --> main.rhai:3:5
  |
3 |     let b = a;
  |     ^^^
warning[W0401]: this is never reached, after an endless loop
 --> main.rhai:7:5
  |
7 |     sleep("2s");
  |     ^^^^^
warning[W0401]: this is never reached, after `return`
  --> main.rhai:11:1
   |
11 | print(2);
   | ^^^^^
"#);
}

#[test]
fn hidden_host_functions() {
    assert_snapshot!(found("fn sleep(time) { time }\nfn step(a, b, c, d) { a }\nsleep(\"x\")"), @r#"
warning[W0403]: function `sleep` hides the one of the engine
 --> main.rhai:1:4
  |
1 | fn sleep(time) { time }
  |    ^^^^^
  = hint: give it another name
"#);
}

#[test]
fn literals() {
    assert_snapshot!(found("sleep(\"soonish\");\nwait_for(\"x\", #{ key: 1, timeout: \"soon\" });"), @r#"
error[E0307]: `soon` is not a duration
 --> main.rhai:2:35
  |
2 | wait_for("x", #{ key: 1, timeout: "soon" });
  |                                   ^^^^^^
"#);
}

#[test]
fn options_are_those_of_the_function() {
    let script = "wait_for(\"x\", #{ timout: \"1h\", key: 1 });\nwait_for(\"x\", #{ batch: #{ sice: 1 } });\nsleep(#{ any: 1 });";
    assert_snapshot!(found(script), @r#"
    error[E0308]: `wait_for` has no option `timout`
     --> main.rhai:1:18
      |
    1 | wait_for("x", #{ timout: "1h", key: 1 });
      |                  ^^^^^^
      = hint: did you mean `timeout`?
    error[E0308]: `wait_for` has no option `sice` in `batch`
     --> main.rhai:2:28
      |
    2 | wait_for("x", #{ batch: #{ sice: 1 } });
      |                            ^^^^
      = hint: did you mean `size`?
    "#);
}

#[test]
fn properties_of_the_input() {
    assert_snapshot!(found("fn main(order) {\n    order.oder_id;\n    order[\"mail\"];\n    [1].map(|x| order.extra.deep);\n    [order].map(|order| order.fine);\n    order.later = 1;\n    order.later\n}"), @r#"
    warning[W0404]: the declared input has no property `oder_id`
     --> main.rhai:2:11
      |
    2 |     order.oder_id;
      |           ^^^^^^^
      = hint: did you mean `order.order_id`?
    warning[W0404]: the declared input has no property `mail`
     --> main.rhai:3:11
      |
    3 |     order["mail"];
      |           ^^^^^^
      = hint: did you mean `order.email`?
    warning[W0404]: the declared input has no property `extra`
     --> main.rhai:4:23
      |
    4 |     [1].map(|x| order.extra.deep);
      |                       ^^^^^
      = hint: declare it: `input: #{ extra: ... }`
    "#);
}

#[test]
fn modules_outside_of_lib() {
    assert_snapshot!(found_in(&[("helpers.rhai", "fn f() { 1 }"), ("main.rhai", "import \"helpers\" as h;\nh::f()")]), @r#"
warning[W0406]: imported file `helpers.rhai` is a workflow of its own too
 --> main.rhai:1:8
  |
1 | import "helpers" as h;
  |        ^^^^^^^^^
  = hint: move it into a folder named `lib`
"#);
}

#[test]
fn habits_that_parse() {
    assert_snapshot!(found("let a = None;\nif a == undefined { console.log(1); }"), @r"
error[E0302]: unknown variable `None`
 --> main.rhai:1:9
  |
1 | let a = None;
  |         ^^^^
  = hint: write `()` for no value
error[E0302]: unknown variable `undefined`
 --> main.rhai:2:9
  |
2 | if a == undefined { console.log(1); }
  |         ^^^^^^^^^
  = hint: write `()` for no value
error[E0302]: unknown variable `console`
 --> main.rhai:2:21
  |
2 | if a == undefined { console.log(1); }
  |                     ^^^^^^^
  = hint: write `log::info(message)` or `print(text)`
");
}

#[test]
fn a_variable_that_a_closure_cannot_capture() {
    let said = found("fn lead() { 1 }\nlet lead = 7;\nlet shown = || `${lead}`;\nshown.call()");
    assert!(said.contains("error[E0310]") && said.contains("main.rhai:3:") && said.contains("hint: rename"), "{said}");
    let parameter = found(
        "fn lead() { 1 }\nfn main(order) { [1].map(|lead| lead + 1); let x = lead(); for lead in [1] { parallel([|| lead + x]); } }",
    );
    assert_eq!(parameter.matches("E0310").count(), 1, "{parameter}");
    for fine in [
        "fn lead() { 1 }\nlet lead = 7;\nprint(`${lead}`);",
        "fn lead() { 1 }\nlet call = || lead();\ncall.call()",
        "fn lead() { 1 }\nparallel([lead]);",
        "let lead = 7;\nlet shown = || lead;\nfn lead() { 1 }\nshown.call()",
    ] {
        assert!(!found(fine).contains("E0310"), "{fine}");
    }
}

#[test]
fn what_is_done_with_nothing() {
    let said = found("let x = \" a \";\nprint(x.trim().is_empty());");
    assert!(said.contains("warning[W0415]") && said.contains("main.rhai:2:9"), "{said}");
    for bad in [
        "let y = x.sort();",
        "x = x.trim();",
        "print(x.push(1));",
        "print(`${x.trim()}`);",
        "if x.a.trim() == \"\" { }",
        "x.b[0].reverse().len();",
    ] {
        let said = found(&format!("let x = input;\n{bad}"));
        assert_eq!(said.matches("W0415").count(), 1, "{bad}\n{said}");
    }
    for fine in [
        "x.trim();",
        "x.push(1)",
        "let f = || x.sort();",
        "let y = x.trim;",
        "let y = x.to_lower();",
        "let y = x.a.pop();",
    ] {
        assert!(!found(&format!("let x = #{{ a: [] }};\n{fine}")).contains("W0415"), "{fine}");
    }
    assert!(!found("fn trim() { this + 1 }\nlet y = 1;\nprint(y.trim());").contains("W0415"));
}

#[test]
fn what_ends_a_catch_is_lost() {
    for bad in [
        "try { f(); } catch { 0 }",
        "let g = || { try { f() } catch (e) { e.message } };",
        "try { f() } catch (e) { #{ ok: false, error: e } }",
    ] {
        let said = found(&format!("fn f() {{ 1 }}\n{bad}"));
        assert_eq!(said.matches("W0416").count(), 1, "{bad}\n{said}");
    }
    for fine in [
        "try { f(); } catch { f(); }",
        "try { f() } catch { () }",
        "try { f() } catch (e) { throw e; }",
        "try { f() } catch (e) { let x = e; }",
        "fn g() { try { f() } catch { return 0; } }",
    ] {
        let said = found(&format!("fn f() {{ 1 }}\n{fine}"));
        assert!(!said.contains("W0416"), "{fine}\n{said}");
    }
}

#[test]
fn a_backtick_is_not_escaped_by_a_backslash() {
    for bad in ["let a = `use \\`x\\` here`;", "let a = `all \\``;\nprint(a);"] {
        let said = found(bad);
        assert!(said.contains("a backslash does not escape a backtick"), "{bad}\n{said}");
    }
}
