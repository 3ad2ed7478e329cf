use serde_json::json;

use super::testing::{declared, run};
use super::*;

#[test]
fn a_whole_declaration_is_collected() {
    let script = r#"
        workflow(#{
            title: "Invoices", tags: ["money"], input: #{ order_id: "string", total: "decimal" },
            allow: #{ http: ["billing.example.com"], mail: true, secrets: ["billing"], std: true },
            retry: 3, timeout: "10m", deadline: "60d", on_failure: "ops", upgrade: "when_compatible", keep: "90d", priority: 5,
            concurrency: #{ key: |input| input.id, limit: 1, on_conflict: "queue" }, sla: #{ after: "4h", notify: "ops" }, rate: "10/s",
        });
        trigger::webhook("orders", #{ verify: hmac("github", secret("hook")) });"#;
    let found = declared(script).expect("declares");
    assert_eq!((found.line, found.priority, found.upgrade, found.std), (2, 5, Upgrade::WhenCompatible, true));
    assert_eq!(
        (found.deadline, found.secrets),
        (Some(Duration::from_hours(60 * 24)), Some(vec!["billing".to_owned()]))
    );
    assert_eq!(found.allow.http.as_deref().map(<[_]>::len), Some(1));
    assert_eq!(found.input.expect("a schema").keys(), Some(vec!["order_id", "total"]));
    assert_eq!(found.triggers[0].id(), "webhook:orders");
}

#[test]
fn the_json_shows_no_secret_and_no_closure() {
    let script = "workflow(#{ concurrency: #{ key: |i| i }, allow: #{ http: [] } }); \
                  trigger::webhook(\"a\", #{ verify: bearer(secret(\"s\")), when: |x| true });";
    let shown = declared(script).expect("declares").to_json();
    assert_eq!(shown["concurrency"], json!({"key": "|…|"}));
    assert_eq!(shown["allow"], json!({"http": []}));
    assert_eq!(shown["triggers"][0]["options"]["verify"], json!({"scheme": "bearer", "secret": "***"}));
    assert_eq!(shown["title"], Value::Null);
}

#[test]
fn without_allow_public_hosts_are_open_and_with_it_only_those_named() {
    assert_eq!(declared("workflow(#{})").expect("declares").allow.http, None);
    assert_eq!(declared("workflow(#{ allow: #{ mail: true } })").expect("declares").allow.http, Some(Vec::new()));
}

#[test]
fn triggers_keep_their_identity() {
    let script = "trigger::cron(\"0 8 * * *\"); trigger::startup(); trigger::cron(\"0 8 * * *\"); trigger::every(\"5m\"); \
                  trigger::sql(\"db\", \"select 1\", #{ every: \"1m\" });";
    let found = declared(script).expect("declares");
    let ids: Vec<_> = found.triggers.iter().map(Trigger::id).collect();
    assert_eq!(ids, ["cron:0 8 * * *", "startup", "cron:0 8 * * *#2", "every:5m", "sql:db"]);
    assert_eq!(found.triggers[4].options["query"].to_string(), "select 1");
}

#[test]
fn options_have_one_form_however_they_are_written() {
    let script = "trigger::webhook(\"a\", #{ methods: [\"post\"], verify: #{ header: \"X-Sig\", secret: secret(\"s\") } }); \
                  trigger::webhook(\"b\", #{ verify: basic(\"ann\", secret(\"s\")) }); \
                  trigger::webhook(\"c\", #{ verify: token(\"X-Gitlab-Token\", secret(\"s\")) }); trigger::run(\"x/*\", #{ on: \"failed\" });";
    let found = declared(script).expect("declares").to_json();
    let options = |n: usize| &found["triggers"][n]["options"];
    let hmac = json!({"scheme": "hmac", "header": "X-Sig", "algorithm": "sha256", "encoding": "hex", "prefix": "", "secret": "***"});
    assert_eq!(options(0)["methods"], json!(["POST"]));
    assert_eq!(options(0)["verify"].as_object().map(serde_json::Map::len), hmac.as_object().map(serde_json::Map::len));
    assert!(hmac.as_object().unwrap().iter().all(|(key, value)| options(0)["verify"][key] == *value));
    assert_eq!(options(1)["verify"]["scheme"], "basic");
    assert_eq!(options(2)["verify"]["header"], "X-Gitlab-Token");
    assert_eq!(options(2)["verify"]["scheme"], "token");
    assert_eq!(options(3)["on"], json!(["failed"]));
}

#[test]
fn mistakes_are_explained() {
    let table = [
        ("workflow(#{ titel: \"x\" })", "has no option `titel`; hint: did you mean `title`?"),
        ("workflow(#{ deadline: \"60 dayz\" })", "option `deadline`: `60 dayz` is not a duration"),
        ("workflow(#{ input: #{ a: \"strng\" } })", "option `input`: `a`: `strng` is no type"),
        ("workflow(#{ allow: #{ htpp: [] } })", "`workflow: allow`: has no option `htpp`; hint: did you mean `http`?"),
        ("workflow(#{ allow: #{ http: [\"https://x\"] } })", "option `allow`: `https://x` is no host pattern"),
        ("workflow(#{ allow: #{ files: [\"../x\"] } })", "option `allow`: `../x` in `files`"),
        ("workflow(#{ allow: #{ mail: [\"x\"] } })", "option `mail` must be true or false, not a list"),
        ("workflow(#{ retry: \"3\" })", "a retry policy is"),
        ("workflow(#{ rate: \"10\" })", "\"10\" is no rate"),
        ("workflow(#{ upgrade: \"always\" })", "must be one of \"pinned\", \"when_compatible\""),
        ("workflow(#{ concurrency: #{ limit: 0 } })", "between 1 and 10000, not 0"),
        ("workflow(#{ concurrency: #{ on_conflict: \"queu\" } })", "hint: did you mean \"queue\"?"),
        ("workflow(#{ sla: #{ after: \"4h\" } })", "needs both"),
        ("workflow(#{ on_failure: #{ workflows: \"x\" } })", "did you mean `workflow`?"),
        ("workflow(#{ priority: 3000000000 })", "option `priority` lies between"),
        ("workflow(#{}); workflow(#{})", "line 1 has done so"),
        ("trigger::every(\"5 m0\")", "is not a duration"),
        ("trigger::cron(\"@daily\", #{ tz: \"Europe/Berlni\" })", "option `tz`: unknown time zone"),
        ("trigger::cron(\"@daily\", #{ overlap: \"skp\" })", "did you mean \"skip\"?"),
        ("trigger::cron(\"@daily\", #{ catchup: \"all\" })", "did you mean `catch_up`?"),
        ("trigger::webhook(\"a\", #{ respond: \"no\" })", "must be one of \"accepted\", \"output\""),
        ("trigger::webhook(\"a\", #{ methods: [\"FETCH\"] })", "not `FETCH`"),
        ("trigger::webhook(\"a\", #{ verify: #{ header: \"X\", secret: \"plain\" } })", "option `verify` takes"),
        ("trigger::webhook(\"a\", #{ input: 3 })", "option `input` must be a closure"),
        ("trigger::webhook(\"\")", "must not be empty"),
        ("trigger::run(\"a\", #{ on: [\"failed\", \"faild\"] })", "did you mean \"failed\"?"),
        ("trigger::event(\"a\", #{ batch: #{ size: 0 } })", "`batch.size` is from 1 to 10000"),
        ("trigger::message(\"kafka://x\")", "no address of a broker"),
        ("trigger::startup(#{ input: [|| 1] })", "`input[0]` is a function"),
        ("hmac(\"githb\", secret(\"x\"))", "did you mean `github`?"),
        ("hmac(\"github\", \"text\")", "must be a secret, not a text"),
        ("list(\"strin\")", "did you mean `string`?"),
        ("one_of([])", "needs at least one value"),
        ("one_of(#{})", "takes texts, numbers and booleans, not a map"),
        ("decimal(\"1,5\")", "\"1,5\" is no decimal number"),
        ("json::parse(\"1\")", "the top level of a file with `fn main` only describes"),
        ("now()", "the top level of a file with `fn main` only describes"),
    ];
    for (script, wanted) in table {
        let error = declared(script).expect_err(script);
        assert!(error.contains(wanted), "{script}: {error}");
    }
}

#[test]
fn inside_a_run_nothing_is_declared() {
    for script in ["workflow(#{})", "trigger::startup()"] {
        assert!(run(script).expect_err(script).contains("belongs at the top level of the file"), "{script}");
    }
    assert_eq!(run("decimal(\"10.20\") + decimal(0.1)").expect("adds").to_string(), "10.30");
}

#[test]
fn settings_that_were_read_are_remembered() {
    let script = "config(\"base\"); config(\"other\", 3); workflow(#{ title: config(\"base\") }); trigger::event(config(\"base\"));";
    let found = declared(script).expect("declares");
    assert_eq!(found.settings.keys().collect::<Vec<_>>(), ["base"]);
    assert_eq!((found.title.as_deref(), found.triggers[0].subject.as_str()), (Some("x"), "x"));
    assert!(declared("config(\"other\")").expect_err("missing").contains("no setting `other`"));
}

#[test]
fn collecting_ends_with_its_evaluation_even_after_a_panic() {
    let panicked = std::panic::catch_unwind(|| collect(Rc::new(|_| None), || panic!("in a script")));
    assert!(panicked.is_err() && !is_collecting());
    let (inner, outer) = collect(Rc::new(|_| None), || collect(Rc::new(|_| None), || run("trigger::startup()")).1);
    assert_eq!((inner.triggers.len(), outer.triggers.len()), (1, 0));
}

#[test]
fn every_example_can_be_evaluated() {
    for function in FUNCTIONS {
        declared(function.example).unwrap_or_else(|error| panic!("{}: {error}", function.example));
    }
}

/// A whole file through the compiler, as the engine does it.
fn declared_file(text: &str) -> Result<(Declaration, crate::script::program::Constants), String> {
    let mut engine = testing::engine();
    crate::script::program::install(&mut engine);
    let bundle = crate::script::bundle::Bundle::of_text("a/b.rhai", text).map_err(|faults| format!("{faults:?}"))?;
    let rewrite = crate::script::rewrite::rewrite;
    let program = crate::script::program::Program::compile_with(&engine, &bundle, rewrite)
        .map_err(|faults| format!("{faults:?}"))?;
    let act = || program.declare(&engine).map_err(|fault| format!("{fault:?}"));
    let (constants, declaration) = collect(Rc::new(|_| None), act);
    constants.map(|constants| (declaration, constants))
}

#[test]
fn a_file_with_constants_and_closures_is_declared_with_its_lines() {
    let text = "const SIZES = one_of(\"s\", \"m\");\nconst KEY = secret(\"hook\");\n\nworkflow(#{ input: #{ size: SIZES } });\n\
                trigger::webhook(\"x\", #{ verify: hmac(\"github\", KEY), when: |o| o.size == \"s\" });\nfn main(order) { now() }\n";
    let (found, constants) = declared_file(text).expect("declares");
    assert_eq!((found.line, found.triggers[0].line), (4, 5));
    assert!(found.input.expect("a schema").validate(&json!({"size": "xl"})).is_err());
    let kept = value::decode(&value::encode(&Dynamic::from_map(constants.to_map())).expect("data"));
    assert!(
        Schema::from_dynamic(&kept.read_lock::<Map>().unwrap()["a/b.rhai"].read_lock::<Map>().unwrap()["SIZES"])
            .is_ok()
    );
}

#[test]
fn an_effect_at_the_top_of_a_file_is_a_fault_with_its_line() {
    let error = declared_file("workflow(#{});\nlet x = http::get(\"http://x\");\nfn main() {}").expect_err("refused");
    assert!(error.contains("only describes") && error.contains("line: 2"), "{error}");
}

#[test]
fn a_host_may_be_that_of_a_setting() {
    let found = declared("workflow(#{ allow: #{ http: [\"config:base\", \"config:other\"] } })").expect("declares");
    assert!(found.allow.http.as_deref().is_some_and(|hosts| hosts.len() == 1 && hosts[0].matches("x", 443)));
    assert_eq!(found.settings.keys().collect::<Vec<_>>(), ["base"], "it belongs to what a run is pinned to");
    let told = declared("workflow(#{ allow: #{ http: [\"config:\"] } })").expect_err("no name");
    assert!(told.contains("option `allow`: `config:` names no setting; hint: "), "{told}");
}

#[test]
fn what_a_module_needs_may_be_the_host_of_a_setting() {
    let mut found = declared("workflow(#{ allow: #{ std: true } })").expect("declares");
    let needs = crate::script::value::decode(&Payload::from_json(&json!({"http": ["config:erp"], "secrets": ["erp"]})));
    let erp = |name: &str| (name == "erp").then(|| Payload::from_json(&json!("https://erp.example.com:8443/db")));
    found.inherit(&needs.cast(), &erp).expect("is taken over");
    assert!(found.allow.http.as_deref().is_some_and(|hosts| hosts[0].matches("erp.example.com", 8443)));
    assert!(found.settings.contains_key("erp") && found.allow.secrets == ["erp"]);
}
