//! Functions that call services, against servers of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use panta::effect::ai::{Model, Models};
use serde_json::{Value, json};

use crate::support::bench::{Bench, message};
use crate::support::server::{Seen, Server};

const HEAD: &str = "workflow(#{ allow: #{ http: [\"127.0.0.1\"], ai: [\"small\"] } });\n";

/// What a script returns; `URL` is the server's.
fn returned(server: &Server, script: &str) -> Value {
    let bench = Bench::new(&[]);
    bench.deploy("w", &format!("{HEAD}{}", script.replace("URL", &server.url(""))));
    let run = bench.start("w", Value::Null);
    bench.output(run)
}

fn failed(server: &Server, script: &str) -> String {
    let bench = Bench::new(&[]);
    bench.deploy("w", &format!("{HEAD}{}", script.replace("URL", &server.url(""))));
    message(&bench.run("w", Value::Null))
}

/// Three pages: what comes next is said by a number.
fn paged() -> Server {
    Server::new(|seen: &Seen| {
        let number = seen.line.rsplit_once("page=").map_or(1, |(_, number)| number.parse::<u64>().expect("a number"));
        (200, if number < 3 { json!({ "items": [number], "next": number + 1 }) } else { json!({ "items": [3] }) })
    })
}

#[test]
fn a_list_is_walked_page_by_page() {
    let next = "next: |res| if \"next\" in res.body { #{ page: res.body.next } } else { () }";
    let script = format!(
        "let all = []; let count = http::pages(\"URL/list?size=1\", #{{ {next}, rate: \"1000/s\" }}, |page| {{ all += page.body.items; }}); \
         [count, all]"
    );
    let server = paged();
    assert_eq!(returned(&server, &script), json!([3, [1, 2, 3]]));
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /list?size=1", "GET /list?size=1&page=2", "GET /list?size=1&page=3"]);
}

#[test]
fn a_walk_ends_where_the_script_has_enough() {
    let script = "http::pages(\"URL/\", #{ next: |res| \"?page=2\" }, |page| false)";
    assert_eq!(returned(&paged(), script), json!(1));
}

#[test]
fn a_circle_of_pages_is_an_error() {
    let script = "http::pages(\"URL/?page=1\", #{ next: |res| \"?page=1\" }, |page| ())";
    let said = failed(&paged(), script);
    assert!(said.contains("came twice") && said.contains("hint:"), "{said}");
}

#[test]
fn files_are_sent_as_bodies_and_as_parts() {
    let server = Server::new(|_: &Seen| (200, json!({})));
    let script = "file::write(\"a.txt\", \"some text\"); let f = file::open(\"a.txt\"); http::put(\"URL/a\", f); \
                  http::post(\"URL/b\", (), #{ multipart: #{ note: \"n\", data: f, other: #{ file: \"a.txt\", name: \"b.txt\", type: \"text/plain\" } } }); 1";
    assert_eq!(returned(&server, script), json!(1));
    let seen = server.seen();
    assert_eq!((&seen[0].body, seen[0].header("content-length")), (&json!("some text"), Some("9")));
    let form = seen[1].body.as_str().expect("a text");
    for part in [
        "name=\"note\"\r\n\r\nn\r\n",
        "filename=\"a.txt\"",
        "filename=\"b.txt\"\r\nContent-Type: text/plain\r\n\r\nsome text\r\n",
    ] {
        assert!(form.contains(part), "{part} in {form}");
    }
}

/// A service that answers a question with the n-th of these texts.
fn model(texts: &'static [&'static str]) -> Server {
    let asked = AtomicUsize::new(0);
    Server::new(move |_: &Seen| {
        let text = texts[asked.fetch_add(1, Ordering::SeqCst).min(texts.len() - 1)];
        let choices = json!([{ "message": { "content": text }, "finish_reason": "stop" }]);
        (200, json!({ "model": "m", "choices": choices, "usage": { "prompt_tokens": 5, "completion_tokens": 3 } }))
    })
}

fn asked(server: &Server, script: &str) -> panta::store::Run {
    let model = Model { url: server.url("/v1"), model: "m".to_owned(), input_price: 1_000_000, ..Model::default() };
    let bench = Bench::changed(&[], |options| {
        let file = options.workspace.with_file_name("ai.json");
        let models = Models::new([("small".to_owned(), model)].into(), Arc::clone(&options.secrets) as _, file);
        options.models = Some(Arc::new(models));
    });
    bench.deploy("w", &format!("{HEAD}{script}"));
    bench.run("w", Value::Null)
}

#[test]
fn a_chat_says_what_it_cost() {
    let run = asked(&model(&["hello"]), "let a = ai::chat(\"small\", \"hi\"); `${a.text} ${a.usage.input} ${a.cost}`");
    assert_eq!(run.output.expect("an output").to_json(), json!("hello 5 0.000005"));
}

#[test]
fn an_answer_that_does_not_fit_is_sent_back_once() {
    let script = "ai::extract(\"small\", \"Ann owes 12.50\", #{ who: \"string\", amount: \"decimal\" })";
    let server = model(&["{\"who\": \"Ann\"}", "```json\n{\"who\": \"Ann\", \"amount\": \"12.50\"}\n```"]);
    let output = asked(&server, &format!("let x = {script}; `${{x.who}} ${{x.amount + 1}}`")).output;
    assert_eq!(output.expect("an output").to_json(), json!("Ann 13.50"));
    let second = server.seen()[1].body["messages"].to_string();
    assert!(second.contains("This does not fit: ") && second.contains("amount"), "{second}");
    let said = message(&asked(&model(&["no idea"]), script));
    assert!(said.contains("it is no JSON") && said.contains("hint:"), "{said}");
}
