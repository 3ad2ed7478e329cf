//! Connectors of the standard library: the tests of this folder, with services that are mocked.

use crate::cli::Place;

#[test]
fn each_sends_what_its_service_documents() {
    let place = Place::new(&[]);
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/connectors");
    let came = place.panta(&["test", here]);
    assert_eq!(came.code, 0, "{}{}", came.out, came.err);
}
