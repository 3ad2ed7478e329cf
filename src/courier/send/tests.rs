//! Each kind of channel, against servers of our own.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::effect::mail::Security;
use crate::engine::people::Person;
use crate::time::Timestamp;

/// Takes one request and answers with a status; what came, head and body.
async fn server(status: u16) -> (String, tokio::task::JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut reader = BufReader::new(&mut stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await.expect("a line");
            if line.trim().is_empty() {
                break;
            }
            if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().expect("a number");
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.expect("a body");
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        stream.write_all(answer.as_bytes()).await.expect("answers");
        (head, String::from_utf8(body).expect("text"))
    });
    (format!("http://{address}"), seen)
}

fn sender(channel: Channel, secrets: &[(&str, &str)]) -> Sender {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    sender_with(channel, Vault::from_pairs(secrets))
}

fn sender_with(channel: Channel, vault: Vault) -> Sender {
    let outlets = Outlets { channels: [("ops".into(), channel)].into(), ..Outlets::default() };
    let vault = Arc::new(vault);
    let ann = Person { email: Some("ann@example.com".to_owned()), ..Person::default() };
    let people = Directory { people: [("ann".into(), ann), ("bob".into(), Person::default())].into() };
    Sender::new(outlets, Arc::new(people), vault, None, Duration::from_secs(20))
}

fn message() -> Message {
    Message {
        id: "1.end".into(),
        about: "failed",
        workflow: Some("orders/invoice".into()),
        url: Some("https://panta.example.com/runs/1".to_owned()),
        text: "at w.rhai:3".to_owned(),
        ..Message::test("`w` failed: no paper", Timestamp(5))
    }
}

#[tokio::test]
async fn a_webhook_gets_the_message_its_id_its_token_and_its_headers() {
    let (url, seen) = server(204).await;
    let headers = vec![("X-Team".to_owned(), "billing".to_owned())];
    let token_secret = Some("hook".to_owned());
    let channel = Channel::Webhook { address: Address::Url(format!("{url}/in")), token_secret, headers };
    sender(channel, &[("PANTA_SECRET_HOOK", "hook-token-1")]).send("ops", &message()).await.expect("is told");
    let (head, body) = seen.await.expect("a request");
    for part in ["POST /in HTTP", "authorization: Bearer hook-token-1", "x-team: billing", "idempotency-key: 1.end"] {
        assert!(head.to_lowercase().contains(&part.to_lowercase()), "{part} in\n{head}");
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["id"], &body["channel"], &body["about"]), (&json!("1.end"), &json!("ops"), &json!("failed")));
    assert_eq!((&body["workflow"], &body["count"]), (&json!("orders/invoice"), &json!(1)));
    assert_eq!(body["at"], "1970-01-01T00:00:00.005Z");
}

#[tokio::test]
async fn slack_and_ntfy_get_what_they_read() {
    let (url, seen) = server(200).await;
    sender(Channel::Slack { address: Address::Url(url) }, &[]).send("ops", &message()).await.expect("is told");
    let body: Value = serde_json::from_str(&seen.await.expect("a request").1).expect("JSON");
    assert_eq!(body, json!({ "text": "*`w` failed: no paper*\nat w.rhai:3\nhttps://panta.example.com/runs/1" }));
    let (url, seen) = server(200).await;
    let (address, priority) = (Address::Url(format!("{url}/topic")), Some("high".to_owned()));
    let ntfy = sender(Channel::Ntfy { address, token_secret: None, priority }, &[]);
    ntfy.send("ops", &message()).await.expect("is told");
    let (head, body) = seen.await.expect("a request");
    assert!(head.starts_with("POST /topic ") && body == "at w.rhai:3", "{head}{body}");
    for part in ["title: `w` failed: no paper", "priority: high", "tags: rotating_light", "click: https://panta"] {
        assert!(head.to_lowercase().contains(part), "{part} in\n{head}");
    }
}

#[tokio::test]
async fn a_secret_address_is_in_no_error() {
    let (url, seen) = server(404).await;
    let whole = format!("{url}/services/T00/very-secret");
    let slack = sender(Channel::Slack { address: Address::Secret("chat".into()) }, &[("PANTA_SECRET_CHAT", &whole)]);
    let error = slack.send("ops", &message()).await.expect_err("is refused");
    assert!(seen.await.expect("a request").0.starts_with("POST /services/T00/very-secret"));
    assert!(error.contains("404") && !error.contains("very-secret") && !error.contains("T00"), "{error}");
    let missing = sender(Channel::Slack { address: Address::Secret("chatt".into()) }, &[]);
    assert!(missing.send("ops", &message()).await.expect_err("is not there").contains("no secret `chatt`"));
    assert_eq!(without("no http://h/a/b: /a/b", "http://h/a/b"), "no ***: ***");
    assert_eq!(without("h said / no", "http://h/"), "h said / no");
}

#[tokio::test]
async fn a_value_of_a_secret_in_an_error_is_not_told() {
    let (url, seen) = server(200).await;
    let slack = sender(Channel::Slack { address: Address::Url(url) }, &[("PANTA_SECRET_DB", "correct-horse-battery")]);
    let told = Message { title: "login as correct-horse-battery".to_owned(), ..message() };
    slack.send("ops", &told).await.expect("is told");
    let body = seen.await.expect("a request").1;
    assert!(body.contains("login as ***") && !body.contains("correct-horse"), "{body}");
}

#[tokio::test]
async fn a_person_gets_mail_with_the_id_of_the_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let said = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a caller");
        let (read, mut write) = stream.into_split();
        let (mut lines, mut said, mut in_data) = (BufReader::new(read).lines(), String::new(), false);
        write.write_all(b"220 test\r\n").await.expect("answers");
        while let Ok(Some(line)) = lines.next_line().await {
            said.push_str(&format!("{line}\n"));
            in_data = in_data && line != ".";
            let verb = line.split(' ').next().unwrap_or_default().to_owned();
            if in_data {
                continue;
            }
            in_data = verb == "DATA";
            let answer = if in_data { "354 go on" } else { "250 ok" };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.expect("answers");
            if verb == "." {
                break;
            }
        }
        said
    });
    let from = Some("panta@example.com".to_owned());
    let mail = MailServer {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        security: Security::None,
        login: None,
        from,
        ca_file: None,
    };
    let all = sender(Channel::Mail { to: vec!["ops@example.com".to_owned()] }, &[]);
    let sender = Sender { performer: Performer::new(effect::Limits::default()).with_mail(Some(Arc::new(mail))), ..all };
    assert_eq!((sender.kind("ann"), sender.kind("bob"), sender.kind("nobody")), (Some("mail"), None, None));
    sender.send("ann", &message()).await.expect("is told");
    let said = said.await.expect("a message");
    for part in
        ["RCPT TO:<ann@example.com>", "Message-ID: <1.end@127.0.0.1>", "Subject: `w` failed: no paper", "/runs/1"]
    {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[tokio::test]
async fn what_is_not_there_goes_to_the_default_channel_and_then_to_the_log() {
    let (url, seen) = server(200).await;
    let mut sender = sender(Channel::Slack { address: Address::Url(url) }, &[]);
    sender.send("nobody", &message()).await.expect("is in the log");
    sender.outlets.default = Some("ops".into());
    sender.send("nobody", &message()).await.expect("is told");
    assert!(seen.await.expect("a request").1.contains("no paper"));
}

#[tokio::test]
async fn a_secret_goes_only_to_what_it_is_for() {
    let pairs = [("PANTA_SECRET_HOOK", "http://127.0.0.1:9/x"), ("PANTA_SECRET_TOKEN", "a-long-token")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let bound = ["hook", "token"].map(|name| (name.to_owned(), vec!["only.example.com".to_owned()])).into();
    let plain = Address::Url("http://127.0.0.1:9/x".to_owned());
    let token_secret = Some("token".to_owned());
    for channel in [
        Channel::Webhook { address: plain.clone(), token_secret: token_secret.clone(), headers: Vec::new() },
        Channel::Ntfy { address: plain, token_secret, priority: None },
        Channel::Slack { address: Address::Secret("hook".to_owned()) },
    ] {
        let vault = Vault::from_pairs(pairs.clone().into_iter()).binding(&bound).expect("hosts");
        let refused = sender_with(channel, vault).send("ops", &message()).await.expect_err("is not for that host");
        assert!(refused.contains("is not for `127.0.0.1:9`; hint: add"), "{refused}");
    }
}
