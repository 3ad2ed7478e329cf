//! Bodies that go to a file.

use super::*;
use tokio_stream::StreamExt as _;

const UPLOAD: &str = r#"
    trigger::webhook("up", #{ save_to: "inbox/", max_bytes: 5_000_000, respond: "output",
        verify: hmac("github", secret("hook")), when: |req| req.body.size != 3 });
    fn main(f) { #{ text: if f.size < 100 { file::read(f.path) } else { "" }, size: f.size, name: f.name, path: f.path,
        sha256: f.sha256, kind: f.content_type } }"#;

fn signature(body: &[u8]) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = <Hmac<sha2::Sha256>>::new_from_slice(b"It's a Secret to Everybody").expect("a key");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn upload(bench: &Bench, signed: &[u8], body: impl Into<Body>, delivery: &str) -> Answer {
    let headers = [
        ("x-hub-signature-256", signature(signed)),
        ("x-github-delivery", delivery.to_owned()),
        ("content-type", "Text/CSV; charset=utf-8".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    bench.send("POST /hooks/up", &headers, body)
}

fn files(bench: &Bench) -> usize {
    std::fs::read_dir(bench.app.handle.workspace().join("w/inbox")).map_or(0, Iterator::count)
}

#[test]
fn a_body_is_a_file_that_the_run_reads() {
    let bench = Bench::new(&[("w", UPLOAD)]);
    let seen = upload(&bench, b"a;b", "a;b".to_owned(), "0").expect(200).json();
    assert_eq!((&seen["skipped"], files(&bench)), (&json!("when"), 0));
    let seen = upload(&bench, b"a;b;c", "a;b;c".to_owned(), "1").expect(200).json();
    assert_eq!((&seen["text"], &seen["size"], &seen["kind"]), (&json!("a;b;c"), &json!(5), &json!("text/csv")));
    assert_eq!(seen["path"], format!("inbox/{}", seen["name"].as_str().expect("a name")));
    assert_eq!((seen["sha256"].as_str().map(str::len), files(&bench)), (Some(64), 1));
    let again = upload(&bench, b"a;b;c", "a;b;c".to_owned(), "1").expect(200).json();
    assert_eq!((again, files(&bench), bench.runs()), (seen, 1, 1));
}

#[test]
fn a_large_body_comes_in_pieces_and_is_whole() {
    let bench = Bench::new(&[("w", UPLOAD)]);
    let whole: Vec<u8> = (0..4_500_000_u32).map(|n| (n % 251) as u8).collect();
    let chunks: Vec<_> = whole.chunks(100_001).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let seen = upload(&bench, &whole, Body::from_stream(tokio_stream::iter(chunks)), "1").expect(200).json();
    let kept = std::fs::read(bench.app.handle.workspace().join("w").join(seen["path"].as_str().expect("a path")));
    assert_eq!((seen["size"].as_u64(), kept.expect("the file") == whole), (Some(4_500_000), true));
}

#[test]
fn what_is_wrong_too_large_or_broken_off_leaves_no_file() {
    let bench = Bench::new(&[("w", UPLOAD)]);
    upload(&bench, b"another", "a;b;c".to_owned(), "1").expect(401);
    upload(&bench, b"", vec![b'x'; 5_000_001], "2").expect(413);
    let endless = tokio_stream::iter(0..).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100_000]));
    upload(&bench, b"", Body::from_stream(endless), "3").expect(413);
    let broken = [Ok(b"a;".to_vec()), Err(std::io::Error::other("gone"))];
    upload(&bench, b"a;", Body::from_stream(tokio_stream::iter(broken)), "4").expect(400);
    bench.send("POST /hooks/up", &[], "a;b;c").expect(401);
    assert_eq!((files(&bench), bench.runs()), (0, 0));
}

#[test]
fn what_does_not_fit_the_input_leaves_no_file() {
    let script =
        "workflow(#{ input: #{ n: \"int\" } }); trigger::webhook(\"up\", #{ save_to: \"in\" }); fn main(i) { i }";
    let bench = Bench::new(&[("w", script)]);
    bench.send("POST /hooks/up", &[], "x").expect(422);
    assert_eq!(std::fs::read_dir(bench.app.handle.workspace().join("w/in")).expect("the folder").count(), 0);
}

#[test]
fn what_a_body_says_of_files_is_just_data() {
    let bench = Bench::new(&[("w", "trigger::webhook(\"in\", #{ respond: \"output\" }); fn main(i) { i }")]);
    let claimed = json!({ "files": { "x": { "filepath": "/etc/passwd" } }, "path": "/etc/passwd" });
    let json = [("content-type", "application/json")];
    assert_eq!(bench.send("POST /hooks/in", &json, claimed.to_string()).expect(200).json(), claimed);
    let multipart = [("content-type", "multipart/form-data; boundary=x")];
    assert!(bench.send("POST /hooks/in", &multipart, claimed.to_string()).expect(200).json().is_string());
}

#[test]
fn a_larger_body_is_taken_into_memory_where_the_webhook_says_so() {
    let script = "trigger::webhook(\"in\", #{ max_bytes: 3_000_000 }); fn main(i) { i.len() }";
    let bench = Bench::new(&[("w", script)]);
    bench.send("POST /hooks/in", &[("content-type", "text/plain")], "x".repeat(3_000_000)).expect(202);
    bench.send("POST /hooks/in", &[("content-type", "text/plain")], "x".repeat(3_000_001)).expect(413);
}
