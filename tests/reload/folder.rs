//! The folder itself is moved, replaced, or becomes a link.

use std::fs;

use serde_json::json;

use super::{Site, rename};

#[test]
fn a_folder_that_is_replaced_is_followed_and_what_ran_goes_on() {
    let site = Site::new(&[("a.rhai", "1"), ("b.rhai", "1")]);
    let old = site.beside("old");
    rename(&site.scripts, &old);
    fs::create_dir(&site.scripts).expect("a folder");
    site.write("a.rhai", "2");
    Site::until("a is live", || site.output("a") == json!(2));
    Site::until("b is gone", || site.output("b") == json!(404));
    site.write("a.rhai", "3");
    Site::until("its saves are seen", || site.output("a") == json!(3));
}

#[test]
fn a_folder_that_is_away_for_a_while_leaves_all_live() {
    let site = Site::new(&[("a.rhai", "1")]);
    let away = site.beside("away");
    rename(&site.scripts, &away);
    assert_eq!(site.output("a"), json!(1));
    fs::write(away.join("a.rhai"), "2").expect("written");
    rename(&away, &site.scripts);
    Site::until("a is live", || site.output("a") == json!(2));
    assert_eq!(site.story("a.rhai"), ["live", "live"]);
}

#[test]
fn a_folder_that_becomes_a_link_and_is_turned_is_followed() {
    let site = Site::new(&[("a.rhai", "1")]);
    let release = |name: &str, content: &str| {
        let folder = site.beside(name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("a.rhai"), content).expect("written");
        let link = site.beside("next");
        std::os::unix::fs::symlink(name, &link).expect("a link");
        link
    };
    let link = release("one", "10");
    rename(&site.scripts, &site.beside("old"));
    rename(&link, &site.scripts);
    Site::until("one is live", || site.output("a") == json!(10));
    let link = release("two", "20");
    rename(&link, &site.scripts);
    Site::until("two is live", || site.output("a") == json!(20));
    site.write("a.rhai", "21");
    Site::until("its saves are seen", || site.output("a") == json!(21));
}

#[test]
fn a_run_stays_on_its_version_when_its_file_changes_or_goes() {
    let site = Site::new(&[("a.rhai", "wait_for(\"go\");\n\"old\"")]);
    let (_, started) = site.daemon.request("POST", "/api/v1/workflows/a/runs", &[], "{}").expect("an answer");
    let run = started["run"].as_str().expect("a run").to_owned();
    site.write("a.rhai", "\"new\"");
    Site::until("the new one is live", || site.story("a.rhai") == ["live", "live"]);
    assert_eq!(site.output("a"), json!("new"));
    fs::remove_file(site.at("a.rhai")).expect("removed");
    Site::until("it is gone", || site.output("a") == json!(404));
    site.daemon.request("POST", "/api/v1/events", &[], "{\"name\":\"go\"}").expect("an answer");
    Site::until("it ends", || site.get(&format!("/api/v1/runs/{run}"))["output"] == json!("old"));
}
