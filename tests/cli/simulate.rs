//! `panta simulate`.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::Place;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn no_connection_is_made_and_nothing_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "workflow(#{{ allow: #{{ http: [\"127.0.0.1\"] }} }});\nfile::write(\"a.txt\", \"x\");\n\
         http::post(\"http://127.0.0.1:{port}/\", #{{ n: 1 }}).status"
    );
    let place = Place::new(&[("w.rhai", &script)]);
    let came = place.panta(&["simulate", "w.rhai"]).expect(0);
    assert!(came.out.contains("http::post") && came.out.ends_with("200\n"), "{}", came.out);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["w.rhai"]);
}

#[test]
fn input_is_made_from_the_schema_and_fields_go_over_it() {
    let script =
        "workflow(#{ input: #{ id: \"string\", total: \"decimal\", note: \"string?\" } });\nfn main(order) { order }";
    let place = Place::new(&[("w.rhai", script)]);
    let output = |arguments: &[&str]| {
        let all = [&["simulate", "w.rhai", "--json"], arguments].concat();
        lines(&place.panta(&all).expect(0).out).pop().unwrap()["output"].clone()
    };
    assert_eq!(output(&[]), json!({ "id": "id", "total": "12.50" }));
    assert_eq!(output(&["-i", "id=A1"]), json!({ "id": "A1", "total": "12.50" }));
    assert_eq!(output(&["--input", r#"{"id":"B","total":"1"}"#]), json!({ "id": "B", "total": "1" }));
    assert_eq!(place.panta(&["simulate", "w.rhai", "--input", "{}"]).code, 2);
}

#[test]
fn answers_decide_and_exit_codes_are_those_of_a_run() {
    let place = Place::new(&[(
        "w.rhai",
        "let paid = wait_for(\"paid\", #{ timeout: \"30d\" });\nif paid == () { throw \"not paid\" }\npaid.n",
    )]);
    place.write("paid.json", r#"{"paid": [{"n": 3}]}"#);
    let came = place.panta(&["simulate", "w.rhai", "--answers", "paid.json", "--json"]).expect(0);
    assert_eq!(lines(&came.out).pop().unwrap()["output"], 3);
    place.write("late.json", r#"{"paid": null, "typo": 1}"#);
    let came = place
        .panta(&["simulate", "w.rhai", "--answers", "late.json", "--at", "2026-01-01T00:00:00Z", "--json"])
        .expect(1);
    assert_eq!(
        (&lines(&came.out)[0]["at"], &lines(&came.out)[0]["waited_ms"]),
        (&json!("2026-01-31T00:00:00.000Z"), &json!(2_592_000_000_i64))
    );
    assert!(came.err.contains("nothing asked for the answer `typo`"), "{}", came.err);
    assert_eq!(lines(&came.out).pop().unwrap()["error"]["message"], "not paid");
    place.write("w.rhai", "wait_for(\"paid\")");
    let came = place.panta(&["simulate", "w.rhai", "--answers", "late.json"]).expect(4);
    assert!(came.err.contains("it would wait for ever for the event `paid`"), "{}", came.err);
    place.write("bad.json", "[1]");
    place.panta(&["simulate", "w.rhai", "--answers", "bad.json"]).expect(2);
    place.write("w.rhai", "let = 1");
    place.panta(&["simulate", "w.rhai"]).expect(2);
}
