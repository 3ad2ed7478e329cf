//! `panta replay` and `panta record`.

use super::Place;

const SCRIPT: &str = "fn main(input) {\n  let twice = input.n * 2;\n  let made = step(\"make\", || twice + 1);\n  if made > 5 { throw `${made} is too much` }\n  made\n}";

/// A finished run of `scripts/w.rhai`.
fn ran(n: &str, code: i32) -> (Place, String) {
    let place = Place::new(&[("scripts/w.rhai", SCRIPT)]);
    let came = place.panta(&["run", "scripts/w.rhai", "-i", n, "--json"]).expect(code).json();
    let run = came["run"].as_str().unwrap().to_owned();
    (place, run)
}

#[test]
fn the_variables_of_a_run_are_shown() {
    let (place, run) = ran("n=4", 1);
    let came = place.panta(&["replay", &run]).expect(0);
    for part in ["w  failed", "error: 9 is too much", "main (w.rhai:4)", "twice  int", "made   int"] {
        assert!(came.out.contains(part), "`{part}` is missing in\n{}", came.out);
    }
    let json = place.panta(&["replay", &run, "--until", "make", "--json"]).expect(0).json();
    assert_eq!(json["strands"][0]["frames"][0]["variables"][1]["value"], "8");
    let came = place.panta(&["replay", &run, "--until", "mak"]).expect(2);
    assert!(came.err.contains("did you mean `make`?"), "{}", came.err);
    place.panta(&["replay", "0198f000-0000-7000-8000-000000000000"]).expect(2);
}

#[test]
fn a_run_is_written_as_a_test_that_passes_and_never_over_another() {
    let (place, run) = ran("n=2", 0);
    let file = place.path().join("scripts/w.test.rhai");
    place.panta(&["record", &run]).expect(0);
    assert_eq!(place.panta(&["test"]).expect(0).out.lines().last(), Some("1 passed, 0 failed"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(place.panta(&["record", &run, "-o", "-"]).expect(0).out, text);
    std::fs::write(&file, "mine").unwrap();
    let came = place.panta(&["record", &run]).expect(2);
    assert!(came.err.contains("is there already") && came.err.contains("--force"), "{}", came.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    place.panta(&["record", &run, "--force"]).expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}
