//! `message::publish` and `trigger::message` against NATS with JetStream, RabbitMQ and an MQTT broker.
//!
//! NATS has a stream that covers `orders.>`, RabbitMQ a queue `orders`; each has a user `app`.

use std::time::Duration;

use panta::time::elapsed;
use serde_json::{Value, json};

use super::program::Running;
use super::since;
use crate::cli::Place;
use crate::support::daemon::Daemon;

/// No test waits longer for what must come.
const BOUND: Duration = Duration::from_mins(3);
/// A message that is there by then would not have come later.
const AGAIN: Duration = Duration::from_secs(5);
const SECRET: &str = "PANTA_SECRET_BROKER";

/// A broker, the password of its user, and the certificates to trust where the connection is by TLS.
struct Broker {
    url: &'static str,
    password: String,
    ca_file: Option<String>,
}

impl Broker {
    fn new(running: &Running, url: &'static str) -> Self {
        let password = running.ask("cat data/secret.app").expect("its password");
        Self { url, password, ca_file: None }
    }
}

/// All that is to hold of NATS.
pub(crate) fn nats(running: &Running) {
    let broker = Broker::new(running, "nats://127.0.0.1:14222");
    each_once_across_kills(&broker, "orders.kills");
    nats_takes_a_second_try_for_the_first_and_says_what_it_refuses(&broker);
    a_wrong_password_is_an_error_of_the_run(&broker, "orders.real");
}

/// All that is to hold of RabbitMQ.
pub(crate) fn amqp(running: &Running) {
    let broker = Broker::new(running, "amqp://127.0.0.1:25672");
    each_once_across_kills(&broker, "orders");
    amqp_says_where_no_queue_is(&broker);
    a_wrong_password_is_an_error_of_the_run(&broker, "orders");
}

/// All that is to hold of Mosquitto.
pub(crate) fn mqtt(running: &Running) {
    let ca_file = Some(running.ask("realpath data/ca.crt").expect("its certificate"));
    let broker = Broker { ca_file, ..Broker::new(running, "mqtts://localhost:18883") };
    each_once_across_kills(&broker, "orders/kills");
    a_wrong_password_is_an_error_of_the_run(&broker, "orders/real");
}

/// A folder with a configuration for this broker, called `broker`, and scripts in two folders: one publishes, one consumes.
fn place(broker: &Broker, publishes: &str, consumes: &str) -> Place {
    let url = broker.url;
    let ca_file = broker.ca_file.as_ref().map(|file| format!("ca_file = {file:?}\n")).unwrap_or_default();
    let config = format!(
        "[config]\nurl = \"{url}\"\n[brokers.broker]\nurl = \"{url}\"\nuser = \"app\"\nsecret = \"broker\"\n{ca_file}"
    );
    let head = "const URL = config(\"url\");\nworkflow(#{ allow: #{ message: [\"config:url\"] } });\n\
                fn fails(f) { let e = attempt(f).error; [e.kind, e.reason, e.retryable] }\n";
    let (publishes, consumes) = (format!("{head}{publishes}"), format!("{head}{consumes}"));
    Place::new(&[("panta.toml", &config), ("publish/w.rhai", &publishes), ("consume/c.rhai", &consumes)])
}

/// What the script that publishes gives.
fn published(place: &Place, password: &str, input: &Value) -> Value {
    let mut command = place.command(&["--config", "panta.toml", "--data", "mine", "run", "publish/w.rhai", "--json"]);
    if !input.is_null() {
        command.args(["--input", &input.to_string()]);
    }
    let came = command.env(SECRET, password).output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    assert!(came.status.success(), "{out}{err}");
    let ended: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect("JSON");
    ended["output"].clone()
}

/// A daemon with the script that consumes.
fn consuming(broker: &Broker, place: &Place) -> Daemon {
    let config = place.path().join("panta.toml");
    let environment = [("PANTA_CONFIG", config.to_str().expect("a path")), (SECRET, broker.password.as_str())];
    Daemon::start_with(&place.path().join("consume"), &place.path().join("theirs"), &environment)
}

/// What the runs of the consumer took of this mark: numbers, sorted.
fn taken(daemon: &Daemon, mark: &str) -> Vec<i64> {
    let (_, listed) = daemon.request("GET", "/api/v1/runs?workflow=c&limit=100", &[], "").expect("an answer");
    let runs = listed["runs"].as_array().expect("a list");
    let outputs = runs.iter().map(|run| &run["output"]).filter(|output| output[0] == mark);
    let mut all: Vec<_> = outputs.filter_map(|output| output[1].as_i64()).collect();
    all.sort_unstable();
    all
}

/// Waits until so many runs of the consumer have ended, or for as long as that.
fn until(daemon: &Daemon, mark: &str, count: usize, bound: Duration) -> Vec<i64> {
    let begun = elapsed();
    loop {
        let all = taken(daemon, mark);
        if all.len() >= count || since(begun) > bound {
            return all;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Thirty messages, each published twice under one id, while the daemon that consumes them is killed again and again.
fn each_once_across_kills(broker: &Broker, subject: &str) {
    let publishes = format!(
        "fn main(m) {{ for n in 0..m.count {{ for twice in 0..2 {{ message::publish(URL, \"{subject}\", #{{ mark: m.mark, n: n }}, \
         #{{ idempotency_key: `${{m.mark}}-${{n}}` }}); }} }} }}"
    );
    let consumes = format!(
        "trigger::message(URL + \"/{subject}\", #{{ consumer: \"panta-real-kills\" }});\n\
         fn main(m) {{ [m.mark, m.n, trigger::info().id] }}"
    );
    let place = place(broker, &publishes, &consumes);
    let publish =
        |mark: &str, count: usize| published(&place, &broker.password, &json!({ "mark": mark, "count": count }));
    let mut daemon = consuming(broker, &place);
    // A broker keeps nothing for a consumer that it does not know yet.
    let begun = elapsed();
    while until(&daemon, "known", 1, AGAIN).is_empty() {
        assert!(since(begun) < BOUND, "nothing comes from {}", broker.url);
        publish("known", 1);
    }
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish("counted", 30));
        for _ in 0..3 {
            let seen = taken(&daemon, "counted").len();
            until(&daemon, "counted", (seen + 3).min(30), BOUND);
            daemon.kill();
            daemon = consuming(broker, &place);
        }
        publishing.join().expect("it publishes");
        until(&daemon, "counted", 30, BOUND);
        assert_eq!(until(&daemon, "counted", 31, AGAIN), (0..30).collect::<Vec<_>>(), "{}", broker.url);
    });
}

fn nats_takes_a_second_try_for_the_first_and_says_what_it_refuses(broker: &Broker) {
    let script = r#"
fn main() {
    let one = message::publish(URL, "orders.real", "ü", #{ headers: #{ "X-A": 1 } });
    let two = message::publish(URL, "orders.real", "ü", #{ idempotency_key: one.id });
    [one.duplicate, two.duplicate, one.sequence == two.sequence, fails(|| message::publish(URL, "nowhere.real", 1)),
     fails(|| message::publish(URL, "orders.real", blob(2_000_000, 65)))]
}"#;
    let place = place(broker, script, "()");
    let expected = json!([false, true, true, ["message", "unroutable", false], ["limit", "too_large", false]]);
    assert_eq!(published(&place, &broker.password, &Value::Null), expected);
}

fn amqp_says_where_no_queue_is(broker: &Broker) {
    let script = r#"
fn main() {
    [fails(|| message::publish(URL, "nowhere", 1)), fails(|| message::publish(URL, "a", 1, #{ exchange: "nowhere" })),
     message::publish(URL, "orders", blob(300_000, 65)).id == ""]
}"#;
    let place = place(broker, script, "()");
    let expected = json!([["message", "unroutable", false], ["message", "not_found", false], false]);
    assert_eq!(published(&place, &broker.password, &Value::Null), expected);
}

fn a_wrong_password_is_an_error_of_the_run(broker: &Broker, subject: &str) {
    let place = place(broker, &format!("fn main() {{ fails(|| message::publish(URL, \"{subject}\", 1)) }}"), "()");
    assert_eq!(published(&place, "no-password", &Value::Null), json!(["message", "auth", false]), "{}", broker.url);
}
