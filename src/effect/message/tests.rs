//! Requests without a broker, and with one that says what a test wants.

use std::borrow::Cow;

use super::*;
#[cfg(feature = "nats")]
use crate::effect::Sent;
use crate::effect::Target;

fn request(url: &str, payload: Payload) -> MessageRequest {
    let (address, _) = Address::parse(url).expect("an address");
    let (content_type, headers) = (None, vec![("a".to_owned(), "b".to_owned())]);
    MessageRequest {
        address,
        subject: "orders".to_owned(),
        payload,
        content_type,
        headers,
        exchange: None,
        retain: false,
        timeout: None,
    }
}

#[test]
fn the_same_request_has_the_same_arguments_and_another_has_others() {
    let of = |url: &str, payload| request(url, payload).arguments().to_string();
    let one = of("nats://b", Payload::Text("{}".into()));
    assert_eq!(one, of("nats://B:4222", Payload::Text("{}".into())));
    for other in [
        of("nats://c", Payload::Text("{}".into())),
        of("nats://b", Payload::Json("{}".into())),
        of("nats://b", Payload::Bytes(b"{}".to_vec())),
    ] {
        assert_ne!(one, other);
    }
    assert!(of("nats://b", Payload::Bytes(vec![0xff])).contains("sha256"));
}

#[test]
fn only_jetstream_takes_a_second_one_for_the_first() {
    let is_repeatable = |url: &str| request(url, Payload::Text(String::new())).is_repeatable();
    assert_eq!([is_repeatable("nats://b"), is_repeatable("amqp://b"), is_repeatable("mqtt://b")], [true, false, false]);
}

/// Gives `value` for `mark` to `b.example.com` alone.
struct Bound;

impl crate::effect::Secrets for Bound {
    fn resolve<'t>(&self, text: &'t str, target: Target<'_>) -> Result<Cow<'t, str>, Failure> {
        match target {
            _ if !text.contains("mark") => Ok(Cow::Borrowed(text)),
            Target::Host { name: "b.example.com", .. } => Ok(Cow::Owned(text.replace("mark", "value"))),
            _ => Err(Failure::denied("not for this")),
        }
    }

    fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
}

fn attempt<'a>(allow: &'a Allow, secrets: &'a dyn crate::effect::Secrets) -> Attempt<'a> {
    Attempt { number: 1, idempotency_key: "key-1", undo: None, again: false, allow, secrets, trace: None }
}

#[test]
fn a_secret_goes_to_the_broker_that_it_is_for() {
    let allow = Allow::default();
    let sent = |url: &str, payload: Payload| {
        let mut asked = request(url, payload);
        asked.headers = vec![("X-Key".to_owned(), "mark".to_owned())];
        outgoing(&asked, &attempt(&allow, &Bound))
            .map(|sent| (String::from_utf8(sent.payload), sent.headers[0].1.clone()))
    };
    for payload in [Payload::Json("[\"mark\"]".into()), Payload::Bytes(b"[\"mark\"]".to_vec())] {
        assert_eq!(sent("nats://b.example.com", payload), Ok((Ok("[\"value\"]".into()), "value".into())));
    }
    assert_eq!(sent("nats://c.example.com", Payload::Text("x".into())).map_err(|failure| failure.kind), Err("denied"));
}

/// A server that answers what is published to it, one after the other; where the answer is empty, it ends the connection.
#[cfg(feature = "nats")]
fn server(answers: &'static [&'static str]) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut answers = answers.iter();
        while let Ok((mut stream, _)) = listener.accept() {
            stream.write_all(b"INFO {\"max_payload\":100}\r\n").expect("written");
            let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            for line in lines.map_while(Result::ok) {
                let said = match line.split(' ').collect::<Vec<_>>().as_slice() {
                    ["PING"] => "PONG\r\n".to_owned(),
                    ["HPUB", _, reply, ..] => match answers.next() {
                        Some(&"") | None => break,
                        Some(answer) => format!("MSG {reply} 1 {}\r\n{answer}\r\n", answer.len()),
                    },
                    _ => continue,
                };
                stream.write_all(said.as_bytes()).expect("written");
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    });
    url
}

#[cfg(feature = "nats")]
#[test]
fn a_connection_that_was_lost_is_made_again_and_errors_say_what_was_sent() {
    let url = server(&[
        "{\"stream\":\"S\",\"seq\":1}",
        "",
        "{\"stream\":\"S\",\"seq\":2,\"duplicate\":true}",
        "{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"no room\"}}",
        "{\"stream\":\"S\",\"seq\":3}",
    ]);
    let allow = Allow { message: MayTalk::parse(&["127.0.0.1".to_owned()]).expect("entries"), ..Allow::default() };
    let brokers = Arc::new(Brokers::new(std::collections::BTreeMap::new(), Box::new(|_, _| Err("none".to_owned()))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let publish = |text: &str| {
        let asked = request(&url, Payload::Text(text.to_owned()));
        let attempt = attempt(&allow, &crate::effect::NoSecrets);
        let done = runtime.block_on(perform(&asked, &attempt, &Limits::default(), Some(&brokers)));
        done.map(|reply| (reply.sequence, reply.duplicate))
            .map_err(|failure| (failure.kind, failure.retryable, failure.sent))
    };
    assert_eq!(publish("a"), Ok((Some(1), false)));
    assert_eq!(publish("b"), Err(("network", true, Sent::Maybe)));
    assert_eq!(publish("b"), Ok((Some(2), true)));
    assert_eq!(publish(&"x".repeat(101)), Err(("limit", false, Sent::No)));
    assert_eq!(publish("c"), Err(("message", true, Sent::No)));
    assert_eq!(publish("c"), Ok((Some(3), false)));
}
