//! `panta test`.

use super::Place;

const PASSES: &str = "fn test_a() { let t = test::workflow(\"w\"); t.start(2); assert_eq(t.output(), 4); }\n";
const FAILS: &str = "fn test_b() { let t = test::workflow(\"w\"); t.start(2); assert_eq(t.output(), 5); }\n";

fn place(tests: &str) -> Place {
    Place::new(&[("scripts/w.rhai", "input * 2"), ("scripts/w.test.rhai", tests)])
}

#[test]
fn tests_pass_and_fail_with_their_exit_codes() {
    let came = place(PASSES).panta(&["test"]);
    assert_eq!((came.code, came.out.lines().last()), (0, Some("1 passed, 0 failed")), "{}", came.err);
    let place = place(&format!("{PASSES}{FAILS}"));
    let came = place.panta(&["test", "scripts/w.test.rhai"]);
    assert_eq!((came.code, came.out.lines().last()), (1, Some("1 passed, 1 failed")), "{}", came.err);
    assert!(came.err.contains("expected: 5") && came.err.contains("w.test.rhai:2:"), "{}", came.err);
    assert_eq!(place.panta(&["test", "--filter", "test_a"]).code, 0);
    assert_eq!(place.panta(&["test", "scripts/none.rhai"]).code, 2);
    place.write("scripts/w.test.rhai", "fn test_c() { let x 1 }");
    assert_eq!(place.panta(&["test"]).code, 2);
}

#[test]
fn a_test_file_is_named_from_its_own_folder() {
    let place = Place::new(&[("w.rhai", "input * 2"), ("w.test.rhai", PASSES)]);
    for name in ["w.test.rhai", "./w.test.rhai", "w.rhai"] {
        let came = place.panta(&["test", name]);
        assert_eq!((came.code, came.out.lines().last()), (0, Some("1 passed, 0 failed")), "{name}: {}", came.err);
    }
}

#[test]
fn results_are_json_and_junit() {
    let place = place(&format!("{PASSES}{FAILS}"));
    let came = place.panta(&["test", "--json", "--junit", "out.xml", "--coverage"]);
    let json: serde_json::Value = serde_json::from_str(&came.out).unwrap();
    assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["tests"][1]["failure"]["code"], "E0701");
    assert_eq!(json["coverage"][0]["file"], "w.rhai");
    let xml = std::fs::read_to_string(place.path().join("out.xml")).unwrap();
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
}

#[test]
fn the_tests_of_every_template_pass() {
    let place = Place::new(&[("scripts/lib/none.rhai", "")]);
    let templates = ["cron", "event", "every", "file", "hand", "run", "startup", "task", "webhook"];
    for template in templates {
        place.panta(&["new", &format!("my/{template}"), "--template", template]).expect(0);
    }
    let came = place.panta(&["test"]);
    assert_eq!(came.code, 0, "{}\n{}", came.out, came.err);
    assert!(templates.iter().all(|template| came.out.contains(&format!("my/{template}.test.rhai"))), "{}", came.out);
}
