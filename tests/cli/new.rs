//! Files to begin with.

use super::Place;

#[test]
fn a_workflow_and_its_tests_are_written_and_pass_the_check() {
    let place = Place::new(&[]);
    let came = place.panta(&["new", "orders/invoice", "--template", "webhook"]).expect(0);
    assert_eq!(came.out, "wrote scripts/orders/invoice.rhai\nwrote scripts/orders/invoice.test.rhai\n");
    assert_eq!(place.panta(&["check"]).expect(0).out, "1 script, 0 errors, 0 warnings\n");
    let test = std::fs::read_to_string(place.path().join("scripts/orders/invoice.test.rhai")).unwrap();
    assert!(test.contains("test::workflow(\"orders/invoice\")"), "{test}");
    place.panta(&["graph", "scripts/orders/invoice.rhai"]).expect(0);
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::new(&[("scripts/a.test.rhai", "mine")]);
    let came = place.panta(&["new", "a"]).expect(2);
    assert!(came.err.contains("`scripts/a.test.rhai` is there already"), "{}", came.err);
    assert!(!place.path().join("scripts/a.rhai").exists());
    assert_eq!(std::fs::read_to_string(place.path().join("scripts/a.test.rhai")).unwrap(), "mine");
}

#[test]
fn a_path_is_meant_as_a_name_and_scripts_stay_together() {
    let place = Place::new(&[("b.rhai", "1")]);
    assert!(place.panta(&["new", "a.rhai"]).expect(0).out.contains("wrote a.rhai"));
    std::fs::create_dir(place.path().join("scripts")).unwrap();
    assert!(place.panta(&["new", "scripts/c.rhai"]).expect(0).out.contains("wrote scripts/c.rhai"));
}

#[test]
fn bad_names_and_templates_are_explained() {
    let place = Place::new(&[]);
    for bad in ["", "../x", "a//b", ".a", "lib/x", "a b", "x.test", "a\\b", "/etc/x", "a\"b"] {
        let err = place.panta(&["new", bad]).expect(2).err;
        assert!(err.contains("is no name for a workflow") && err.contains("orders/invoice"), "{bad}: {err}");
    }
    let err = place.panta(&["new", "x", "--template", "webhok"]).expect(2).err;
    assert!(err.contains("did you mean `webhook`?") && err.contains("startup"), "{err}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn templates_are_listed() {
    let place = Place::new(&[]);
    let out = place.panta(&["new", "--list"]).expect(0).out;
    for name in ["hand", "cron", "every", "webhook", "file", "event", "run", "startup", "task"] {
        assert!(out.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {out}");
    }
}

#[test]
fn a_folder_is_made_that_runs_at_once() {
    let place = Place::new(&[]);
    let came = place.panta(&["init", "shop"]).expect(0);
    assert!(came.out.contains("cd shop && panta run scripts/hello.rhai -i name=Ann\n"), "{}", came.out);
    assert_eq!(place.panta(&["check", "shop/scripts"]).expect(0).out, "2 scripts, 0 errors, 0 warnings\n");
    let out = place.panta(&["run", "shop/scripts/hello.rhai", "-i", "name=Ann", "--json"]).expect(0).json();
    assert_eq!(out["output"]["greeting"], "Hello, Ann!");
}

#[test]
fn what_is_in_a_folder_already_stays() {
    let place = Place::new(&[("panta.toml", "listen = \"127.0.0.1:1\"")]);
    assert!(place.panta(&["init"]).expect(2).err.contains("`panta.toml` is there already"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

/// The functions that a template needs may be missing in a build; then it is left out.
#[test]
fn the_tests_of_all_templates_pass() {
    let place = Place::new(&[]);
    let names = ["hand", "cron", "every", "webhook", "file", "event", "run", "startup", "task"];
    for name in names {
        place.panta(&["new", &format!("shop/{name}"), "--template", name]).expect(0);
    }
    if place.panta(&["check"]).err.contains("unknown module `task`") {
        std::fs::remove_file(place.path().join("scripts/shop/task.rhai")).unwrap();
        std::fs::remove_file(place.path().join("scripts/shop/task.test.rhai")).unwrap();
    }
    let out = place.panta(&["test"]).expect(0).out;
    assert!(out.matches("ok shop/").count() >= 12, "{out}");
}
