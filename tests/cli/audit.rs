//! `panta audit`: who did what, and a log that was touched.

use panta::store::Change;
use panta::store::sqlite::{Options, Sqlite};

use super::Place;
use crate::support::stores::{given, id, running};

/// A data folder in which somebody cancelled runs 1 and 2 by command.
fn place() -> Place {
    let place = Place::new(&[]);
    let store = Sqlite::open(&place.path().join("data"), &Options::default()).unwrap();
    given(&store, [1, 2].map(|n| Change::Start { run: Box::new(running(n)), dedupe: None, gate: None }));
    drop(store);
    for n in [1, 2] {
        place.panta(&["cancel", &id(n).to_string(), "--reason", "enough"]).expect(0);
    }
    place
}

#[test]
fn a_cancellation_by_command_is_in_the_log_with_the_user() {
    let place = place();
    let out = place.panta(&["audit", "--json"]).expect(0).out;
    let acts: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let newest = &acts[0];
    assert_eq!((&newest["seq"], &newest["act"]), (&2.into(), &"run.cancel".into()));
    assert_eq!((&newest["subject"], &newest["details"]["reason"]), (&id(2).to_string().into(), &"enough".into()));
    assert!(newest["actor"].as_str().unwrap().starts_with("local:"), "{newest}");
    assert!(place.panta(&["audit", "--since", "1h"]).expect(0).out.contains("run.cancel"));
}

#[test]
fn verify_names_the_row_that_somebody_touched() {
    let place = place();
    let whole = place.panta(&["audit", "--verify", "--json"]).expect(0).json();
    assert_eq!((&whole["ok"], &whole["records"]), (&true.into(), &2.into()));
    place.panta(&["audit", "--verify", "--expect", whole["head"].as_str().unwrap()]).expect(0);
    let file = rusqlite::Connection::open(place.path().join("data/panta.db")).unwrap();
    file.execute_batch("UPDATE audit SET subject = 'x' WHERE seq = 1").unwrap();
    drop(file);
    let broken = place.panta(&["audit", "--verify"]).expect(1);
    assert!(broken.err.contains("record 1 was changed"), "{}", broken.err);
    assert_eq!(place.panta(&["audit", "--verify", "--json"]).expect(1).json()["seq"], 1);
}
