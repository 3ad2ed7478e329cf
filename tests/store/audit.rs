//! The audit log: what gets a record, and that a log which somebody touched is found out.

use panta::audit::{Act, Actor, Broken, Head};
use panta::engine::verify_audit;
use panta::store::memory::Memory;
use panta::store::sqlite::Sqlite;
use panta::store::{Applied, AuditFilter, Change, Store};
use rusqlite::Connection;
use serde_json::json;

use super::contract;
use crate::support::stores::*;

contract!(
    an_act_is_recorded_with_its_change,
    what_came_to_nothing_leaves_no_record,
    a_change_answers_as_without_a_record,
    the_log_is_listed_newest_first,
    every_store_has_the_same_hashes,
);

/// An act of `ann` at that second, with its change.
fn act(n: u64, what: &str, change: Option<Change>) -> Change {
    let ann = Actor::Local { user: Some("ann".into()) };
    let act = Act::new(at(n), &ann, what, format!("s{n}"), &json!({ "n": n }));
    Change::Audit { act: Box::new(act), change: change.map(Box::new) }
}

/// Numbers and acts, newest first.
fn shown(store: &dyn Store, filter: &AuditFilter) -> Vec<(u64, String)> {
    let records = store.audit(&AuditFilter { limit: 10, ..filter.clone() }).expect("a read");
    records.into_iter().map(|record| (record.seq, record.act.act.to_string())).collect()
}

fn verify(store: &dyn Store) -> Result<Head, Broken> {
    verify_audit(store, None).expect("a read")
}

fn an_act_is_recorded_with_its_change(store: &dyn Store) {
    given(store, [start(running(1))]);
    assert_eq!(apply(store, act(5, "run.cancel", Some(cancel(1, "enough")))), Applied::Done);
    assert_eq!(get(store, 1).cancel, Some(text("enough")));
    let record = store.acts(0, 9).expect("a read").remove(0);
    assert_eq!((record.seq, record.act.at, &*record.act.actor), (1, at(5), "local:ann"));
    assert_eq!((&*record.act.subject, record.act.details.to_json()), ("s5", json!({ "n": 5 })));
    assert_eq!(verify(store), Ok(Head { seq: 1, hash: record.hash }));
    assert_eq!(store.audit_head().expect("a read"), Some(Head { seq: 1, hash: record.hash }));
}

fn what_came_to_nothing_leaves_no_record(store: &dyn Store) {
    given(store, [start_once(running(1), "k", 1, None), open(task(1, 1, &[]))]);
    given(store, [act(2, "task.answer", Some(answer(1, "yes", at(2))))]);
    let again = [start_once(running(2), "k", 1, None), cancel(7, "x"), answer(1, "no", at(3)), answer(9, "no", at(3))];
    for change in again {
        apply(store, act(3, "again", Some(change)));
    }
    assert_eq!(shown(store, &AuditFilter::default()), [(1, "task.answer".to_owned())]);
}

fn a_change_answers_as_without_a_record(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), acquire(1, "till", "0", 1), acquire(2, "till", "0", 1)]);
    let taken = Applied::Freed { holders: ids(&[1]), woken: ids(&[2]) };
    let free = Change::FreeSlots { name: "till".into() };
    assert_eq!(apply(store, act(3, "lock.unlock", Some(free))), taken);
    assert_eq!(apply(store, act(4, "secret.set", None)), Applied::Done);
    assert_eq!(shown(store, &AuditFilter::default()), [(2, "secret.set".to_owned()), (1, "lock.unlock".to_owned())]);
}

fn the_log_is_listed_newest_first(store: &dyn Store) {
    given(store, (1..=4).map(|n| act(n, &n.to_string(), None)));
    let seen = |filter| shown(store, &filter).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(seen(AuditFilter { before: Some(3), ..AuditFilter::default() }), [2, 1]);
    assert_eq!(seen(AuditFilter { since: Some(at(3)), ..AuditFilter::default() }), [4, 3]);
    let limited = store.audit(&AuditFilter { limit: 1, ..AuditFilter::default() }).expect("a read");
    assert_eq!(limited.into_iter().map(|record| record.seq).collect::<Vec<_>>(), [4]);
    assert_eq!(store.acts(2, 1).expect("a read").into_iter().map(|record| record.seq).collect::<Vec<_>>(), [3]);
}

fn every_store_has_the_same_hashes(store: &dyn Store) {
    let other = Memory::new();
    for store in [store, &other] {
        given(store, (1..=3).map(|n| act(n, "x", None)));
        given(store, [act(4, "y", None)]);
    }
    assert_eq!(store.acts(0, 9).expect("a read"), other.acts(0, 9).expect("a read"));
    assert_eq!(verify(store), verify(&other));
}

/// A log of five records in a folder that was closed, after somebody was there with a shell; it is opened again.
fn touched(sql: &str) -> (Sqlite, tempfile::TempDir) {
    let (store, folder) = sqlite();
    given(&store, (1..=5).map(|n| act(n, "x", None)));
    drop(store);
    Connection::open(folder.path().join("panta.db")).unwrap().execute_batch(sql).unwrap();
    (Sqlite::open(folder.path(), &options()).unwrap(), folder)
}

#[test]
fn the_first_record_that_somebody_touched_is_named() {
    let broken = |sql: &str| verify(&touched(sql).0).unwrap_err();
    assert_eq!(broken("UPDATE audit SET actor = 'local:bob' WHERE seq = 3"), Broken::Changed(3));
    assert_eq!(broken("UPDATE audit SET details = x'ff' WHERE seq = 2"), Broken::Changed(2));
    assert_eq!(broken("UPDATE audit SET hash = 'x' WHERE seq = 4"), Broken::Changed(4));
    assert_eq!(broken("DELETE FROM audit WHERE seq = 3"), Broken::Missing(3));
    assert_eq!(
        broken("DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3"),
        Broken::Changed(3)
    );
    assert_eq!(broken("DELETE FROM audit WHERE seq > 3"), Broken::Short { last: 3, known: 5 });
    assert_eq!(broken("DELETE FROM audit"), Broken::Short { last: 0, known: 5 });
    assert!(verify(&touched("SELECT 1").0).is_ok());
}

#[test]
fn what_is_added_after_a_removed_end_does_not_hide_it() {
    let (store, _folder) = touched("DELETE FROM audit WHERE seq = 5");
    given(&store, [act(6, "y", None)]);
    assert_eq!(verify(&store), Err(Broken::Missing(5)));
}

#[test]
fn a_crash_before_the_head_was_written_is_no_change() {
    let (store, folder) = sqlite();
    given(&store, [act(1, "x", None)]);
    let head = std::fs::read(folder.path().join("audit.head")).unwrap();
    given(&store, [act(2, "x", None)]);
    drop(store);
    std::fs::write(folder.path().join("audit.head"), head).unwrap();
    let store = Sqlite::open(folder.path(), &options()).unwrap();
    given(&store, [act(3, "x", None)]);
    assert_eq!(verify(&store).map(|head| head.seq), Ok(3));
}

#[test]
fn a_log_that_was_written_anew_shows_against_a_head_that_was_noted_down() {
    let (store, _folder) = sqlite();
    given(&store, [act(1, "x", None)]);
    let noted = verify(&store).unwrap();
    given(&store, [act(2, "x", None)]);
    assert!(verify_audit(&store, Some(noted)).unwrap().is_ok());
    let other = Memory::new();
    given(&other, [act(1, "other", None), act(2, "x", None)]);
    assert_eq!(verify_audit(&other, Some(noted)).unwrap(), Err(Broken::Changed(1)));
}
