//! Drawing without a store, and what a run has made of a graph.

use super::Place;

const SCRIPT: &str =
    "step(\"greet\", || now());\nif input.wait ?? false {\n    wait_for(\"never\")\n}\nstate::add(\"n\", 1)";

#[test]
fn a_file_is_drawn_in_each_format_and_nothing_is_stored() {
    let place = Place::new(&[("w.rhai", SCRIPT)]);
    let picture = place.panta(&["graph", "w.rhai"]).expect(0).out;
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_eq!(picture, place.panta(&["graph", "w.rhai", "--format", "svg"]).expect(0).out);
    assert!(place.panta(&["graph", "w.rhai", "--format", "mermaid"]).expect(0).out.starts_with("flowchart TD\n"));
    let json = place.panta(&["graph", "w.rhai", "--json"]).expect(0).json();
    assert_eq!((&json["workflow"], &json["nodes"][1]["label"]), (&"w".into(), &"greet".into()));
    assert!(!place.path().join("data").exists());
}

#[test]
fn what_cannot_be_drawn_is_wrong_usage() {
    let place = Place::new(&[("bad.rhai", "let = 1")]);
    assert!(place.panta(&["graph", "bad.rhai"]).expect(2).err.contains("bad.rhai:1:"));
    place.panta(&["graph", "none.rhai"]).expect(2);
    place.panta(&["graph"]).expect(2);
    place.panta(&["graph", "bad.rhai", "--format", "png"]).expect(2);
}

#[test]
fn a_run_marks_what_it_has_done_on_the_sources_that_it_ran() {
    let place = Place::new(&[("w.rhai", SCRIPT)]);
    let run =
        place.panta(&["run", "w.rhai", "-i", "x=1", "--json"]).expect(0).json()["run"].as_str().unwrap().to_owned();
    place.write("w.rhai", "1");
    let json = place.panta(&["graph", "--run", &run, "--format", "json"]).expect(0).json();
    let nodes = json["nodes"].as_array().unwrap();
    let state = |label: &str| nodes.iter().find(|node| node["label"] == label).unwrap()["run"]["state"].clone();
    assert_eq!((state("greet"), state("never"), state("n")), ("done".into(), serde_json::Value::Null, "done".into()));
    assert!(place.panta(&["graph", "--run", &run]).expect(0).out.contains("class=\"wait off\""));
}

#[test]
fn the_shell_is_served() {
    let place = Place::new(&[]);
    assert!(place.panta(&["completions", "bash"]).expect(0).out.contains("_panta"));
    assert!(place.panta(&["man"]).expect(0).out.contains(".TH panta"));
    place.panta(&["completions", "cmd"]).expect(2);
}
