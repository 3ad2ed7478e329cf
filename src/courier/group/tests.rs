//! Repeats over virtual time.

use uuid::Uuid;

use super::*;

const REPEAT: Duration = Duration::from_mins(15);

/// A time of the day in minutes.
fn at(minute: i64) -> Timestamp {
    Timestamp(minute * 60_000)
}

fn told(n: u128, about: About, title: &str) -> Notification {
    Notification {
        id: format!("{n}").into(),
        channel: "ops".into(),
        workflow: "w".into(),
        run: RunId(Uuid::from_u128(n)),
        about,
        title: title.to_owned(),
        text: String::new(),
        at: at(0),
        task: None,
        count: 1,
    }
}

fn failed(n: u128) -> Notification {
    told(n, About::Failed, &format!("`w` failed: {n}"))
}

fn is_alone(groups: &mut Groups, told: Notification, minute: i64) -> bool {
    matches!(groups.take(told, at(minute)), Taken::Alone(_))
}

/// All windows as a restart finds them.
fn reloaded(groups: &Groups) -> Groups {
    let rows: Vec<_> = groups.windows.values().map(|window| (window.group.key(), Some(window))).collect();
    let rows: Vec<_> = rows.into_iter().map(|(key, window)| row(key, window)).collect();
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|change| match change {
            Change::SetState { key, value, .. } => Some((key, value?)),
            _ => None,
        })
        .collect();
    let mut again = Groups::new(REPEAT);
    again.load(&rows);
    again
}

#[test]
fn the_first_goes_out_and_what_follows_is_told_once_at_the_end() {
    let mut groups = Groups::new(REPEAT);
    assert!(is_alone(&mut groups, failed(1), 0));
    assert!((2..=13).all(|n| !is_alone(&mut groups, failed(n), 3)));
    assert_eq!((groups.close(at(14), &|_| false), groups.next()), (Vec::new(), Some(at(15))));
    let messages = groups.close(at(15), &|_| false);
    assert_eq!((messages.len(), messages[0].count), (1, 12));
    assert_eq!(messages[0].title, "12 more runs of `w` failed in 15 min; the last: `w` failed: 13");
    let named = messages[0].text.matches("00000000-0000").count();
    assert_eq!((named, messages[0].text.contains(&failed(13).run.to_string())), (10, true));
}

#[test]
fn a_flood_is_one_message_a_window_and_quiet_ends_it() {
    let mut groups = Groups::new(REPEAT);
    groups.take(failed(1), at(0));
    groups.take(failed(2), at(1));
    groups.take(failed(3), at(2));
    assert_eq!(groups.close(at(15), &|_| false).len(), 1);
    assert!(!is_alone(&mut groups, failed(4), 16), "the message about several opened a window of its own");
    let again = groups.close(at(30), &|_| false);
    assert_eq!((again.len(), &*again[0].title, again[0].count), (1, "`w` failed: 4", 1), "one alone is told as it is");
    assert_eq!((groups.close(at(45), &|_| false), groups.next()), (Vec::new(), None));
    assert!(is_alone(&mut groups, failed(5), 46));
}

#[test]
fn only_equal_ones_are_put_together() {
    let mut groups = Groups::new(REPEAT);
    groups.take(failed(1), at(0));
    let elsewhere = Notification { channel: "chat".into(), ..failed(2) };
    let another = Notification { workflow: "v".into(), ..failed(3) };
    for other in [elsewhere, another, told(4, About::Sla, "late"), told(5, About::Deadline, "late")] {
        assert!(is_alone(&mut groups, other, 1));
    }
    assert!(is_alone(&mut groups, told(6, About::Message, "order 1"), 1));
    assert!(is_alone(&mut groups, told(7, About::Message, "order 2"), 1), "it says something else");
    assert!(!is_alone(&mut groups, told(8, About::Message, "order 2"), 1));
    assert!((10..20).all(|n| is_alone(&mut groups, told(n, About::Task, "Pay?"), 1)), "each task is somebody's");
}

#[test]
fn a_window_stays_open_while_its_message_waits() {
    let mut groups = Groups::new(REPEAT);
    groups.take(failed(1), at(0));
    groups.take(failed(2), at(1));
    let unsent = |id: &str| id == "1";
    assert_eq!((groups.close(at(15), &unsent), groups.next()), (Vec::new(), Some(at(30))));
    groups.take(failed(3), at(20));
    assert_eq!(groups.close(at(30), &|_| false)[0].count, 2);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut groups = Groups::new(REPEAT);
    groups.take(failed(1), at(0));
    groups.take(failed(2), at(1));
    let mut again = reloaded(&groups);
    assert!(is_alone(&mut again, failed(1), 2), "it was decided that it goes out");
    assert!(!is_alone(&mut again, failed(3), 2));
    let mut late = reloaded(&groups);
    late.take(failed(3), at(2));
    let (one, other) = (again.close(at(99), &|_| false), late.close(at(99), &|_| false));
    assert_eq!(one[0].id, other[0].id, "the same message, should the crash come after it was sent");
    assert_eq!(one[0].count, 2);
}

#[test]
fn each_touched_window_is_written_once() {
    let mut groups = Groups::new(REPEAT);
    (1..100).for_each(|n| drop(groups.take(failed(n), at(0))));
    assert_eq!((groups.edits().len(), groups.edits().len()), (1, 0));
    groups.take(failed(100), at(0));
    groups.close(at(15), &|_| false);
    groups.close(at(30), &|_| false);
    assert!(matches!(groups.edits().as_slice(), [Change::SetState { value: None, .. }]), "it is gone");
}
