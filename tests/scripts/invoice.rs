//! `scripts/invoice.rhai`.

use panta::id::RunId;
use panta::store::{Rollback, Status};
use serde_json::{Value, json};

use crate::support::bench::{Bench, message};
use crate::support::server::Server;

/// An order that was delivered, its invoice being `R1`.
fn delivered(term: &str) -> (Bench, Server, RunId) {
    let server = Server::new(|request| match request.line.as_str() {
        "POST /invoices" => (201, json!({ "id": "R1", "text": "Please pay." })),
        _ => (200, json!({})),
    });
    let urls = [("billing_url", "/invoices"), ("mail_url", "/mail"), ("chat_url", "/chat")];
    let mut settings: Vec<_> = urls.iter().map(|(name, path)| (*name, json!(server.url(path)))).collect();
    settings.push(("payment_term", json!(term)));
    let bench = Bench::shipped("invoice", &settings);
    let order = json!({ "order_id": "A1", "email": "ann@example.com", "total": "12.50" });
    let run = bench.emit("order.placed", None, &order)[0];
    bench.emit("delivery.confirmed", Some("another"), &json!({}));
    bench.emit("delivery.confirmed", Some("A1"), &json!({ "at": "the door" }));
    (bench, server, run)
}

fn sorted(server: &Server) -> Vec<String> {
    let mut lines = server.lines();
    lines.sort();
    lines
}

fn outcome(bench: &Bench, run: RunId) -> Value {
    bench.output(run)["outcome"].clone()
}

#[test]
fn is_paid() {
    let (bench, server, run) = delivered("30d");
    bench.emit("payment.received", Some("R1"), &json!({ "amount": "12.50" }));
    assert_eq!(bench.output(run), json!({ "invoice": "R1", "outcome": "paid" }));
    assert_eq!(sorted(&server), ["POST /chat", "POST /invoices", "POST /mail"]);
    let invoice = server.seen().into_iter().find(|request| request.line == "POST /invoices").expect("an invoice");
    assert_eq!(invoice.header("authorization"), Some("Bearer billingbilling"));
    assert!(invoice.header("idempotency-key").is_some_and(|key| key.starts_with(&run.to_string())));
    assert_eq!(invoice.body["total"], "12.50");
}

#[test]
fn is_paid_late() {
    let (bench, server, run) = delivered("50ms");
    bench.emit("invoice.decided", Some("R1"), &json!({ "choice": "wait" }));
    server.wait_for("POST /chat", 2);
    bench.emit("payment.received", Some("R1"), &json!({}));
    assert_eq!(outcome(&bench, run), "paid late");
}

#[test]
fn is_given_up_and_withdrawn() {
    let (bench, server, run) = delivered("50ms");
    bench.emit("invoice.decided", Some("R1"), &json!({ "choice": "cancel" }));
    assert_eq!(outcome(&bench, run), "cancelled");
    let row = bench.ended(run);
    assert_eq!((row.status, row.rollback), (Status::Completed, Rollback::Complete));
    assert_eq!(sorted(&server), ["DELETE /invoices/R1", "POST /chat", "POST /chat", "POST /invoices", "POST /mail"]);
}

#[test]
fn a_service_that_may_not_be_called_fails_the_run_before_anything_is_sent() {
    let bench = Bench::shipped("invoice", &[("billing_url", json!("http://10.0.0.1/invoices"))]);
    let run = bench.start("invoice", json!({ "order_id": "A1", "email": "ann@example.com", "total": "1" }));
    bench.emit("delivery.confirmed", Some("A1"), &json!({}));
    let message = message(&bench.ended(run));
    assert!(message.contains("may not be called") && message.contains("hint: add `allow:"), "{message}");
}
