//! The client against a server that plays its part, and against ones that do not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::fake::{Fake, PASSWORD, USER};
use super::*;

fn mailbox(port: u16) -> Mailbox {
    Mailbox {
        host: "127.0.0.1".to_owned(),
        port,
        security: Security::None,
        user: USER.to_owned(),
        secret: "desk".to_owned(),
        folder: "INBOX".to_owned(),
        ca_file: None,
        every: EVERY,
        after: After::Seen,
        replies: false,
        max_bytes: MAX_BYTES,
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

const HELLO: &str = "Subject: hello\n\nbody\n";

#[test]
fn a_folder_is_opened_listed_read_and_marked() {
    let fake = Fake::start();
    fake.deliver(HELLO);
    fake.deliver("Subject: two\n\n");
    block(async {
        let mut session = Session::open(&mailbox(fake.port), PASSWORD).await.unwrap();
        let opened = session.select("INBOX", false).await.unwrap();
        assert_eq!(opened, Opened { validity: 7, next: 3, exists: 2 });
        let (heads, last) = session.heads(1, 1, |_| true).await.unwrap();
        assert_eq!((heads[0].uid, heads[0].size, heads.len(), last.unwrap().uid), (1, 24, 1, 2));
        assert_eq!(heads[0].date, 1_751_328_000);
        assert_eq!(session.heads(3, 9, |_| true).await.unwrap().0, [], "the last one is no new one");
        assert_eq!(session.headers(1).await.unwrap().unwrap(), b"Subject: hello\r\n\r\n");
        assert_eq!(session.message(1, 1_000).await.unwrap().unwrap(), b"Subject: hello\r\n\r\nbody\r\n");
        assert_eq!(session.message(9, 1_000).await.unwrap(), None);
        session.seen(1).await.unwrap();
        session.move_to(2, "Erledigt ü").await.unwrap();
        session.close().await;
    });
    let state = fake.state();
    assert!(state.messages[0].is_seen && state.messages.len() == 1);
    assert_eq!(state.moved[0].0, "\"Erledigt &APw-\"");
}

#[test]
fn what_arrives_ends_the_wait_whether_or_not_the_server_tells_by_itself() {
    for has_idle in [true, false] {
        let fake = Fake::start();
        fake.state().has_idle = has_idle;
        block(async {
            let mut session = Session::open(&mailbox(fake.port), PASSWORD).await.unwrap();
            session.select("INBOX", true).await.unwrap();
            assert_eq!(session.heads(1, 9, |_| true).await.unwrap().0, []);
            fake.deliver(HELLO);
            session.wait(Duration::from_millis(5), std::future::pending()).await.unwrap();
            assert_eq!(session.heads(1, 9, |_| true).await.unwrap().0.len(), 1);
            // Somebody else wants to go on.
            session.wait(Duration::from_hours(1), async {}).await.unwrap();
            // It came while something else was asked.
            fake.deliver(HELLO);
            session.seen(1).await.unwrap();
            session.wait(Duration::from_hours(1), std::future::pending()).await.unwrap();
        });
    }
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let fake = Fake::start();
    let error = block(Session::open(&mailbox(fake.port), "wrong")).err().unwrap();
    assert!(matches!(&error, Error::Login { user, secret, .. } if user == USER && secret == "desk"), "{error}");
    assert!(error.to_string().contains("hint") && !error.to_string().contains("wrong"));
}

/// What comes of a server that says this, whatever it is asked.
fn against(says: &'static [u8]) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(says);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Until the other side has gone, so that what was said is not lost.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    block(async {
        let mut session = Session::open(&mailbox(port), PASSWORD).await?;
        session.select("INBOX", false).await?;
        session.heads(1, 9, |_| true).await?;
        session.message(1, 100).await
    })
    .unwrap_err()
}

const KNOWN: &[u8] = b"* PREAUTH hi\r\n* CAPABILITY IMAP4rev1\r\np1 OK\r\n";

#[test]
fn hostile_servers_are_errors() {
    let long: &'static [u8] = Box::leak(vec![b'x'; 1 << 20].into_boxed_slice());
    let then = |rest: &[u8]| -> &'static [u8] { Box::leak([KNOWN, rest].concat().into_boxed_slice()) };
    for says in
        [long, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"* what\r\n", then(b"* OK\r\np9 OK\r\n"), then(b"* (((\r\n")]
    {
        assert!(matches!(against(says), Error::Protocol(_)), "{:?}", against(says));
    }
    let opened = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 2]\r\np2 OK\r\n* 1 FETCH (UID 1)\r\np3 OK\r\n";
    let huge = [opened, b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n".as_slice()].concat();
    assert!(matches!(against(then(&huge)), Error::Protocol(_)));
    let cut = [opened, b"* 1 FETCH (UID 1 BODY[] {50}\r\nabc".as_slice()].concat();
    assert!(matches!(against(then(&cut)), Error::Network(_)));
    assert!(matches!(against(then(b"* 1 EXISTS\r\np2 OK\r\n")), Error::Settings(_)), "no lasting numbers");
    assert!(matches!(against(b"* BYE go away\r\n"), Error::Network(_)));
    assert!(matches!(against(then(b"p2 NO [NONEXISTENT] no such folder\r\n")), Error::Refused { .. }));
}

#[test]
fn a_server_without_tls_is_not_talked_to_in_the_clear() {
    let fake = Fake::start();
    for security in [Security::Tls, Security::StartTls] {
        let secured = Mailbox { security, ..mailbox(fake.port) };
        assert!(block(Session::open(&secured, PASSWORD)).is_err());
    }
    assert_eq!(fake.state().sessions, 0);
}
