//! How an error that nobody caught is shown: by `panta run`, in JSON, by `panta show` and in a test.

use super::Place;

const NESTED: &str = "fn nested() {\n    let a = [];\n    for i in 0..3000 {\n        a = [a];\n    }\n    a\n}\nfn main() {\n    step(\"a\", || nested())\n}";

const SHOWN: &str = "\
error[E0510]: a value is nested deeper than 128 (nesting limit)
 --> w.rhai:4:13
  |
4 |         a = [a];
  |             ^
  = kind `limit`
  = `nested` called from here: w.rhai:9:18
  = closure called from here: w.rhai:9:5
  = hint: does a loop put a value into itself? keep a flat list
";

#[test]
fn a_limit_within_a_step_is_shown_with_its_calls() {
    let place = Place::new(&[("w.rhai", NESTED)]);
    let came = place.panta(&["run", "w.rhai", "--json"]).expect(1).json();
    let run = came["run"].as_str().unwrap();
    assert!(place.panta(&["show", run]).expect(0).out.contains(SHOWN));
    assert!(place.panta(&["run", "w.rhai"]).expect(1).err.contains(SHOWN));
    let error = &came["error"];
    assert_eq!((&error["file"], &error["line"], &error["column"]), (&"w.rhai".into(), &4.into(), &13.into()));
    assert_eq!(error["calls"], serde_json::json!(["nested (w.rhai:9:18)", "closure (w.rhai:9:5)"]));
}

#[test]
fn an_error_of_a_bare_script_names_its_file() {
    let place = Place::new(&[("w.rhai", "let a = [1];\na[7]")]);
    let error = place.panta(&["run", "w.rhai", "--json"]).expect(1).json()["error"].clone();
    assert_eq!((&error["file"], &error["line"], &error["code"]), (&"w.rhai".into(), &2.into(), &"E0504".into()));
}

#[test]
fn a_recursion_of_a_test_without_an_end_is_shown_with_its_calls() {
    let test = "fn down(n) { down(n + 1) }\nfn test_it() {\n    down(0);\n}";
    let place = Place::new(&[("w.rhai", "1"), ("w.test.rhai", test)]);
    let shown = "\
error[E0510]: functions call each other too deeply
 --> w.test.rhai:1:14
  |
1 | fn down(n) { down(n + 1) }
  |              ^^^^
  = `down` called from here: w.test.rhai:1:14
  = `down` called from here: w.test.rhai:3:5
  = hint: is there a recursion without an end?
";
    let came = place.panta(&["test", "w.test.rhai"]).expect(1);
    assert!(format!("{}{}", came.out, came.err).contains(shown), "{}{}", came.out, came.err);
}

#[test]
fn a_secret_that_is_not_set_is_not_tried_again() {
    let script = "workflow(#{ allow: #{ secrets: [\"none\"], http: [\"127.0.0.1:9\"] } });\nfn main() {\n    retry(#{ attempts: 2, delay: \"1s\" }, || http::get(\"http://127.0.0.1:9\", #{ auth: bearer(secret(\"none\")) }))\n}";
    let came = Place::new(&[("w.rhai", script)]).panta(&["run", "w.rhai"]).expect(1);
    assert!(came.err.contains("there is no secret `none`") && !came.err.contains("attempt 2"), "{}", came.err);
}
