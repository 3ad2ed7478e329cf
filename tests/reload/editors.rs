//! The ways in which editors and git write a file.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use super::{Site, is_there, pause, rename};

/// A file with the content `1`, and how it is saved with the content `2`: live once.
fn saved(how: impl FnOnce(&Site)) {
    let site = Site::new(&[("a.rhai", "1")]);
    let before = site.story("a.rhai");
    how(&site);
    site.is_live_once("a", &before, &json!(2));
    assert_eq!(site.get("/api/v1/workflows")["workflows"].as_array().expect("a list").len(), 3, "a and two fences");
}

#[test]
fn a_plain_write() {
    saved(|site| site.write("a.rhai", "2"));
}

#[test]
fn a_rename_over_it() {
    saved(|site| {
        site.write(".a.rhai.tmp", "2");
        rename(&site.at(".a.rhai.tmp"), &site.at("a.rhai"));
    });
}

#[test]
fn sed_in_place() {
    saved(|site| site.does("sed", &["-i", "s/1/2/", "a.rhai"]));
}

#[test]
fn mv_of_a_file_that_was_a_script_by_name() {
    saved(|site| {
        fs::write(site.beside("new.rhai"), "2").expect("written");
        site.does("mv", &["-f", "../new.rhai", "a.rhai"]);
    });
}

/// With `backupcopy=no`: a probe, the file renamed to its backup, a new file written, the backup removed.
#[test]
fn what_vim_does_by_renaming() {
    saved(|site| {
        site.write(".a.rhai.swp", [0; 4096]);
        site.write("4913", "");
        fs::remove_file(site.at("4913")).expect("removed");
        rename(&site.at("a.rhai"), &site.at("a.rhai~"));
        site.write("a.rhai", "2");
        site.does("chmod", &["644", "a.rhai"]);
        fs::remove_file(site.at("a.rhai~")).expect("removed");
        fs::remove_file(site.at(".a.rhai.swp")).expect("removed");
    });
}

/// With `backupcopy=yes`: a copy, then the file is truncated and written in place.
#[test]
fn what_vim_does_by_copying() {
    saved(|site| {
        fs::copy(site.at("a.rhai"), site.at("a.rhai~")).expect("copied");
        let mut file = fs::File::create(site.at("a.rhai")).expect("truncated");
        file.write_all(b"2\n").expect("written");
        file.sync_all().expect("synced");
        fs::remove_file(site.at("a.rhai~")).expect("removed");
    });
}

#[test]
fn vim_itself() {
    if !is_there("vim") {
        return;
    }
    for way in ["no", "yes"] {
        saved(|site| {
            let set = format!("set backup writebackup backupdir=. directory=. backupcopy={way}");
            site.does("vim", &["-u", "NONE", "-N", "-es", "-c", &set, "-c", "%s/1/2/", "-c", "wq", "a.rhai"]);
        });
    }
}

/// A lock that is a link to nowhere, an autosave beside, a backup by renaming.
#[test]
fn what_emacs_does() {
    saved(|site| {
        std::os::unix::fs::symlink("ann@host.1234:1700000000", site.at(".#a.rhai")).expect("a lock");
        site.write("#a.rhai#", "2 half");
        rename(&site.at("a.rhai"), &site.at("a.rhai~"));
        site.write("a.rhai", "2");
        fs::remove_file(site.at("#a.rhai#")).expect("removed");
        fs::remove_file(site.at(".#a.rhai")).expect("removed");
    });
}

#[test]
fn emacs_itself() {
    if !is_there("emacs") {
        return;
    }
    saved(|site| {
        let edit = "(progn (find-file \"a.rhai\") (erase-buffer) (insert \"2\") (save-buffer))";
        site.does("emacs", &["-Q", "--batch", "--eval", edit]);
    });
}

/// The first half is a script by itself, that would run by itself.
#[test]
fn two_halves_300_ms_apart_are_one_save_and_the_half_never_runs() {
    const FIRST: &str = "trigger::every(\"10ms\");\nstate::add(\"half\", 1);\n";
    let whole = format!("{FIRST}state::remove(\"half\");\n\"whole\"\n").replace("trigger::every(\"10ms\");\n", "");
    let mut site = Site::new(&[("a.rhai", "1")]);
    // A machine that is so busy that the pause became longer has made two saves of it.
    loop {
        let before = site.story("a.rhai");
        let mut file = fs::File::create(site.at("a.rhai")).expect("truncated");
        file.write_all(FIRST.as_bytes()).expect("written");
        let paused = pause(Duration::from_millis(300));
        fs::write(site.at("a.rhai"), &whole).expect("written");
        if paused < Duration::from_millis(380) {
            site.is_live_once("a", &before, &json!("whole"));
            break;
        }
        site = Site::new(&[("a.rhai", "1")]);
    }
    let runs = site.get("/api/v1/runs?workflow=a")["runs"].clone();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
}

#[test]
fn a_touch_and_a_change_that_is_taken_back_are_nothing() {
    let site = Site::new(&[("a.rhai", "1")]);
    let before = site.story("a.rhai");
    site.does("touch", &["a.rhai"]);
    site.write("a.rhai", "2");
    site.write("a.rhai", "1");
    site.settled();
    site.settled();
    assert_eq!(site.story("a.rhai"), before);
}

#[test]
fn a_checkout_of_500_files_loads_each_once_with_its_content() {
    let site = Site::new(&[]);
    let all = || (0..500).map(|n| (format!("w{n}.rhai"), n));
    let branch = |name: &str, factor: usize| {
        site.does("git", &["checkout", "-q", "-b", name]);
        all().for_each(|(file, n)| site.write(&file, (n * factor).to_string()));
        site.does("git", &["add", "."]);
        site.does("git", &["commit", "-q", "-m", name]);
    };
    site.does("git", &["init", "-q"]);
    branch("one", 1);
    branch("two", 1000);
    Site::until("all are live", || site.get("/api/v1/workflows")["workflows"].as_array().map(Vec::len) == Some(500));
    site.settled();
    let version = |file: &str| site.last(file)["version"].clone();
    let (two, seen) =
        (version("w7.rhai"), site.records().pop().expect("a record")["at"].as_str().expect("a time").to_owned());
    site.does("git", &["checkout", "-q", "one"]);
    Site::until("the last is live", || all().all(|(file, _)| site.story(&file).last().is_some_and(|s| s == "live")));
    Site::until("another version", || version("w7.rhai") != two && version("w499.rhai") != two);
    site.settled();
    site.settled();
    let later: Vec<_> =
        site.records().into_iter().filter(|record| record["at"].as_str() > Some(seen.as_str())).collect();
    for (file, n) in all().skip(1) {
        let records = later.iter().filter(|record| record["file"] == file.as_str()).count();
        assert_eq!(records, 1, "{file}");
        if n % 50 == 7 {
            assert_eq!(site.output(&format!("w{n}")), json!(n));
        }
    }
}
