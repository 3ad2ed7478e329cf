//! Who is shown what entitles: addresses that need no token, and outcomes that are set.

use super::access::{Open, token};
use super::*;
use crate::engine::tokens::Role;

const PAY: &str = r#"fn main() {
    let url = event::url("paid", #{ key: "A1" });
    log::info("call back", #{ url: url });
    let said = task::ask(#{ title: "Pay?", choices: ["yes", "no"] });
    `${said.choice} by ${said.by}, ${url}`
}"#;

/// A run of `pay` that asks, and its task's id.
fn asking() -> (Open, String, String) {
    let open = Open::new(&[("pay", PAY)]);
    let run = open.with("POST /api/v1/workflows/pay/runs", open.token(Role::Run)).expect(202).json();
    let task = open.bench.until(|| {
        let tasks = open.with("GET /api/v1/tasks", open.token(Role::Read)).expect(200).json();
        tasks["tasks"][0]["task"].as_str().map(str::to_owned)
    });
    (open, run["run"].as_str().expect("an id").to_owned(), task)
}

impl Open {
    fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let headers = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
        self.send(&format!("POST {path}"), &headers, &body.to_string())
    }

    /// The address of the task as this token is shown it, everywhere the same.
    fn url_of(&self, task: &str, token: &str) -> Option<String> {
        let one = self.with(&format!("GET /api/v1/tasks/{task}"), token).expect(200).json();
        let listed = self.with("GET /api/v1/tasks", token).expect(200).json();
        assert_eq!(one, listed["tasks"][0]);
        one["url"].as_str().map(str::to_owned)
    }
}

#[test]
fn the_address_of_a_task_is_given_to_those_who_may_answer_it() {
    let (open, _, task) = asking();
    for role in Role::ALL {
        let is_given = open.url_of(&task, open.token(role)).is_some();
        assert_eq!(is_given, role.includes(Role::Approve), "{}", role.name());
    }
    let ann = token(&open.bench, "ann-phone", Role::Approve, Some("ann"));
    let url = open.url_of(&task, &ann).expect("it is given");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let at = url.strip_prefix("http://127.0.0.1:7262").expect("below the base");
    assert_eq!(open.send(&format!("POST {at}"), &form, "choice=yes&by=bob").status, StatusCode::OK);
    let one = open.with(&format!("GET /api/v1/tasks/{task}"), open.token(Role::Read)).expect(200).json();
    assert_eq!((&one["answer"]["by"], &one["url"]), (&json!("ann"), &Value::Null));
}

#[test]
fn the_address_of_an_event_is_shown_to_those_who_may_emit_it() {
    let (open, run, task) = asking();
    open.post(&format!("/api/v1/tasks/{task}/answer"), open.token(Role::Approve), &json!({ "choice": "yes" }))
        .expect(200);
    open.bench.block(open.bench.engine.handle().ended(run.parse().expect("an id"))).expect("ends");
    for path in ["", "/journal", "/logs", "/replay", "/stream"] {
        for role in Role::ALL {
            let shown = open.with(&format!("GET /api/v1/runs/{run}{path}"), open.token(role)).expect(200);
            let is_whole = role.includes(Role::Run);
            assert_eq!(shown.text.contains("/e/***"), !is_whole, "{path} as {}: {}", role.name(), shown.text);
            assert_eq!(shown.text.contains("/e/ey"), is_whole, "{path} as {}: {}", role.name(), shown.text);
        }
    }
}

#[test]
fn who_starts_runs_answers_for_nobody_by_a_copy() {
    let (open, run, _) = asking();
    let fork = |role, body: &Value| open.post(&format!("/api/v1/runs/{run}/fork"), open.token(role), body);
    let set = json!({ "at": "Pay?", "set": { "choice": "yes", "by": "cfo" } });
    let refused = fork(Role::Run, &set).expect(403).json();
    assert_eq!(refused["role"], "admin");
    assert_eq!(open.bench.runs(), 1);
    fork(Role::Run, &json!({ "at": "Pay?" })).expect(202);
    fork(Role::Admin, &set).expect(202);
}

#[test]
fn an_answer_is_not_used_twice_by_who_may_not_give_it() {
    let (open, run, task) = asking();
    open.post(&format!("/api/v1/tasks/{task}/answer"), open.token(Role::Approve), &json!({ "choice": "yes" }))
        .expect(200);
    open.bench.block(open.bench.engine.handle().ended(run.parse().expect("an id"))).expect("ends");
    let fork = |role| open.post(&format!("/api/v1/runs/{run}/fork"), open.token(role), &json!({ "at": "Pay?" }));
    assert_eq!(fork(Role::Run).expect(403).json()["role"], "approve");
    fork(Role::Admin).expect(202);
}
