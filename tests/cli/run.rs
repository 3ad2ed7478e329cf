//! `panta run`.

use std::process::Stdio;

use super::{Came, Place};

#[test]
fn a_script_runs_to_its_end_and_its_output_is_on_stdout() {
    let place = Place::new(&[("hello.rhai", "let n = step(\"double\", || input.n * 2); #{ n: n, who: input.who }")]);
    let came = place.panta(&["run", "hello.rhai", "-i", "n=21", "-i", "who=ann"]).expect(0);
    assert_eq!(came.json(), serde_json::json!({"n": 42, "who": "ann"}));
    assert!(came.err.contains("✓ double") && came.err.contains("completed: run "), "{}", came.err);
}

#[test]
fn with_json_there_is_one_object_and_nothing_else() {
    let place = Place::new(&[("w.rhai", "print(\"hi\"); input")]);
    let came = place.panta(&["run", "w.rhai", "--input", "[1]", "--json"]).expect(0).json();
    assert_eq!((&came["status"], &came["output"]), (&"completed".into(), &serde_json::json!([1])));
    assert_eq!(came.as_object().unwrap().keys().collect::<Vec<_>>(), ["run", "status", "output", "error"]);
}

#[test]
fn an_error_is_shown_with_its_line_and_a_caret() {
    let place = Place::new(&[("w.rhai", "let x = 1;\nstep(\"pay\", || { throw \"no money\" });")]);
    let came = place.panta(&["run", "w.rhai"]).expect(1);
    assert!(came.err.contains("error[E0501]: no money") && came.err.contains("w.rhai:2:"), "{}", came.err);
    assert!(came.err.contains("in step `pay`"), "{}", came.err);
}

#[test]
fn wrong_usage_and_broken_scripts_are_2() {
    let place = Place::new(&[
        ("bad.rhai", "let = 3;"),
        ("typed.rhai", "workflow(#{ input: #{ n: \"int\" } });\nfn main(i) { i.n }"),
    ]);
    assert!(place.panta(&["run", "bad.rhai"]).expect(2).err.contains("bad.rhai:1:"));
    assert!(place.panta(&["run", "none.rhai"]).expect(2).err.contains("there is no file"));
    assert!(place.panta(&["run", "typed.rhai", "-i", "n=x"]).expect(2).err.contains("n: "));
    place.panta(&["run"]).expect(2);
}

#[test]
fn it_starts_the_scripts_beside_it_and_leaves_a_broken_one_out() {
    let place = Place::new(&[
        ("main.rhai", "workflow::run(\"child\", 4)"),
        ("child.rhai", "input * 10"),
        ("broken.rhai", "let ="),
    ]);
    let came = place.panta(&["run", "main.rhai"]).expect(0);
    assert_eq!(came.out, "40\n");
    assert!(came.err.contains("warning: `broken.rhai` is left out"), "{}", came.err);
}

#[test]
fn settings_come_from_the_file_beside_the_scripts() {
    let place = Place::new(&[("panta.toml", "[config]\nrate = 3"), ("w.rhai", "config(\"rate\") + 1")]);
    assert_eq!(place.panta(&["run", "w.rhai"]).expect(0).out, "4\n");
    place.write("panta.toml", "lisen = \"x\"");
    assert!(place.panta(&["run", "w.rhai"]).expect(2).err.contains("did you mean `listen`?"));
}

#[test]
fn a_killed_run_is_taken_up_where_it_stood() {
    let script = "step(\"one\", || file::append(\"done.txt\", \"x\")); wait_for(\"go\"); file::read(\"done.txt\")";
    let place = Place::new(&[("w.rhai", script)]);
    let mut child = place.command(&["run", "w.rhai"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.by_ref().any(|line| line.unwrap().contains("✓ one")));
    child.kill().unwrap();
    child.wait().unwrap();
    let run = place.panta(&["runs", "--json"]).expect(0).json()["run"].as_str().unwrap().to_owned();
    place.panta(&["emit", "go"]).expect(0);
    let came: Came = place.panta(&["run", "--resume", &run]).expect(0);
    assert_eq!(came.out, "\"x\"\n");
}

#[test]
fn an_envelope_is_taken_as_its_trigger_takes_it() {
    let script = "trigger::webhook(\"in\", #{ when: |r| r.query.a == \"1\", input: |r| r.body.n });\nfn main(n) { [n, trigger::info().headers] }";
    let place = Place::new(&[("w.rhai", script)]);
    let envelope =
        |a: &str| format!("{{\"query\":{{\"a\":\"{a}\"}},\"headers\":{{\"X-A\":\"b\"}},\"body\":{{\"n\":3}}}}");
    place.write("yes.json", &envelope("1"));
    let came = place.panta(&["run", "w.rhai", "--trigger", "@yes.json"]).expect(0);
    assert_eq!(came.json(), serde_json::json!([3, { "x-a": "b" }]));
    let came = place.panta(&["run", "w.rhai", "--json", "--trigger", &envelope("0")]).expect(0);
    assert_eq!(came.json()["status"], "skipped");
    let came = place.panta(&["run", "w.rhai", "--trigger", "{\"query\":{\"a\":\"1\"},\"body\":1}"]).expect(1);
    assert!(came.err.contains("`input` of webhook:in failed"), "{}", came.err);
}

#[test]
fn an_envelope_is_verified_over_the_body_as_it_was_signed() {
    let script = "trigger::webhook(\"in\", #{ verify: hmac(\"github\", secret(\"hook\")) });\nfn main(i) { i }";
    let place = Place::new(&[("w.rhai", script)]);
    let run = |raw: &str| {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = serde_json::json!({ "X-Hub-Signature-256": signature, "X-GitHub-Delivery": "1" });
        let envelope = serde_json::json!({ "headers": headers, "raw": raw, "body": 5 }).to_string();
        let mut command = place.command(&["run", "w.rhai", "--trigger", &envelope]);
        Came::from(command.env("PANTA_SECRET_HOOK", "It's a Secret to Everybody").output().unwrap())
    };
    assert_eq!(run("Hello, World!").expect(0).out, "5\n");
    assert!(run("Hello, world!").expect(1).err.contains("would be refused: the signature does not match"));
}

#[test]
fn a_decimal_is_taken_digit_for_digit() {
    let script =
        "workflow(#{ input: #{ amount: \"decimal\", rate: \"number\" } });\nfn main(i) { [`${i.amount}`, i.rate] }";
    let place = Place::new(&[("w.rhai", script)]);
    for (given, taken) in
        [("12.50", "12.50"), ("0.10000000000000000000000001", "0.10000000000000000000000001"), ("7", "7")]
    {
        let amount = format!("amount={given}");
        let came = place.panta(&["run", "w.rhai", "-i", &amount, "-i", "rate=1.50", "--json"]).expect(0).json();
        assert_eq!(came["output"], serde_json::json!([taken, 1.5]));
    }
}

#[test]
fn a_run_that_asks_says_how_to_answer() {
    let ask = "task::ask(#{ title: \"Pay?\", choices: [\"yes\", \"not now\"], due: \"1s\" })";
    let came = Place::new(&[("w.rhai", ask)]).panta(&["run", "w.rhai"]).expect(0);
    assert!(came.err.contains("an answer is needed: task "), "{}", came.err);
    assert!(came.err.contains(" --choice yes\n") && came.err.contains(" --choice 'not now'\n"), "{}", came.err);
}
