//! Durable values and bundles.

use panta::store::{Applied, Change, Gather, Keep, Store, TOLD, Told};

use super::contract;
use crate::support::stores::*;

contract!(
    values_are_set_and_removed,
    values_are_listed_by_prefix,
    an_event_leaves_a_value_and_its_repeat_none,
    what_people_are_told_is_kept_with_what_it_tells_of,
    a_bundle_is_put_once,
    a_run_may_name_a_missing_bundle
);

fn values_are_set_and_removed(store: &dyn Store) {
    given(store, [set("w", "k", Some("1")), set("w", "k", Some("2")), set("v", "k", Some("3"))]);
    assert_eq!(store.state("w", "k").unwrap(), Some(text("2")));
    given(store, [set("w", "k", None), set("w", "unknown", None)]);
    assert_eq!(store.state("w", "k").unwrap(), None);
    assert_eq!(store.state("v", "k").unwrap(), Some(text("3")));
}

fn values_are_listed_by_prefix(store: &dyn Store) {
    given(store, ["a", "ab", "ab\u{10ffff}z", "ac", "b", "", "a%", "A"].map(|key| set("w", key, Some(key))));
    given(store, [set("v", "ab", Some("other")), set("x", "ab", Some("other"))]);
    let keys =
        |prefix| -> Vec<_> { store.states("w", prefix).unwrap().into_iter().map(|(key, _)| key.to_string()).collect() };
    assert_eq!(keys("ab"), ["ab", "ab\u{10ffff}z"]);
    assert_eq!(keys("a%"), ["a%"]);
    assert_eq!(keys("").len(), 8);
    assert!(keys("zz").is_empty());
}

fn an_event_leaves_a_value_and_its_repeat_none(store: &dyn Store) {
    let gathered = |id: &str, value: &str| {
        let gather = Gather { scope: "$g".into(), prefix: "w/".into(), value: text(value) };
        Change::Emit { event: event(id, "paid", None, at(1)), dedupe_until: at(100), gather: vec![gather] }
    };
    given(store, [gathered("a", "1"), gathered("b", "2"), gathered("a", "3")]);
    assert_eq!(
        store.states("$g", "w/").unwrap(),
        [(Gather::key_at("w/", 1), text("1")), (Gather::key_at("w/", 2), text("2"))]
    );
}

fn what_people_are_told_is_kept_with_what_it_tells_of(store: &dyn Store) {
    let tell = |id: &str, change: Change, keep: Keep| {
        let told = vec![Told { id: id.into(), value: text("\"no paper\"") }];
        Change::Tell { change: Box::new(change), told, keep }
    };
    given(store, [start(running(1))]);
    assert_eq!(apply(store, tell("a", cancel(1, "enough"), Keep::Until)), Applied::Done);
    assert_eq!(apply(store, tell("b", cancel(7, "enough"), Keep::Until)), Applied::Refused);
    assert_eq!(apply(store, tell("c", cancel(1, "enough"), Keep::Not)), Applied::Done);
    assert_eq!(store.states(TOLD, "").unwrap(), [("m/a".into(), text("\"no paper\""))]);
}

fn a_bundle_is_put_once(store: &dyn Store) {
    given(store, [put("v1", "one"), put("v1", "other"), put("v2", "two")]);
    assert_eq!(store.bundle(&version("v1")).unwrap(), Some(b"one".to_vec()));
    assert_eq!(store.bundle(&version("v3")).unwrap(), None);
}

fn a_run_may_name_a_missing_bundle(store: &dyn Store) {
    given(store, [start(run(1))]);
    assert_eq!(store.bundle(&version("v1")).unwrap(), None);
    given(store, [put("v1", "one")]);
    assert_eq!(store.bundle(&version("v1")).unwrap(), Some(b"one".to_vec()));
    assert_eq!(get(store, 1), run(1));
}
