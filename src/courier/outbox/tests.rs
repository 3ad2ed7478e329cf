//! Tries, pauses and giving up, over virtual time.

use uuid::Uuid;

use super::*;
use crate::engine::About;
use crate::id::RunId;

fn at(second: i64) -> Timestamp {
    Timestamp(second * 1_000)
}

/// A task's message: never put together with others.
fn told(n: u128, channel: &str, second: i64) -> Notification {
    Notification {
        id: format!("{n}").into(),
        channel: channel.into(),
        workflow: "w".into(),
        run: RunId(Uuid::from_u128(n)),
        about: About::Task,
        title: format!("task {n}"),
        text: String::new(),
        at: at(second),
        task: None,
        count: 1,
    }
}

fn outbox(messages: impl IntoIterator<Item = Notification>) -> Outbox {
    let mut outbox = Outbox::new(Duration::from_mins(15));
    messages.into_iter().for_each(|message| outbox.take(message, at(0)));
    outbox
}

fn ids(messages: &[Notification]) -> Vec<&str> {
    messages.iter().map(|message| &*message.id).collect()
}

/// Keys of rows that are removed, and of those that are written.
fn edited(outbox: &mut Outbox) -> (Vec<String>, Vec<String>) {
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for edit in outbox.edits() {
        let Change::SetState { key, value, .. } = edit else { panic!("{edit:?}") };
        if value.is_some() { kept.push(key.to_string()) } else { gone.push(key.to_string()) }
    }
    (gone, kept)
}

#[test]
fn one_at_a_time_goes_to_a_channel_and_none_waits_for_another_channel() {
    let mut outbox = outbox([told(1, "ops", 0), told(2, "ops", 0), told(3, "chat", 0)]);
    assert_eq!(ids(&outbox.ready(at(0))), ["3", "1"]);
    assert_eq!(outbox.ready(at(0)), []);
    outbox.sent("1");
    assert_eq!(edited(&mut outbox), (vec!["m/1".to_owned()], vec![]));
    assert_eq!(ids(&outbox.ready(at(0))), ["2"]);
}

#[test]
fn pauses_double_up_to_an_hour() {
    let mut outbox = outbox([told(1, "ops", 0)]);
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..15 {
        assert_eq!(ids(&outbox.ready(now)), ["1"]);
        outbox.failed("1", now, "dead");
        let next = outbox.next().expect("another try");
        pauses.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600, 3_600]);
}

#[test]
fn after_a_day_it_is_given_up_and_that_is_noted() {
    let mut outbox = outbox([told(1, "ops", 0)]);
    let mut now = at(0);
    let lost = loop {
        assert_eq!(ids(&outbox.ready(now)), ["1"]);
        match outbox.failed("1", now, "dead").expect("it is known") {
            Failed::Again { .. } => now = outbox.next().expect("another try"),
            Failed::Lost(lost) => break lost,
        }
    };
    assert!((at(86_400)..at(90_000 + 3_600)).contains(&now), "{now}");
    assert_eq!((&*lost.channel, lost.count, &*lost.error, lost.at), ("ops", 1, "dead", now));
    assert_eq!(edited(&mut outbox), (vec!["m/1".to_owned()], vec!["x/ops".to_owned()]));
    assert_eq!((outbox.next(), outbox.is_busy()), (None, false));
}

#[test]
fn what_is_old_already_is_tried_a_few_times_after_a_restart() {
    let mut outbox = Outbox::new(Duration::from_mins(15));
    let row = told(1, "ops", 0).to_told();
    outbox.load(&[(row.key(), row.value)], at(900_000));
    for n in 1..=3 {
        let now = outbox.next().expect("another try").max(at(900_000));
        assert_eq!(ids(&outbox.ready(now)), ["1"]);
        let failed = outbox.failed("1", now, "dead").expect("it is known");
        assert_eq!(matches!(failed, Failed::Lost(_)), n == 3);
    }
}

#[test]
fn one_that_is_not_liked_does_not_keep_the_others() {
    let mut outbox = outbox([told(1, "ops", 0), told(2, "ops", 1), told(3, "ops", 2)]);
    outbox.ready(at(0));
    outbox.failed("1", at(0), "no such thing");
    assert_eq!(outbox.ready(at(0)), [], "the channel rests");
    assert_eq!(ids(&outbox.ready(at(1))), ["2"]);
    outbox.sent("2");
    assert_eq!(ids(&outbox.ready(at(1))), ["3"], "it works: no rest");
}

#[test]
fn what_is_handed_over_after_it_was_loaded_is_not_counted_twice() {
    let mut outbox = Outbox::new(Duration::from_mins(15));
    let failed = |n| Notification { about: About::Failed, ..told(n, "ops", 0) };
    let rows: Vec<_> = [failed(1), failed(2)].iter().map(|told| (told.to_told().key(), told.to_told().value)).collect();
    outbox.load(&rows, at(0));
    outbox.take(failed(2), at(1));
    outbox.take(failed(1), at(1));
    assert_eq!(ids(&outbox.ready(at(1))), ["1"]);
    outbox.sent("1");
    outbox.tick(at(900));
    let about_several = outbox.ready(at(900));
    assert_eq!((about_several.len(), about_several[0].count), (1, 1));
}

#[test]
fn a_dead_channel_holds_so_many_messages_and_no_more() {
    let mut outbox = outbox((0..MOST as u128 + 500).map(|n| told(n, "ops", n as i64)));
    assert_eq!(outbox.waiting.len(), MOST);
    assert!(!outbox.waiting.contains_key("0") && outbox.waiting.contains_key("10499"), "the oldest are put together");
    outbox.tick(at(900));
    let several = outbox.waiting.values().find(|waiting| waiting.told.count > 1).expect("a message about several");
    assert_eq!(several.told.title, "500 more tasks of `w`; the last: task 499");
}
