//! What is done through the API is in the audit log.

use super::*;

#[test]
fn acts_are_listed_by_page_and_the_log_is_whole() {
    let bench = Bench::new(&[("w", "sleep(\"1h\")")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202).json()["run"].clone();
    let id = run.as_str().expect("an id");
    bench.post(&format!("/api/v1/runs/{id}/cancel"), &json!({ "reason": "enough" })).expect(202);
    let newest = bench.get("/api/v1/audit?limit=1").expect(200).json();
    let shown = |act: &Value| (act["actor"].clone(), act["act"].clone(), act["subject"].clone());
    assert_eq!(shown(&newest["acts"][0]), (json!("local"), json!("run.cancel"), run.clone()));
    let cursor = newest["next"].as_str().expect("a next page");
    let first = bench.get(&format!("/api/v1/audit?since=1h&cursor={cursor}")).expect(200).json();
    assert_eq!((shown(&first["acts"][0]).1, &first["next"]), (json!("run.start"), &Value::Null));
    assert_eq!(bench.get(&format!("/api/v1/runs/{id}")).json()["trigger"], json!({ "kind": "hand", "by": "local" }));
    let whole = bench.get("/api/v1/audit/verify").expect(200).json();
    assert_eq!((&whole["ok"], &whole["records"]), (&json!(true), &json!(2)));
    let head = whole["head"].as_str().expect("a head").replacen("2:", "1:", 1);
    let other = bench.get(&format!("/api/v1/audit/verify?expect={head}")).expect(200).json();
    assert_eq!((&other["ok"], &other["seq"]), (&json!(false), &json!(1)));
    for query in ["?cursor=x", "?limit=0", "/verify?expect=x"] {
        bench.get(&format!("/api/v1/audit{query}")).expect(400);
    }
}
