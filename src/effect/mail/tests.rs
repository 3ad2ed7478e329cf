//! Messages against a server of our own that speaks just enough SMTP.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Attached, Contents, MailRequest, MailServer, Security};
use crate::effect::{Allow, Attempt, Failure, Limits, NoSecrets, Performer, Reply, Request, Sent};

/// Takes one message, answering recipients with `recipient`; what was said to it.
async fn server(recipient: &'static str) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let said = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&said);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a caller");
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 test\r\n").await.expect("answers");
        let mut in_data = false;
        while let Ok(Some(line)) = lines.next_line().await {
            heard.lock().expect("a lock").push_str(&format!("{line}\n"));
            let answer = match line.split(' ').next().unwrap_or_default() {
                "." if in_data => {
                    in_data = false;
                    "250 taken"
                }
                _ if in_data => continue,
                "EHLO" => "250 test",
                "RCPT" => recipient,
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await.expect("answers");
        }
    });
    (port, said)
}

fn message() -> MailRequest {
    MailRequest {
        to: vec!["Ann <ann@example.com>".to_owned()],
        bcc: vec!["audit@example.com".to_owned()],
        subject: "Grüße".to_owned(),
        text: Some("plain".to_owned()),
        html: Some("<b>bold</b>".to_owned()),
        ..MailRequest::default()
    }
}

async fn send(request: MailRequest, port: u16, allow: &Allow) -> Result<String, Failure> {
    let server = MailServer {
        ca_file: None,
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        security: Security::None,
        login: None,
        from: Some("panta@example.com".to_owned()),
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.pdf"), "file").expect("writes");
    let performer = Performer::new(Limits::default()).at(folder.path()).with_mail(Some(Arc::new(server)));
    let attempt = Attempt {
        number: 1,
        idempotency_key: "run-3",
        undo: None,
        again: false,
        allow,
        secrets: &NoSecrets,
        trace: None,
    };
    match performer.perform(&Request::Mail(Box::new(request)), attempt).await? {
        Reply::Mail(id) => Ok(id),
        other => panic!("{other:?}"),
    }
}

fn allowed() -> Allow {
    Allow { mail: true, ..Allow::default() }
}

#[tokio::test]
async fn a_message_with_attachments_arrives() {
    let (port, said) = server("250 ok").await;
    let attach = vec![
        Attached {
            name: "a.pdf".to_owned(),
            content_type: Some("application/pdf".to_owned()),
            contents: Contents::File("a.pdf".to_owned()),
        },
        Attached { name: "b.txt".to_owned(), content_type: None, contents: Contents::Bytes(b"bytes".to_vec()) },
    ];
    let in_reply_to = Some("<q@example.com>".to_owned());
    let id = send(MailRequest { in_reply_to, attach, ..message() }, port, &allowed()).await.expect("is taken");
    assert_eq!(id, "<run-3@127.0.0.1>");
    let said = said.lock().expect("a lock").clone();
    for part in [
        "RCPT TO:<ann@example.com>",
        "RCPT TO:<audit@example.com>",
        "Message-ID: <run-3@127.0.0.1>",
        "In-Reply-To: <q@example.com>",
        "References: <q@example.com>",
        "a.pdf",
        "b.txt",
        "bold",
        "From: panta@example.com",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(!said.contains("Bcc"), "{said}");
}

#[tokio::test]
async fn a_refusal_says_whether_another_try_helps() {
    let (port, _) = server("550 no such user").await;
    let refused = send(message(), port, &allowed()).await.expect_err("is refused");
    assert_eq!((refused.kind, refused.retryable, refused.sent), ("mail", false, Sent::No), "{refused}");
    let (port, _) = server("451 later").await;
    let later = send(message(), port, &allowed()).await.expect_err("is put off");
    assert!(later.retryable, "{later}");
    let nobody = send(message(), 1, &allowed()).await.expect_err("nobody listens");
    assert_eq!((nobody.retryable, nobody.sent), (true, Sent::No), "{nobody}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before() {
    let denied = send(message(), 1, &Allow::default()).await.expect_err("is not allowed");
    assert!(denied.message.contains("allow: #{ mail: true }"), "{denied}");
    let request = MailRequest { to: vec!["nobody".to_owned()], ..message() };
    let wrong = send(request, 1, &allowed()).await.expect_err("is no address");
    assert!(wrong.message.contains("`nobody` is no mail address"), "{wrong}");
}
