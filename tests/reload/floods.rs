//! More notices than the system keeps.

use std::fs;

use serde_json::json;

use super::Site;

/// The system keeps 16,384 notices unless told otherwise: what comes after them is lost, and the folder is read anew.
#[test]
fn after_40_000_events_while_it_was_stopped_all_is_as_the_folder_says() {
    let site = Site::new(&[("a.rhai", "1"), ("b.rhai", "1"), ("gone.rhai", "1")]);
    let before = site.story("a.rhai");
    assert!(site.daemon.signal_engine("STOP").is_some());
    for n in 0..10_000 {
        // Made, written, closed and touched: four notices, and names so that no two are one.
        site.write(&format!("noise{}.rhai", n % 100), format!("{n}"));
    }
    for n in 0..100 {
        fs::remove_file(site.at(&format!("noise{n}.rhai"))).expect("removed");
    }
    for n in 0..20_000 {
        let file = fs::File::options().append(true).open(site.at("b.rhai")).expect("b");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(n)).expect("touched");
    }
    site.write("a.rhai", "2");
    site.write("c.rhai", "3");
    fs::remove_file(site.at("gone.rhai")).expect("removed");
    assert!(site.daemon.signal_engine("CONT").is_some());
    site.is_live_once("a", &before, &json!(2));
    assert_eq!(site.output("c"), json!(3));
    assert_eq!(site.story("b.rhai"), ["live"], "it was only touched");
    assert_eq!((site.story("gone.rhai"), site.output("gone")), (vec!["live".into(), "removed".into()], json!(404)));
    assert_eq!(site.story("noise7.rhai"), Vec::<String>::new());
}
