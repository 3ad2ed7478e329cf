//! The exchange against a server of our own.

mod hostile;
mod redirects;
mod secrets;
mod uploads;

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::server::{Act, Server, answer};
use super::{Auth, Body, HttpBody, HttpReply, HttpRequest};
use crate::effect::{
    Allow, Attempt, Failure, Field, Kind, Limits, NoSecrets, Performer, Reply, Request, Secrets, Sent, Target,
};

/// Where the test's files are, and who may be called.
struct Bench {
    performer: Performer,
    allow: Allow,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(http: Option<&[&str]>) -> Self {
        let http = http.map(|hosts| hosts.iter().map(|host| host.parse().unwrap()).collect());
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { error_body_bytes: 100, ..Limits::default() };
        Self { performer: Performer::new(limits).at(folder.path()), allow: Allow { http, ..Allow::default() }, folder }
    }

    async fn call(&self, request: HttpRequest, secrets: &dyn Secrets) -> Result<HttpReply, Failure> {
        let attempt = Attempt {
            number: 1,
            idempotency_key: "run-3",
            undo: None,
            again: false,
            allow: &self.allow,
            secrets,
            trace: None,
        };
        match self.performer.perform(&Request::Http(request), attempt).await? {
            Reply::Http(reply) => Ok(reply),
            _ => unreachable!("an HTTP request has an HTTP reply"),
        }
    }
}

/// Calls a server that may be called and answers so.
async fn call(acts: &[Act], request: impl FnOnce(&Server) -> HttpRequest) -> (Result<HttpReply, Failure>, Vec<String>) {
    let server = Server::start(acts.iter().cloned()).await;
    let reply = Bench::new(Some(&["127.0.0.1", "localhost"])).call(request(&server), &NoSecrets).await;
    (reply, server.requests())
}

fn get(server: &Server) -> HttpRequest {
    HttpRequest::new("get", server.url("/a"))
}

fn post(server: &Server) -> HttpRequest {
    HttpRequest { body: Body::Json(r#"{"a":1}"#.to_owned()), ..HttpRequest::new("POST", server.url("/a")) }
}

async fn body_of(content_type: &str, bytes: &[u8]) -> HttpBody {
    let header = format!("content-type: {content_type}");
    call(&[answer("200 OK", &[&header], bytes)], get).await.0.unwrap().body
}

fn location(server: &Server, path: &str) -> Act {
    answer("302 Found", &[&format!("location: {}", server.url(path))], "")
}

#[tokio::test]
async fn bodies_arrive_by_their_content_type() {
    let text = |text: &str| HttpBody::Text(text.to_owned());
    let json = |text: &str| HttpBody::Json(text.to_owned());
    assert_eq!(body_of("application/json", br#"{"n": 1}"#).await, json(r#"{"n": 1}"#));
    assert_eq!(body_of("application/problem+json; charset=utf-8", b"\xef\xbb\xbf[]").await, json("[]"));
    assert_eq!(body_of("application/json", b"<html>").await, text("<html>"));
    assert_eq!(body_of("text/csv; charset=ISO-8859-1", b"gr\xf6\xdfe").await, text("größe"));
    assert_eq!(body_of("text/plain", b"a\xffb").await, text("a\u{fffd}b"));
    assert_eq!(body_of("application/atom+xml", b"<a/>").await, text("<a/>"));
    assert_eq!(body_of("image/png", b"\x89PNG").await, HttpBody::Bytes(b"\x89PNG".to_vec()));
    assert_eq!(body_of("application/json", b"").await, HttpBody::Empty);
}

#[tokio::test]
async fn gzip_is_undone_and_headers_are_joined() {
    let zipped = STANDARD.decode("H4sIAAAAAAACA6tWqsosKEhNUbJSSi86vO3w/FSlWgB6Oh9oFAAAAA==").unwrap();
    let headers = ["Content-Type: application/json", "content-encoding: gzip", "X-A: 1", "x-a: 2"];
    let reply = call(&[answer("201 Created", &headers, zipped)], get).await.0.unwrap();
    assert_eq!((reply.status, reply.body), (201, HttpBody::Json(r#"{"zipped":"größe"}"#.to_owned())));
    assert!(reply.headers.contains(&("x-a".to_owned(), "1, 2".to_owned())), "{:?}", reply.headers);
}

#[tokio::test]
async fn what_is_sent() {
    let (reply, requests) = call(&[answer("204 No Content", &[], "")], |server| HttpRequest {
        query: vec![("q".to_owned(), "a b&c".to_owned())],
        headers: vec![("X-Name".to_owned(), "größe".to_owned())],
        auth: Some(Auth::Basic("ann".to_owned(), "pw".to_owned())),
        ..HttpRequest { url: server.url("/a?x=1#part"), ..post(server) }
    })
    .await;
    assert_eq!(reply.unwrap().body, HttpBody::Empty);
    let request = &requests[0];
    for line in [
        "POST /a?x=1&q=a+b%26c HTTP/1.1\r\n",
        "idempotency-key: run-3\r\n",
        "x-name: größe\r\n",
        "authorization: Basic YW5uOnB3\r\n",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(
        request.contains("content-type: application/json\r\n") && request.ends_with("\r\n\r\n{\"a\":1}"),
        "{request}"
    );
}

#[tokio::test]
async fn forms_are_encoded_and_a_scripts_own_headers_win() {
    let (_, requests) = call(&[answer("200 OK", &[], "")], |server| HttpRequest {
        body: Body::Form(vec![("a b".to_owned(), "ö&=".to_owned())]),
        headers: vec![("Idempotency-Key".to_owned(), "mine".to_owned()), ("Content-Type".to_owned(), "x/y".to_owned())],
        ..post(server)
    })
    .await;
    assert!(requests[0].ends_with("a+b=%C3%B6%26%3D"), "{}", requests[0]);
    assert!(requests[0].contains("idempotency-key: mine\r\n") && !requests[0].contains("run-3"), "{}", requests[0]);
    assert!(requests[0].contains("content-type: x/y\r\n") && !requests[0].contains("urlencoded"), "{}", requests[0]);
}

#[tokio::test]
async fn a_status_from_400_is_a_failure_unless_accepted() {
    let refusal = answer("404 Not Found", &["content-type: application/json"], r#"{"why":"gone"}"#);
    let failure = call(std::slice::from_ref(&refusal), get).await.0.unwrap_err();
    assert_eq!((failure.kind, failure.retryable, failure.sent), ("http", false, Sent::Maybe));
    assert_eq!(failure.field("status"), Some(&Field::Int(404)));
    assert_eq!(failure.field("body"), Some(&Field::Json(r#"{"why":"gone"}"#.to_owned())));
    assert!(failure.message.contains("answered 404 Not Found; hint:"), "{}", failure.message);
    let accepted = call(&[refusal], |server| HttpRequest { accept: vec![404], ..get(server) }).await.0.unwrap();
    assert_eq!(accepted.status, 404);
}

#[tokio::test]
async fn which_statuses_are_worth_a_retry() {
    for (status, retryable) in [
        ("400 x", false),
        ("408 x", true),
        ("409 x", false),
        ("425 x", true),
        ("429 x", true),
        ("500 x", true),
        ("503 x", true),
    ] {
        let failure = call(&[answer(status, &[], "x".repeat(500))], get).await.0.unwrap_err();
        assert_eq!(failure.retryable, retryable, "{status}");
        assert_eq!(failure.field("body"), Some(&Field::Bytes(vec![b'x'; 100])), "an error's body is cut");
    }
}

#[tokio::test]
async fn retry_after_in_seconds_and_as_a_date() {
    let wait = async |headers: &[&str]| call(&[answer("503 Busy", headers, "")], get).await.0.unwrap_err().retry_after;
    assert_eq!(wait(&["retry-after: 7"]).await, Some(Duration::from_secs(7)));
    let dates = ["date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT"];
    assert_eq!(wait(&dates).await, Some(Duration::from_secs(30)));
    assert_eq!(wait(&["retry-after: Sun, 06 Nov 1994 08:50:07 GMT"]).await, Some(Duration::ZERO));
    assert_eq!(wait(&["retry-after: 99999999999"]).await, Some(Duration::from_hours(24)));
    assert_eq!(wait(&["retry-after: soon"]).await, None);
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_sent_nothing() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{port}/"), "http://no-such-host.invalid/".to_owned()] {
        let bench = Bench::new(Some(&["127.0.0.1", "*.invalid"]));
        let failure = bench.call(HttpRequest::new("POST", &url), &NoSecrets).await.unwrap_err();
        assert_eq!((failure.kind, failure.retryable, failure.sent), ("network", true, Sent::No), "{failure}");
        assert!(failure.message.contains("cannot be reached") && failure.message.contains("hint:"), "{failure}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_sent() {
    let short = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec());
    let chunked = Act::Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_vec());
    for act in [Act::Reset, Act::Send(Vec::new()), Act::Send(b"nonsense\r\n\r\n".to_vec()), short, chunked] {
        let (failure, requests) = call(&[act], post).await;
        let failure = failure.unwrap_err();
        assert_eq!((failure.kind, failure.retryable, failure.sent), ("network", true, Sent::Maybe), "{failure}");
        assert_eq!(requests.len(), 1, "it is not repeated");
    }
}

#[tokio::test]
async fn a_hanging_and_a_dripping_server_time_out() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n";
    for act in [Act::Hang, Act::Drip(head[..9].to_vec()), Act::Drip([&head[..], b"12"].concat())] {
        let timeout = Some(Duration::from_millis(60));
        let failure = call(&[act], |server| HttpRequest { timeout, ..post(server) }).await.0.unwrap_err();
        assert_eq!((failure.kind, failure.retryable, failure.sent), ("timeout", true, Sent::Maybe), "{failure}");
        assert!(failure.message.contains("did not answer within 60ms; hint:"), "{failure}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_as_announced_as_sent_and_as_unpacked() {
    let bomb = STANDARD.decode(BOMB).unwrap();
    let chunked =
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n800\r\n", &[b'x'; 0x800][..], b"\r\n0\r\n\r\n"]
            .concat();
    let announced = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec());
    for act in [announced, Act::Send(chunked), answer("200 OK", &["content-encoding: gzip"], bomb)] {
        let failure = call(&[act], |server| HttpRequest { max_bytes: Some(2000), ..get(server) }).await.0.unwrap_err();
        assert_eq!((failure.kind, failure.sent), ("limit", Sent::Maybe), "{failure}");
        assert!(failure.message.contains("hint: raise `max_bytes`"), "{failure}");
    }
    let fits =
        call(&[answer("200 OK", &[], "x".repeat(2000))], |server| HttpRequest { max_bytes: Some(2000), ..get(server) })
            .await;
    assert!(fits.0.is_ok());
}

/// 256 KiB of zeros.
const BOMB: &str = "H4sIAAAAAAACA+3BMQEAAADCoPVP7W0HoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3gAi6g7iAAAEAA==";

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_denied_even_with_a_connection_in_the_pool() {
    let kept = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let server = Server::start([kept]).await;
    let mut bench = Bench::new(Some(&["localhost"]));
    let request = HttpRequest::new("GET", format!("http://localhost:{}/", server.port));
    assert!(bench.call(request.clone(), &NoSecrets).await.is_ok());
    bench.allow.http = None;
    let failure = bench.call(request, &NoSecrets).await.unwrap_err();
    assert_eq!((failure.kind, failure.sent, failure.retryable), ("denied", Sent::No, false), "{failure}");
    assert!(
        failure.message.contains("it resolves to `")
            && failure.message.contains(&format!("[\"*\", \"localhost:{}\"]", server.port)),
        "{failure}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_response_is_saved_whole_or_not_at_all() {
    let server = Server::start([answer("200 OK", &[], "x".repeat(600_000)), answer("500 Oh", &[], "no")]).await;
    let bench = Bench::new(Some(&["127.0.0.1"]));
    let request = HttpRequest { save_to: Some("in/a.bin".to_owned()), ..get(&server) };
    assert_eq!(Request::Http(request.clone()).kind(), Kind::Mutating);
    let HttpBody::Saved(stat) = bench.call(request.clone(), &NoSecrets).await.unwrap().body else {
        panic!("not saved")
    };
    assert_eq!((stat.path.as_str(), stat.name.as_str(), stat.size), ("in/a.bin", "a.bin", 600_000));
    assert_eq!(stat.sha256.unwrap(), hex::encode(<sha2::Sha256 as sha2::Digest>::digest("x".repeat(600_000))));
    assert_eq!(bench.call(request, &NoSecrets).await.unwrap_err().kind, "http");
    assert_eq!(std::fs::read_dir(bench.folder.path().join("in")).unwrap().count(), 1, "nothing else is left");
    assert_eq!(std::fs::metadata(bench.folder.path().join("in/a.bin")).unwrap().len(), 600_000);
}

#[tokio::test]
async fn a_broken_download_leaves_nothing_and_a_forbidden_path_sends_nothing() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n";
    let server = Server::start([Act::Send([&head[..], &vec![1; 300_000]].concat())]).await;
    let bench = Bench::new(Some(&["127.0.0.1"]));
    let saving = |path: &str| HttpRequest { save_to: Some(path.to_owned()), ..get(&server) };
    assert_eq!(bench.call(saving("a.bin"), &NoSecrets).await.unwrap_err().kind, "network");
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
    assert_eq!(bench.call(saving("../a.bin"), &NoSecrets).await.unwrap_err().kind, "denied");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn requests_that_cannot_be_made_are_invalid() {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let base = HttpRequest::new("GET", "http://127.0.0.1:1/");
    let requests = [
        HttpRequest { method: "G T".to_owned(), ..base.clone() },
        HttpRequest { url: "nonsense".to_owned(), ..base.clone() },
        HttpRequest { url: "http://".to_owned(), ..base.clone() },
        HttpRequest { headers: header("a b", ""), ..base.clone() },
        HttpRequest { headers: header("x", "1\r\ny: 2"), ..base.clone() },
        HttpRequest { headers: header("Host", "other"), ..base.clone() },
        HttpRequest { headers: header("Transfer-Encoding", "chunked"), ..base },
    ];
    for request in requests {
        let failure = Bench::new(Some(&["127.0.0.1"])).call(request, &NoSecrets).await.unwrap_err();
        assert_eq!((failure.kind, failure.sent, failure.retryable), ("invalid", Sent::No, false), "{failure}");
        assert!(failure.message.contains("hint:"), "{failure}");
    }
}

#[test]
fn arguments_are_canonical() {
    let request = |url: &str| Request::Http(HttpRequest { accept: vec![404], ..HttpRequest::new("get", url) });
    let text = request("http://a/").arguments();
    assert!(text.starts_with(r#"{"method":"GET","url":"http://a/","headers":[],"#), "{text}");
    assert_eq!(text, request("http://a/").arguments());
    assert_ne!(text, request("http://b/").arguments());
    assert_eq!(request("http://a/").kind(), Kind::Reading);
    assert_eq!(Request::Http(HttpRequest::new("delete", "http://a/")).kind(), Kind::Mutating);
}

#[test]
fn the_text_of_all_arguments_never_changes() {
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let mut request = HttpRequest {
        headers: pair("x", "1\"\u{1}é"),
        query: pair("q", "a/b"),
        body: Body::Json("{}".to_owned()),
        timeout: Some(Duration::from_secs(2)),
        max_bytes: Some(7),
        accept: vec![404, 410],
        save_to: Some("f".to_owned()),
        auth: Some(Auth::Basic("u".to_owned(), "p".to_owned())),
        ..HttpRequest::new("post", "http://a/")
    };
    let digest = "2 bytes sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let rest = r#""timeout_ms":"2000","max_bytes":7,"accept":[404,410],"save_to":"f","auth":{"basic":["u","p"]}}"#;
    let body = |body: &str| {
        format!(
            r#"{{"method":"POST","url":"http://a/","headers":[["x","1\"\u0001é"]],"query":[["q","a/b"]],"body":{body},{rest}"#
        )
    };
    assert_eq!(request.arguments(), body(&format!(r#"{{"json":"{digest}"}}"#)));
    for (given, text) in [
        (Body::Text("{}".to_owned()), format!(r#"{{"text":"{digest}"}}"#)),
        (Body::Bytes(b"{}".to_vec()), format!(r#"{{"bytes":"{digest}"}}"#)),
        (Body::Form(pair("f", "1")), r#"{"form":[["f","1"]]}"#.to_owned()),
        (Body::None, "null".to_owned()),
    ] {
        request.body = given;
        assert_eq!(request.arguments(), body(&text));
    }
    let bearer = HttpRequest { auth: Some(Auth::Bearer("t".to_owned())), ..HttpRequest::new("get", "http://a/") };
    let none = r#""headers":[],"query":[],"body":null,"timeout_ms":null,"max_bytes":null,"accept":[],"save_to":null"#;
    assert_eq!(bearer.arguments(), format!(r#"{{"method":"GET","url":"http://a/",{none},"auth":{{"bearer":"t"}}}}"#));
}

#[test]
fn an_address_is_read_as_it_is_whatever_was_read_before() {
    for text in ["http://a/x", "http://a/x", "http://b/", "http://a/x", "http://a/x?"] {
        assert_eq!(super::message::written(text).unwrap().as_str(), text);
    }
    assert_eq!(super::message::written("nonsense").unwrap_err().kind, "invalid");
    assert_eq!(super::message::written("http://b/").unwrap().as_str(), "http://b/");
}

#[tokio::test]
async fn a_head_has_no_body_however_long_it_says_it_is() {
    let head = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n".to_vec());
    let reply = call(&[head], |server| HttpRequest::new("HEAD", server.url("/"))).await.0.unwrap();
    assert_eq!(reply.body, HttpBody::Empty);
}

#[tokio::test]
async fn an_accepted_refusal_is_not_saved() {
    let server = Server::start([answer("404 No", &["content-type: text/plain"], "none")]).await;
    let bench = Bench::new(Some(&["127.0.0.1"]));
    let request = HttpRequest { save_to: Some("a".to_owned()), accept: vec![404], ..get(&server) };
    assert_eq!(bench.call(request, &NoSecrets).await.unwrap().body, HttpBody::Text("none".to_owned()));
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}

#[test]
fn performing_can_move_between_threads() {
    fn movable(_: impl Send) {}
    let bench = Bench::new(None);
    movable(bench.call(HttpRequest::new("GET", "http://a/"), &NoSecrets));
}
