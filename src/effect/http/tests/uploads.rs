//! Files that are sent: as bodies, as parts of forms, and signed.

use super::*;
use crate::effect::http::{AwsKeys, AzureKey, Part, PartContents, SentFile};

fn sent(path: &str) -> SentFile {
    SentFile { path: path.to_owned(), ..SentFile::default() }
}

async fn upload(
    files: &[(&str, &[u8])],
    change: impl FnOnce(HttpRequest) -> HttpRequest,
) -> (Result<HttpReply, Failure>, String) {
    let server = Server::start([answer("200 OK", &[], "")]).await;
    let bench = Bench::new(Some(&["127.0.0.1"]));
    for (name, bytes) in files {
        std::fs::write(bench.folder.path().join(name), bytes).unwrap();
    }
    let reply = bench.call(change(HttpRequest::new("PUT", server.url("/a"))), &NoSecrets).await;
    (reply, server.requests().pop().unwrap_or_default())
}

#[tokio::test]
async fn a_file_is_sent_whole_with_its_length() {
    let contents = vec![b'x'; 700_000];
    let body = Body::File(Box::new(sent("a.bin")));
    let (reply, request) = upload(&[("a.bin", &contents)], |request| HttpRequest { body, ..request }).await;
    assert_eq!(reply.unwrap().status, 200);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 700000") && !head.contains("chunked"), "{head}");
    assert!(head.contains("content-type: application/octet-stream"), "{head}");
    assert_eq!(body.len(), 700_000);
}

#[tokio::test]
async fn a_form_has_texts_and_files() {
    let part = |name: &str, contents| Part { name: name.to_owned(), file_name: None, content_type: None, contents };
    let file = Part {
        file_name: Some("b\"c.csv".to_owned()),
        content_type: Some("text/csv".to_owned()),
        ..part("data", PartContents::File(sent("a.csv")))
    };
    let body = Body::Multipart(vec![part("note", PartContents::Text("hello".to_owned())), file]);
    let (reply, request) = upload(&[("a.csv", b"1;2\n")], |request| HttpRequest { body, ..request }).await;
    assert_eq!(reply.unwrap().status, 200);
    let boundary = request.split("boundary=").nth(1).unwrap().split("\r\n").next().unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"data\"; filename=\"b%22c.csv\"\r\nContent-Type: text/csv\r\n\r\n1;2\n\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(request.split_once("\r\n\r\n").unwrap().1, expected);
}

#[tokio::test]
async fn a_file_that_has_changed_or_is_not_there_sends_nothing() {
    let changed = Body::File(Box::new(SentFile { size: Some(3), ..sent("a") }));
    let (reply, request) = upload(&[("a", b"four")], |request| HttpRequest { body: changed, ..request }).await;
    let failure = reply.unwrap_err();
    assert!(failure.message.contains("has changed") && request.is_empty(), "{failure}");
    let missing = Body::File(Box::new(sent("b")));
    let (reply, request) = upload(&[], |request| HttpRequest { body: missing, ..request }).await;
    assert_eq!((reply.unwrap_err().kind, request.is_empty()), ("not_found", true));
    let outside = Body::File(Box::new(sent("/etc/hostname")));
    let (reply, request) = upload(&[], |request| HttpRequest { body: outside, ..request }).await;
    assert_eq!((reply.unwrap_err().kind, request.is_empty()), ("denied", true));
}

#[tokio::test]
async fn a_signed_upload_says_the_hash_of_the_file_and_hides_its_signature() {
    let keys = AwsKeys {
        service: "s3".to_owned(),
        region: "us-east-1".to_owned(),
        key: "AKID".to_owned(),
        secret: "hidden".to_owned(),
        token: None,
    };
    let hash = crate::effect::file::digest(b"four");
    let body = Body::File(Box::new(SentFile { sha256: Some(hash.clone()), ..sent("a") }));
    let auth = Some(Auth::Aws(Box::new(keys)));
    let (reply, request) = upload(&[("a", b"four")], |request| HttpRequest { body, auth, ..request }).await;
    assert_eq!(reply.unwrap().status, 200);
    assert!(request.contains(&format!("x-amz-content-sha256: {hash}\r\n")), "{request}");
    let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=";
    assert!(
        request.contains("authorization: AWS4-HMAC-SHA256 Credential=AKID/") && request.contains(signed),
        "{request}"
    );
}

#[tokio::test]
async fn a_signature_that_is_repeated_is_not_seen() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // Answers with the request.
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 8192];
        let read = stream.read(&mut bytes).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {read}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &bytes[..read]].concat()).await.unwrap();
    });
    let auth = Some(Auth::Azure(Box::new(AzureKey {
        account: "acme".to_owned(),
        key: "a2V5".to_owned(),
        scheme: crate::effect::http::azure::Scheme::SharedKey,
    })));
    let request = HttpRequest { auth, ..HttpRequest::new("GET", url) };
    let reply = Bench::new(Some(&["127.0.0.1"])).call(request, &NoSecrets).await.unwrap();
    let HttpBody::Text(text) = reply.body else { panic!("a text") };
    assert!(text.contains("SharedKey acme:***"), "{text}");
}
