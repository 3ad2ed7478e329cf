//! Connectors of the standard library: the tests of this folder, with services that are mocked.

use crate::cli::Place;

#[test]
fn each_sends_what_its_service_documents() {
    let place = Place::new(&[]);
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/connectors");
    let came = place.panta(&["test", here]);
    assert_eq!(came.code, 0, "{}{}", came.out, came.err);
}

/// Files that a page shows: blocks whose first line is `// NAME`.
fn files(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```rhai\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .map(|block| block.strip_prefix("// ").expect("it is named").split_once('\n').expect("it has lines"))
        .collect()
}

#[test]
fn the_one_that_the_page_shows_passes_its_test_and_is_short() {
    let files = files(include_str!("../../docs/write-a-connector.md"));
    let module = files.iter().find(|(name, _)| *name == "lib/desk.rhai").expect("the module");
    assert!(module.1.lines().count() < 40, "it is to be written in less than 40 lines");
    let place = Place::new(&[]);
    files.iter().for_each(|(name, text)| drop(place.write(&format!("scripts/{name}"), text)));
    let checked = place.panta(&["check", "scripts", "--strict"]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    let came = place.panta(&["test", "scripts"]);
    assert_eq!(came.code, 0, "{}{}", came.out, came.err);
}
