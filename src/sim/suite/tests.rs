use super::*;
use crate::diag::Color;
use crate::script::bundle::Stdlib;

const STD: Stdlib = &[(
    "chat",
    "fn post(channel, text) { http::post(\"https://chat.example/\" + channel, #{ text: text }).status }\n\
     fn twice(text) { post(\"a\", text) + post(\"b\", text) }",
)];

fn report(files: &[(&str, &str)]) -> Report {
    let sources: BTreeMap<_, _> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let tests = sources.keys().filter(|path| path.ends_with(".test.rhai")).cloned().collect();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: STD });
    run(&folder, &Selection { files: tests, threads: 1, ..Selection::default() })
}

/// A workflow `w` and the body of its one test: what the test says, empty where it passes.
fn tested(workflow: &str, test: &str) -> String {
    let test = format!("fn test_it() {{ let t = test::workflow(\"w\"); {test} }}");
    let report = report(&[("w.rhai", workflow), ("w.test.rhai", &test)]);
    assert_eq!(report.outcomes.len() + report.broken.len(), 1);
    let failure = report.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
    failure.chain(&report.broken).map(|fault| fault.render(Color::Plain)).collect()
}

fn passes(workflow: &str, test: &str) {
    let said = tested(workflow, test);
    assert!(said.is_empty(), "\n{said}");
}

fn fails(workflow: &str, test: &str, parts: &[&str]) {
    let said = tested(workflow, test);
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in\n{said}");
    }
}

#[test]
fn a_test_that_passes_and_one_that_does_not() {
    passes("input.n + 1", "t.start(#{ n: 1 }); assert_eq(t.output(), 2); assert_eq(t.status(), \"completed\");");
    fails(
        "input.n + 1",
        "t.start(#{ n: 1 }); assert_eq(t.output(), 3);",
        &["E0701", "the values are not equal", "  actual: 2", "expected: 3", "w.test.rhai:1:", "^^^^^^^^^"],
    );
}

#[test]
fn what_goes_wrong_in_a_test_is_told_at_its_line() {
    fails("1", "t.start(); t.nothing();", &["nothing", "w.test.rhai:1"]);
    fails("1", "t.output()", &["E0704", "no run of `w` was started", "`t.start(input)` starts one"]);
    fails("1", "t.advance(\"soon\")", &["E0704", "soon"]);
    fails("1", "t.start(); t.secret(\"a\", \"b\")", &["E0704", "comes too late"]);
    fails("throw \"no\"", "t.start(); t.output()", &["E0701", "the run is `failed`", "no"]);
    fails("let x 1", "t.start()", &["E0704", "`w` does not compile"]);
    fails("1", "test::workflow(\"v\").start()", &["there is no workflow `v`", "the path below the scripts folder"]);
    fails("1", "t.start(", &["w.test.rhai"]);
}

#[test]
fn a_call_without_a_mock_is_told_with_the_line_to_write() {
    fails(
        "let a = 1;\nhttp::get(\"https://a.example/\")",
        "t.start()",
        &[
            "E0702",
            "`http::get` has no mock",
            "w.rhai:2:1",
            "^^^^^^^^^",
            "add `t.mock(\"http::get\", test::response(200, #{}));`",
        ],
    );
    fails("file::read(\"a\")", "t.start()", &["E0702", "t.file(path, text)"]);
    passes("file::read(\"a\")", "t.file(\"a\", \"text\"); t.start(); assert_eq(t.output(), \"text\");");
}

#[test]
fn mocks_get_what_the_script_gave() {
    passes(
        "http::post(\"https://a.example/\", #{ n: 1 }).body",
        "t.mock(\"http::post\", |url, body, options| test::response(201, [url, body.n, options])); t.start();\
         assert_eq(t.output(), [\"https://a.example/\", 1, ()]);\
         assert_eq(t.calls(\"http::post\")[0].args, [\"https://a.example/\", #{ n: 1 }]);",
    );
    passes(
        "workflow(#{ allow: #{ http: [\"*\"], secrets: [\"x\"] } }); http::get(\"https://a.example/\", #{ auth: bearer(secret(\"x\")) }).status",
        "t.secret(\"x\", \"hidden\"); t.mock(\"http::get\", |url, options| { assert(!options.to_string().contains(\"hidden\")); test::response(200) });\
         t.start(); assert_eq(t.output(), 200);",
    );
}

#[test]
fn what_a_service_refuses_is_an_error_and_tried_again() {
    passes(
        "http::get(\"https://a.example/\").status",
        "let n = 0; t.mock(\"http::get\", || { n += 1; test::response(if n < 3 { 503 } else { 200 }) });\
         t.start(); t.advance(\"1m\"); assert_eq(t.output(), 200); assert_eq(t.calls(\"http::get\").len(), 3);",
    );
    passes(
        "attempt(|| http::post(\"https://a.example/\")).error.status",
        "t.mock(\"http::post\", test::response(404)); t.start(); assert_eq(t.output(), 404);",
    );
    passes(
        "attempt(|| http::post(\"https://a.example/\")).error.kind",
        "t.mock(\"http::post\", || throw test::error(\"timeout\")); t.start(); assert_eq(t.output(), \"timeout\");",
    );
    passes(
        "workflow(#{ allow: #{ http: [\"b.example\"] } }); attempt(|| http::post(\"https://a.example/\")).error.kind",
        "t.mock(\"http::post\", test::response(200)); t.start(); assert_eq(t.output(), \"denied\");",
    );
    fails(
        "http::get(\"https://a.example/\")",
        "t.mock(\"http::get\", || unknown_function()); t.start();",
        &["E0702", "the mock of `http::get` is wrong", "unknown_function"],
    );
}

#[test]
fn a_program_is_mocked_and_its_code_counts() {
    let workflow = |rest: &str| format!("workflow(#{{ allow: #{{ shell: [\"git\"] }} }}); fn main() {{ {rest} }}");
    passes(
        &workflow("shell::run(\"git\", [\"log\", 5]).stdout"),
        "t.mock(\"shell::run\", |program, args| #{ code: 0, stdout: program + args[1] }); t.start(); assert_eq(t.output(), \"git5\");\
         t.crash_everywhere();",
    );
    let code = "let e = attempt(|| shell::run(\"git\", [])).error; [e.kind, e.code, e.stderr]";
    let mock = "t.mock(\"shell::run\", #{ code: 3, stderr: \"no\" }); t.start();";
    passes(&workflow(code), &format!("{mock} assert_eq(t.output(), [\"shell\", 3, \"no\"]);"));
    passes(&workflow("shell::run(\"git\", [], #{ accept: [3] }).code"), &format!("{mock} assert_eq(t.output(), 3);"));
    passes(
        &workflow("attempt(|| shell::run(\"curl\", [])).error.kind"),
        &format!("{mock} assert_eq(t.output(), \"denied\");"),
    );
}

#[test]
fn a_database_is_mocked() {
    let workflow = |rest: &str| format!("workflow(#{{ allow: #{{ sql: [\"crm\"] }} }}); fn main() {{ {rest} }}");
    passes(
        &workflow(
            "let rows = sql::query(\"crm\", \"select 1\", [1]); sql::execute(\"crm\", \"delete\", #{ a: rows.len() }).affected + rows[0].n",
        ),
        "t.mock(\"sql::query\", |db, text, params| [#{ n: params[0] }]); t.mock(\"sql::execute\", #{ affected: 2 }); t.start();\
         assert_eq(t.output(), 3); t.crash_everywhere();",
    );
    passes(
        &workflow("attempt(|| sql::execute(\"crm\", \"insert\")).error.reason"),
        "t.mock(\"sql::execute\", || throw test::error(\"sql\", #{ reason: \"unique\" })); t.start(); assert_eq(t.output(), \"unique\");",
    );
    passes(
        &workflow("attempt(|| sql::query(\"erp\", \"select 1\")).error.kind"),
        "t.mock(\"sql::query\", []); t.start(); assert_eq(t.output(), \"denied\");",
    );
}

#[test]
fn functions_of_modules_are_mocked_by_their_name_in_the_workflow() {
    let workflow = "import \"std/chat\" as chat; fn main() { [chat::post(\"#a\", \"hi\"), chat::twice(\"x\")] }";
    passes(
        workflow,
        "t.mock(\"chat::post\", |channel, text| channel + text); t.mock(\"http::post\", test::response(200)); t.start();\
         assert_eq(t.output(), [\"#ahi\", 400]); assert_eq(t.calls(\"chat::post\").len(), 1);\
         assert_eq(t.calls(\"http::post\").len(), 2); t.crash_everywhere();",
    );
    fails(workflow, "t.mock(\"chat::post\", ()); t.start();", &["`http::post` has no mock", "std/chat.rhai:1"]);
}

#[test]
fn a_step_is_replaced() {
    passes(
        "step(\"pay\", || http::post(\"https://a.example/\")) + 1",
        "t.mock_step(\"pay\", 41); t.start(); assert_eq(t.output(), 42); assert_eq(t.calls(\"pay\").len(), 1); t.crash_everywhere();",
    );
}

/// A shop without idempotency keys: `made` is what is in it; an order that it has got and cannot say so is made all the same.
const SHOP: &str = "let made = []; \
    t.mock(\"http::get\", || if made.is_empty() { test::response(200) } else { test::response(200, made[0]) }); \
    t.mock(\"http::post\", |url, body| { made.push(body); ";

const ORDER: &str = "let order = |n| once(\"order\", || http::get(\"https://a.example/\").body, || http::post(\"https://a.example/\", n).body); ";

fn shop(workflow: &str, answer: &str, then: &str) {
    passes(&format!("{ORDER}{workflow}"), &format!("{SHOP}{answer} }}); t.start(); t.advance(\"1m\"); {then}"));
}

#[test]
fn once_makes_one_wherever_the_process_dies() {
    let one = "assert_eq(t.output(), \"A1\"); assert_eq(t.calls(\"http::post\").len(), 1); ";
    shop("order.call(\"A1\")", "test::response(200, body)", &format!("{one} t.crash_everywhere();"));
    shop("order.call(\"A1\")", "test::error(\"network\")", &format!("{one} t.crash_everywhere();"));
    shop("order.call(\"A1\")", "test::response(503)", &format!("{one} t.crash_everywhere();"));
    shop("order.call(\"A1\")", "test::response(200)", &format!("{one} t.crash_everywhere();"));
    shop(
        "order.call(\"A1\"); order.call(\"A2\")",
        "test::response(200, body)",
        &format!("{one} t.crash_everywhere();"),
    );
}

#[test]
fn once_throws_what_was_refused_and_its_retries_look_first() {
    let refused = "assert_eq(t.error().status, 403); assert_eq(t.error().step, \"order\"); assert_eq(t.calls(\"http::post\").len(), 1);";
    shop("order.call(1)", "made.pop(); test::response(403)", refused);
    let retried = ORDER.replace("\"order\", ||", "\"order\", #{ retry: 3 }, ||");
    let looks = "step(\"look\", || http::get(\"https://a.example/\").body)";
    let retried = retried.replace("http::get(\"https://a.example/\").body", looks);
    // The second request was carried out; nothing that an earlier look found keeps that from being seen.
    passes(
        &format!("{retried} order.call(7)"),
        "let posts = 0; let made = []; \
         t.mock(\"http::get\", || if made.is_empty() { test::response(200) } else { test::response(200, made[0]) }); \
         t.mock(\"http::post\", |url, body| { posts += 1; if posts > 1 { made.push(body); } test::error(\"timeout\") }); \
         t.start(); t.advance(\"5m\"); assert_eq(t.output(), 7); assert_eq(posts, 2); assert_eq(t.calls(\"http::get\").len(), 4);",
    );
}

#[test]
fn once_can_be_replaced_and_undone() {
    passes(
        &format!("{ORDER} order.call(1) + 1"),
        "t.mock_step(\"order\", 41); t.start(); assert_eq(t.output(), 42); t.crash_everywhere();",
    );
    passes(
        "once(\"order\", #{ undo: |made| log::info(`undone ${made}`) }, || (), || 5); throw \"no\"",
        "t.start(); assert_eq(t.logs()[0].message, \"undone 5\");",
    );
    passes(
        "once(\"order\", #{ on_error: |e| e.kind }, || (), || throw #{ kind: \"mine\" })",
        "t.start(); assert_eq(t.output(), \"mine\");",
    );
}

#[test]
fn an_error_of_the_script_says_whether_to_try_again() {
    let tried = |error: &str, times: i32| {
        let workflow = format!("let n = 0; attempt(|| retry(3, || {{ n += 1; throw #{{ {error} }}; }})); n");
        passes(&workflow, &format!("t.start(); t.advance(\"1h\"); assert_eq(t.output(), {times});"));
    };
    tried("kind: \"shop\", retryable: false", 1);
    tried("message: \"no\", retryable: false", 1);
    tried("kind: \"shop\", status: 404", 1);
    tried("kind: \"shop\", status: 409, retryable: true", 3);
    tried("kind: \"shop\", status: 429", 3);
    tried("kind: \"shop\"", 3);
}

#[test]
fn a_change_that_is_not_made_is_another_run() {
    fails(
        "attempt(|| step(\"s\", #{ at_most_once: true }, || http::post(\"https://a.example/\"))); 1",
        "t.mock(\"http::post\", test::response(200)); t.start(); t.crash_everywhere();",
        &["what was called is another"],
    );
}

#[test]
fn values_that_look_alike_are_told_with_their_kinds() {
    fails("1", "assert_eq(decimal(\"1.50\"), \"1.50\")", &["one is a decimal, the other a text"]);
    fails(
        "1",
        "assert_eq(#{ a: [1, decimal(\"2.5\")] }, #{ a: [1, \"2.5\"] })",
        &["one is a decimal, the other a text at `a[1]`"],
    );
}

#[test]
fn answers_have_exact_numbers_where_they_are_asked_for_and_whole_classes_are_accepted() {
    passes(
        "let all = [404, 451, 503].map(|n| http::get(\"https://a.example/\", #{ query: #{ n: n }, accept: [\"4xx\", 503] }).status); all",
        "t.mock(\"http::get\", |url, options| test::response(options.query.n)); t.start(); assert_eq(t.output(), [404, 451, 503]);",
    );
    for bad in ["\"6xx\"", "\"4x\"", "\"x\"", "99"] {
        passes(
            &format!("attempt(|| http::get(\"https://a.example/\", #{{ accept: [{bad}] }})).error.kind"),
            "t.mock(\"http::get\", test::response(200)); t.start(); assert_eq(t.output(), \"invalid\");",
        );
    }
}

#[test]
fn what_hangs_never_ends() {
    passes(
        "attempt(|| timeout(\"1h\", || http::get(\"https://a.example/\"))).error.kind",
        "t.hang(\"http::get\"); t.start(); t.advance(\"59m\"); assert_ne(t.status(), \"completed\");\
         t.advance(\"1m\"); assert_eq(t.output(), \"timeout\"); t.crash_everywhere();",
    );
}

#[test]
fn events_time_and_cancellation() {
    passes(
        "on_exit(\"bye\", || print(\"bye\")); wait_for(\"paid\", #{ key: \"A\", timeout: \"30d\" })",
        "t.start(); t.emit(\"paid\", 1, #{ key: \"B\" }); t.advance(\"29d\"); assert_eq(t.status(), \"waiting\");\
         t.cancel(); assert_eq(t.status(), \"cancelled\"); assert_eq(t.logs()[0].message, \"bye\"); t.crash_everywhere();",
    );
    passes(
        "wait_for(\"paid\", #{ timeout: \"30d\" })",
        "t.start(); t.emit(\"paid\", #{ n: 1 }); assert_eq(t.output().n, 1); t.crash_everywhere();",
    );
}

#[test]
fn other_workflows_of_the_folder_are_there() {
    let test = "fn test_it() { let t = test::workflow(\"parent\"); t.start(); t.advance(\"2d\");\
        assert_eq(t.output(), 7); assert_eq(t.runs().len(), 3); t.crash_everywhere(); }";
    let report = report(&[
        ("parent.rhai", "let v = workflow::run(\"child\", 6); event::emit(\"done\", v); v"),
        ("child.rhai", "sleep(\"1d\"); input + 1"),
        ("after.rhai", "trigger::event(\"done\"); sleep(\"1h\"); input"),
        ("parent.test.rhai", test),
    ]);
    assert_eq!(report.counts(), (1, 0), "{:?}", report.outcomes[0].failure);
}

#[test]
fn a_workflow_that_depends_on_where_it_dies_is_found() {
    fails(
        "step(\"pay\", #{ at_most_once: true }, || http::post(\"https://a.example/\").status)",
        "t.mock(\"http::post\", test::response(200)); t.start(); t.crash_everywhere();",
        &[
            "E0703",
            "when the process dies after write 2 of 3",
            "the status of `w` is another",
            "expected: completed",
            "  actual: failed",
        ],
    );
}

#[test]
fn assertions() {
    passes("1", "assert(true); assert_eq(#{ a: [1, 2.0] }, #{ a: [1.0, 2] }); assert_ne(1, \"1\"); assert_eq((), ());");
    passes(
        "1",
        "assert_eq(assert_throws(|| throw \"x\").value, \"x\"); assert_throws(|| assert(false), \"condition\");",
    );
    fails("1", "assert(1 == 2, \"one is not two\")", &["one is not two"]);
    fails("1", "assert_ne([1], [1])", &["both are [1]"]);
    fails("1", "assert_throws(|| 1)", &["an error was expected", "it returned 1"]);
    fails("1", "assert_throws(|| throw \"a\", \"b\")", &["another error was expected", "`thrown`: a"]);
}

#[test]
fn only_tests_that_are_wanted_run_each_by_itself() {
    let text = "fn test_a() { let t = test::workflow(\"w\"); t.start(); assert_eq(t.output(), 1); }\nfn test_b() { test_a() }\nfn other() {}";
    let sources: BTreeMap<_, _> =
        [("w.rhai", "state::add(\"n\", 1)"), ("w.test.rhai", text)].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: &[] });
    let all = Selection { files: vec!["w.test.rhai".into()], ..Selection::default() };
    assert_eq!(run(&folder, &all).counts(), (2, 0));
    let report = run(&folder, &Selection { filter: Some("_b".into()), ..all });
    assert_eq!((report.counts(), report.outcomes[0].line), ((1, 0), 2));
}

#[test]
fn thirty_thousand_days_pass_in_moments() {
    let days = 30_000;
    let began = crate::time::elapsed();
    passes(
        "let n = 0; while n < 300 { sleep(\"100d\"); n += 1; } n",
        &format!("t.start(); t.advance(\"{days}d\"); assert_eq(t.output(), 300);"),
    );
    let took = crate::time::elapsed().saturating_sub(began);
    assert!(took < Duration::from_mins(2), "{took:?}");
}

#[test]
fn what_was_gone_through_is_told() {
    let workflow = "fn main(n) {\n  step(\"one\", || 1);\n  if n > 1 {\n    step(\"two\", || 2)\n  } else {\n    [n].map(|x| x)\n  }\n\
        \n  switch n {\n    1 => 10,\n    _ => 20\n  }\n}\nfn unused() { try { 1 } catch { 2 } }";
    let sources: BTreeMap<_, _> = [
        ("w.rhai", workflow),
        ("w.test.rhai", "fn test_it() { let t = test::workflow(\"w\"); t.start(1); assert_eq(t.output(), 10); }"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into();
    let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: &[] });
    let selection = Selection { files: vec!["w.test.rhai".into()], coverage: true, ..Selection::default() };
    let report = run(&folder, &selection);
    assert_eq!(report.counts(), (1, 0), "{:?}", report.outcomes[0].failure);
    let ways = |ways: &[crate::sim::Way]| -> Vec<String> {
        ways.iter().map(|way| format!("{} {} {}", way.line, way.what, if way.taken { "yes" } else { "no" })).collect()
    };
    assert_eq!(ways(&report.coverage[0].steps), ["2 one yes", "4 two no"]);
    assert_eq!(
        ways(&report.coverage[0].branches),
        [
            "1 fn main yes",
            "2 closure yes",
            "3 if no",
            "4 closure no",
            "5 else yes",
            "6 closure yes",
            "10 arm yes",
            "11 arm no",
            "14 fn unused no",
            "14 catch no"
        ]
    );
}

#[test]
fn people_answer_tasks() {
    let workflow = "let a = task::ask(#{ title: \"Pay?\", to: \"finance\", choices: [\"yes\", \"no\"], due: \"2d\" });\n\
        if a == () { \"late\" } else { a.choice + \" by \" + a.by }";
    passes(
        workflow,
        "t.start(); assert_eq(t.tasks().len(), 1); assert_eq(t.tasks()[0].title, \"Pay?\");\
         t.answer(0, #{ choice: \"yes\", by: \"ann\" }); assert_eq(t.output(), \"yes by ann\");\
         assert_eq(t.tasks(), []); t.crash_everywhere();",
    );
    passes(workflow, "t.start(); t.advance(\"2d\"); assert_eq(t.output(), \"late\"); t.crash_everywhere();");
    fails(workflow, "t.start(); t.answer(0, #{ choice: \"maybe\" })", &["E0704", "choice"]);
    fails(workflow, "t.start(); t.answer(1, #{ choice: \"yes\" })", &["there is no task 1: one task is open"]);
}

#[test]
fn signed_addresses_are_made() {
    passes(
        "event::url(\"paid\", #{ key: input })",
        "t.start(\"A\"); assert(t.output().starts_with(\"https://panta.invalid/e/\")); t.crash_everywhere();",
    );
}

#[test]
fn triggers_are_fired_with_what_they_received() {
    passes(
        "trigger::webhook(\"in\", #{ verify: hmac(\"github\", secret(\"hook\")) }); [input, trigger::info().headers]",
        "t.secret(\"hook\", \"key\"); let raw = `{\"n\":1}`; let hex = hash::hmac_sha256(\"key\", raw);\
         t.fire(\"webhook:in\", #{ raw: raw, headers: #{ \"X-Hub-Signature-256\": \"sha256=\" + hex, Cookie: \"c\" } });\
         assert_eq(t.output()[0].n, 1); assert(!(\"cookie\" in t.output()[1]));\
         assert_throws(|| t.fire(\"in\", #{ body: 1, headers: #{ \"X-Hub-Signature-256\": \"sha256=00\" } }), \"refuses\");",
    );
    passes(
        "trigger::webhook(\"in\", #{ dedupe: \"X-Id\" }); state::add(\"n\", 1)",
        "let one = t.fire(\"in\", #{ body: 1, headers: #{ \"X-Id\": \"a\" } });\
         assert_eq(t.fire(\"webhook\", #{ body: 1, headers: #{ \"X-Id\": \"a\" } }), one);\
         t.fire(\"webhook\", #{ body: 1, headers: #{ \"X-Id\": \"b\" } }); assert_eq(t.output(), 2); t.crash_everywhere();",
    );
    passes(
        "trigger::cron(\"0 8 * * *\", #{ input: 5 }); trigger::event(\"a.*\"); [input, trigger::info().kind]",
        "t.fire(\"cron\"); assert_eq(t.output(), [5, \"cron\"]);\
         t.fire(\"event\", #{ name: \"a.b\", payload: 6 }); assert_eq(t.output(), [6, \"event\"]); t.crash_everywhere();",
    );
    fails("1", "t.fire(\"cron\")", &["`w` has no trigger `cron`", "it declares none"]);
    passes(
        "workflow(#{ allow: #{ mail: true } }); trigger::mail(\"desk\", #{ when: |m| !m.auto }); fn main(m) {\
         let sent = mail::send(#{ to: m.reply_to.address, subject: \"Re: \" + m.subject, text: \"?\" });\
         let got = wait_for(\"mail.reply\", #{ key: sent.message_id, timeout: \"1d\" });\
         [m.attachments, trigger::info().from, got.text] }",
        "t.mock(\"mail::send\", |m| ());\
         assert_eq(t.fire(\"mail\", #{ auto: true }), ());\
         t.fire(\"mail\", #{ from: \"ann@example.com\", subject: \"s\" });\
         assert_eq(t.calls(\"mail::send\")[0].args[0].to, \"ann@example.com\");\
         t.emit(\"mail.reply\", #{ text: \"yes\" }, #{ key: \"<sent-1@panta.invalid>\" });\
         assert_eq(t.output(), [[], \"ann@example.com\", \"yes\"]); t.crash_everywhere();",
    );
}

#[test]
fn the_closures_of_a_trigger_decide_in_a_test_as_they_do_in_the_daemon() {
    let hook = "trigger::webhook(\"in\", #{ when: |r| r.body.n > 0, input: |r| r.body.n * 10, dedupe: |r| r.body.id });\n\
                fn main(n) { [n, trigger::info().path] }";
    passes(
        hook,
        "let first = t.fire(\"in\", #{ body: #{ n: 1, id: \"a\" } }); assert_eq(t.output(), [10, \"in\"]);\
         assert_eq(t.fire(\"in\", #{ body: #{ n: 0, id: \"b\" } }), (), \"when\");\
         assert_eq(t.fire(\"in\", #{ body: #{ n: 2, id: \"a\" } }), first, \"dedupe\"); assert_eq(t.runs().len(), 1);\
         t.advance(\"8d\"); assert_ne(t.fire(\"in\", #{ body: #{ n: 3, id: \"a\" } }), first); assert_eq(t.output()[0], 30);\
         t.crash_everywhere();",
    );
    fails(hook, "t.fire(\"in\", #{ body: 1 })", &["`when` of webhook:in failed", "w.rhai:1:"]);
    let cron = "trigger::cron(\"@daily\", #{ when: |t| t.scheduled_at.starts_with(\"2026\"), input: |t| t.scheduled_at }); fn main(i) { i }";
    passes(
        cron,
        "assert_eq(t.fire(\"cron\", #{ scheduled_at: \"2025-01-01\" }), ()); assert_eq(t.status(), ());\
         t.fire(\"cron\", #{ scheduled_at: \"2026-01-01\" }); assert_eq(t.output(), \"2026-01-01\");",
    );
    let file = "trigger::file(\"in/*\", #{ when: |f| f.size > 0, input: |f| f.name }); fn main(name) { name }";
    passes(
        file,
        "assert_eq(t.fire(\"file\", #{ size: 0, name: \"a\" }), ()); t.fire(\"file\", #{ size: 1, name: \"b\" }); assert_eq(t.output(), \"b\");",
    );
}

#[test]
fn a_test_that_does_not_end_is_stopped_at_its_line() {
    let limits = Limits { cpu: Duration::from_millis(200), ..Limits::default() };
    let told = |test: &str| {
        let sources = [
            ("w.rhai".to_owned(), "step(\"a\", || input)".to_owned()),
            ("w.test.rhai".to_owned(), format!("fn test_it() {{\n{test} }}")),
        ];
        let sources: BTreeMap<_, _> = sources.into();
        let folder = Arc::new(Folder { sources: Box::new(sources), stdlib: STD });
        let selection = Selection { files: vec!["w.test.rhai".into()], threads: 1, limits, ..Selection::default() };
        let failure = run(&folder, &selection).outcomes.remove(0).failure.expect("it fails");
        (failure.code, failure.title, failure.place.line)
    };
    let title = "the test computed for more than 0.2 s without calling the test object (CPU limit)".to_owned();
    assert_eq!(told("loop { }"), ("E0510".into(), title.clone(), 2));
    assert_eq!(told("loop { try { loop { } } catch { } }").1, title);
    let looks = told("let t = test::workflow(\"w\"); t.mock_step(\"a\", 1);\nloop { t.status() }");
    assert_eq!(looks, ("E0510".into(), title.clone(), 3));
    let acts = told("let t = test::workflow(\"w\");\nloop { t.emit(\"x\") }");
    assert_eq!((acts.0.as_str(), acts.2), ("E0510", 3));
    let inside = told("spin() } fn spin() {\nloop { }");
    assert_eq!(inside, ("E0510".into(), title, 3));
}

#[test]
fn host_functions_are_for_the_workflow() {
    fails(
        "1",
        "sleep(\"1s\");",
        &["`sleep`: cannot be called in a test", "host functions are for the workflow", "w.test.rhai:1:"],
    );
    fails("1", "[1].map(|n| state::get(\"a\"));", &["`state::get`: cannot be called in a test"]);
}

#[test]
fn an_answer_that_is_no_map() {
    let told = [
        "`t.answer` takes the number of a task and a map, not an integer",
        "`t.answer(0, #{ choice: \"done\", by: \"ann\" })`",
    ];
    fails("1", "let t = test::workflow(\"w\"); t.start(); t.answer(5, 1);", &told);
}

#[test]
fn what_people_are_told_is_counted_and_reaches_nobody() {
    let script = "notify(\"ops\", `order ${input}`, #{ title: \"Sold\" }); sleep(\"1h\"); notify(\"ops\", \"late\"); 1";
    let calls = "let told = t.calls(\"notify\"); assert_eq(told.len(), 2); assert_eq(told[0].args[1], \"order 7\");";
    passes(script, &format!("t.start(7); t.advance(\"2h\"); {calls} assert_eq(t.output(), 1); t.crash_everywhere();"));
    let mock = "t.mock(\"notify\", |channel, text| test::error(\"not_found\", #{ message: channel }));";
    passes(
        "attempt(|| notify(\"ops\", \"x\")).error.message",
        &format!("{mock} t.start(); assert_eq(t.output(), \"ops\");"),
    );
    fails("notify(\"ops\")", "t.start(); t.output()", &["notify"]);
}

#[test]
fn names_that_there_are_not_are_told_where_they_stand() {
    let workflow = "import \"std/chat\" as chat;\nconst PAY = \"pay\";\nstep(\"pack\", || 1); step(PAY, || 2); chat::post(\"a\", \"b\")";
    for (test, parts) in [
        ("t.mock(\"htp::post\", 1);", ["`t.mock`: there is no function `htp::post`", "did you mean `http::post`?"]),
        ("t.mock(\"chat::pots\", 1);", ["there is no function `chat::pots`", "did you mean `chat::post`?"]),
        ("t.mock(\"sleep\", 1);", ["`sleep` touches nothing outside", "as it does in a run"]),
        ("t.hang(\"htp::get\");", ["`t.hang`: there is no function `htp::get`", "did you mean `http::get`?"]),
        ("t.calls(\"htp::post\");", ["`t.calls`: there is no function", "did you mean `http::post`?"]),
        ("t.mock_step(\"pakc\", 1);", ["no workflow has a step `pakc`", "did you mean `pack`?"]),
        ("t.mock_step(\"nothing\", 1);", ["no workflow has a step `nothing`", "steps are `pack`, `pay`"]),
        ("test::workflow(\"ww\");", ["there is no workflow `ww`", "did you mean `w`?"]),
        ("t.fire(\"webook\");", ["`w` has no trigger `webook`", "it declares none"]),
    ] {
        fails(workflow, test, &["E0704", "w.test.rhai:1:", parts[0], parts[1]]);
    }
    fails(workflow, "1;\n  test::workflow(\"ww\");", &["w.test.rhai:2:", "test::workflow(\"ww\")"]);
    fails("trigger::webhook(\"a\"); 1", "t.fire(\"webook\");", &["E0704", "did you mean `webhook`?"]);
    passes(workflow, "t.mock_step(\"pay\", 3); t.mock(\"chat::post\", 1); t.start(); t.calls(\"pay\");");
    passes("step(`a${input}`, || 1)", "t.mock_step(\"a5\", 3); t.start(5); assert_eq(t.output(), 3);");
}

#[test]
fn pages_rates_and_models_are_mocked_and_survive_crashes() {
    let workflow = "workflow(#{ allow: #{ http: [\"a.example\"], ai: true } });\n\
        fn main() { let all = []; \
            let n = http::pages(\"https://a.example/list\", #{ rate: \"1/m\", next: |r| if \"next\" in r.body { #{ page: r.body.next } } else { () } }, |p| { \
                all += p.body.items; http::post(\"https://a.example/seen\", p.body.items, #{ rate: \"1/m\" }); }); \
            [n, all, ai::extract(\"small\", \"Ann owes 3\", #{ who: \"string\" }).who] }";
    let mocks = "t.mock(\"http::pages\", |url, options| if \"query\" in options { test::response(200, #{ items: [options.query.page] }) } \
            else { test::response(200, #{ items: [1], next: 2 }) }); t.mock(\"http::post\", test::response(200)); \
            t.mock(\"ai::extract\", #{ who: \"Ann\" });";
    let act = "t.start(); t.advance(\"150s\"); assert_eq(t.calls(\"http::post\").len(), 1); t.advance(\"1h\"); \
            assert_eq(t.output(), [2, [1, \"2\"], \"Ann\"]); t.crash_everywhere();";
    passes(workflow, &format!("{mocks} {act}"));
    fails(
        workflow,
        "t.mock(\"http::pages\", test::response(503)); t.start(); t.advance(\"1h\"); t.output();",
        &["503"],
    );
}

#[test]
fn a_secret_that_is_not_allowed_is_denied_in_tests_too() {
    for call in [
        "http::get(\"https://a.example\", #{ auth: bearer(secret(\"x\")) })",
        "http::get(\"https://a.example\", #{ auth: oauth2(\"x\") })",
        "http::post(\"https://a.example\", #{ token: `${secret(\"x\")}` })",
    ] {
        let script = |secrets: &str| {
            format!(
                "workflow(#{{ allow: #{{ http: [\"a.example\"], secrets: [{secrets}] }} }});\nfn main() {{ {call}; 1 }}"
            )
        };
        let mocks =
            "let ok = test::response(200, #{}); t.mock(\"http::get\", ok); t.mock(\"http::post\", ok); t.start();";
        passes(
            &script(""),
            &format!("{mocks} assert_eq(t.error().kind, \"denied\"); assert(t.error().message.contains(\"x\"));"),
        );
        passes(&script("\"x\", \"oauth2:x\""), &format!("{mocks} assert_eq(t.output(), 1);"));
    }
}

#[test]
fn a_mock_of_a_file_function_answers_beside_files_of_the_test() {
    passes(
        "file::move(\"gone\", \"b\"); file::append(\"a\", \"2\"); file::read(\"a\")",
        "t.file(\"a\", \"1\"); t.mock(\"file::move\", ()); t.start(); assert_eq(t.output(), \"12\");",
    );
}

#[test]
fn calls_of_a_wait_that_stand_on_one_line_have_each_their_answer() {
    let workflow = "wait_until(#{ every: \"1m\", timeout: \"1h\" }, || { \
        let a = http::get(\"https://a.example/\").body; let b = http::get(\"https://b.example/\").body; \
        let c = http::request(#{ method: \"GET\", url: \"https://c.example/\" }).body; \
        let d = http::request(#{ method: \"head\", url: \"https://c.example/\" }).status; [a, b, c, d] })";
    let mocks = "t.mock(\"http::get\", |url| test::response(200, url.sub_string(8, 1))); \
        t.mock(\"http::request\", |r| test::response(200, r.url.sub_string(8, 1)));";
    passes(
        workflow,
        &format!("{mocks} t.start(); assert_eq(t.output(), [\"a\", \"b\", \"c\", 200]); t.crash_everywhere();"),
    );
}

#[test]
fn a_request_by_its_method_reads_as_get_does() {
    passes(
        "http::request(#{ method: \"GET\", url: \"https://a.example/\" }).body + once(\"one\", || http::request(#{ method: \"GET\", url: \"https://a.example/\" }).body, || 1)",
        "t.mock(\"http::request\", |r| test::response(200, 4)); t.start(); assert_eq(t.output(), 8); t.crash_everywhere();",
    );
}

#[test]
fn a_date_of_the_input_can_be_waited_for() {
    passes(
        "workflow(#{ input: #{ day: \"date\" } }); fn main(input) { sleep_until(input.day); now() }",
        "t.start(#{ day: \"2023-11-20\" }); t.advance(\"30d\"); assert_eq(t.output(), \"2023-11-20T00:00:00.000Z\");",
    );
    passes("now()", "t.start(); assert_eq(t.output(), \"2023-11-14T22:13:20.000Z\");");
}

#[test]
fn what_a_form_cannot_hold_says_how_to_write_it() {
    let workflow =
        "attempt(|| http::post(\"https://a.example/\", (), #{ form: #{ a: [1, 2], b: #{ c: 1 } } })).error.message";
    passes(
        workflow,
        "t.mock(\"http::post\", test::response(200)); t.start(); assert(t.output().contains(\"`\\\"b[part]\\\": value`\"), t.output());",
    );
}

#[test]
fn what_was_printed_is_told_where_a_test_fails() {
    let printed = |test: &str| {
        let test = format!(
            "fn test_it() {{ let t = test::workflow(\"w\"); t.mock(\"http::get\", |url| {{ print(`asked ${{url}}`); test::response(200) }}); {test} }}"
        );
        report(&[
            ("w.rhai", "print(\"hello\"); log::warn(\"careful\"); http::get(\"https://a.example/\"); 1"),
            ("w.test.rhai", &test),
        ])
        .outcomes[0]
            .printed
            .clone()
    };
    assert_eq!(
        printed("t.start(); print(\"so far\"); t.crash_everywhere(); assert_eq(t.output(), 2);"),
        ["asked https://a.example/", "so far", "info: hello", "warn: careful"]
    );
    assert!(printed("t.start(); assert_eq(t.output(), 1);").is_empty());
}
