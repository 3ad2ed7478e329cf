//! Contents and entries of the folder that are no plain UTF-8 scripts.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;

use super::Site;

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    let site = Site::new(&[]);
    site.write("crlf.rhai", "//! About.\r\nlet a = 1;\r\na + 1\r\n");
    site.write("bom.rhai", "\u{feff}#!/usr/bin/env panta\nlet a = 1;\na + 2");
    site.is_live_once("crlf", &vec![], &json!(2));
    site.is_live_once("bom", &vec![], &json!(3));
}

/// What is written, and the code of what is said about it. The version before stays live.
fn keeps_the_last(content: &[u8], code: &str) {
    let site = Site::new(&[("a.rhai", "1"), ("other.rhai", "7")]);
    site.write("a.rhai", content);
    Site::until("it is broken", || site.last("a.rhai")["status"] == "broken");
    assert_eq!(site.codes("a.rhai"), [code], "{}", site.last("a.rhai"));
    assert_eq!((site.output("a"), site.output("other")), (json!(1), json!(7)));
    site.write("a.rhai", "2");
    Site::until("it is mended", || site.last("a.rhai")["status"] == "live");
    assert_eq!(site.output("a"), json!(2));
}

#[test]
fn latin_1_is_told_and_the_version_before_stays() {
    keeps_the_last(b"let a = \"caf\xe9\"; a", "E0101");
}

#[test]
fn nul_bytes_are_told_and_the_version_before_stays() {
    keeps_the_last(b"let a = 1;\0\0\0\0 a", "E0102");
}

#[test]
fn an_empty_file_is_told_and_the_version_before_stays() {
    keeps_the_last(b"", "E0108");
    keeps_the_last(b"\xef\xbb\xbf \r\n\n", "E0108");
}

#[test]
fn half_a_script_is_told_and_the_version_before_stays() {
    keeps_the_last(b"fn main() { step(\"a\", || {", "E0204");
}

/// Entries that are no scripts: none holds anything up, each is told.
#[test]
fn what_is_no_file_of_the_folder_hangs_nothing_and_is_told() {
    let site = Site::new(&[]);
    let outside = site.beside("outside.rhai");
    fs::write(&outside, "\"outside\"").expect("written");
    site.does("mkfifo", &["fifo.rhai"]);
    fs::create_dir_all(site.at("folder.rhai/deeper")).expect("a folder");
    site.write("folder.rhai/deeper/b.rhai", "1");
    std::os::unix::fs::symlink(&outside, site.at("link.rhai")).expect("a link");
    std::os::unix::fs::symlink("/etc/passwd", site.at("passwd.rhai")).expect("a link");
    std::os::unix::fs::symlink("nowhere", site.at("dead.rhai")).expect("a link");
    std::os::unix::fs::symlink("/proc/self/environ", site.at("proc.rhai")).expect("a link");
    fs::File::create(site.at("sparse.rhai")).and_then(|file| file.set_len(2 << 30)).expect("a file of 2 GiB");
    site.write("good.rhai", "1");
    site.is_live_once("good", &vec![], &json!(1));
    let codes = ["E0104", "E0104", "E0105", "E0105", "E0107", "E0105", "E0103"];
    for (name, code) in ["fifo", "folder", "link", "passwd", "dead", "proc", "sparse"].into_iter().zip(codes) {
        let file = format!("{name}.rhai");
        Site::until(name, || site.last(&file)["status"] == "broken");
        assert_eq!(site.codes(&file), [code], "{name}");
        assert!(site.last(&file)["diagnostics"][0]["title"].as_str().is_some_and(|title| title.contains(name)));
        assert_eq!(site.output(name), json!(409), "{name}");
    }
}

/// A file that was good before it became something that is none.
#[test]
fn a_script_that_becomes_a_link_out_of_the_folder_stays_as_it_was_until_it_is_mended() {
    let site = Site::new(&[("a.rhai", "1")]);
    fs::remove_file(site.at("a.rhai")).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", site.at("a.rhai")).expect("a link");
    Site::until("it is told", || site.last("a.rhai")["status"] == "broken");
    site.settled();
    assert_eq!((site.output("a"), site.codes("a.rhai")), (json!(1), vec!["E0105".to_owned()]));
    fs::remove_file(site.at("a.rhai")).expect("removed");
    site.write("a.rhai", "1");
    Site::until("it is told", || site.last("a.rhai")["status"] == "unchanged");
    site.write("a.rhai", "2");
    Site::until("it is live", || site.last("a.rhai")["status"] == "live");
    assert_eq!(site.output("a"), json!(2));
}

/// Whoever is root reads it all the same.
#[test]
fn a_file_that_may_not_be_read_is_told_and_stays_live() {
    let site = Site::new(&[("a.rhai", "1")]);
    site.write("a.rhai", "2");
    site.does("chmod", &["000", "a.rhai"]);
    let is_readable = fs::read(site.at("a.rhai")).is_ok();
    let expected = if is_readable { ("live", json!(2)) } else { ("broken", json!(1)) };
    Site::until("it is told", || site.story("a.rhai").len() > 1 && site.last("a.rhai")["status"] == expected.0);
    assert_eq!(site.output("a"), expected.1);
    site.does("chmod", &["644", "a.rhai"]);
    Site::until("it is live", || site.output("a") == json!(2));
}

#[test]
fn names_that_nobody_can_write_are_told() {
    let site = Site::new(&[]);
    site.write("a\nb.rhai", "1");
    fs::write(site.scripts.join(OsStr::from_bytes(b"caf\xe9.rhai")), "1").expect("written");
    site.write("good.rhai", "1");
    site.is_live_once("good", &vec![], &json!(1));
    let told: Vec<_> = site.records().into_iter().filter(|record| record["status"] == "broken").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for record in &told {
        assert_eq!(record["diagnostics"][0]["code"], "E0109", "{record}");
    }
    let workflows = site.get("/api/v1/workflows")["workflows"].clone();
    let names =
        workflows.as_array().expect("a list").iter().filter(|w| w["name"].as_str().expect("a name").contains('\n'));
    assert_eq!(names.count(), 0);
}

#[test]
fn of_two_scripts_that_declare_one_hook_the_first_by_name_has_it_whatever_came_first() {
    let hook = |output: &str| format!("trigger::webhook(\"in\", #{{ respond: \"output\" }});\n{output}");
    let site = Site::new(&[]);
    site.write("b.rhai", hook("\"b\""));
    site.is_live_once("b", &vec![], &json!("b"));
    site.write("a.rhai", hook("\"a\""));
    Site::until("b is told", || site.last("b.rhai")["status"] == "broken");
    assert_eq!(site.codes("b.rhai"), ["E0307"]);
    let posted = || site.daemon.request("POST", "/hooks/in", &[], "").expect("an answer").1;
    Site::until("a has it", || posted() == json!("a"));
    fs::remove_file(site.at("a.rhai")).expect("removed");
    Site::until("b has it again", || posted() == json!("b"));
    assert_eq!(site.last("b.rhai")["status"], "live");
}
