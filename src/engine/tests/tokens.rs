//! Tokens and sessions end, by themselves and when they are taken back; over restarts, too.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::engine::people::Directory;
use crate::engine::tokens::{self, Role, Wish, create, list, revoke};
use crate::time::{Clock, SystemClock, Timestamp};

/// A clock that stands where it was set.
#[derive(Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
}

const HOUR: i64 = 3_600_000;

/// An engine over a store, at that hour.
struct Desk {
    engine: Engine,
    clock: Arc<Set>,
    _folder: tempfile::TempDir,
}

impl Desk {
    fn new(store: &Arc<Memory>, hour: i64) -> Self {
        let (clock, folder) = (Arc::new(Set(AtomicI64::new(hour * HOUR))), tempfile::tempdir().expect("a folder"));
        let (workers, set) = (1, Arc::clone(&clock) as Arc<dyn Clock>);
        let options = Options { workers, clock: set, ..Options::new(folder.path()) };
        Self { engine: Engine::start(Arc::clone(store) as Arc<dyn Store>, options), clock, _folder: folder }
    }

    fn at(&self, hour: i64) -> Handle {
        self.clock.0.store(hour * HOUR, Ordering::Relaxed);
        self.engine.handle()
    }
}

fn wish(name: &str, expires: Option<Duration>) -> Wish {
    Wish { name: name.to_owned(), roles: vec![Role::Run], expires, person: None }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn a_token_counts_until_it_expires() {
    let desk = Desk::new(&Arc::default(), 0);
    let made = wish("ci", Some(Duration::from_hours(2)));
    let (secret, _) = block(desk.at(0).create_token(&made, &Actor::LOCAL)).expect("is made");
    let counts = |hour| desk.at(hour).token_of(&secret).expect("reads").is_some();
    assert_eq!((counts(0), counts(1), counts(2)), (true, true, false));
    assert!(desk.at(0).token_of(&format!("{secret}x")).expect("reads").is_none());
    assert!(desk.at(0).token_of(&tokens::hash(&secret)).expect("reads").is_none(), "what is stored opens nothing");
}

#[test]
fn a_session_lasts_half_a_day_and_over_a_restart() {
    let store = Arc::new(Memory::default());
    let desk = Desk::new(&store, 0);
    let (secret, token) = block(desk.at(0).create_token(&wish("ci", None), &Actor::LOCAL)).expect("is made");
    let session = block(desk.at(0).open_session(token.hash(), &token.actor())).expect("is opened");
    drop(desk);
    let desk = Desk::new(&store, 11);
    assert_eq!(desk.at(11).session(&session).expect("reads").as_deref(), Some(token.hash()));
    assert_eq!(desk.at(11).session(&secret).expect("reads"), None, "a token is no session");
    assert_eq!(desk.at(12).session(&session).expect("reads"), None);
    block(desk.at(12).open_session(token.hash(), &token.actor())).expect("is opened");
    assert_eq!(store.states("$sessions", "").expect("reads").len(), 1, "the one that ended is gone");
}

#[test]
fn the_use_of_a_token_is_noted_once_a_minute() {
    let store = Arc::new(Memory::default());
    let desk = Desk::new(&store, 1);
    let (secret, _) = block(desk.at(1).create_token(&wish("ci", None), &Actor::LOCAL)).expect("is made");
    for _ in 0..100 {
        assert!(desk.at(1).token_of(&secret).expect("reads").is_some());
    }
    block(desk.at(1).write(Vec::new())).expect("all before it is written");
    assert_eq!(list(&*store).expect("reads")[0].used_at, Some(Timestamp(HOUR)));
    assert!(store.commits() < 50, "a hundred uses are no hundred writes: {}", store.commits());
}

#[test]
fn names_are_given_once_and_people_must_be_known() {
    let (store, now) = (Memory::default(), Timestamp(0));
    let (_, edit) = create(&store, &Directory::default(), &wish("ci", None), now).expect("is made");
    store.commit(&[edit.change]).expect("is written");
    let edit = revoke(&store, "ci", now).expect("is there").expect("it counted");
    store.commit(&[edit.change]).expect("is written");
    assert!(revoke(&store, "ci", now).expect("is there").is_none(), "it is revoked already");
    let again = create(&store, &Directory::default(), &wish("ci", None), now);
    assert!(matches!(again, Err(Error::BadToken(why)) if why.contains("there is or was")));
    let mut people = Directory::default();
    people.people.insert("ann".into(), crate::engine::people::Person::default());
    let unknown = Wish { person: Some("anne".to_owned()), ..wish("x", None) };
    assert!(matches!(create(&store, &people, &unknown, now), Err(Error::BadToken(why)) if why.contains("`ann`")));
}

#[test]
fn roles_are_side_by_side_above_read_and_below_admin() {
    let includes = |role: Role| Role::ALL.map(|needed| role.includes(needed));
    assert_eq!(includes(Role::Read), [true, false, false, false]);
    assert_eq!(includes(Role::Run), [true, true, false, false]);
    assert_eq!(includes(Role::Approve), [true, false, true, false]);
    assert_eq!(includes(Role::Admin), [true; 4]);
}
