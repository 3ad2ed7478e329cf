//! The senders' own examples, and what must be refused.

use super::*;

/// A request that is good, to be spoiled.
#[derive(Clone)]
struct Sent {
    verify: Verify,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secret: &'static str,
    now_s: i64,
}

impl Sent {
    fn new(verify: Verify, secret: &'static str, body: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { verify, headers, body: body.into(), secret, now_s: 1_600_000_000 }
    }

    fn at(mut self, now_s: i64) -> Self {
        self.now_s = now_s;
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn check(&self) -> Result<Option<String>, Refused> {
        let now = Timestamp(self.now_s * 1000);
        self.verify.verify(&self.headers, &self.body, self.secret.as_bytes(), now).map(|verified| verified.delivery_id)
    }
}

/// The example in GitHub's documentation.
fn github() -> Sent {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("x-hub-signature-256", signature), ("X-GitHub-Delivery", "72d3162e")];
    Sent::new(Verify::Github, "It's a Secret to Everybody", "Hello, World!", &headers)
}

/// The example in Slack's documentation.
fn slack() -> Sent {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let headers = [("X-Slack-Signature", signature), ("X-Slack-Request-Timestamp", "1531420618")];
    Sent::new(Verify::Slack, "8f742231b10e8888abcd99yyyzzz85a5", body, &headers).at(1_531_420_618)
}

/// The example of the Standard Webhooks libraries.
fn standard() -> Sent {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    Sent::new(Verify::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", r#"{"test": 2432232314}"#, &headers)
        .at(1_614_265_330)
}

fn stripe() -> Sent {
    let body = r#"{"id": "evt_1", "object": "event"}"#;
    let mac = Algorithm::Sha256.keyed(b"whsec_test", &[b"1600000000.", body.as_bytes()]).finish();
    let header = format!("t=1600000000,v1={},v1={},v0=00", "00".repeat(32), hex::encode(mac));
    Sent::new(Verify::Stripe, "whsec_test", body, &[("Stripe-Signature", &header)])
}

fn shopify() -> Sent {
    let mac = STANDARD.encode(Algorithm::Sha256.keyed(b"hush", &[b"{}"]).finish());
    Sent::new(Verify::Shopify, "hush", "{}", &[("X-Shopify-Hmac-Sha256", &mac), ("X-Shopify-Webhook-Id", "w1")])
}

fn generic() -> Sent {
    let mac = STANDARD.encode(Algorithm::Sha512.keyed(b"hush", &[b"{}"]).finish());
    let verify = Verify::hmac("X-Sign", "SHA-512", "base64", "v=").unwrap();
    Sent::new(verify, "hush", "{}", &[("X-Sign", &format!("v={mac}"))])
}

fn signed() -> [Sent; 6] {
    [github(), slack(), standard(), stripe(), shopify(), generic()]
}

#[test]
fn the_senders_own_examples_are_accepted_with_their_ids() {
    let ids: Vec<_> = signed().iter().map(|sent| sent.check().unwrap()).collect();
    let text = |id: &str| Some(id.to_owned());
    let expected = [text("72d3162e"), None, text("msg_p5jXN8AQM9LWM0D4loKWxJek"), text("evt_1"), text("w1"), None];
    assert_eq!(ids, expected);
}

#[test]
fn one_flipped_bit_of_the_body_or_another_secret_is_refused() {
    for sent in signed() {
        let mut flipped = sent.clone();
        flipped.body[0] ^= 1;
        assert_eq!(flipped.check(), Err(Refused::Wrong), "{:?}", sent.verify);
        let other = Sent { secret: "AAAA", ..sent.clone() };
        assert_eq!(other.check(), Err(Refused::Wrong), "{:?}", sent.verify);
        let empty = Sent { secret: "", ..sent };
        assert_eq!(empty.check(), Err(Refused::Secret("empty")));
    }
}

#[test]
fn the_same_json_written_anew_is_refused() {
    assert_eq!(standard().body(r#"{"test":2432232314}"#).check(), Err(Refused::Wrong));
    assert_eq!(stripe().body(r#"{"id":"evt_1","object":"event"}"#).check(), Err(Refused::Wrong));
}

#[test]
fn a_missing_or_repeated_header_is_named() {
    for sent in signed() {
        for index in 0..sent.headers.len() {
            let name = sent.headers[index].0.to_lowercase();
            let mut twice = sent.clone();
            twice.headers.push(sent.headers[index].clone());
            let mut without = sent.clone();
            without.headers.remove(index);
            if !name.ends_with("delivery") && !name.ends_with("webhook-id") || sent.verify == Verify::Standard {
                assert!(matches!(without.check(), Err(Refused::Missing(known)) if known.to_lowercase() == name));
                assert!(matches!(twice.check(), Err(Refused::Repeated(known)) if known.to_lowercase() == name));
            }
        }
    }
}

#[test]
fn a_signed_time_too_old_or_too_far_ahead_is_refused() {
    for sent in [slack(), standard(), stripe()] {
        let now = sent.now_s;
        assert!(sent.clone().at(now + 300).check().is_ok() && sent.clone().at(now - 300).check().is_ok());
        assert_eq!(sent.clone().at(now + 301).check(), Err(Refused::OutsideWindow));
        assert_eq!(sent.at(now - 301).check(), Err(Refused::OutsideWindow));
    }
}

#[test]
fn the_time_itself_is_signed() {
    assert_eq!(slack().with("X-Slack-Request-Timestamp", "1531420619").check(), Err(Refused::Wrong));
    assert_eq!(standard().with("webhook-timestamp", "1614265331").check(), Err(Refused::Wrong));
    assert_eq!(standard().with("webhook-id", "msg_2").check(), Err(Refused::Wrong));
    for time in ["", "-1", "+1531420618", "1531420618.0", "99999999999999999999"] {
        assert!(slack().with("X-Slack-Request-Timestamp", time).check().is_err(), "{time}");
    }
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let bad = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    assert!(standard().with("webhook-signature", &format!("{bad} {good} v2,x")).check().is_ok());
    assert_eq!(standard().with("webhook-signature", bad).check(), Err(Refused::Wrong));
    assert_eq!(standard().with("webhook-signature", &good.replace("v1", "v1a")).check(), Err(Refused::Wrong));
    assert_eq!(stripe().with("Stripe-Signature", "t=1600000000").check(), Err(Refused::Wrong));
    assert!(stripe().with("Stripe-Signature", "v1=00").check().is_err());
}

#[test]
fn a_signature_that_is_none_is_refused_and_never_panics() {
    for junk in
        ["", "sha256=", "sha256=zz", "sha1=00", "757107ea", "v0=", "v0=0", "é", "t=,v1=", "t=1,t=2,v1=00", ",,,=,=="]
    {
        for sent in signed() {
            let name = sent.headers.iter().find(|(name, _)| !name.to_lowercase().ends_with("id")).unwrap().0.clone();
            assert!(sent.with(&name, junk).check().is_err(), "{junk}");
        }
    }
}

#[test]
fn bearer_and_basic_compare_the_secret() {
    let bearer = Sent::new(Verify::Bearer, "t0ken", "", &[("Authorization", "bearer t0ken")]);
    assert_eq!(bearer.check(), Ok(None));
    assert_eq!(bearer.with("Authorization", "Bearer t0ke").check(), Err(Refused::Wrong));
    let basic = Sent::new(Verify::Basic { user: "ann".into() }, "p:w", "", &[("Authorization", "Basic YW5uOnA6dw==")]);
    assert_eq!(basic.check(), Ok(None));
    assert_eq!(basic.clone().with("Authorization", "Basic YW5uOg==").check(), Err(Refused::Wrong));
    assert!(basic.with("Authorization", "Bearer p:w").check().is_err());
}

#[test]
fn a_token_in_a_header_is_the_secret() {
    let verify = Verify::Token { header: "X-Gitlab-Token".into() };
    let sent = Sent::new(verify, "t0ken", "{}", &[("x-gitlab-token", "t0ken")]);
    assert_eq!(sent.check(), Ok(None));
    for wrong in ["t0ke", "t0kenn", "T0ken", ""] {
        assert_eq!(sent.clone().with("x-gitlab-token", wrong).check(), Err(Refused::Wrong), "{wrong}");
    }
    let none = Sent::new(Verify::Token { header: "X-Other".into() }, "t0ken", "{}", &[("x-gitlab-token", "t0ken")]);
    assert_eq!(none.check(), Err(Refused::Missing("X-Other".into())));
}

#[test]
fn a_scheme_is_read_from_its_name_or_from_data() {
    assert_eq!(Verify::named("slack"), Ok(Verify::Slack));
    assert!(Verify::named("gitlab").unwrap_err().hint().contains("`github`, `stripe`"));
    for (header, algorithm, encoding) in [("X-S", "sha1", "hex"), ("X-S", "sha256", "hax"), ("X S", "sha256", "hex")] {
        assert!(Verify::hmac(header, algorithm, encoding, "").is_err());
    }
    for sent in signed() {
        let data = serde_json::to_value(&sent.verify).unwrap();
        assert_eq!(serde_json::from_value::<Verify>(data).unwrap(), sent.verify);
    }
}

#[test]
fn a_body_in_pieces_is_checked_like_a_whole_one() {
    for sent in signed() {
        let now = Timestamp(sent.now_s * 1000);
        let pieces = |body: &[u8]| {
            let mut checking = sent.verify.begin(&sent.headers, sent.secret.as_bytes(), now).unwrap();
            body.chunks(3).for_each(|piece| checking.update(piece));
            checking.finish(None).map(drop)
        };
        assert_eq!(pieces(&sent.body), Ok(()));
        assert_eq!(pieces(&[&sent.body[..], b"x"].concat()), Err(Refused::Wrong), "{:?}", sent.verify);
    }
}

#[test]
fn what_the_headers_show_is_refused_before_the_body_came() {
    let none = || signed().map(|sent| Sent { headers: Vec::new(), ..sent });
    for sent in none() {
        assert!(sent.verify.begin(&sent.headers, b"AAAA", Timestamp(0)).is_err());
    }
    let old = slack().at(1);
    assert!(old.verify.begin(&old.headers, old.secret.as_bytes(), Timestamp(0)).is_err());
}
