//! What is not done yet: acts whose client has gone, a disk without space, what an earlier process left, streams over a repair.

use super::*;
use crate::store::AuditFilter;

/// Sends a request, and goes away as soon as the audit log says that this act was begun.
fn begun(bench: &Bench, path: &str, body: &Value, act: &str) {
    let asked = answer(bench.router.clone(), request(&format!("POST {path}"), &[], body.to_string()));
    let handle = bench.engine.handle();
    let is_noted = || {
        let acts = handle.audit(&AuditFilter { limit: 100, ..AuditFilter::default() }).expect("is read");
        acts.iter().any(|record| *record.act.act == *act)
    };
    let noted = async {
        while !is_noted() {
            tokio::task::yield_now().await;
        }
    };
    bench.block(async {
        tokio::select! {
            () = noted => {}
            _ = asked => {}
        }
    });
}

#[test]
fn many_are_acted_on_to_the_last_when_the_client_has_gone() {
    let bench = Bench::new(&[("w", "wait_for(\"never\")")]);
    for _ in 0..40 {
        bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202);
    }
    begun(&bench, "/api/v1/runs/cancel", &json!({ "workflow": "w", "reason": "away" }), "runs.cancel");
    let left = || bench.get("/api/v1/runs?status=queued,running,waiting").json()["runs"].as_array().map(Vec::len);
    bench.until(|| (left() == Some(0)).then_some(()));
    let acts = bench.get("/api/v1/audit?limit=1000").expect(200).json()["acts"].clone();
    let acts = acts.as_array().expect("a list");
    let many = acts.iter().find(|act| act["act"] == "runs.cancel").expect("it is noted that it was begun");
    assert_eq!((&many["details"]["matched"], &many["details"]["chosen"]["workflow"]), (&json!(40), &json!("w")));
    assert_eq!(acts.iter().filter(|act| act["act"] == "run.cancel").count(), 40);
}

#[test]
fn a_server_whose_store_has_no_space_is_not_ready() {
    let bench = Bench::new(&[("w", "1")]);
    bench.get("/readyz").expect(200);
    bench.store.fail_next(Fault::Full);
    let handle = bench.engine.handle();
    let write = bench.runtime.spawn(async move { handle.start("w", crate::engine::Start::default()).await });
    let ready = || bench.get("/readyz").status.as_u16();
    bench.until(|| {
        // Full until it was seen.
        bench.store.fail_next(Fault::Full);
        (ready() == 507).then_some(())
    });
    bench.until(|| (ready() == 200).then_some(()));
    bench.block(write).expect("ends").expect("it was written when there was space");
}

#[test]
fn what_is_pruned_is_noted_before_and_after() {
    let bench = Bench::new(&[("w", "1")]);
    bench.post("/api/v1/workflows/w/runs?wait=30s", &json!({})).expect(200);
    let prune = || bench.post("/api/v1/prune", &json!({ "keep": "1ms" })).expect(200).json()["removed"].clone();
    bench.until(|| (prune() == 1).then_some(()));
    let acts = bench.get("/api/v1/audit").expect(200).json()["acts"].clone();
    assert_eq!((&acts[0]["act"], &acts[0]["details"]["removed"]), (&json!("store.pruned"), &json!(1)));
    assert_eq!((&acts[1]["act"], &acts[1]["details"]["removed"]), (&json!("store.prune"), &Value::Null));
}

#[test]
fn a_backup_that_was_being_sent_is_removed_and_nothing_else() {
    let bench = Bench::new(&[]);
    let data = bench.engine.handle().workspace().parent().expect("a folder").to_owned();
    for name in [".panta-sending-x", "backup-mine"] {
        std::fs::create_dir_all(data.join(name)).expect("a folder");
        std::fs::write(data.join(name).join("panta.db"), "half").expect("a file");
    }
    super::super::upkeep::sweep(&bench.engine.handle());
    assert!(!data.join(".panta-sending-x").exists() && data.join("backup-mine/panta.db").exists());
    std::fs::remove_dir_all(data.join("backup-mine")).expect("is removed");
}

#[test]
fn a_stream_gives_what_came_after_a_repair_to_who_comes_back() {
    let fails = r#"fn main() { step("a", || 1); step("b", || { step("c", || 2); throw "no" }) }"#;
    let bench = Bench::new(&[("w", fails)]);
    let run = bench.post("/api/v1/workflows/w/runs?wait=30s", &json!({})).expect(200).json();
    let path = format!("/api/v1/runs/{}", run["run"].as_str().expect("an id"));
    let last = |text: &str| {
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<usize>().ok());
        ids.max().expect("an id")
    };
    let seen = last(&bench.get(&format!("{path}/stream")).expect(200).text);
    bench.post(&format!("{path}/retry"), &json!({ "confirm": true })).expect(200);
    bench
        .block(bench.engine.handle().ended(run["run"].as_str().expect("an id").parse().expect("an id")))
        .expect("ends");
    let came = |seen: usize| bench.send(&format!("GET {path}/stream"), &[("last-event-id", &seen.to_string())], "");
    let rest = came(seen - 1).expect(200).text;
    assert!(rest.contains("\"kind\":\"repair\""), "{rest}");
    let entries = bench.get(&format!("{path}/journal")).json()["entries"].as_array().expect("a list").clone();
    let repair = entries.iter().position(|entry| entry["kind"] == "repair").expect("it was repaired");
    for entry in &entries[repair..] {
        assert!(rest.contains(&format!("data: {entry}")), "{entry} is missing in {rest}");
    }
    came(last(&rest)).expect(204);
}
