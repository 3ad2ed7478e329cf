//! Who holds a lock, who waits, and freeing it; without a daemon.

use panta::store::sqlite::{Options, Sqlite};
use panta::store::{Change, Run, Status};

use super::Place;
use crate::support::stores::{acquire, end, given, id, park, running};

/// A data folder with run 1, which holds `till`, and run 2, which waits for it.
fn place(holder: Status) -> Place {
    let place = Place::new(&[]);
    let store = Sqlite::open(&place.path().join("data"), &Options::default()).unwrap();
    let waiting = Run { waiting_for: "the lock `till`".into(), ..running(2) };
    given(&store, [running(1), waiting].map(|run| Change::Start { run: Box::new(run), dedupe: None, gate: None }));
    given(&store, [acquire(1, "lock:till", "0", 1), acquire(2, "lock:till", "0", 1), park(2, &[])]);
    if !holder.is_live() {
        given(&store, [end(1, 1, holder, panta::time::Timestamp(0))]);
    }
    place
}

#[test]
fn why_names_the_holder_and_the_place_in_line() {
    let place = place(Status::Quarantined);
    let why = place.panta(&["why", &id(2).to_string()]).expect(0).out;
    assert!(why.contains(&format!("`till` is held by run {}; this run is number 1 in line", id(1))), "{why}");
    assert!(why.contains(&format!("why {}", id(1))), "{why}");
}

#[test]
fn the_lock_of_a_quarantined_run_is_freed() {
    let place = place(Status::Quarantined);
    let freed = place.panta(&["unlock", "till", "--json"]).expect(0).json();
    assert_eq!(
        (&freed["taken_from"][0], &freed["given_to"][0]),
        (&id(1).to_string().into(), &id(2).to_string().into())
    );
    place.panta(&["unlock", "door"]).expect(2);
}

#[test]
fn the_lock_of_a_run_that_goes_on_needs_force() {
    let place = place(Status::Running);
    place.panta(&["unlock", "till"]).expect(1);
    let freed = place.panta(&["unlock", "till", "--force"]).expect(0).out;
    assert_eq!(freed, format!("taken from run {}\ngiven to run {}\n", id(1), id(2)));
}
