//! Order to cash, as shipped: an order by a signed webhook, an ERP, mail, and a payment by a signed webhook, in a daemon that is killed
//! on the way, again and again.
//!
//! It is killed before requests arrive and after they are carried out, at every request that changes something, between steps, and
//! while it waits. There is one instant in which mail may come twice, and that is true of any sender: the server has taken a message,
//! and whoever sent it dies before it has noted that. What comes then has the same `Message-ID`, by which mail programs show it once;
//! that is looked at by itself, with a second order.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::drive::{set_secrets, within};
use super::kills::{Kills, PATIENCE, Reached, Side, before_http};
use super::program::Running;
use super::smtp;
use crate::cli::Place;
use crate::support::daemon::Daemon;
use crate::support::server::Server;

const TRYTON: &str = "127.0.0.1:18000";
const MAIL: &str = "127.0.0.1:2525";
const SIGNS_ORDERS: &str = "c2lnbnMgdGhlIG9yZGVycw==";
const SIGNS_PAYMENTS: &str = "whsec_signs_the_payments";

/// Where it dies until the invoice is mailed.
const ORDERED: [(&str, Side); 8] = [
    ("POST /tryton/rest/model/party.party", Side::After),
    // The first question of the second step: the first step is recorded.
    ("GET /tryton/rest/model/party.party/", Side::Before),
    ("POST /tryton/rest/model/sale.sale", Side::After),
    ("/quote", Side::Before),
    // Tryton then processes the sale by itself.
    ("/confirm", Side::After),
    ("/validate_invoice", Side::Before),
    ("/post", Side::After),
    ("MAIL FROM", Side::Before),
];

/// Where it dies once there is a payment.
const PAID: [(&str, Side); 4] = [
    ("POST /tryton/rest/model/account.move", Side::Before),
    ("POST /tryton/rest/model/account.move", Side::After),
    ("/post", Side::After),
    ("PUT /tryton/rest/model/account.invoice", Side::After),
];

/// The shop: a daemon with its scripts, and a proxy before each system that it talks to.
struct Shop<'a> {
    running: &'a Running,
    place: Place,
    kills: Arc<Kills>,
    reached: Reached,
    daemon: Option<Daemon>,
    killed: Vec<String>,
    _tryton: Server,
}

/// Drives it, and counts what is left in each system.
pub(crate) fn survives_ten_kills(running: &Running) {
    let mut shop = Shop::open(running);
    shop.books("set_up");
    shop.start();

    let run = shop.order("A1", "bob@example.test", "m1");
    ORDERED.iter().for_each(|_| shop.dies());
    assert_eq!(shop.order("A1", "bob@example.test", "m2"), run, "an order that comes twice is one");
    shop.waits(&run);
    assert_eq!(shop.mails("bob").len(), 1, "there is one mail");
    shop.dies_waiting("while it waits for the payment");

    let number = shop.books("books")["invoices"][0][0].as_str().expect("a number").to_owned();
    shop.kills.add(&PAID);
    shop.pays("cs_1", &number);
    PAID.iter().for_each(|_| shop.dies());
    shop.pays("cs_1", &number);
    shop.ends(&run, &json!({ "invoice": number, "outcome": "paid" }));

    assert!(shop.killed.len() > 10 && shop.kills.left() == 0, "{:?}", shop.killed);
    let books = json!({
        "customers": ["C-A1"], "sales": ["A1"], "invoices": [[number, "19.80", "0.00"]], "payments": ["posted"],
    });
    assert_eq!(shop.books("books"), books, "killed at {:?}", shop.killed);
    let subjects: Vec<_> = shop.mails("bob").into_iter().map(|mail| mail.0).collect();
    assert_eq!(subjects, [format!("Your invoice {number}")], "killed at {:?}", shop.killed);
    dies_when_a_mail_is_taken(shop);
}

/// The instant in which a mail is sent twice: as one message, which its id tells.
fn dies_when_a_mail_is_taken(mut shop: Shop<'_>) {
    shop.kills.add(&[("end of DATA", Side::After)]);
    let run = shop.order("A2", "alice@example.test", "m3");
    shop.dies();
    shop.waits(&run);
    let mails = shop.mails("alice");
    assert_eq!(mails.len(), 2, "the server took it twice: {mails:?}");
    assert_eq!(mails[0], mails[1], "they are one message");
    assert_eq!(shop.books("books")["sales"], json!(["A1", "A2"]));
}

impl<'a> Shop<'a> {
    fn open(running: &'a Running) -> Self {
        let (kills, reached) = Kills::new(&ORDERED);
        let kills = Arc::new(kills);
        let tryton = before_http(TRYTON, Arc::clone(&kills));
        let mail = smtp::before(MAIL, Arc::clone(&kills));
        let config = format!(
            "[config]\ntryton_url = \"{}\"\n\n[mail]\nhost = \"127.0.0.1\"\nport = {mail}\nsecurity = \"none\"\n\
             from = \"Shop <shop@example.test>\"\n\n[channels.ops]\nkind = \"program\"\ncommand = [\"true\"]\n",
            tryton.url("/tryton")
        );
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
        let script = |name: &str| std::fs::read_to_string(format!("{scripts}/{name}")).expect("a script");
        let place = Place::new(&[
            ("panta.toml", &config),
            ("scripts/order-to-cash.rhai", &script("order-to-cash.rhai")),
            ("scripts/payments.rhai", &script("payments.rhai")),
        ]);
        let key = running.ask("cat data/rest.key").expect("a key");
        let secrets =
            [("tryton", key.as_str()), ("shop", &format!("whsec_{SIGNS_ORDERS}")), ("stripe_webhook", SIGNS_PAYMENTS)];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        set_secrets(&place, &secrets, &["127.0.0.1".to_owned()]);
        Self { running, place, kills, reached, daemon: None, killed: Vec::new(), _tryton: tryton }
    }

    fn start(&mut self) {
        let config = self.place.path().join("panta.toml");
        let config = config.to_str().expect("a path");
        let (scripts, data) = (self.place.path().join("scripts"), self.place.path().join("data"));
        self.daemon = Some(Daemon::start_with(&scripts, &data, &[("PANTA_CONFIG", config)]));
    }

    /// Kills it at the next point, and starts it again.
    fn dies(&mut self) {
        let daemon = self.daemon.take().expect("it runs");
        let line = self.reached.next(|| daemon.kill());
        self.killed.push(line);
        self.start();
    }

    /// Kills it here, and starts it again.
    fn dies_waiting(&mut self, when: &str) {
        self.daemon.take().expect("it runs").kill();
        self.killed.push(when.to_owned());
        self.start();
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
        let asked = self.daemon.as_ref().expect("it runs").request(method, path, headers, body);
        let (status, answer) = asked.expect("an answer");
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Sends an order as the shop's front does; the run.
    fn order(&self, order: &str, email: &str, delivery: &str) -> String {
        let customer = json!({ "code": format!("C-{order}"), "name": "Ann", "email": email });
        let lines = json!([{ "product": 1, "quantity": 2, "unit_price": "9.90" }]);
        let body = json!({ "order": order, "customer": customer, "lines": lines }).to_string();
        let time = self.seconds();
        let key = base64::prelude::BASE64_STANDARD.decode(SIGNS_ORDERS).expect("base64");
        let signature = base64::prelude::BASE64_STANDARD.encode(signed(&key, &format!("{delivery}.{time}.{body}")));
        let signature = format!("v1,{signature}");
        let headers = [
            ("Content-Type", "application/json"),
            ("webhook-id", delivery),
            ("webhook-timestamp", &time),
            ("webhook-signature", &signature),
        ];
        let answer = self.request("POST", "/hooks/shop", &headers, &body);
        answer["run"].as_str().unwrap_or_else(|| panic!("no run: {answer}")).to_owned()
    }

    /// Tells of a payment of 19.80 as the payment service does.
    fn pays(&self, id: &str, number: &str) {
        let paid = json!({ "id": id, "client_reference_id": number, "amount_total": 1980, "payment_status": "paid" });
        let body =
            json!({ "id": format!("evt_{id}"), "type": "checkout.session.completed", "data": { "object": paid } });
        let (body, time) = (body.to_string(), self.seconds());
        let signature = hex::encode(signed(SIGNS_PAYMENTS.as_bytes(), &format!("{time}.{body}")));
        let signature = format!("t={time},v1={signature}");
        self.request(
            "POST",
            "/hooks/payments",
            &[("Content-Type", "application/json"), ("Stripe-Signature", &signature)],
            &body,
        );
    }

    /// Since 1970.
    fn seconds(&self) -> String {
        self.running.ask("date +%s").expect("the time")
    }

    /// Until the run waits for a payment.
    fn waits(&self, run: &str) {
        let waits = |known: &Value| known["waiting_for"].as_str().is_some_and(|what| what.contains("payment.received"));
        self.until(run, waits);
    }

    /// Until the run is over.
    fn ends(&self, run: &str, output: &Value) {
        let known = self.until(run, |known| known["ended_at"] != Value::Null);
        assert_eq!((&known["status"], &known["output"]), (&json!("completed"), output), "{known}");
    }

    fn until(&self, run: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = panta::time::elapsed();
        loop {
            let known = self.request("GET", &format!("/api/v1/runs/{run}"), &[], "");
            if is_so(&known) {
                return known;
            }
            assert!(panta::time::elapsed().saturating_sub(begun) < PATIENCE, "it goes on: {known}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// What a workflow of `fixtures/shop` says of Tryton, asked without the proxy.
    fn books(&self, workflow: &str) -> Value {
        let config = format!("[config]\ntryton_url = \"http://{TRYTON}/tryton\"\n");
        let place = Place::new(&[("panta.toml", &config)]);
        let key = self.running.ask("cat data/rest.key").expect("a key");
        set_secrets(&place, &[("tryton".to_owned(), key)], &["127.0.0.1".to_owned()]);
        let file = format!("{}/tests/real/fixtures/shop/{workflow}.rhai", env!("CARGO_MANIFEST_DIR"));
        let came = within(&place.command(&["--config", "panta.toml", "run", &file, "--json"]), 300);
        let out = String::from_utf8_lossy(&came.stdout);
        assert!(came.status.success(), "{out}{}", String::from_utf8_lossy(&came.stderr));
        let ended: Value = serde_json::from_str(out.lines().last().expect("its end")).expect("JSON");
        ended["output"].clone()
    }

    /// Subject and id of each message in a mailbox, once the server has nothing left to deliver.
    fn mails(&self, user: &str) -> Vec<(String, String)> {
        let command = format!("$FIXTURES/mailbox.sh {user}");
        let told = self.running.ask_in("mail", &command).expect("the mailbox");
        let mails = told.lines().filter_map(|line| line.split_once('\t'));
        mails.map(|(subject, id)| (subject.to_owned(), id.to_owned())).collect()
    }
}

fn signed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
