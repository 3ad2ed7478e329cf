//! Many runs and little room: all that can go on does, and memory stays bounded.

use std::sync::{Mutex, OnceLock};

use super::*;
use crate::engine::Follower;
use crate::engine::Handle;
use crate::store::Event;

const LIVE: usize = 8;
const QUEUED: usize = 20;
const RUNS: usize = 300;

/// Notes which runs end, in order, and how many are in motion meanwhile.
#[derive(Default)]
struct Seen {
    handle: OnceLock<Handle>,
    ended: Mutex<Vec<RunId>>,
    most: Mutex<usize>,
}

impl Follower for Seen {
    fn parked(&self, _: RunId) {}

    fn dropped(&self) -> u64 {
        0
    }

    fn ended(&self, run: RunId) {
        self.ended.lock().unwrap().push(run);
        let live = self.handle.get().map_or(0, |handle| handle.in_motion().0);
        let mut most = self.most.lock().unwrap();
        *most = live.max(*most);
    }
}

struct Crowd {
    bench: Bench,
    seen: Arc<Seen>,
}

impl Crowd {
    fn new(script: &str) -> Self {
        Self { bench: Bench::new(script), seen: Arc::default() }
    }

    fn engine(&self, change: impl FnOnce(Options) -> Options) -> Inline {
        let options = Options {
            evict_after: Duration::ZERO,
            most_live: LIVE,
            most_queued: QUEUED,
            follower: Some(Arc::clone(&self.seen) as Arc<dyn Follower>),
            ..Options::new(Path::new("/nonexistent"))
        };
        let (clock, mocks) = (Arc::clone(&self.bench.clock), Rc::clone(&self.bench.mocks) as Rc<dyn Mocks>);
        let store = Arc::clone(&self.bench.store) as Arc<dyn Store>;
        let inline = Inline::new(store, change(options), clock, mocks, Tools::new());
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        inline.handle().deploy(compile(self.bench.bundle.clone(), &settings).unwrap());
        inline
    }

    /// So many wait outside of memory, and another engine finds them in the store.
    fn left_behind(&self, runs: usize) -> Inline {
        let mut engine = self.engine(|options| options);
        for _ in 0..runs {
            start(&mut engine, "t");
        }
        drop(engine);
        let engine = self.engine(|options| options);
        let _ = self.seen.handle.set(engine.handle().clone());
        engine
    }

    fn all_ended(&self, runs: usize) {
        let mut ended = self.seen.ended.lock().unwrap().clone();
        ended.sort_unstable();
        ended.dedup();
        assert_eq!((ended.len(), self.seen.ended.lock().unwrap().len()), (runs, runs), "each ends once");
        assert!(*self.seen.most.lock().unwrap() <= LIVE, "{} in motion", self.seen.most.lock().unwrap());
    }
}

fn start(engine: &mut Inline, workflow: &str) -> RunId {
    let handle = engine.handle().clone();
    let run = engine.call(handle.start(workflow, Start::default())).unwrap().run;
    engine.settle();
    run
}

fn later(engine: &Inline) -> Timestamp {
    engine.now().plus(Duration::from_hours(48))
}

#[test]
fn more_due_times_than_are_held_in_memory_all_come() {
    let crowd = Crowd::new("sleep_until(\"2024-01-01T00:00:00Z\"); 1");
    let mut engine = crowd.left_behind(RUNS);
    engine.recover().unwrap();
    let until = engine.now().plus(Duration::from_hours(24 * 365));
    while engine.advance(until) == Some(false) {}
    crowd.all_ended(RUNS);
}

#[test]
fn an_event_that_wakes_more_than_find_a_place_in_line_wakes_all() {
    let crowd = Crowd::new("wait_for(\"go\"); 1");
    let mut engine = crowd.left_behind(RUNS);
    engine.recover().unwrap();
    let (name, payload, at) = ("go".into(), Payload::unit(), engine.now());
    let event = Event { seq: 0, id: "e".into(), name, key: None, payload, run: None, at };
    let handle = engine.handle().clone();
    assert_eq!(engine.call(handle.emit(event)).unwrap().woken.len(), RUNS);
    engine.settle();
    crowd.all_ended(RUNS);
}

#[test]
fn what_a_process_left_running_is_taken_up_as_there_is_room() {
    let crowd = Crowd::new("sleep(\"1d\"); 1");
    let mut engine = crowd.left_behind(RUNS);
    crowd.bench.clock.set(later(&engine));
    engine.recover().unwrap();
    engine.settle();
    crowd.all_ended(RUNS);
}

#[test]
fn many_runs_of_one_workflow_hold_up_none_of_another() {
    let crowd = Crowd::new("sleep_until(\"2024-01-01T00:00:00Z\"); 1");
    let mut engine = crowd.engine(|options| Options { most_queued: 10 * RUNS, ..options });
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let other = Bundle::of_text("other.rhai", "sleep_until(\"2024-01-01T00:00:00Z\"); 1").unwrap();
    engine.handle().deploy(compile(other, &settings).unwrap());
    (0..RUNS).for_each(|_| _ = start(&mut engine, "t"));
    let other = start(&mut engine, "other");
    let until = engine.now().plus(Duration::from_hours(24 * 365));
    while engine.advance(until) == Some(false) {}
    let place = crowd.seen.ended.lock().unwrap().iter().position(|run| *run == other);
    assert!(place.is_some_and(|place| place < 50), "it came last and ends as number {place:?} of {RUNS}");
}

#[test]
fn of_many_that_wait_the_longest_waiting_leave_memory() {
    let crowd = Crowd::new("sleep(\"1d\"); 1");
    let roomy = |options| Options { evict_after: Duration::MAX, most_live: 5_000, most_resting: 4, ..options };
    let mut engine = crowd.engine(roomy);
    (0..50).for_each(|_| _ = start(&mut engine, "t"));
    assert_eq!(engine.handle().in_motion().0, 4);
    let until = later(&engine);
    while engine.advance(until) == Some(false) {}
    assert_eq!(crowd.seen.ended.lock().unwrap().len(), 50);
}
