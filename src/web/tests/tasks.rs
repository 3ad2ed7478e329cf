//! Tasks through the API and their pages, and signed addresses of events.

use super::*;
use crate::engine::links::EventLink;
use crate::time::Timestamp;

const PAY: (&str, &str) = (
    "pay",
    r#"fn main(input) { task::ask(#{ title: "Pay <R1>?", text: "a & b", to: "finance", except: ["mallory"], form: #{ amount: "decimal", note: "string?" }, choices: ["yes", "no"], due: "2d" }) }"#,
);

/// No change is waited for longer before the next look.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// A bench whose one run waits for its task; the task as it is listed.
fn asked() -> (Bench, Value) {
    let bench = Bench::new(&[PAY]);
    bench.post("/api/v1/workflows/pay/runs", &json!({})).expect(202);
    let task = bench.until(|| bench.get("/api/v1/tasks?status=open").expect(200).json()["tasks"].get(0).cloned());
    (bench, task)
}

impl Bench {
    /// Looks after each change until there is something.
    pub(super) fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let mut notices = self.engine.handle().watch();
        let began = crate::time::elapsed();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(crate::time::elapsed().saturating_sub(began) < std::time::Duration::from_mins(2), "in time");
            let _ = self.block(async { tokio::time::timeout(LOOK, notices.next()).await });
        }
    }

    fn output(&self, task: &Value) -> Value {
        let run = task["run"].as_str().expect("a run").parse().expect("an id");
        self.block(self.engine.handle().ended(run)).expect("ends").to_json()["output"].clone()
    }

    fn form(&self, path: &str, body: &'static str) -> Answer {
        self.send(&format!("POST {path}"), &[("content-type", "application/x-www-form-urlencoded")], body)
    }
}

/// The path of a signed address.
fn path(url: &Value) -> String {
    let url = url.as_str().expect("an address");
    url.strip_prefix("http://127.0.0.1:7262").expect("below the base").to_owned()
}

#[test]
fn a_task_has_all_its_fields() {
    let (bench, task) = asked();
    let names: Vec<_> = task.as_object().expect("a map").keys().map(String::as_str).collect();
    let promised = [
        "task", "run", "workflow", "title", "text", "to", "except", "form", "choices", "due", "status", "url", "answer",
    ];
    assert_eq!(names[..promised.len()], promised);
    assert_eq!(
        (&task["to"], &task["choices"], &task["status"]),
        (&json!(["finance"]), &json!(["yes", "no"]), &json!("open"))
    );
    assert_eq!(task["form"]["properties"]["amount"]["format"], "decimal");
    let one = bench.get(&format!("/api/v1/tasks/{}", task["task"].as_str().unwrap())).expect(200).json();
    assert_eq!(one, task);
}

#[test]
fn an_answer_is_checked_taken_once_and_told_to_the_others() {
    let (bench, task) = asked();
    let to = format!("/api/v1/tasks/{}/answer", task["task"].as_str().unwrap());
    let bad = bench.post(&to, &json!({ "choice": "maybe", "data": { "note": 3 } })).expect(422).json();
    let paths: Vec<_> = bad["errors"].as_array().unwrap().iter().map(|fault| fault["path"].clone()).collect();
    assert_eq!(paths, ["by", "choice", "data.amount", "data.note"]);
    let mut answer = json!({ "choice": "yes", "data": { "amount": "10.20" }, "by": "mallory" });
    bench.post(&to, &answer).expect(403);
    answer["by"] = "ann".into();
    let done = bench.post(&to, &answer).expect(200).json();
    assert_eq!((&done["status"], &done["answer"]["by"]), (&json!("answered"), &json!("ann")));
    let late = bench.post(&to, &answer).expect(409).json();
    assert_eq!((&late["answer"], &late["task_status"]), (&done["answer"], &json!("answered")));
    assert!(late["detail"].as_str().unwrap().contains("was answered by `ann`"), "{late}");
    assert_eq!(bench.output(&task)["data"]["amount"], "10.20");
}

#[test]
fn unknown_tasks_and_bad_requests() {
    let bench = Bench::new(&[]);
    for unknown in ["x", "0198f000-0000-7000-8000-000000000000"] {
        bench.get(&format!("/api/v1/tasks/{unknown}")).expect(404);
        bench.post(&format!("/api/v1/tasks/{unknown}/answer"), &json!({})).expect(404);
    }
    for bad in ["status=new", "limit=0", "cursor=x", "x=1"] {
        bench.get(&format!("/api/v1/tasks?{bad}")).expect(400);
    }
    bench.get("/t/x").html(404);
    bench.send("POST /e/x", &[], "").expect(404);
    bench.get("/e/x").expect(405);
}

#[test]
fn tasks_are_listed_by_page_and_person() {
    let bench = Bench::new(&[PAY]);
    for _ in 0..3 {
        bench.post("/api/v1/workflows/pay/runs", &json!({})).expect(202);
    }
    let ids = |path: &str| {
        let listed = bench.get(path).expect(200).json();
        let ids: Vec<_> = listed["tasks"].as_array().unwrap().iter().map(|task| task["task"].clone()).collect();
        (ids, listed["next"].clone())
    };
    let all = bench.until(|| Some(ids("/api/v1/tasks").0).filter(|all| all.len() == 3));
    let (first, next) = ids("/api/v1/tasks?limit=2&to=finance");
    let (second, last) = ids(&format!("/api/v1/tasks?limit=2&cursor={}", next.as_str().unwrap()));
    assert_eq!(([first, second].concat(), last), (all, Value::Null));
    assert_eq!(ids("/api/v1/tasks?to=it").0.len(), 0);
}

impl Answer {
    /// Asserts the status of a page, and that nothing but the page itself is allowed on it.
    fn html(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "text/html; charset=utf-8");
        let policy = self.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(self.headers["referrer-policy"], "no-referrer");
        assert!(!self.text.contains("<script"), "{}", self.text);
        self
    }
}

#[test]
fn a_page_decides_only_by_post() {
    let (bench, task) = asked();
    let at = path(&task["url"]);
    let page = bench.get(&at).html(200);
    for part in [
        "<h1>Pay &lt;R1&gt;?</h1>",
        "a &amp; b",
        "<form method=\"post\">",
        "name=\"data.amount\"",
        "<button name=\"choice\" value=\"yes\">",
        "name=\"by\" type=\"text\" value=\"\" required",
    ] {
        assert!(page.text.contains(part), "{part}\n{}", page.text);
    }
    bench.get(&format!("{at}?choice=yes&by=ann&data.amount=1")).html(200);
    bench.send(&format!("HEAD {at}"), &[], "");
    let one = format!("/api/v1/tasks/{}", task["task"].as_str().unwrap());
    assert_eq!(bench.get(&one).json()["status"], "open", "looking decides nothing");
    let again = bench.form(&at, "choice=yes&by=%3Cb%3E&data.amount=x").html(422);
    assert!(
        again.text.contains("data.amount must be a decimal") && again.text.contains("value=\"&lt;b&gt;\""),
        "{}",
        again.text
    );
    bench.form(&at, "choice=yes&by=mallory&data.amount=1").html(403);
    let done = bench.form(&at, "choice=yes&by=ann&data.amount=10.20&data.note=&note=ok").html(200);
    assert!(done.text.contains("Thank you. This task was answered by ann: “yes”"), "{}", done.text);
    assert!(bench.form(&at, "choice=no&by=bob&data.amount=1").html(409).text.contains("answered by ann"));
    assert!(!bench.get(&at).html(409).text.contains("<form"));
    let output = bench.output(&task);
    assert_eq!((&output["data"], &output["note"]), (&json!({ "amount": "10.20" }), &json!("ok")));
}

#[test]
fn the_address_of_a_person_answers_as_nobody_else() {
    let (bench, task) = asked();
    let id = task["task"].as_str().unwrap().parse().unwrap();
    let link = |person| path(&json!(bench.engine.handle().links().task(id, Some(person)).unwrap()));
    assert!(bench.get(&link("ann")).html(200).text.contains("You answer as ann."));
    bench.form(&link("mallory"), "choice=yes&by=ann&data.amount=1").html(403);
    bench.form(&link("ann"), "choice=no&by=bob&data.amount=1").html(200);
    assert_eq!(bench.output(&task)["by"], "ann");
}

#[test]
fn forms_ask_for_each_kind_of_field() {
    let script = r#"fn main() { task::ask(#{ title: "T", form: #{ day: "date", n: "int", yes: "bool", kind: one_of("a", "b"), lines: ["int"] } }).data }"#;
    let bench = Bench::new(&[("w", script)]);
    bench.post("/api/v1/workflows/w/runs", &json!({})).expect(202);
    let task = bench.until(|| bench.get("/api/v1/tasks").json()["tasks"].get(0).cloned());
    let page = bench.get(&path(&task["url"])).html(200).text;
    for part in [
        "type=\"date\"",
        "type=\"number\"",
        "<option value=\"true\">",
        "<option value=\"b\">",
        "<textarea",
        "value=\"done\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let body = "choice=done&data.day=2026-12-24&data.n=3&data.yes=true&data.kind=b&data.lines=%5B1%5D";
    bench.form(&path(&task["url"]), body).html(200);
    assert_eq!(bench.output(&task), json!({ "day": "2026-12-24", "kind": "b", "lines": [1], "n": 3, "yes": true }));
}

#[test]
fn a_post_to_a_signed_address_emits_the_event_once() {
    let script = r#"fn main() { let url = event::url("parcel", #{ key: "A1" }); log::info(url); wait_for("parcel", #{ key: "A1" }) }"#;
    let bench = Bench::new(&[("w", script)]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().unwrap().to_owned();
    let url = bench.until(|| bench.get(&format!("/api/v1/runs/{run}/logs")).json()["logs"].get(0).cloned())["message"]
        .clone();
    let send = |key: &str, body: &'static str| {
        let headers =
            [("content-type", "application/json"), ("idempotency-key", key), ("host", "callback.example.com")];
        bench.send(&format!("POST {}", path(&url)), &headers, body)
    };
    send("1", "{").expect(400);
    let first = send("1", "{\"n\":1}").expect(202).json();
    assert_eq!(send("1", "{\"n\":2}").expect(202).json()["event"], first["event"]);
    assert_ne!(send("2", "{\"n\":3}").expect(202).json()["event"], first["event"]);
    let events = bench.get("/api/v1/events").json();
    let seen: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["payload"]["n"].clone()).collect();
    assert_eq!(seen, [1, 3]);
    assert_eq!(bench.output(&json!({ "run": run })), json!({ "n": 1 }));
}

#[test]
fn an_address_ends_in_its_time_and_only_as_it_was_signed() {
    let bench = Bench::new(&[]);
    let link = |expires| {
        let link = EventLink { name: "a".into(), key: None, expires: Some(Timestamp(expires)) };
        path(&json!(bench.engine.handle().links().event(&link).unwrap()))
    };
    bench.send(&format!("POST {}", link(1)), &[], "").expect(410);
    let open = link(Timestamp::MAX.0);
    bench.send(&format!("POST {open}"), &[("content-type", "application/x-www-form-urlencoded")], "a=1").expect(202);
    let forged = open.replace("/e/ey", "/e/eX");
    assert_ne!(forged, open);
    bench.send(&format!("POST {forged}"), &[], "").expect(404);
    bench.get(&open.replace("/e/", "/t/")).html(404);
    assert_eq!(bench.get("/api/v1/events").json()["events"][0]["payload"], json!({ "a": "1" }));
}

#[test]
fn progress_is_in_the_run_and_on_its_stream() {
    let bench = Bench::new(&[("w", "progress(0.4, \"uploading\"); wait_for(\"go\")")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().unwrap().to_owned();
    let shown = json!({ "text": "uploading", "value": 0.4 });
    bench.until(|| (bench.get(&format!("/api/v1/runs/{run}")).json()["progress"] == shown).then_some(()));
    assert_eq!(bench.get("/api/v1/runs").json()["runs"][0]["progress"], shown);
    bench.post(&format!("/api/v1/runs/{run}/events"), &json!({ "name": "go" })).expect(202);
    let stream = bench.get(&format!("/api/v1/runs/{run}/stream")).text;
    assert!(stream.contains("event: progress\ndata: {\"text\":\"uploading\",\"value\":0.4}"), "{stream}");
}
