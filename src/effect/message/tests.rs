//! Requests, without a broker.

use super::*;

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
