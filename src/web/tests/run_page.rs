//! The page of a run, to which notifications link.

use super::*;

#[test]
fn the_address_that_people_are_told_shows_how_the_run_stands() {
    let bench = Bench::new(&[("fails", "let a = ();\nstep(\"pick\", || a.choice)")]);
    let done = bench.post("/api/v1/workflows/fails/runs?wait=20s", &json!({})).expect(200).json();
    let run: crate::id::RunId = done["run"].as_str().expect("an id").parse().expect("an id");
    let url = crate::engine::links::Links::with_key("", [0; 32]).run(run);
    let page = bench.get(&url).expect(200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    for told in ["fails: failed", "`()` has no property `choice`", "fails.rhai:2", "pick", "panta why"] {
        assert!(page.text.contains(told), "{told}: {}", page.text);
    }
}

#[test]
fn what_a_run_says_is_text_on_its_page_and_one_that_is_gone_is_said_to_be() {
    let bench = Bench::new(&[("loud", "throw \"<script>alert(1)</script>\"")]);
    let done = bench.post("/api/v1/workflows/loud/runs?wait=20s", &json!({})).expect(200).json();
    let page = bench.get(&format!("/runs/{}", done["run"].as_str().expect("an id")));
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script>"), "{}", page.text);
    for gone in ["0198c0de-0000-7000-8000-000000000000", "none"] {
        let page = bench.get(&format!("/runs/{gone}"));
        assert!(page.status == StatusCode::NOT_FOUND && page.text.contains("There is no such run"), "{}", page.text);
    }
}
