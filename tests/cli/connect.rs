//! `panta connect`, and runs that use what it got.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use serde_json::json;

use super::Place;
use crate::support::server::{Seen, Server};

const TOKEN: &str = "the-access-token-0123456789";

/// Hands out tokens, and greets who has one; what else it is asked is refused.
fn service() -> Server {
    Server::new(|seen: &Seen| match seen.line.as_str() {
        "POST /token" => {
            (200, json!({ "access_token": TOKEN, "refresh_token": "the-refresh-token", "expires_in": 3600 }))
        }
        _ if seen.header("authorization") == Some(&format!("Bearer {TOKEN}")) => (200, json!({ "hello": TOKEN })),
        _ => (401, json!({})),
    })
}

fn place(service: &Server, grant: &str) -> Place {
    let url = service.url("");
    let host = url.trim_start_matches("http://");
    let config = format!(
        "[oauth2.crm]\ngrant = \"{grant}\"\ntoken_url = \"{url}/token\"\nauth_url = \"{url}/auth\"\nclient_id = \"app\"\n\
         client_secret = \"pw\"\nhosts = [\"{host}\"]\n"
    );
    let script = format!(
        "workflow(#{{ allow: #{{ http: [\"{host}\"], secrets: [\"oauth2:crm\"] }} }});\nhttp::get(\"{url}/me\", #{{ auth: oauth2(\"crm\") }}).body"
    );
    Place::new(&[("panta.toml", &config), ("scripts/me.rhai", &script)])
}

/// No file of the data folder has the token, and nothing that was shown.
fn assert_hidden(place: &Place, shown: &str) {
    assert!(!shown.contains(TOKEN), "{shown}");
    for entry in std::fs::read_dir(place.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let found = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!found, "{} has the token", path.display());
    }
}

#[test]
fn a_client_that_asks_for_itself_is_tried_and_used() {
    let service = service();
    let place = place(&service, "client_credentials");
    let panta = |arguments: &[&str]| {
        super::Came::from(place.command(arguments).env("PANTA_SECRET_PW", "the-password").output().unwrap())
    };
    panta(&["connect", "crm"]).expect(0);
    let listed = panta(&["connect", "--list", "--json"]).expect(0).json();
    assert_eq!((&listed["clients"][0]["client"], &listed["clients"][0]["connected"]), (&json!("crm"), &json!(true)));
    let ran = panta(&["run", "scripts/me.rhai", "--json"]).expect(0);
    assert_eq!(ran.json()["status"], "completed", "{}", ran.out);
    assert_hidden(&place, &format!("{}{}", ran.out, ran.err));
    assert_eq!(service.lines(), ["POST /token", "GET /me"], "one token for both");
    panta(&["connect", "crm", "--remove"]).expect(0);
    assert_eq!(panta(&["connect", "--list", "--json"]).expect(0).json()["clients"][0]["connected"], false);
}

#[test]
fn a_browser_brings_a_code_for_which_tokens_are_got() {
    let service = service();
    let place = place(&service, "authorization_code");
    let mut command = place.command(&["connect", "crm", "--json"]);
    let mut child =
        command.env("PANTA_SECRET_PW", "pw-pw-pw").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let shown = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address =
        shown.map(|line| line.trim().to_owned()).find(|line| line.starts_with("http://")).expect("an address");
    let value = |key: &str| {
        let query = url::form_urlencoded::parse(address.split_once('?').unwrap().1.as_bytes());
        query.into_owned().find(|(name, _)| name == key).unwrap().1
    };
    let back = url::Url::parse(&value("redirect_uri")).unwrap();
    let mut browser = std::net::TcpStream::connect((back.host_str().unwrap(), back.port().unwrap())).unwrap();
    write!(browser, "GET /callback?code=c-1&state={} HTTP/1.1\r\nhost: x\r\n\r\n", value("state")).unwrap();
    let mut page = String::new();
    browser.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    assert!(child.wait().unwrap().success());
    let form = service.seen()[0].body.as_str().unwrap().to_owned();
    assert!(form.contains("code=c-1") && form.contains("code_verifier="), "{form}");
    place.panta(&["run", "scripts/me.rhai"]).expect(0);
}

#[test]
fn who_has_not_signed_in_is_told_how_and_an_unknown_client_too() {
    let place = place(&service(), "authorization_code");
    let failed = place.panta(&["run", "scripts/me.rhai"]).expect(1);
    assert!(failed.err.contains("panta connect crm") || failed.out.contains("panta connect crm"), "{}", failed.err);
    let unknown = place.panta(&["connect", "CRM"]).expect(1);
    assert!(unknown.err.contains("did you mean `crm`?"), "{}", unknown.err);
}
