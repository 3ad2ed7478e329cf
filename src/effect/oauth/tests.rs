//! Tokens against a server of our own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::{Client, Coding, Grant, Keeper, OAuth, SignIn};
use crate::effect::http::server::{Act, Server, answer};
use crate::effect::http::{Auth, Body};
use crate::effect::{
    Allow, Attempt, Failure, HttpReply, HttpRequest, Limits, NoSecrets, Performer, Reply, Request, Target,
};

/// Keeps in memory, and knows one secret.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, String>>);

impl Keeper for Kept {
    fn kept(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, name: &str, text: &str, _: &str) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    fn secret(&self, name: &str, _: Target<'_>) -> Result<String, Failure> {
        Ok(format!("value of {name}"))
    }
}

struct Bench {
    login: Server,
    service: Server,
    oauth: Arc<OAuth>,
    performer: Performer,
}

fn token(token: &str, more: &str) -> Act {
    let body = format!(r#"{{"access_token":"{token}","expires_in":3600{more}}}"#);
    answer("200 OK", &["content-type: application/json"], body)
}

fn unauthorized() -> Act {
    answer("401 Unauthorized", &[], "")
}

fn fine() -> Act {
    answer("200 OK", &["content-type: text/plain"], "fine")
}

impl Bench {
    async fn new(login: Vec<Act>, service: Vec<Act>, change: impl FnOnce(&mut Client)) -> Self {
        let (login, service) = (Server::start(login).await, Server::start(service).await);
        let mut client = Client {
            token_url: login.url("/token"),
            auth_url: Some(login.url("/auth")),
            device_url: Some(login.url("/device")),
            client_id: Some("app".to_owned()),
            client_secret: Some("pw".to_owned()),
            hosts: vec![format!("127.0.0.1:{}", service.port).parse().unwrap()],
            ..Client::default()
        };
        change(&mut client);
        let oauth = Arc::new(OAuth::new([("crm".to_owned(), client)].into(), Arc::new(Kept::default())));
        let performer = Performer::new(Limits::default()).with_oauth(Some(Arc::clone(&oauth)));
        Self { login, service, oauth, performer }
    }

    async fn call(&self, url: String) -> Result<HttpReply, Failure> {
        let secrets = vec!["oauth2:crm".to_owned()];
        let allow = Allow { http: Some(vec!["127.0.0.1".parse().unwrap()]), secrets, ..Allow::default() };
        let attempt = Attempt {
            number: 1,
            idempotency_key: "k",
            undo: None,
            again: false,
            allow: &allow,
            secrets: &NoSecrets,
            trace: None,
        };
        let auth = Some(Auth::OAuth2("crm".to_owned()));
        let request = HttpRequest { body: Body::Text("x".to_owned()), auth, ..HttpRequest::new("POST", url) };
        match self.performer.perform(&Request::Http(request), attempt).await? {
            Reply::Http(reply) => Ok(reply),
            _ => unreachable!("an HTTP request has an HTTP reply"),
        }
    }

    async fn calls(&self, count: usize) -> Vec<Result<u16, String>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.call(self.service.url("/a")).await.map(|reply| reply.status).map_err(|e| e.kind.to_owned()));
        }
        all
    }
}

#[tokio::test]
async fn a_token_is_got_once_and_sent_with_each_request() {
    let bench = Bench::new(vec![token("t1", "")], vec![fine()], |client| client.scopes = vec!["a b".to_owned()]).await;
    assert_eq!(bench.calls(3).await, [Ok(200), Ok(200), Ok(200)]);
    let asked = bench.login.requests();
    assert_eq!(asked.len(), 1);
    let form = "grant_type=client_credentials&client_id=app&client_secret=value+of+pw&scope=a+b";
    assert!(asked[0].ends_with(form), "{}", asked[0]);
    assert!(bench.service.requests().iter().all(|request| request.contains("authorization: Bearer t1\r\n")));
}

#[tokio::test]
async fn many_that_need_one_at_once_get_the_same() {
    let bench = Bench::new(vec![token("t1", ""), token("t2", "")], vec![fine()], |_| {}).await;
    let url = bench.service.url("/a");
    let (a, b, c) = tokio::join!(bench.call(url.clone()), bench.call(url.clone()), bench.call(url));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(bench.login.requests().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_got_anew_once_and_the_request_repeated() {
    let tokens = || vec![token("t1", ""), token("t2", "")];
    let bench = Bench::new(tokens(), vec![unauthorized(), fine()], |_| {}).await;
    assert_eq!(bench.calls(1).await, [Ok(200)]);
    assert!(bench.service.requests()[1].contains("Bearer t2"));
    let bench = Bench::new(tokens(), vec![unauthorized()], |_| {}).await;
    assert_eq!(bench.calls(1).await, [Err("http".to_owned())]);
    assert_eq!((bench.login.requests().len(), bench.service.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_refresh_token_that_rotates_is_kept_before_it_is_used() {
    let tokens = vec![token("t1", r#","refresh_token":"r1""#), token("t2", "")];
    let bench = Bench::new(tokens, vec![unauthorized(), fine()], |client| {
        client.grant = Grant::RefreshToken;
        client.refresh_token = Some("first".to_owned());
    })
    .await;
    assert_eq!(bench.calls(1).await, [Ok(200)]);
    let asked = bench.login.requests();
    assert!(asked[0].contains("refresh_token=value+of+first") && asked[1].contains("refresh_token=r1"), "{asked:?}");
    assert!(bench.oauth.tokens("crm").unwrap().renews(), "the one before stays where the server gives no other");
}

#[tokio::test]
async fn a_token_goes_to_its_hosts_alone() {
    let other = Server::start([fine()]).await;
    let to = format!("location: {}", other.url("/"));
    let bench = Bench::new(vec![token("t1", "")], vec![answer("307 x", &[&to], "")], |_| {}).await;
    let refused = bench.call(other.url("/")).await.unwrap_err();
    assert_eq!((refused.kind, other.requests().len()), ("denied", 0), "{}", refused.message);
    assert!(bench.call(bench.service.url("/")).await.is_ok());
    assert!(!other.requests()[0].contains("t1"), "{:?}", other.requests());
}

#[tokio::test]
async fn who_gives_no_token_is_named_and_nothing_was_sent() {
    let said = answer("400 Bad", &["content-type: application/json"], r#"{"error":"invalid_client"}"#);
    let bench = Bench::new(vec![said], vec![fine()], |_| {}).await;
    let refused = bench.call(bench.service.url("/")).await.unwrap_err();
    assert_eq!((refused.kind, refused.retryable), ("denied", false));
    assert!(refused.message.contains("invalid_client") && refused.message.contains("hint:"), "{}", refused.message);
    let bench = Bench::new(vec![answer("503 x", &[], "")], vec![fine()], |_| {}).await;
    let failed = bench.call(bench.service.url("/")).await.unwrap_err();
    assert_eq!((failed.kind, failed.retryable, failed.sent), ("network", true, crate::effect::Sent::No));
    assert!(bench.service.requests().is_empty());
}

#[tokio::test]
async fn who_has_not_signed_in_is_told_how() {
    let bench = Bench::new(vec![fine()], vec![fine()], |client| client.grant = Grant::AuthorizationCode).await;
    let refused = bench.call(bench.service.url("/")).await.unwrap_err();
    assert!(refused.message.ends_with("hint: `panta connect crm`"), "{}", refused.message);
}

#[tokio::test]
async fn an_api_key_of_ibm_is_exchanged() {
    let body = r#"{"access_token":"t1","refresh_token":"not_supported","expires_in":"3600"}"#;
    let login = vec![answer("200 OK", &["content-type: application/json"], body)];
    let bench = Bench::new(login, vec![fine()], |client| client.grant = Grant::IbmApikey).await;
    assert_eq!(bench.calls(2).await, [Ok(200), Ok(200)]);
    let form = "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=value+of+pw";
    assert!(bench.login.requests()[0].ends_with(form), "{:?}", bench.login.requests());
    assert!(!bench.oauth.tokens("crm").unwrap().renews());
}

#[tokio::test]
async fn a_password_is_exchanged_as_a_form_or_as_json_and_the_token_kept_and_got_anew() {
    for (coding, sent) in [
        (Coding::Form, "grant_type=password&username=ann&password=value+of+airflow"),
        (Coding::Json, r#"{"username":"ann","password":"value of airflow"}"#),
    ] {
        let bench = Bench::new(vec![token("t1", ""), token("t2", "")], vec![unauthorized(), fine()], |client| {
            (client.grant, client.body) = (Grant::Password, coding);
            (client.client_id, client.client_secret) = (None, None);
            (client.username, client.secret) = (Some("ann".to_owned()), Some("airflow".to_owned()));
        })
        .await;
        assert_eq!(bench.calls(2).await, [Ok(200), Ok(200)]);
        let asked = bench.login.requests();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|request| request.ends_with(sent)), "{asked:?}");
        assert!(bench.service.requests()[1].contains("Bearer t2"));
    }
}

#[tokio::test]
async fn the_hint_of_a_refusal_speaks_of_what_the_grant_has() {
    let said = || answer("400 Bad", &["content-type: application/json"], r#"{"error":"invalid_client"}"#);
    let told = async |grant: Grant| {
        let bench = Bench::new(vec![said()], vec![fine()], |client| {
            client.grant = grant;
            client.secret = Some("pw".to_owned());
        })
        .await;
        bench.call(bench.service.url("/")).await.unwrap_err().message
    };
    assert!(told(Grant::ClientCredentials).await.contains("check `client_id`"));
    let of_key = told(Grant::IbmApikey).await;
    assert!(of_key.contains("check the API key") && !of_key.contains("client_id"), "{of_key}");
    assert!(told(Grant::Password).await.contains("check `username`"));
}

#[tokio::test]
async fn a_browser_brings_the_code_of_its_own_sign_in_alone() {
    let bench = Bench::new(vec![token("t1", r#","refresh_token":"r1""#)], vec![fine()], |_| {}).await;
    let sign_in = SignIn::new(&bench.oauth, "crm", &[7; 64]).unwrap();
    let address = sign_in.address("http://127.0.0.1:9/callback").unwrap();
    let state = address.split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert!(address.contains("code_challenge_method=S256"), "{address}");
    assert!(sign_in.code("/callback?code=c&state=other").is_err());
    assert!(
        sign_in.code(&format!("/callback?error=access_denied&state={state}")).unwrap_err().message.contains("refused")
    );
    let code = sign_in.code(&format!("http://127.0.0.1:9/callback?code=c1&state={state}")).unwrap();
    sign_in.exchange(code, "http://127.0.0.1:9/callback").await.unwrap();
    assert!(
        bench.login.requests()[0].contains("code=c1&redirect_uri=")
            && bench.login.requests()[0].contains("code_verifier=")
    );
    assert_eq!(bench.calls(1).await, [Ok(200)]);
    assert_eq!(bench.login.requests().len(), 1);
}

#[tokio::test]
async fn a_code_is_looked_for_until_somebody_has_typed_it() {
    let json =
        |status: &str, body: serde_json::Value| answer(status, &["content-type: application/json"], body.to_string());
    let begun =
        json!({ "device_code": "d", "user_code": "AB-CD", "verification_uri": "https://a.example", "interval": 1 });
    let login = vec![
        json("200 OK", begun),
        json("400 Bad", json!({ "error": "authorization_pending" })),
        json("200 OK", json!({ "error": "slow_down" })),
        token("t1", ""),
    ];
    let bench = Bench::new(login, vec![fine()], |client| client.grant = Grant::DeviceCode).await;
    let sign_in = SignIn::new(&bench.oauth, "crm", &[7; 64]).unwrap();
    let mut device = sign_in.device().await.unwrap();
    assert_eq!((device.user_code.as_str(), device.address.as_str()), ("AB-CD", "https://a.example"));
    let mut waited = Vec::new();
    while let super::Polled::Wait(pause) = sign_in.poll(&mut device).await.unwrap() {
        waited.push(pause.as_secs());
    }
    assert_eq!(waited, [1, 6]);
    assert_eq!(bench.calls(1).await, [Ok(200)]);
}
