//! Tasks: opened once, answered once, what happens to them by themselves, whom they wake, and when they go.

use panta::store::{Applied, Change, PROGRESS, Store, TaskFilter};
use panta::task::{Status, Task};

use super::contract;
use crate::support::stores::*;

contract!(
    a_task_is_opened_once_and_kept_whole,
    the_first_answer_stays,
    an_answer_wakes_the_run,
    an_answer_before_the_park_wakes,
    moments_happen_once_and_in_order,
    the_end_of_a_run_closes_its_tasks,
    a_lost_claim_opens_none,
    tasks_are_listed_newest_first,
    tasks_go_with_their_run,
);

/// The row, and whether the change did something.
fn changed(store: &dyn Store, change: Change) -> (Task, bool) {
    match apply(store, change) {
        Applied::Task { task, fresh } => (*task, fresh),
        other => panic!("{other:?}"),
    }
}

fn row(store: &dyn Store, n: u64) -> Task {
    store.task(task_id(n)).expect("a read").expect("a task")
}

fn a_task_is_opened_once_and_kept_whole(store: &dyn Store) {
    given(store, [start(running(1))]);
    assert_eq!(store.task(task_id(5)).unwrap(), None);
    assert_eq!(changed(store, open(task(5, 1, &["a"]))), (task(5, 1, &["a"]), true));
    assert_eq!(changed(store, open(task(5, 1, &["b"]))), (task(5, 1, &["a"]), false));
    assert_eq!(row(store, 5), task(5, 1, &["a"]));
}

fn the_first_answer_stays(store: &dyn Store) {
    given(store, [start(running(1)), open(task(5, 1, &[]))]);
    let expected =
        Task { answer: Some(text("yes")), status: Status::Answered, ended_at: Some(at(6)), ..task(5, 1, &[]) };
    assert_eq!(changed(store, answer(5, "yes", at(6))), (expected.clone(), true));
    let later = [answer(5, "no", at(7)), escalate(5, 0), Change::CloseTask { task: task_id(5), at: at(7) }];
    for change in later {
        assert_eq!(changed(store, change), (expected.clone(), false));
    }
    assert_eq!(apply(store, answer(6, "yes", at(6))), Applied::Refused);
    assert_eq!(row(store, 5), expected);
}

fn an_answer_wakes_the_run(store: &dyn Store) {
    given(store, [start(running(1)), open(task(5, 1, &[])), open(task(6, 1, &[]))]);
    assert_eq!(apply(store, park_for_tasks(1, &[5, 6])), Applied::Done);
    given(store, [escalate(5, 0), escalate(5, 1)]);
    assert!(ready(store, "a").is_empty(), "neither a reminder nor an escalation");
    given(store, [answer(6, "yes", at(9))]);
    assert_eq!(ready(store, "a"), ids(&[1]));
    given(store, [park_for_tasks(1, &[5]), escalate(5, 2)]);
    assert_eq!((row(store, 5).status, ready(store, "a")), (Status::Expired, ids(&[1])));
}

fn an_answer_before_the_park_wakes(store: &dyn Store) {
    given(store, [start(running(1)), open(task(5, 1, &[])), answer(5, "yes", at(9))]);
    assert_eq!(apply(store, park_for_tasks(1, &[4, 5])), Applied::Ready);
    assert_eq!(ready(store, "a"), ids(&[1]));
    assert_eq!(apply(store, park_for_tasks(1, &[4])), Applied::Done);
}

fn moments_happen_once_and_in_order(store: &dyn Store) {
    given(store, [start(running(1)), open(task(5, 1, &["a"]))]);
    assert_eq!(changed(store, escalate(5, 1)), (task(5, 1, &["a"]), false));
    assert_eq!(changed(store, escalate(5, 0)), (Task { stage: 1, ..task(5, 1, &["a"]) }, true));
    assert!(!changed(store, escalate(5, 0)).1);
    let escalated = Task { stage: 2, due: Some(at(45)), ..task(5, 1, &["a", "cfo"]) };
    assert_eq!(changed(store, escalate(5, 1)), (escalated.clone(), true));
    let over = Task { stage: 3, status: Status::Expired, ended_at: Some(at(45)), ..escalated };
    assert_eq!(changed(store, escalate(5, 2)), (over.clone(), true));
    assert_eq!(changed(store, escalate(5, 3)), (over.clone(), false));
    assert_eq!(changed(store, answer(5, "late", at(50))), (over, false));
}

fn the_end_of_a_run_closes_its_tasks(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2))]);
    given(store, [open(task(5, 1, &[])), open(task(6, 1, &[])), open(task(7, 2, &[])), answer(5, "yes", at(8))]);
    given(store, [finish(1, at(9))]);
    let status = |n| (row(store, n).status, row(store, n).ended_at);
    assert_eq!(status(5), (Status::Answered, Some(at(8))));
    assert_eq!(status(6), (Status::Cancelled, Some(at(9))));
    assert_eq!(status(7), (Status::Open, None));
}

fn a_lost_claim_opens_none(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), finish(2, at(3))]);
    let stale = Change::OpenTask { epoch: 2, task: Box::new(task(5, 1, &[])) };
    for change in [stale, open(task(5, 2, &[])), open(task(5, 3, &[]))] {
        assert_eq!(apply(store, change), Applied::Refused);
    }
    assert_eq!(store.task(task_id(5)).unwrap(), None);
}

fn tasks_are_listed_newest_first(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2))]);
    let tasks = [(3, 1, &["a"][..]), (5, 2, &["b", "c"]), (4, 1, &[]), (6, 2, &["a", "c"])];
    given(store, tasks.map(|(n, of, to)| open(task(n, of, to))));
    given(store, [answer(6, "yes", at(9))]);
    let listed = |filter: TaskFilter| {
        let tasks = store.tasks(&filter).unwrap();
        tasks.iter().map(|task| task.id).collect::<Vec<_>>()
    };
    let expect =
        |filter, expected: &[u64]| assert_eq!(listed(filter), expected.iter().map(|n| task_id(*n)).collect::<Vec<_>>());
    expect(any_task(), &[6, 5, 4, 3]);
    expect(TaskFilter { status: Some(Status::Open), ..any_task() }, &[5, 4, 3]);
    expect(TaskFilter { to: vec!["a".into()], ..any_task() }, &[6, 4, 3]);
    expect(TaskFilter { to: vec!["c".into(), "x".into()], status: Some(Status::Open), ..any_task() }, &[5, 4]);
    expect(TaskFilter { run: Some(id(1)), ..any_task() }, &[4, 3]);
    expect(TaskFilter { workflow: Some("other".into()), ..any_task() }, &[]);
    expect(TaskFilter { limit: 2, before: Some((at(6), task_id(6))), ..any_task() }, &[5, 4]);
}

fn tasks_go_with_their_run(store: &dyn Store) {
    given(store, [start(running(1)), start(running(2)), open(task(5, 1, &[])), open(task(6, 2, &[]))]);
    given(store, [1, 2].map(|n| set(PROGRESS, &id(n).to_string(), Some("far"))));
    given(store, [finish(1, at(9)), prune(at(10), at(0), 10)]);
    assert_eq!((store.task(task_id(5)).unwrap(), row(store, 6).id), (None, task_id(6)));
    assert_eq!(store.states(PROGRESS, "").unwrap().len(), 1);
}
