//! Secrets: set from stdin, sent to where they are bound, and nowhere to be found afterwards.

use std::io::Write as _;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Came, Place};
use crate::support::daemon::Daemon;
use crate::support::server::{Seen, Server};

const CANARY: &str = "canary/ä \"7\" & Klaus";

impl Place {
    pub(super) fn set_secret(&self, arguments: &[&str], value: &str) -> Came {
        let mut command = self.command(&[&["secret", "set"], arguments].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("its input").write_all(value.as_bytes()).expect("it reads");
        Came::from(child.wait_with_output().expect("it ends"))
    }

    /// Every file of the data folder and beside it, as text.
    pub(super) fn everything(&self) -> String {
        let mut all = String::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    all.push_str(&String::from_utf8_lossy(&std::fs::read(entry).expect("a file")));
                }
            }
        }
        all
    }
}

/// What a careless service says of what it was sent.
fn echo(seen: &Seen) -> (u16, Value) {
    let token = seen.body["token"].as_str().unwrap_or_default();
    let shown = json!({
        "raw": token,
        "nested": json!({ "again": token }).to_string(),
        "base64": STANDARD.encode(format!("prefix {token} suffix")),
        "hex": hex::encode(token),
        "url": url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>(),
        "basic": seen.header("authorization"),
        token: "as a key",
    });
    (if seen.line.contains("fail") { 500 } else { 200 }, shown)
}

const SCRIPT: &str = r#"
    workflow(#{ allow: #{ http: ["127.0.0.1"], secrets: ["api"] } });
    fn main(url) {
        let sent = http::post(url, #{ token: secret("api") }, #{ auth: basic("ann", secret("api")) });
        log::info("came", #{ body: sent.body });
        state::set("last", sent.body);
        let failed = attempt(|| http::post(url + "?fail", #{ token: secret("api") }));
        log::warn(`${failed.error}`);
        let again = http::post(url, #{ token: sent.body.raw });
        #{ first: sent.body, error: failed.error, second: again.body.raw }
    }
"#;

/// No form of the value is in it.
fn assert_clean(text: &str, what: &str) {
    let url: String = url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect();
    // Of base64, the part in the middle that stands alike at each place.
    for trace in ["canary/", "Klaus", &hex::encode("Klaus"), &url] {
        assert!(!text.contains(trace), "`{trace}` in {what}");
    }
    for start in 0..3 {
        let encoded = STANDARD.encode([&vec![b' '; start], CANARY.as_bytes()].concat());
        assert!(!text.contains(&encoded[8..16]), "base64 in {what}");
    }
}

#[test]
fn a_value_goes_to_its_host_and_is_found_nowhere() {
    let server = Server::new(echo);
    let place = Place::new(&[("leak.rhai", SCRIPT)]);
    place.set_secret(&["api", "--for", "127.0.0.1"], &format!("{CANARY}\n")).expect(0);
    let ran = place.panta(&["run", "leak.rhai", "--json", "--input", &json!(server.url("/")).to_string()]).expect(0);
    let seen = server.seen();
    assert_eq!(seen[0].body["token"], CANARY);
    assert_eq!(seen.last().expect("three").body["token"], CANARY, "an echo can be used as the secret itself");
    let run = ran.json()["run"].as_str().expect("an id").to_owned();
    for shown in [vec!["show", &run], vec!["show", &run, "--json"], vec!["logs", &run], vec!["secret", "list"]] {
        assert_clean(&place.panta(&shown).expect(0).out, &shown.join(" "));
    }
    assert_clean(&format!("{}{}", ran.out, ran.err), "what `run` says");
    assert_clean(&place.everything(), "the data folder");
}

#[test]
fn a_value_goes_nowhere_else() {
    let (bound, other) = (Server::new(echo), Server::new(echo));
    let place = Place::new(&[("leak.rhai", SCRIPT)]);
    let host = bound.url("").replace("http://", "");
    place.set_secret(&["api", "--for", &host], CANARY).expect(0);
    let ran = place.panta(&["run", "leak.rhai", "--input", &json!(other.url("/")).to_string()]).expect(1);
    let hint = format!("hint: `panta secret bind api --for {}`", other.url("").replace("http://", ""));
    assert!(ran.err.contains("the secret `api` is not for") && ran.err.contains(&hint), "{}", ran.err);
    assert!(other.seen().is_empty());
}

#[test]
fn a_script_that_does_not_declare_a_secret_cannot_send_it() {
    let server = Server::new(echo);
    let place = Place::new(&[("leak.rhai", &SCRIPT.replace(r#", secrets: ["api"]"#, ""))]);
    place.set_secret(&["api", "--for", "127.0.0.1"], CANARY).expect(0);
    let ran = place.panta(&["run", "leak.rhai", "--input", &json!(server.url("/")).to_string()]).expect(1);
    assert!(ran.err.contains(r#"hint: add `allow: #{ secrets: ["api"] }`"#), "{}", ran.err);
    assert!(server.seen().is_empty());
}

#[test]
fn what_comes_from_outside_stands_for_no_secret() {
    let server = Server::new(echo);
    let script = SCRIPT
        .replace("fn main(url) {", "fn main(given) { let url = given.url;")
        .replace("#{ token: secret(\"api\") }, #{ auth", "#{ token: given.token }, #{ auth");
    let place = Place::new(&[("leak.rhai", &script)]);
    place.set_secret(&["api", "--for", "127.0.0.1"], CANARY).expect(0);
    let input = json!({ "url": server.url("/"), "token": "⟦secret:api:declared⟧" }).to_string();
    place.panta(&["run", "leak.rhai", "--input", &input]).expect(0);
    assert_eq!(server.seen()[0].body["token"], "⟦secret :api:declared⟧");
}

#[test]
fn a_daemon_takes_what_is_set_while_it_runs() {
    let place = Place::new(&[("scripts/leak.rhai", SCRIPT)]);
    let daemon = Daemon::start(&place.path().join("scripts"), &place.path().join("data"));
    let set = place.set_secret(&["api", "--for", "*.example.com", "--for", "a.example", "--json"], CANARY).expect(0);
    assert_eq!(set.json()["for"], json!(["*.example.com", "a.example"]));
    let (status, listed) = daemon.request("GET", "/api/v1/secrets", &[], "").expect("an answer");
    assert_eq!((status, &listed["secrets"][0]["secret"]), (200, &json!("api")));
    assert_clean(&listed.to_string(), "the list");
    let (status, problem) = daemon.request("PUT", "/api/v1/secrets/api", &[], "{\"value\": 5}").expect("an answer");
    assert_eq!(status, 400, "{problem}");
    place.panta(&["secret", "remove", "api"]).expect(0);
    place.panta(&["secret", "remove", "api"]).expect(2);
    let acts = place.panta(&["audit"]).expect(0).out;
    assert!(acts.contains("secret.set") && acts.contains("secret.remove"), "{acts}");
    assert_clean(&acts, "the audit log");
    place.panta(&["secret", "bind", "api", "--for", "https://x"]).expect(2);
}
