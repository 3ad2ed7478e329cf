//! `scripts/uptime.rhai`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::bench::Bench;
use crate::support::server::Server;

#[test]
fn each_change_is_told_once() {
    let up = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&up);
    let shop = move |_: &_| if state.load(Ordering::SeqCst) { (200, json!({})) } else { (503, json!({})) };
    let (shop, blog) = (Server::new(shop), Server::new(|_| (200, json!({}))));
    let bench = Bench::shipped("uptime", &[("sites", json!([shop.url("/"), blog.url("/")]))]);
    let run = |is_up: bool| {
        up.store(is_up, Ordering::SeqCst);
        let run = bench.start("uptime", Value::Null);
        bench.output(run)
    };
    let down = json!([format!("site.down {}", shop.url("/"))]);
    let back = json!([format!("site.up {}", shop.url("/"))]);
    let told = [run(true), run(false), run(false), run(true), run(true)];
    assert_eq!(told, [json!([]), down, json!([]), back, json!([])]);
    for name in ["site.down", "site.up"] {
        let urls: Vec<_> = bench.events(name).into_iter().map(|event| event["url"].clone()).collect();
        assert_eq!(urls, [json!(shop.url("/"))], "{name}");
    }
}
