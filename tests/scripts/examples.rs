//! The example of each function, as its own documentation shows it.

use std::fs;

use panta::engine::script_engine;
use panta::host::function::Function;
use panta::store::Status;
use serde_json::json;

use crate::support::bench::{Bench, message};

fn functions() -> Vec<&'static Function> {
    panta::host::tables().into_iter().flatten().collect()
}

/// What the examples of `file::*` expect to be there.
const FILES: &[&str] = &["inbox/orders.csv", "inbox/a.csv", "scan.pdf", "a.txt", "old.txt"];

/// How an example runs to its end in a test; `None`: it cannot.
fn runnable(function: &Function) -> Option<String> {
    let example = function.example;
    match function.name {
        // They call the outside.
        name if ["http::", "mail::", "message::", "shell::", "sql::", "ai::"]
            .iter()
            .any(|topic| name.starts_with(topic)) =>
        {
            None
        }
        // They wait: begun, and cancelled.
        "sleep" | "sleep_until" | "wait_for" | "task::ask" => Some(format!("race([|| {{ {example} }}, || 1])")),
        // It ends this run in favour of the next.
        "workflow::continue_as" => None,
        _ => Some(format!("{example};\n()")),
    }
}

fn bench(script: &str) -> Bench {
    let bench = Bench::new(&[]);
    for file in FILES {
        let path = bench.file("example", file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, "sku,qty\nA1,3\n").expect("written");
    }
    bench.deploy("hello", "input");
    bench.deploy("example", script);
    bench
}

#[test]
fn each_parses() {
    let engine = script_engine();
    for function in functions() {
        engine.compile(function.example).unwrap_or_else(|error| panic!("{}: {error}", function.name));
        assert!(!function.doc.is_empty(), "{}", function.name);
    }
}

#[test]
fn each_runs() {
    for function in functions() {
        let Some(script) = runnable(function) else { continue };
        let run = bench(&script).run("example", json!({ "order_id": "A1" }));
        let name = function.name;
        assert!(run.status == Status::Completed, "{name}: {} in\n{script}", message(&run));
    }
}
