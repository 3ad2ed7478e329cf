//! A run of a few commands, fresh, replayed, cut and changed: without a runtime, a store or a script.

use super::*;
use crate::journal::{Entry, Kind, Phase};
use crate::payload::Payload;
use crate::time::Timestamp;

fn command(name: &str) -> Command {
    Command { kind: Kind::Effect, name: name.into(), arguments: 0, line: 1 }
}

fn outcome(name: &str, position: &str) -> Entry {
    let mut entry = Entry::opened(Kind::Effect, position.parse().expect("position"), name.into(), Timestamp(0));
    entry.line = 1;
    entry.phase = Phase::Closed;
    entry.outcome = Some(Ok(Payload::from_text(format!("\"{name}\""))));
    entry
}

/// Issues a command whose outcome is the next one, and takes that.
fn taken(replay: &mut Replay, scope: ScopeId, name: &str) -> Entry {
    let Ok(Issued::Later(index)) = replay.issue(scope, &command(name)) else { panic!("it is recorded") };
    assert!(replay.is_next(index));
    replay.take(index)
}

#[test]
fn a_new_command_is_pending_and_a_recorded_one_is_answered() {
    let mut fresh = Replay::default();
    let Ok(Issued::Pending { position, opened: None }) = fresh.issue(Scopes::ROOT, &command("a")) else {
        panic!("pending")
    };
    assert_eq!((position.to_string().as_str(), fresh.is_live()), ("0", true));

    let mut replayed = Replay::new(vec![outcome("a", "0")]);
    assert!(!replayed.is_live());
    assert_eq!(taken(&mut replayed, Scopes::ROOT, "a"), outcome("a", "0"));
    assert!(replayed.is_live());
}

#[test]
fn outcomes_come_back_in_the_order_of_the_journal() {
    let mut replay = Replay::new(vec![outcome("b", "0.1.0"), outcome("a", "0.0.0")]);
    let branches = [0, 1].map(|n| replay.scopes.branch(Scopes::ROOT, 0, n));
    assert!(matches!(replay.issue(branches[0], &command("a")), Ok(Issued::Later(1))));
    taken(&mut replay, branches[1], "b");
    assert_eq!(replay.upcoming(), Next::Recorded(1));
    assert_eq!(replay.take(1), outcome("a", "0.0.0"));
    assert_eq!(replay.upcoming(), Next::Live);
}

#[test]
fn another_command_diverges_and_names_both() {
    let mut replay = Replay::new(vec![outcome("http::get", "0")]);
    let error = replay.issue(Scopes::ROOT, &command("http::post")).expect_err("diverges").to_string();
    assert_eq!(
        error,
        "at 0 the journal has effect `http::get` (line 1), the script now does effect `http::post` (line 1)"
    );

    let mut replay = Replay::new(vec![outcome("a", "0")]);
    let other = Command { arguments: 7, ..command("a") };
    assert!(replay.issue(Scopes::ROOT, &other).expect_err("diverges").arguments_differ);
}

#[test]
fn a_command_that_is_no_longer_reached_diverges() {
    let mut replay = Replay::new(vec![outcome("a", "1")]);
    assert!(matches!(replay.issue(Scopes::ROOT, &command("b")), Ok(Issued::Pending { .. })));
    assert_eq!(replay.upcoming(), Next::Recorded(0));
    assert_eq!(
        replay.unreached().to_string(),
        "at 1 the journal has effect `a` (line 1), the script now does nothing more"
    );
}

#[test]
fn an_immediate_command_must_be_the_next_one() {
    let mut replay = Replay::new(vec![outcome("a", "0.0.0"), outcome("now", "0.1.0")]);
    let branch = replay.scopes.branch(Scopes::ROOT, 0, 1);
    assert!(replay.issue_now(branch, &command("now")).is_err());

    let mut replay = Replay::new(vec![outcome("now", "0")]);
    assert!(matches!(replay.issue_now(Scopes::ROOT, &command("now")), Ok(Issued::Recorded(_))));
}

#[test]
fn a_step_is_entered_and_left() {
    let step = Command { kind: Kind::Step, ..command("s") };
    let recorded = Entry { kind: Kind::Step, ..outcome("s", "0") };
    let mut replay = Replay::new(vec![outcome("a", "0#1.0"), recorded.clone()]);
    let entered = replay.enter(Scopes::ROOT, &step).expect("enters");
    let label = replay.scopes.label(Scopes::ROOT, &"s".into());
    let inside = replay.scopes.attempt(Scopes::ROOT, 0, 1, &label, false);
    taken(&mut replay, inside, "a");
    assert_eq!(replay.leave(&entered, &step), Ok(Some(recorded)));
}

#[test]
fn an_opened_command_is_pending_with_what_was_recorded() {
    let intent = Entry::opened(Kind::Effect, "0".parse().expect("position"), "a".into(), Timestamp(5));
    let mut replay = Replay::new(vec![intent.clone()]);
    assert!(replay.is_live());
    assert!(
        matches!(replay.issue(Scopes::ROOT, &command("a")), Ok(Issued::Pending { opened: Some(o), .. }) if o == intent)
    );
}

#[test]
fn log_lines_are_written_once_and_never_diverge() {
    let line = Entry { kind: Kind::Log, ..outcome("info", "0") };
    let mut replay = Replay::new(vec![line, outcome("a", "0")]);
    assert!(!replay.log(Scopes::ROOT), "the first line is in the journal");
    assert!(replay.log(Scopes::ROOT), "a second one is new");
    taken(&mut replay, Scopes::ROOT, "a");
}

#[test]
fn a_later_attempt_gets_what_an_earlier_one_completed() {
    let mut scopes = Scopes::default();
    let outer = scopes.label(Scopes::ROOT, &"retry".into());
    let first = scopes.attempt(Scopes::ROOT, 0, 1, &outer, true);
    let label = scopes.label(first, &"pay".into());
    assert_eq!(scopes.completed_before(first, &label), None);
    scopes.remember(first, &label, &Ok(Payload::unit()));

    let second = scopes.attempt(Scopes::ROOT, 0, 2, &outer, true);
    assert_eq!(scopes.label(second, &"pay".into()).to_string(), label.to_string());
    assert_eq!(scopes.completed_before(second, &label), Some(&Ok(Payload::unit())));
    scopes.undo(&label);
    assert_eq!(scopes.completed_before(second, &label), None);
    let again = scopes.attempt(second, 0, 1, &label, false);
    let position = scopes.advance(again);
    assert_eq!(scopes.key(again, &position), "0.0.0~1");
    scopes.forget(&outer);
    assert!(scopes.completed_before(second, &label).is_none());
}

#[test]
fn a_cancellation_stands_in_the_order() {
    let mut cancel = Entry { kind: Kind::Cancel, ..outcome("cancel", "0") };
    cancel.detail = Some(Payload::from_text("\"why\""));
    let mut replay = Replay::new(vec![outcome("a", "0"), cancel]);
    taken(&mut replay, Scopes::ROOT, "a");
    assert_eq!(replay.upcoming(), Next::Cancelled(Payload::from_text("\"why\"")));
    assert!(replay.is_live());
}

#[test]
#[should_panic(expected = "appended behind the journal")]
fn an_outcome_is_never_appended_into_the_journal() {
    Replay::new(vec![outcome("a", "0")]).append(outcome("b", "1"));
}
