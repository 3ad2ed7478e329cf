//! `message::publish` and `trigger::message` against NATS with JetStream, RabbitMQ and an MQTT broker.
//!
//! NATS has a stream that covers `orders.>`, RabbitMQ a queue `orders`; each user may use them. What is there already is of no matter.

use std::time::Duration;

use panta::time::elapsed;
use serde_json::{Value, json};

use super::named::System;
use crate::cli::Place;
use crate::support::daemon::Daemon;

const NATS: &str = "PANTA_REAL_NATS";
const AMQP: &str = "PANTA_REAL_AMQP";
const MQTT: &str = "PANTA_REAL_MQTT";
/// No test waits longer for what must come.
const BOUND: Duration = Duration::from_mins(3);
const SECRET: &str = "PANTA_SECRET_BROKER";

/// A broker without its user, as a script writes it.
fn bare(system: &System) -> String {
    let mut url = system.url.clone();
    url.set_username("").expect("a host");
    url.set_password(None).expect("a host");
    url.as_str().trim_end_matches('/').to_owned()
}

/// A folder with a configuration for this broker, called `broker`, and scripts in two folders: one publishes, one consumes.
fn place(system: &System, publishes: &str, consumes: &str) -> Place {
    let (url, user) = (bare(system), system.url.username());
    let ca_file = system.ca_file.as_ref().map(|file| format!("ca_file = {file:?}\n")).unwrap_or_default();
    let config = format!(
        "[config]\nurl = \"{url}\"\n[brokers.broker]\nurl = \"{url}\"\nuser = \"{user}\"\nsecret = \"broker\"\n{ca_file}"
    );
    let head = "const URL = config(\"url\");\nworkflow(#{ allow: #{ message: [\"config:url\"] } });\n\
                fn fails(f) { let e = attempt(f).error; [e.kind, e.reason, e.retryable] }\n";
    let (publishes, consumes) = (format!("{head}{publishes}"), format!("{head}{consumes}"));
    Place::new(&[("panta.toml", &config), ("publish/w.rhai", &publishes), ("consume/c.rhai", &consumes)])
}

fn password(system: &System) -> &str {
    system.url.password().expect("a password")
}

/// What the script that publishes gives.
fn published(place: &Place, password: &str) -> Value {
    let mut command = place.command(&["--config", "panta.toml", "--data", "mine", "run", "publish/w.rhai", "--json"]);
    let came = command.env(SECRET, password).output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    assert!(came.status.success(), "{out}{err}");
    let ended: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect("JSON");
    ended["output"].clone()
}

/// A daemon with the script that consumes.
fn consuming(system: &System, place: &Place) -> Daemon {
    let config = place.path().join("panta.toml");
    let environment = [("PANTA_CONFIG", config.to_str().expect("a path")), (SECRET, password(system))];
    Daemon::start_with(&place.path().join("consume"), &place.path().join("theirs"), &environment)
}

/// How the runs of the consumer ended: their outputs, sorted.
fn outputs(daemon: &Daemon) -> Vec<Value> {
    let (_, listed) = daemon.request("GET", "/api/v1/runs?workflow=c&limit=100", &[], "").expect("an answer");
    let runs = listed["runs"].as_array().expect("a list");
    let mut all: Vec<_> = runs.iter().map(|run| run["output"].clone()).filter(|output| !output.is_null()).collect();
    all.sort_by_key(Value::to_string);
    all
}

/// Waits until so many runs of the consumer have ended.
fn until(daemon: &Daemon, count: usize) -> Vec<Value> {
    let begun = elapsed();
    loop {
        let all = outputs(daemon);
        if all.len() >= count || elapsed() - begun > BOUND {
            assert_eq!(all.len(), count, "{all:?}");
            return all;
        }
        std::thread::yield_now();
    }
}

/// Thirty messages, each published twice under one id, while the daemon that consumes them is killed again and again.
fn each_once_across_kills(variable: &str, subject: &str) {
    let Some(system) = System::find(variable) else { return };
    let publishes = format!(
        "fn main() {{ let mark = run_id(); for n in 0..30 {{ for twice in 0..2 {{ message::publish(URL, \"{subject}\", #{{ mark: mark, n: n }}, \
         #{{ idempotency_key: `${{mark}}-${{n}}` }}); }} }} mark }}"
    );
    // A broker keeps messages of others: those are not counted.
    let consumes = format!(
        "trigger::message(URL + \"/{subject}\", #{{ consumer: \"panta-real-kills\", when: |m| type_of(m.payload) == \"map\" && \"mark\" in m.payload }});\n\
         fn main(m) {{ [m.mark, m.n, trigger::info().id] }}"
    );
    let place = place(&system, &publishes, &consumes);
    // The broker knows the consumer from now on.
    let mut daemon = consuming(&system, &place);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| published(&place, password(&system)));
        for _ in 0..3 {
            let seen = outputs(&daemon).len();
            let begun = elapsed();
            while outputs(&daemon).len() < (seen + 3).min(30) && elapsed() - begun < BOUND {
                std::thread::yield_now();
            }
            daemon.kill();
            daemon = consuming(&system, &place);
        }
        let mark = publishing.join().expect("it publishes");
        let all = until(&daemon, 30);
        let mut numbers: Vec<_> = all.iter().filter(|one| one[0] == mark).map(|one| one[1].as_i64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..30).map(Some).collect::<Vec<_>>());
    });
}

#[test]
fn nats_gives_each_message_to_one_run() {
    each_once_across_kills(NATS, "orders.kills");
}

#[test]
fn amqp_gives_each_message_to_one_run() {
    each_once_across_kills(AMQP, "orders");
}

#[test]
fn mqtt_gives_each_message_to_one_run() {
    each_once_across_kills(MQTT, "orders/kills");
}

#[test]
fn nats_takes_a_second_try_for_the_first_and_says_what_it_refuses() {
    let Some(system) = System::find(NATS) else { return };
    let script = r#"
fn main() {
    let one = message::publish(URL, "orders.real", "ü", #{ headers: #{ "X-A": 1 } });
    let two = message::publish(URL, "orders.real", "ü", #{ idempotency_key: one.id });
    [one.duplicate, two.duplicate, one.sequence == two.sequence, fails(|| message::publish(URL, "nowhere.real", 1)),
     fails(|| message::publish(URL, "orders.real", blob(2_000_000, 65)))]
}"#;
    let place = place(&system, script, "()");
    let expected = json!([false, true, true, ["message", "unroutable", false], ["limit", "too_large", false]]);
    assert_eq!(published(&place, password(&system)), expected);
}

#[test]
fn amqp_says_where_no_queue_is() {
    let Some(system) = System::find(AMQP) else { return };
    let script = r#"
fn main() {
    [fails(|| message::publish(URL, "nowhere", 1)), fails(|| message::publish(URL, "a", 1, #{ exchange: "nowhere" })),
     message::publish(URL, "orders", blob(300_000, 65)).id == ""]
}"#;
    let place = place(&system, script, "()");
    let expected = json!([["message", "unroutable", false], ["message", "not_found", false], false]);
    assert_eq!(published(&place, password(&system)), expected);
}

#[test]
fn a_wrong_password_is_an_error_of_the_run() {
    for (variable, subject) in [(NATS, "orders.real"), (AMQP, "orders"), (MQTT, "orders/real")] {
        let Some(system) = System::find(variable) else { continue };
        let place = place(&system, &format!("fn main() {{ fails(|| message::publish(URL, \"{subject}\", 1)) }}"), "()");
        assert_eq!(published(&place, "no-password"), json!(["message", "auth", false]), "{variable}");
    }
}
