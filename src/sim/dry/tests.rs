use serde_json::json;

use super::*;
use crate::engine::{NoSettings, compile};
use crate::script::bundle::Bundle;
use crate::sim::START;

/// Scripts by name, the first one run; with this input and these answers.
fn rehearsed(scripts: &[(&str, &str)], input: Value, answers: Value) -> Rehearsed {
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let compiled = scripts.iter().map(|(name, text)| {
        let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("it parses");
        compile(bundle, &settings).expect("it compiles")
    });
    let deployed: Vec<_> = compiled.collect();
    let workflow = Arc::clone(&deployed[0].name);
    let answers = Answers::from_json(answers).expect("they are answers");
    let (people, channels) = (Arc::default(), Arc::default());
    rehearse(Dry { workflow, deployed, input, answers, at: START, settings, people, channels }).expect("it runs")
}

fn of(script: &str, answers: Value) -> Rehearsed {
    rehearsed(&[("w", script)], Value::Null, answers)
}

fn output(rehearsed: &Rehearsed) -> Value {
    assert_eq!((rehearsed.stopped, rehearsed.run.error.as_ref()), (Stopped::Ended, None));
    rehearsed.run.output.as_ref().map(Payload::to_json).unwrap_or_default()
}

/// Seconds, function, line, attempt.
fn told(rehearsed: &Rehearsed) -> Vec<(i64, &str, u32, u32)> {
    let seconds = |at: Timestamp| (at.0 - START.0) / 1000;
    rehearsed.happened.iter().map(|one| (seconds(one.at), one.name.as_str(), one.line, one.attempt)).collect()
}

#[test]
fn effects_are_told_in_order_with_time_step_and_attempt() {
    let script = "sleep(\"1h\");\nstep(\"send\", #{ retry: #{ attempts: 2, delay: \"10s\", jitter: false } }, || {\n\
                  http::post(\"https://example.com/\", #{ n: 1 }) });\nlog::info(\"done\"); mail::send(#{ to: \"a@example.com\", subject: \"s\" });";
    let script = format!("workflow(#{{ allow: #{{ http: [\"example.com\"], mail: true }} }}); {script}");
    let came = of(&script, json!({ "http::post": [{ "error": { "kind": "network" } }] }));
    let hour = 3_600;
    let expected = [
        (hour, "sleep", 1, 1),
        (hour, "http::post", 3, 1),
        (hour + 10, "retry", 2, 1),
        (hour + 10, "http::post", 3, 2),
        (hour + 10, "info", 4, 1),
        (hour + 10, "mail::send", 4, 1),
    ];
    assert_eq!(told(&came), expected);
    assert_eq!((came.happened[1].step.as_deref(), came.happened[1].outcome.is_err()), (Some("send"), true));
    assert_eq!(came.happened[3].arguments, [json!("https://example.com/"), json!({ "n": 1 })]);
    assert_eq!((came.happened[1].by, came.happened[3].by), (By::Given, By::MadeUp));
}

#[test]
fn a_program_is_not_run() {
    let script = "workflow(#{ allow: #{ shell: [\"sh\"] } }); let a = shell::run(\"sh\", [\"-c\", \"exit 1\"]);\n\
                  let b = shell::run(\"sh\", [], #{ save_to: \"all.txt\" });\n[a.code, a.stdout, file::read(\"all.txt\").len() > 0]";
    assert_eq!(output(&of(script, json!({}))), json!([0, "", true]));
    let given = json!({ "shell::run": [{ "code": 2, "stderr": "no" }, { "code": 0, "stdout": "x" }] });
    let script = "workflow(#{ allow: #{ shell: [\"sh\"] } });\n\
                  [attempt(|| shell::run(\"sh\", [])).error.code, shell::run(\"sh\", []).stdout]";
    assert_eq!(output(&of(script, given)), json!([2, "x"]));
}

#[test]
fn a_database_is_not_asked() {
    let script = "workflow(#{ allow: #{ sql: [\"crm\"] } }); let a = sql::query(\"crm\", \"select 1\"); let b = sql::execute(\"crm\", \"delete\");\n\
                  let c = sql::transaction(\"crm\", [\"delete\", \"delete\"]);\n[a, b.affected, c.len()]";
    assert_eq!(output(&of(script, json!({}))), json!([[], 1, 2]));
    let given = json!({ "sql::query": [[{ "id": 7 }]] });
    let script = "workflow(#{ allow: #{ sql: [\"crm\"] } }); sql::query(\"crm\", \"select 1\")[0].id";
    assert_eq!(output(&of(script, given)), json!(7));
}

#[test]
fn given_answers_are_used_in_order_and_what_nobody_asked_for_is_told() {
    let answers = json!({
        "http::get": [{ "status": 404 }, [1, 2]], "charge": [{ "id": 7 }], "paid": [{ "n": 1 }, null], "htp::get": [1],
    });
    let script = "let a = attempt(|| http::get(\"https://example.com/\")); let b = http::get(\"https://example.com/\").body;\n\
                  let c = step(\"charge\", || throw \"never\"); let d = wait_for(\"paid\"); let e = wait_for(\"paid\", #{ timeout: \"9d\" });\n\
                  [a.error.status, b, c.id, d.n, e]";
    let came = of(script, answers);
    assert_eq!(output(&came), json!([404, [1, 2], 7, 1, null]));
    assert_eq!(came.unused, ["htp::get"]);
    assert_eq!(told(&came).last(), Some(&(9 * 86_400, "paid", 2, 1)));
}

#[test]
fn people_answer_with_what_the_form_takes_and_may_be_given_words() {
    let script = "let ask = || task::ask(#{ title: \"Pay?\", to: \"ann\", due: \"1d\", choices: [\"yes\", \"no\"], form: #{ n: \"int\" } });\n\
                  let a = ask.call(); let b = ask.call(); let c = ask.call(); [a.choice, a.data.n, a.by, b.choice, b.by, c]";
    assert_eq!(
        output(&of(script, json!({ "Pay?": [{}, { "choice": "no", "by": "bob" }, null] }))),
        json!(["yes", 1, "ann", "no", "bob", null])
    );
}

#[test]
fn other_workflows_are_rehearsed_too() {
    let main = "let c = workflow::run(\"child\", #{ n: 2 }); event::emit(\"made\", #{ c: c }); c";
    let child = "http::get(\"https://example.com/\"); input.n * 2";
    let came = rehearsed(&[("main", main), ("child", child)], json!(null), json!({}));
    assert_eq!(output(&came), json!(4));
    let names: Vec<_> = came.happened.iter().map(|one| (&*one.workflow, one.name.as_str())).collect();
    assert!(names.contains(&("child", "http::get")) && names.contains(&("main", "child")), "{names:?}");
    assert_eq!(came.happened.last().expect("it emits").arguments, [json!("made"), json!({ "c": 4 })]);
}

#[test]
fn what_never_ends_is_stopped_and_says_why() {
    let came = of("wait_for(\"paid\", #{ key: \"R1\" })", json!({ "paid": null }));
    assert_eq!(came.stopped, Stopped::Waits);
    assert!(came.run.waiting_for.starts_with("the event `paid` with key `R1`"), "{}", came.run.waiting_for);
    assert_eq!(of("loop { sleep(\"1h\") }", json!({})).stopped, Stopped::Endless);
    assert_eq!(of("workflow::continue_as(input)", json!({})).stopped, Stopped::Endless);
    assert_eq!(
        of("wait_until(#{ every: \"1m\" }, || http::get(\"https://example.com/\").body.ready)", json!({}))
            .happened
            .len(),
        1
    );
    assert_eq!(of("wait_for(\"a\", #{ when: |e| e.n == 1 })", json!({})).stopped, Stopped::Waits);
}

#[test]
fn the_race_that_is_lost_takes_nothing() {
    let script = "let first = race([|| wait_for(\"a\"), || wait_for(\"b\")]).winner; [first, wait_for(\"b\").n]";
    assert_eq!(output(&of(script, json!({ "a": [{ "n": 1 }], "b": [{ "n": 2 }] }))), json!([0, 2]));
}

#[test]
fn files_are_those_of_a_private_folder() {
    let script = "file::write(\"a.txt\", \"x\"); file::append(\"a.txt\", \"y\"); file::move(\"in/b.csv\", \"done/b.csv\");\n\
                  [file::read(\"a.txt\"), file::exists(\"in/b.csv\"), file::read(\"done/b.csv\"), file::read(\"c.txt\"), file::list(\"**\").len()]";
    let expected = json!(["xy", false, "made up: in/b.csv\n", "made up: c.txt\n", 3]);
    assert_eq!(output(&of(script, json!({}))), expected);
}

#[test]
fn files_elsewhere_are_left_alone_and_need_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.txt");
    std::fs::write(&file, "mine").expect("it is written");
    let (glob, path) = (folder.path().join("*").display().to_string(), file.display().to_string());
    let acts = format!("file::write({path:?}, \"x\"); file::remove({path:?}); file::read({path:?})");
    let came = of(&format!("workflow(#{{ allow: #{{ files: [{glob:?}] }} }}); {acts}"), json!({}));
    assert_eq!(output(&came), json!(format!("made up: {path}\n")));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
    let refused = of(&format!("file::read({path:?})"), json!({}));
    assert_eq!(refused.run.error.expect("it fails").to_json()["kind"], "denied");
}

#[test]
fn no_secret_is_asked_for_or_shown() {
    let script = "workflow(#{ allow: #{ http: [\"example.com\"], secrets: [\"key\"] } });\n\
                  http::get(\"https://example.com/\", #{ auth: bearer(secret(\"key\")) }).status";
    let came = of(script, json!({}));
    assert_eq!(output(&came), json!(200));
    assert_eq!(came.happened[0].arguments[1]["auth"]["bearer"], "***");
}

#[test]
fn what_people_would_be_told_is_shown() {
    let shown = of("notify(\"ops\", \"sold\"); 1", json!({}));
    assert_eq!((output(&shown), told(&shown)), (json!(1), vec![(0, "notify", 1, 1)]));
    assert_eq!(shown.happened[0].arguments, [json!("ops"), json!("sold")]);
}
