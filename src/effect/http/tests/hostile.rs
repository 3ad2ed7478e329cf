//! Services that answer badly, or want harm: each is a clear error of one call.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

/// A certificate for this machine that nobody has signed but itself, and its key.
const CERTIFICATE: &str = "\
    MIIBmzCCAUGgAwIBAgIUQJtzXV2Q+AL1fjYjNbKgOhSllMkwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2 \
    MTEyODA3MzcyNVoYDzIxMjYxMTA0MDczNzI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC \
    AAQEyy/BdBuOcovs2puesfVX9+or+TPh6uCN2TCisxV40883uSIYFXnbSkRujmm0k/LWlqjobK29EXqcPnr6k4i9o28wbTAdBgNV \
    HQ4EFgQUxnY3POJ6l0quTiCdHbc+t/6ZF9IwHwYDVR0jBBgwFoAUxnY3POJ6l0quTiCdHbc+t/6ZF9IwDwYDVR0TAQH/BAUwAwEB \
    /zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIgRiWVRmWCFrleCfKtwT6JluXLE002ah7ZQJhg \
    3T90grMCIQD0JXTDD7b1C0hJIV+7Ajf2vNgi9qoCiGnVccQR444TzA==";
const KEY: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGDMAJfhqpnLxNIFCp5nj6Ng0QSD6jReo1Uxshc8w7uehRANCAAQE \
    yy/BdBuOcovs2puesfVX9+or+TPh6uCN2TCisxV40883uSIYFXnbSkRujmm0k/LWlqjobK29EXqcPnr6k4i9";

fn whole(text: &str, headers: &str) -> Act {
    Act::Send(format!("HTTP/1.1 200 OK\r\n{headers}connection: close\r\n\r\n{text}").into_bytes())
}

async fn failing(act: Act) -> Failure {
    call(&[act], get).await.0.expect_err("it fails")
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_an_error() {
    let failure = failing(whole("abc", "content-type: text/plain\r\ncontent-length: 10\r\n")).await;
    assert_eq!((failure.kind, failure.retryable), ("network", true), "{failure}");
    assert!(failure.message.contains("hint:"), "{failure}");
}

#[tokio::test]
async fn a_body_that_is_longer_than_announced_is_cut_where_it_was_to_end() {
    let act = whole("abcdef", "content-type: text/plain\r\ncontent-length: 3\r\n");
    assert_eq!(call(&[act], get).await.0.unwrap().body, HttpBody::Text("abc".to_owned()));
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_an_error() {
    let failure = failing(whole("abcdef", "content-length: 3\r\ncontent-length: 6\r\n")).await;
    assert_eq!(failure.kind, "network", "{failure}");
}

#[tokio::test]
async fn a_flood_of_headers_is_an_error() {
    let many = "x-n: 1\r\n".repeat(2000);
    let long = format!("x-long: {}\r\n", "a".repeat(8 << 20));
    for headers in [many, long] {
        let failure = failing(whole("", &headers)).await;
        assert!(["network", "timeout"].contains(&failure.kind) && failure.message.contains("hint:"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    let failure = failing(Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())).await;
    assert_eq!(failure.kind, "network", "{failure}");
}

/// Speaks TLS with a certificate that nobody knows, for one connection; its port.
fn stranger() -> u16 {
    let decode = |text: &str| STANDARD.decode(text.replace(char::is_whitespace, "")).unwrap();
    let certificate = CertificateDer::from(decode(CERTIFICATE));
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(decode(KEY)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream);
        let mut request = [0; 1024];
        // The client goes when it has seen the certificate.
        let read = tls.read(&mut request);
        assert!(read.is_err() || read.is_ok_and(|count| count == 0), "a request was sent to a stranger");
        let _ = tls.flush();
    });
    port
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_an_error_and_nothing_was_sent() {
    let url = format!("https://localhost:{}/", stranger());
    let request = HttpRequest { auth: Some(Auth::Bearer("t0ken".to_owned())), ..HttpRequest::new("GET", url) };
    let failure = Bench::new(Some(&["localhost"])).call(request, &NoSecrets).await.unwrap_err();
    assert_eq!((failure.kind, failure.sent), ("network", Sent::No), "{failure}");
    assert!(failure.message.to_lowercase().contains("certificate"), "{failure}");
}

#[tokio::test]
async fn who_fails_again_and_again_is_left_alone() {
    let server = Server::start([answer("503 No", &[], "")]).await;
    let bench = Bench::new(Some(&["127.0.0.1"]));
    for _ in 0..10 {
        assert_eq!(bench.call(get(&server), &NoSecrets).await.unwrap_err().kind, "http");
    }
    let failure = bench.call(get(&server), &NoSecrets).await.unwrap_err();
    assert_eq!((failure.kind, failure.sent, failure.retryable), ("network", Sent::No, true), "{failure}");
    assert!(failure.message.contains("10 times in a row") && failure.retry_after.is_some(), "{failure}");
    assert_eq!(server.requests().len(), 10);
    let looked_at = Server::start([answer("503 No", &[], "")]).await;
    for _ in 0..12 {
        let request = HttpRequest { accept: vec![503], ..get(&looked_at) };
        assert_eq!(bench.call(request, &NoSecrets).await.unwrap().status, 503, "what is accepted is no failure");
    }
    let other = Server::start([answer("200 OK", &[], "")]).await;
    assert!(bench.call(get(&other), &NoSecrets).await.is_ok(), "another service is called on");
}
