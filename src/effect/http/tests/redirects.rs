//! Redirects: followed, counted, checked, and without credentials for others.

use super::*;

#[tokio::test]
async fn redirects_are_followed_ten_times() {
    let server = Server::start([Act::Hang]).await;
    let hop = |n: usize| answer("302 Found", &[&format!("location: /{n}")], "");
    let last = answer("200 OK", &["content-type: text/plain"], "there");
    let chain = |length| (1..=length).map(hop).chain([last.clone()]).collect::<Vec<_>>();
    let (reply, requests) = call(&chain(10), get).await;
    assert!(reply.as_ref().unwrap().url.ends_with("/10"), "{reply:?}");
    assert_eq!((reply.unwrap().body, requests.len()), (HttpBody::Text("there".to_owned()), 11));
    let failure = call(&chain(11), get).await.0.unwrap_err();
    assert!(failure.message.contains("more than 10 redirects; hint:"), "{failure}");
    drop(server);
}

#[tokio::test]
async fn a_redirect_may_change_the_method_and_is_an_answer_when_accepted() {
    let done = answer("200 OK", &[], "");
    for (status, begins) in [("301 x", "GET /b"), ("303 x", "GET /b"), ("307 x", "POST /b"), ("308 x", "POST /b")] {
        let (_, requests) = call(&[answer(status, &["location: b"], ""), done.clone()], post).await;
        assert!(requests[1].starts_with(begins), "{status}: {}", requests[1]);
        let sent = requests[1].ends_with(r#"{"a":1}"#) && requests[1].contains("content-type");
        assert_eq!(sent, begins.starts_with("POST"), "{}", requests[1]);
        assert_eq!(requests[1].contains("idempotency-key"), begins.starts_with("POST"), "{}", requests[1]);
    }
    let accepted =
        call(&[answer("302 x", &["location: /b"], "")], |server| HttpRequest { accept: vec![302], ..get(server) })
            .await;
    assert_eq!(accepted.0.unwrap().status, 302);
    assert_eq!(call(&[answer("304 Not Modified", &[], "")], get).await.0.unwrap().status, 304);
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let other = Server::start([answer("200 OK", &[], "")]).await;
    let server = Server::start([location(&other, "/x")]).await;
    let request = HttpRequest {
        headers: vec![("Cookie".to_owned(), "s=1".to_owned()), ("x-plain".to_owned(), "1".to_owned())],
        auth: Some(Auth::Bearer("t0ken".to_owned())),
        ..get(&server)
    };
    Bench::new(Some(&["127.0.0.1"])).call(request, &NoSecrets).await.unwrap();
    assert!(server.requests()[0].contains("authorization: Bearer t0ken"));
    let there = &other.requests()[0];
    assert!(!there.contains("t0ken") && !there.contains("cookie") && there.contains("x-plain: 1"), "{there}");
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_denied() {
    let secret = Server::start([answer("200 OK", &[], "internal")]).await;
    for to in [
        format!("http://127.0.0.1:{}/", secret.port),
        format!("http://localhost:{}/", secret.port),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let server = Server::start([answer("302 Found", &[&format!("location: {to}")], "")]).await;
        let bench = Bench::new(Some(&[&format!("127.0.0.1:{}", server.port), "*"]));
        let failure = bench.call(get(&server), &NoSecrets).await.unwrap_err();
        assert_eq!((failure.kind, failure.sent), ("denied", Sent::Maybe), "{failure}");
        assert!(failure.message.starts_with("redirected by `127.0.0.1`: "), "{failure}");
    }
    assert_eq!(secret.requests().len(), 0);
}
