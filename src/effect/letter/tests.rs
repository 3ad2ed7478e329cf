//! Messages that people, programs and strangers send.

use super::*;

fn read(text: &str) -> Letter {
    let raw = text.replace('\n', "\r\n");
    Letter::read(raw.as_bytes(), raw.len())
}

#[test]
fn a_plain_message_has_its_fields() {
    let letter = read(
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\nTo: a@example.com, Bob <b@example.com>\nCc: c@example.com\n\
         Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\nDate: Tue, 1 Jul 2025 10:52:37 +0200\nMessage-ID: <1@example.com>\n\
         In-Reply-To: <0@example.com>\nReferences: <x@example.com>\n <0@example.com>\n\nHello\nyou\n",
    );
    let fields = &letter.fields;
    assert_eq!(fields["from"], json!({ "name": "Jürgen", "address": "j@example.com" }));
    assert_eq!(fields["reply_to"], fields["from"]);
    assert_eq!(fields["to"][1], json!({ "name": "Bob", "address": "b@example.com" }));
    assert_eq!((&fields["subject"], &fields["date"]), (&json!("Grüße"), &json!("2025-07-01T08:52:37.000Z")));
    assert_eq!((&fields["message_id"], &fields["in_reply_to"]), (&json!("<1@example.com>"), &json!("<0@example.com>")));
    assert_eq!(
        (&fields["text"], &fields["html"], &fields["auto"]),
        (&json!("Hello\nyou\n"), &Value::Null, &json!(false))
    );
    assert_eq!((&fields["complete"], &fields["headers"]["cc"]), (&json!(true), &json!("c@example.com")));
    assert_eq!(letter.answers, ["<0@example.com>", "<0@example.com>", "<x@example.com>"]);
}

const PARTS: &str = "From: a@example.com\nReply-To: desk@example.com\nSubject: s\nMIME-Version: 1.0\n\
    Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=c\n\n\
    --c\nContent-Type: text/plain; charset=iso-8859-15\nContent-Transfer-Encoding: quoted-printable\n\n12 =A4\n\
    --c\nContent-Type: text/html; charset=utf-8\n\n<p>12 €</p>\n--c--\n";

/// A message with one file of each of these names.
fn with_files(names: &[&str]) -> Letter {
    let file = |name: &&str| {
        format!(
            "--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"{name}\"\n\naGk=\n"
        )
    };
    read(&format!("{PARTS}{}--b--\n", names.iter().map(file).collect::<String>()))
}

#[test]
fn parts_are_text_html_and_files() {
    let letter = with_files(&["offer.pdf"]);
    assert_eq!((&letter.fields["text"], &letter.fields["html"]), (&json!("12 €"), &json!("<p>12 €</p>")));
    assert_eq!(letter.fields["reply_to"]["address"], "desk@example.com");
    let file =
        Enclosed { name: "offer.pdf".to_owned(), content_type: "application/pdf".to_owned(), bytes: b"hi".to_vec() };
    assert_eq!(letter.files, [file]);
}

#[test]
fn names_of_files_lead_nowhere_and_differ() {
    let evil = [
        "../../etc/passwd",
        "C:\\\\Windows\\\\x.exe",
        ".bashrc",
        "a.pdf",
        "A.pdf",
        "a.pdf",
        "..",
        "",
        "-rf",
        "a;b|c$.sh",
        "x\u{202e}fdp.exe",
    ];
    let letter = with_files(&evil);
    let names: Vec<_> = letter.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        ["passwd", "x.exe", "bashrc", "a.pdf", "A-2.pdf", "a-3.pdf", "file", "file-2", "rf", "a_b_c_.sh", "x_fdp.exe"]
    );
    let long = safe(&format!("{}.pdf", "ä".repeat(500)));
    assert!(long.ends_with("ä.pdf") && long.chars().count() == NAME_MOST, "{long}");
}

#[test]
fn what_programs_write_is_told() {
    let auto = |header: &str| read(&format!("From: a@example.com\n{header}\n\nx\n")).fields["auto"] == true;
    for header in [
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "List-Id: <l.example.com>",
        "Return-Path: <>",
        "X-Auto-Response-Suppress: All",
    ] {
        assert!(auto(header), "{header}");
    }
    assert!(!auto("Auto-Submitted: no") && !auto("Precedence: normal") && !auto("X-A: b"));
}

#[test]
fn what_is_missing_broken_or_too_large_is_no_error() {
    let (none, empty) = (read("\nx"), read(""));
    assert_eq!(
        (&empty.fields["subject"], &empty.fields["text"], &empty.fields["complete"]),
        (&json!(""), &json!(""), &json!(true))
    );
    assert_eq!((&none.fields["message_id"], &none.fields["from"]["address"]), (&Value::Null, &json!("")));
    let charset =
        read("Subject: =?x-unknown?B?////?=\nContent-Type: text/plain; charset=klingon\nDate: tomorrow\n\nh\u{e9}\n");
    assert_eq!((&charset.fields["date"], charset.fields["text"].is_string()), (&Value::Null, true));
    let long = read(&format!("From: a@example.com\n\n{}", "é".repeat(TEXT_MOST)));
    assert_eq!(
        (long.fields["complete"].clone(), long.fields["text"].as_str().map(str::len)),
        (json!(false), Some(TEXT_MOST))
    );
    let headers = Letter::read(b"Subject: s\r\n\r\n", 99_000_000);
    assert_eq!((&headers.fields["complete"], &headers.fields["size"]), (&json!(false), &json!(99_000_000)));
    let many = with_files(&["a"; FILES_MOST + 1]);
    assert_eq!((many.files.len(), &many.fields["complete"]), (FILES_MOST, &json!(false)));
}

#[test]
fn headers_are_single_lines_and_the_first_of_a_name_counts() {
    let letter = read(
        "Authentication-Results: mx; dkim=pass\nX-A: 1\n 2\nAuthentication-Results: evil; dkim=fail\nSubject: a =?utf-8?q?b=0D=0ABcc:_x?=\n\n",
    );
    assert_eq!(letter.fields["headers"]["authentication-results"], "mx; dkim=pass");
    assert_eq!(letter.fields["headers"]["x-a"], "1 2");
    assert!(!letter.fields["subject"].as_str().unwrap().contains(['\r', '\n']));
}

#[test]
fn parts_within_parts_are_followed_so_far() {
    for kind in ["multipart/mixed; boundary=b", "message/rfc822"] {
        let level = if kind.starts_with("multi") {
            format!("Content-Type: {kind}\n\n--b\n")
        } else {
            format!("Content-Type: {kind}\n\n")
        };
        for (levels, is_complete) in [(PARTS_MOST, true), (20_000, false)] {
            let letter = read(&format!("Subject: s\n{}", level.repeat(levels)));
            assert_eq!((&letter.fields["subject"], &letter.fields["complete"]), (&json!("s"), &json!(is_complete)));
        }
    }
}

#[test]
fn copies_have_one_identity_and_others_another() {
    let one = |id: &str, received: &str| {
        read(&format!("{received}From: a@example.com\nMessage-ID: <{id}>\nSubject: s\n\nx\n")).identity
    };
    assert_eq!(one("1", ""), one("1", "Received: by x\n"));
    assert_ne!(one("1", ""), one("2", ""));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_some_message(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), kind in 0usize..3) {
        let heads = ["", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", "Content-Type: message/rfc822\r\n\r\n"];
        let raw = [heads[kind].as_bytes(), &bytes].concat();
        let letter = Letter::read(&raw, raw.len());
        proptest::prop_assert!(letter.files.iter().all(|file| !file.name.contains('/') && !file.name.is_empty()));
    }
}
