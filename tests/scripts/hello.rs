//! `scripts/hello.rhai`.

use serde_json::json;

use crate::support::bench::Bench;

#[test]
fn greets_and_counts() {
    let bench = Bench::shipped("hello", &[]);
    let first = bench.start("hello", json!({ "name": "Ann" }));
    assert_eq!(bench.output(first), json!({ "greeting": "Hello, Ann!", "times": 1 }));
    let nobody = bench.start("hello", json!({}));
    assert_eq!(bench.output(nobody)["greeting"], "Hello, world!");
}
