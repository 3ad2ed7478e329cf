//! Every prefix of a finished journal resumes to the same journal, and a replay issues no command.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::effect::http::HttpBody;
use crate::effect::{Failure, HttpReply, Reply, Sent};
use crate::host::session::Act;

/// Answers by the end of the address: `/fail` fails for good, `/flaky` is a failure that may be retried.
fn service(request: &Request, _: u32) -> Outcome {
    let Request::Http(http) = request else { return Err(Failure::new("file", "no files here")) };
    if http.url.ends_with("/fail") {
        return Err(Failure {
            sent: Sent::Maybe,
            ..Failure::new("http", "it says no").with("status", crate::effect::Field::Int(400))
        });
    }
    let body = HttpBody::Json(json!({ "url": http.url, "method": http.method }).to_string());
    Ok(Reply::Http(HttpReply { status: 200, headers: Vec::new(), body, url: http.url.clone() }))
}

fn sim(script: &str) -> Sim {
    let bundle = Bundle::of_text("w.rhai", script).expect("a bundle");
    let mut sim = Sim::new(&bundle, Payload::from_text("{\"n\":3}"), service).expect("compiles");
    sim.events = vec![
        SimEvent {
            after: Duration::from_millis(20),
            name: "paid".into(),
            key: Some("other".into()),
            payload: Payload::from_text("1"),
        },
        SimEvent {
            after: Duration::from_millis(40),
            name: "paid".into(),
            key: Some("k".into()),
            payload: Payload::from_text("2"),
        },
        SimEvent { after: Duration::from_hours(30), name: "late".into(), key: None, payload: Payload::from_text("3") },
    ];
    let says = |after, title: &str, choice: &str| SimAnswer {
        after,
        title: title.to_owned(),
        answer: Payload::from_json(&json!({ "choice": choice, "data": null, "by": "ann", "at": "then" })),
    };
    sim.answers =
        vec![says(Duration::from_millis(30), "soon", "yes"), says(Duration::from_hours(20), "tomorrow", "no")];
    sim
}

/// A journal as a list that can be read.
fn listed(report: &Report) -> Vec<String> {
    let shown = |e: &Entry| format!("{} {:?} {} {}", e.position, e.phase, e.kind.name(), e.name);
    report.written.entries.iter().map(shown).collect()
}

/// Crashes a script after each entry, and holds what comes of it against the run without a crash.
fn holds(script: &str) -> Report {
    let mut sim = sim(script);
    let whole = sim.run(Written::default());
    let shown = |report: &Report| format!("{:?} {:?}", report.finish, report.output());
    assert!(!matches!(whole.finish, Finish::Stuck | Finish::Diverged(_)), "{:?}", whole.finish);
    for count in 0..=whole.written.entries.len() {
        let resumed = sim.run(whole.written.prefix(count));
        assert_eq!(listed(&resumed), listed(&whole), "journal after a crash at {count} of\n{script}");
        assert_eq!(
            comparable(&resumed.written.entries),
            comparable(&whole.written.entries),
            "journal after a crash at {count} of\n{script}"
        );
        assert_eq!(
            resumed.output(),
            whole.output(),
            "output after a crash at {count}: {} / {}",
            shown(&resumed),
            shown(&whole)
        );
        if count == whole.written.entries.len() {
            assert_eq!((resumed.asked, resumed.performed.len()), (0, 0), "a replay issues no command");
        }
        for effect in &resumed.performed {
            assert!(whole.performed.contains(effect), "the same keys and attempts after a crash: {effect:?}");
        }
    }
    // The same when the process is down for a while: what came due meanwhile must not overtake what is recorded.
    for late in [Duration::from_millis(50), Duration::from_hours(2)] {
        sim.late = late;
        for count in 0..whole.written.entries.len() {
            let resumed = sim.run(whole.written.prefix(count));
            assert!(
                matches!(resumed.finish, Finish::Ended(_)),
                "{:?} after {late:?}, crash at {count} of\n{script}",
                resumed.finish
            );
            let recorded: Vec<_> = whole.written.entries[..count].to_vec();
            assert_eq!(resumed.written.entries[..count], recorded, "what is recorded stays");
            let again = sim.run(resumed.written.clone());
            assert_eq!((again.asked, again.output()), (0, resumed.output()), "and replays");
        }
    }
    sim.late = Duration::ZERO;
    sim.evict_always = true;
    let evicted = sim.run(Written::default());
    // When a poll happens depends on when the run was taken up.
    let polls = script.contains("wait_until(");
    let shown = |report: &Report| {
        if polls { comparable(&report.written.entries) } else { report.written.entries.clone() }
    };
    assert_eq!(shown(&evicted), shown(&whole), "the same when it leaves memory at each wait");
    whole
}

#[test]
fn steps_with_effects() {
    let report = holds(
        r#"
        fn main(input) {
            let a = step("get", || http::get("http://s.example/a").body.url);
            let b = step("post", #{ retry: 3 }, || http::post("http://s.example/b", #{ n: input.n }).body.method);
            log::info("done", #{ a: a });
            #{ a: a, b: b, id: uuid(), r: random_int(1, 1000) }
        }"#,
    );
    assert_eq!(report.output().expect("output")["b"], json!("POST"));
}

#[test]
fn branches_go_on_in_the_same_order_from_their_first_line() {
    let report = holds(
        r#"
        let seen = [];
        parallel([
            || { http::get("http://s.example/1"); seen.push("a"); wait_until(#{ every: "1s" }, || true); seen.push("a2"); },
            || { seen.push("b"); http::get("http://s.example/2"); seen.push("b2"); sleep_until("2001-01-01T00:00Z"); seen.push("b3"); },
            || { seen.push("c"); },
        ]);
        seen"#,
    );
    assert_eq!(report.output().expect("output").as_array().map(Vec::len), Some(6));
}

#[test]
fn branches_that_share_variables() {
    let report = holds(
        r#"
        let seen = [];
        let total = 0;
        parallel([
            || { let r = http::get("http://s.example/1"); seen.push("a"); total += 1; sleep("7ms"); seen.push("a2"); total *= 2; },
            || { sleep("3ms"); seen.push("b"); total += 10; http::post("http://s.example/2", 1); seen.push("b2"); total *= 3; },
            || { for i in 0..3 { step("s" + i, || { http::get(`http://s.example/x${i}`).status }); seen.push(i); total += i; } },
        ]);
        #{ seen: seen, total: total }"#,
    );
    assert_eq!(report.output().expect("output")["seen"].as_array().expect("a list").len(), 7);
}

#[test]
fn failures_retries_and_compensations() {
    holds(
        r#"
        fn main() {
            on_exit("exit", || http::post("http://s.example/exit", 1));
            step("one", #{ undo: |v| http::delete("http://s.example/one") }, || http::post("http://s.example/one", 1).status);
            scope(|| {
                on_rollback("inner", || http::post("http://s.example/inner", 2));
                let r = attempt(|| http::post("http://s.example/fail", 3));
                if r.ok { throw "unexpected" }
            });
            let tried = attempt(|| retry(#{ attempts: 3, delay: "1s" }, || {
                step("kept", || http::post("http://s.example/kept", 1).status);
                throw "again " + attempt_number()
            }));
            http::post("http://s.example/fail", 4)
        }"#,
    );
}

#[test]
fn a_time_that_came_while_the_process_was_down_waits_its_turn() {
    holds(
        r#"
        fn main() {
            parallel([
                || { sleep("3s"); step("c", || "C") },
                || { sleep("1s"); step("a", || "A"); step("b", #{ retry: 2 }, || http::post("http://s.example/b", 1).status) },
            ])
        }"#,
    );
}

#[test]
fn a_step_that_is_resumed_began_when_it_began() {
    let sim = sim(r#"sleep("1h"); step("s", || { sleep("10s"); sleep("10s"); 1 })"#);
    let whole = sim.run(Written::default());
    let step = |report: &Report| {
        report.written.entries.iter().find(|e| e.kind == crate::journal::Kind::Step).expect("a step").clone()
    };
    let resumed = sim.run(whole.written.prefix(whole.written.entries.len() - 3));
    assert_eq!(step(&resumed), step(&whole));
}

#[test]
fn a_step_that_leaves_memory_before_any_outcome_began_when_it_began() {
    let mut sim = sim(r#"step("s", || { timeout("1h", || sleep("10s")); 1 })"#);
    let whole = sim.run(Written::default());
    sim.evict_always = true;
    assert_eq!(sim.run(Written::default()).written.entries, whole.written.entries);
    assert_eq!(whole.written.entries.iter().find(|e| &*e.name == "s").expect("a step").started_at, START);
}

#[test]
fn what_came_at_the_same_time_comes_in_one_order_after_a_crash() {
    // The timer and the poll are over at once; the wait for the event began before them and ends with them.
    holds(
        r#"
        let seen = [];
        parallel([
            || { sleep("1m"); seen.push("late"); },
            || { sleep_until("2001-01-01T00:00Z"); seen.push("past"); wait_until(#{ every: "1s" }, || 7); seen.push("polled"); },
            || { wait_for("paid", #{ key: "k", timeout: "90ms" }); seen.push("paid"); http::get("http://s.example/a"); },
            || { wait_for("paid", #{ timeout: "1ms" }); wait_until(#{ every: "1s" }, || true); seen.push("all"); },
        ]);
        seen"#,
    );
}

#[test]
fn no_lock_is_left_behind_by_going_on_as_another_run() {
    let report = holds(
        r#"
        let inside = attempt(|| lock("till", || { workflow::continue_as(1) })).error.message;
        let beside = parallel([
            || lock("till", || sleep("1h")),
            || { sleep("1ms"); attempt(|| workflow::continue_as(1)).error.kind },
        ]);
        [inside, beside[1]]"#,
    );
    let output = report.output().expect("output");
    assert!(output[0].as_str().expect("a message").contains("a lock is held"), "{output}");
    assert_eq!(output[1], json!("invalid"));
}

#[test]
fn a_step_may_give_its_own_idempotency_key() {
    let sim = sim(r#"
        step("pay", #{ idempotency_key: "order-7" }, || { http::post("http://s.example/a", 1); http::post("http://s.example/b", 1).status });
        http::post("http://s.example/c", 1).status"#);
    let keys: Vec<_> = sim.run(Written::default()).performed.into_iter().map(|effect| effect.key).collect();
    assert_eq!((keys[0].as_str(), keys[1].as_str()), ("order-7", "order-7-0.1"));
    assert!(!keys[2].starts_with("order-7"));
}

#[test]
fn waits_races_and_events() {
    let report = holds(
        r#"
        fn main() {
            let paid = wait_for("paid", #{ key: "k", timeout: "1h" });
            let none = wait_for("never", #{ timeout: "10m" });
            let won = race(#{ event: || wait_for("late"), timer: || { sleep("5h"); "time" } });
            let polled = wait_until(#{ every: "1s", timeout: "1m" }, || http::get("http://s.example/poll").status == 200);
            let late = attempt(|| timeout("20m", || { http::get("http://s.example/z"); sleep("2h") }));
            state::set("count", 1);
            let n = state::add("count", 41);
            event::emit("done", #{ n: n }, #{ key: "k" });
            let child = workflow::run("other", #{ n: n });
            [paid, none, won, polled, late.error.kind, n, child]
        }"#,
    );
    assert_eq!(
        report.output().expect("output"),
        json!([2, null, {"winner": "timer", "value": "time"}, true, "timeout", 42, null])
    );
}

#[test]
fn losers_of_a_race_clean_up() {
    let report = holds(
        r#"
        fn main() {
            let log = [];
            race([
                || scope(|| { on_exit("left", || http::post("http://s.example/left", 1)); sleep("1h") }),
                || { sleep("1s"); "quick" },
            ])
        }"#,
    );
    assert_eq!(report.performed.len(), 1);
}

#[test]
fn nested_branches_and_maps() {
    holds(
        r#"
        fn fetch(n) { http::get(`http://s.example/${n}`).body.url }
        fn main() {
            let lists = parallel_map([1, 2, 3, 4, 5], #{ limit: 2, collect: true }, |n| {
                if n == 3 { throw "three" }
                parallel(#{ a: || fetch(n * 10), b: || { sleep("4ms"); step("b", || fetch(n)) } })
            });
            lists.map(|l| if l.ok { l.value.a } else { l.error.message })
        }"#,
    );
}

#[test]
fn mutating_effects_keep_their_key() {
    let sim = sim(r#"step("pay", #{ retry: 2 }, || http::post("http://s.example/pay", 1).status)"#);
    let whole = sim.run(Written::default());
    let intent = whole.written.entries.iter().position(|e| e.shown_kind() == "intent").expect("an intent");
    let resumed = sim.run(whole.written.prefix(intent + 1));
    assert_eq!(resumed.performed, whole.performed);
}

#[test]
fn locks_are_taken_in_turn_and_left_in_any_case() {
    let report = holds(
        r#"
        fn careful(n) {
            lock("till", || {
                let before = http::get(`http://s.example/read/${n}`).status;
                step("pay", #{ undo: |v| http::post("http://s.example/undo", v) }, || http::post("http://s.example/pay", n).status)
            })
        }
        fn main() {
            let all = parallel_map([1, 2, 3], |n| careful(n));
            let lost = race([|| lock("till", || { sleep("1h"); 1 }), || { sleep("5ms"); 2 }]).value;
            let late = parallel([
                || lock("pool", #{ limit: 2 }, || sleep("1m")),
                || lock("pool", #{ limit: 2 }, || sleep("2m")),
                || attempt(|| lock("pool", #{ limit: 2, timeout: "10s" }, || 1)).error.kind,
                || lock("pool", #{ limit: 2 }, || { sleep("10ms"); "in" }),
            ]);
            let failed = attempt(|| lock("till", || throw "no")).ok;
            [all, lost, late, failed, lock("till", || "free")]
        }"#,
    );
    let expected = json!([[200, 200, 200], 2, [(), (), "timeout", "in"], false, "free"]);
    assert_eq!(report.output(), Some(expected));
    // Two branches were never inside at once: reading and paying take turns.
    let inside: Vec<_> = report.performed.iter().map(|effect| effect.mutating).collect();
    assert_eq!(inside, [false, true, false, true, false, true]);
}

#[test]
fn a_lock_is_left_by_what_is_dropped_inside_of_it() {
    let report = holds(
        r#"
        fn main() {
            on_exit("bye", || lock("till", || http::post("http://s.example/bye", 1)));
            race([
                || lock("till", || parallel([|| { sleep("1h") }, || lock("door", || sleep("2h"))])),
                || lock("door", || { sleep("1ms"); "quick" }),
            ]);
            lock("till", || lock("door", || throw "both"))
        }"#,
    );
    assert_eq!(report.performed.len(), 1);
}

#[test]
fn rates_wait_and_record_only_waits() {
    let report = holds(
        r#"
        fn main() {
            for n in 0..3 { rate_limit("crm", "1/m"); http::get(`http://s.example/${n}`); }
            parallel([
                || { rate_limit("mail", "2/h"); http::post("http://s.example/a", 1).status },
                || { rate_limit("mail", "2/h"); http::post("http://s.example/b", 1).status },
                || { sleep("3h"); rate_limit("mail", "2/h"); rate_limit("crm", "10/s"); 7 },
            ])
        }"#,
    );
    assert_eq!(report.output(), Some(json!([200, 200, 7])));
    let waits = report.written.entries.iter().filter(|entry| &*entry.name == "rate_limit");
    assert_eq!(waits.count(), 2 * 3, "the first call of each did not wait, nor did those after three hours");
}

#[test]
fn a_poll_may_keep_to_a_rate() {
    let report = holds(
        r#"
        fn main() {
            wait_until(#{ every: "1s", timeout: "5m" }, || { rate_limit("crm", "1/m"); now() > "2023-11-14T22:15:00" })
        }"#,
    );
    assert_eq!(report.output(), Some(json!(true)));
}

#[test]
fn a_run_that_continues_as_another_does_so_wherever_it_crashes() {
    let script = r#"
        fn main(input) {
            on_exit("left", || http::post("http://s.example/left", 1));
            step("a", || http::get("http://s.example/a").status);
            parallel([|| sleep("1h"), || workflow::continue_as(#{ n: input.n + 1 })])
        }"#;
    let report = holds(script);
    let next = |report: &Report| match &report.finish {
        Finish::Ended(end) => end.continued_as,
        other => panic!("{other:?}"),
    };
    assert!(next(&report).is_some());
    for count in 0..report.written.entries.len() {
        let resumed = sim(script).run(report.written.prefix(count));
        assert_eq!(next(&resumed), next(&report), "after a crash at {count}");
    }
}

#[test]
fn a_workflows_rules_hold_wherever_it_crashes() {
    let report = holds(
        r#"
        workflow(#{ retry: #{ attempts: 2, delay: "1s" }, output: #{ status: "int", note: "string?" } });
        fn main() {
            let tried = step("try", || {
                if attempt_number() == 1 { throw "again" }
                http::post("http://s.example/b", 1).status
            });
            #{ status: tried, note: () }
        }"#,
    );
    assert_eq!(report.output(), Some(json!({ "status": 200 })));
}

#[test]
fn what_a_closure_of_a_wait_throws_is_recorded() {
    let report = holds(
        r#"
        fn deep(n) { if n == 0 { wait_for("paid", #{ when: |e| e.sum() > 0 }) } else { deep(n - 1) } }
        let kinds = [];
        for body in [
            || wait_for("paid", #{ when: |e| { throw "no" } }),
            || wait_until(#{ every: "1s" }, || || 1),
            || http::get("http://s.example/fail", #{ retry: #{ attempts: 3, when: |e| { throw "never" } } }),
            || deep(3),
        ] {
            try { body.call(); } catch (e) { kinds.push(e.message); }
        }
        sleep("1s");
        kinds.len()"#,
    );
    assert_eq!(report.output(), Some(json!(4)));
}

/// A script whose strands compute when something ends them: each crash leads to an end, and what is recorded replays.
fn holds_when_interrupted(script: &str) -> serde_json::Value {
    let sim = sim(script);
    let whole = sim.run(Written::default());
    let output = whole.output().unwrap_or_else(|| panic!("{:?}", whole.finish));
    for count in 0..=whole.written.entries.len() {
        let resumed = sim.run(whole.written.prefix(count));
        assert!(resumed.output().is_some(), "{:?} after a crash at {count}", resumed.finish);
        let again = sim.run(resumed.written.clone());
        assert_eq!((again.asked, again.output()), (0, resumed.output()), "replayed after a crash at {count}");
    }
    output
}

#[test]
fn a_timeout_ends_a_body_that_computes() {
    let output = holds_when_interrupted(
        r#"
        let n = 0;
        let error = attempt(|| timeout("30ms", || { loop { n += 1; } })).error.kind;
        let after = n;
        let inner = attempt(|| timeout("1h", || {
            http::get("http://s.example/a");
            let m = 0;
            try { timeout("200ms", || { http::get("http://s.example/b"); parallel([|| { loop { m += 1; } }, || sleep("1m")]) }) }
            catch (e) { m = -m }
            m
        }));
        sleep("1s");
        #{ error: error, same: n == after, counted: n > 0, inner: inner.value < 0, n: n }"#,
    );
    assert_eq!(output["error"], json!("timeout"));
    assert_eq!((&output["same"], &output["counted"], &output["inner"]), (&json!(true), &json!(true), &json!(true)));
}

#[test]
fn an_attempt_that_computes_too_long_is_tried_again() {
    let output = holds_when_interrupted(
        r#"
        step("think", #{ timeout: "20ms", retry: #{ attempts: 3, delay: "1s" } }, || {
            if attempt_number() < 3 { let xs = [1, 2, 3]; while true { xs.sort(|a, b| a - b); xs.map(|x| x * 2); } }
            "thought"
        })"#,
    );
    assert_eq!(output, json!("thought"));
}

#[test]
fn tasks_are_answered_expire_and_lose_races() {
    let whole = holds(
        r#"
        let a = task::ask(#{ title: "soon", choices: ["yes", "no"] });
        let b = task::ask(#{ title: "never", due: "1h", remind: "10m" });
        let c = race(#{ person: || task::ask(#{ title: "tomorrow" }), timer: || sleep("2h") });
        let d = attempt(|| timeout("1h", || task::ask(#{ title: "tomorrow" })));
        let e = parallel([|| task::ask(#{ title: "tomorrow" }), || http::post("https://example.com/x", 1).status]);
        [a.choice, b, c.winner, d.ok, e[0].by, e[1]]"#,
    );
    assert_eq!(whole.output(), Some(json!(["yes", null, "timer", false, "ann", 200])));
    let acts = |fits: fn(&Act) -> bool| whole.written.acts.iter().filter(|(_, act)| fits(act)).count();
    assert_eq!(acts(|act| matches!(act, Act::OpenTask(_))), 5);
    assert_eq!(acts(|act| matches!(act, Act::CloseTask { .. })), 2, "the loser of the race, and the one out of time");
}

#[test]
fn each_task_has_one_identity_whatever_crashes() {
    let script = r#"step("ask", #{ retry: #{ attempts: 2, delay: "1s" } }, || { if task::ask(#{ title: "soon" }).by != "bob" { throw "again" } })"#;
    let sim = sim(script);
    let ids = |report: &Report| {
        let opened = report.written.acts.iter().filter_map(|(_, act)| match act {
            Act::OpenTask(task) => Some(task.id),
            _ => None,
        });
        opened.collect::<Vec<_>>()
    };
    let whole = sim.run(Written::default());
    assert_eq!(ids(&whole).len(), 2, "one for each attempt");
    for count in 0..=whole.written.entries.len() {
        assert_eq!(ids(&sim.run(whole.written.prefix(count))), ids(&whole), "after a crash at {count}");
    }
}

#[test]
fn progress_and_signed_addresses_replay() {
    let whole = holds(
        r#"progress(0.1, "begun"); let url = event::url("paid", #{ expires: "1d" }); sleep("1s"); progress(0.5); sleep("1s"); url"#,
    );
    assert_eq!(whole.output(), Some(json!("https://panta.example.com/e/paid")));
    let shown: Vec<_> = whole.written.acts.iter().filter(|(_, act)| matches!(act, Act::Progress(_))).collect();
    assert_eq!(shown.len(), 2);
}
