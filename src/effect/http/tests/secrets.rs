//! Secrets: what goes out, what does not come back, and to whom.

use super::*;

/// One secret, bound to one port of this machine.
struct OneSecret {
    port: u16,
}

const VALUE: &str = r#"s"ec\ret"#;

impl Secrets for OneSecret {
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        let Target::Host { port, .. } = target else { unreachable!("only hosts are called") };
        match text.contains("~key~") {
            false => Ok(Cow::Borrowed(text)),
            true if port == self.port => Ok(Cow::Owned(text.replace("~key~", VALUE))),
            true => Err(Failure::denied("the secret is not for this host")),
        }
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains(VALUE) { Cow::Owned(text.replace(VALUE, "~key~")) } else { Cow::Borrowed(text) }
    }
}

#[tokio::test]
async fn secrets_go_out_and_do_not_come_back() {
    let echo = answer(
        "400 No",
        &["content-type: application/json", r#"x-echo: s"ec\ret"#],
        r#"{"got":"s\"ec\\ret Basic dTpzImVjXHJldA=="}"#,
    );
    let server = Server::start([echo]).await;
    let request = HttpRequest {
        body: Body::Json(r#"{"key":"~key~"}"#.to_owned()),
        headers: vec![("x-key".to_owned(), "k ~key~".to_owned())],
        query: vec![("q".to_owned(), "~key~".to_owned())],
        auth: Some(Auth::Basic("u".to_owned(), "~key~".to_owned())),
        ..HttpRequest::new("POST", server.url("/"))
    };
    let failure = Bench::new(Some(&["127.0.0.1"])).call(request, &OneSecret { port: server.port }).await.unwrap_err();
    let sent = &server.requests()[0];
    for part in [r#"{"key":"s\"ec\\ret"}"#, "x-key: k s\"ec\\ret\r\n", "?q=s%22ec%5Cret ", "Basic dTpzImVjXHJldA==\r\n"]
    {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert_eq!(failure.field("body"), Some(&Field::Json(r#"{"got":"~key~ Basic ***"}"#.to_owned())));
    assert!(!format!("{failure:?}").contains("ec\\\\ret"), "{failure:?}");
}

#[tokio::test]
async fn secrets_do_not_follow_a_redirect() {
    let other = Server::start([answer("200 OK", &[], "")]).await;
    let to = format!("location: {}", other.url("/"));
    let server = Server::start([answer("307 x", &[&to], "")]).await;
    let request = HttpRequest { headers: vec![("x-key".to_owned(), "~key~".to_owned())], ..get(&server) };
    let secrets = OneSecret { port: server.port };
    let bench = Bench::new(Some(&["127.0.0.1"]));
    let with_body = HttpRequest { body: Body::Text("~key~".to_owned()), ..post(&server) };
    assert!(bench.call(request, &secrets).await.is_ok());
    assert!(!other.requests()[0].contains("x-key"), "{}", other.requests()[0]);
    let failure = bench.call(with_body, &secrets).await.unwrap_err();
    assert_eq!((failure.kind, failure.sent, other.requests().len()), ("denied", Sent::Maybe, 1), "{failure}");
}
