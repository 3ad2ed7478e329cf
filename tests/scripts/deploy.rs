//! `scripts/deploy.rhai`.

use panta::engine::Handle;
use panta::host::declare::TriggerKind;
use panta::store::{Rollback, Run, Status};
use serde_json::json;

use crate::support::bench::{Bench, message};
use crate::support::server::Server;

fn push(branch: &str, health: u16) -> (Run, Server) {
    let server = Server::new(move |request| match request.line.as_str() {
        "GET /live" => (200, json!({ "release": "r1" })),
        "POST /releases" => (201, json!({ "id": "r2" })),
        "GET /health" => (health, json!({})),
        _ => (200, json!({})),
    });
    let bench = Bench::shipped("deploy", &[("deploy_url", json!(server.url("")))]);
    (bench.run("deploy", json!({ "ref": format!("refs/heads/{branch}"), "after": "c0ffee", "pusher": {} })), server)
}

#[test]
fn a_healthy_release_stays() {
    let (run, server) = push("main", 200);
    assert_eq!(run.output.expect("an output").to_json(), json!({ "live": "r2", "before": "r1" }));
    assert_eq!(server.lines(), ["GET /live", "POST /releases", "PUT /live", "GET /health"]);
    assert_eq!(server.seen()[1].body, json!({ "commit": "c0ffee" }));
}

#[test]
fn a_sick_release_is_undone_last_step_first() {
    let (run, server) = push("main", 500);
    assert_eq!((run.status, run.rollback), (Status::Failed, Rollback::Complete));
    assert!(message(&run).contains("500"), "{}", message(&run));
    let undone = server.seen().split_off(6);
    assert_eq!(server.lines()[3..6], ["GET /health"; 3]);
    assert_eq!((undone[0].line.as_str(), &undone[0].body), ("PUT /live", &json!({ "release": "r1" })));
    assert_eq!(undone[1].line, "DELETE /releases/r2");
    assert_eq!(undone.len(), 2);
}

#[test]
fn other_branches_are_left_alone() {
    let (run, server) = push("wip", 200);
    assert_eq!(run.output.expect("an output").to_json(), json!({ "skipped": "refs/heads/wip" }));
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[test]
fn only_signed_pushes_are_taken() {
    let handle: Handle = Bench::shipped("deploy", &[]).handle();
    let deployed = handle.workflow("deploy").expect("deployed");
    assert_eq!((deployed.triggers[0].kind, &*deployed.triggers[0].subject), (TriggerKind::Webhook, "deploy"));
    assert!(deployed.declared.to_string().contains("github"), "{}", deployed.declared);
}
