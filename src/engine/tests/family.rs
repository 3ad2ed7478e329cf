//! Runs, and those that they wait for: what nobody waits for any more ends, wherever the one that waited was.

use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::engine::hands::{Mocked, Mocks};
use crate::engine::inline::{Inline, Tools, VirtualClock};
use crate::host::session::Ask;
use crate::id::RunId;
use crate::store::memory::Fault;
use crate::store::{RunFilter, TaskFilter};
use crate::time::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// Nothing outside is there.
struct Nobody;

impl Mocks for Nobody {
    fn answer(&self, _: RunId, _: &Ask) -> Mocked {
        Mocked::Never
    }

    fn stands_for_step(&self, _: &str) -> bool {
        false
    }

    fn begun(&self, _: &str, _: &str) {}

    fn functions(&self) -> Vec<String> {
        Vec::new()
    }

    fn has_stopped(&self) -> bool {
        false
    }
}

/// What a run waits for in all tests: a run that waits for another one, one that is not its own, a person, and a lock.
const WAITS: &str = r#"|| workflow::run("child", ()), || workflow::wait(other), || task::ask(#{ title: "Pay?" }),
    || lock("till", || 1), || workflow::run("child", (), #{ key: "k" })"#;

/// Where the parent is when it does not wait any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Memory,
    Evicted,
    Restarted,
    Paused,
    Held,
}

const PLACES: [Place; 5] = [Place::Memory, Place::Evicted, Place::Restarted, Place::Paused, Place::Held];

struct Home {
    store: Arc<Memory>,
    clock: Arc<VirtualClock>,
    parent: String,
}

impl Home {
    /// `body` is that of the parent; `WAITS` in it stands for those branches.
    fn new(head: &str, body: &str) -> Self {
        let body = body.replace("WAITS", WAITS);
        let parent = format!(r#"{head} fn main() {{ let other = workflow::start("other", ()); {body} }}"#);
        let clock = Arc::new(VirtualClock::new(Timestamp(1_700_000_000_000)));
        Self { store: Arc::default(), clock, parent }
    }

    fn engine(&self, place: Place) -> Inline {
        let evict_after = if place == Place::Memory { Duration::MAX } else { Duration::ZERO };
        let options = Options { evict_after, ..Options::new(Path::new("/nonexistent")) };
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let inline = Inline::new(store, options, Arc::clone(&self.clock), Rc::new(Nobody), Tools::new());
        let never = r#"fn main() { wait_for("never") }"#;
        let scripts = [
            ("parent", &*self.parent),
            ("child", r#"fn main() { on_exit("bye", || state::add("byes", 1)); workflow::run("grandchild", ()) }"#),
            ("grandchild", never),
            ("other", never),
            ("holder", r#"fn main() { lock("till", || wait_for("never")) }"#),
        ];
        for (name, text) in scripts {
            let bundle = Bundle::of_text(&format!("{name}.rhai"), text).expect("a bundle");
            let settings: Arc<dyn Settings> = Arc::new(NoSettings);
            let deployed = compile(bundle, &settings);
            inline.handle().deploy(deployed.unwrap_or_else(|faults| panic!("{faults:?}")));
        }
        inline
    }

    /// A parent that waits, in its place.
    fn waiting(&self, place: Place) -> (Inline, RunId) {
        let mut engine = self.engine(place);
        let run = ["holder", "parent"].map(|name| {
            let handle = engine.handle().clone();
            let started = engine.call(handle.start(name, Start::default())).expect("starts");
            settle(&mut engine);
            started.run
        })[1];
        assert_eq!(self.open("grandchild"), 2, "{:?}", self.row(run));
        let handle = engine.handle().clone();
        match place {
            Place::Memory | Place::Evicted => {}
            Place::Restarted => {
                drop(engine);
                engine = self.engine(place);
                engine.recover().expect("recovers");
            }
            Place::Paused => drop(engine.call(handle.pause(run, &deed())).expect("pauses")),
            Place::Held => assert!(engine.call(handle.hold(Some("parent"), &deed())).expect("holds")),
        }
        settle(&mut engine);
        (engine, run)
    }

    fn row(&self, run: RunId) -> Run {
        self.store.run(run).expect("reads").expect("is there")
    }

    fn rows(&self, workflow: &str) -> Vec<Run> {
        let filter = RunFilter { workflow: Some(workflow.into()), limit: 99, ..RunFilter::default() };
        self.store.runs(&filter).expect("reads")
    }

    /// How many runs of a workflow have not ended.
    fn open(&self, workflow: &str) -> usize {
        self.rows(workflow).iter().filter(|run| !run.status.is_final()).count()
    }

    /// Nothing is left of what the parent waited for, but the run that is not its own.
    fn nothing_is_left(&self, run: RunId, what: &str) {
        let tasks = TaskFilter { limit: 99, ..TaskFilter::default() };
        let tasks = self.store.tasks(&tasks).expect("reads");
        let open = tasks.iter().filter(|task| task.status == crate::task::Status::Open).count();
        assert_eq!((self.open("child"), self.open("grandchild"), open), (0, 0, 0), "{what}");
        assert!(self.rows("child").iter().all(|child| child.status == Status::Cancelled), "{what}");
        assert_eq!((self.open("other"), self.store.slots_of(run).expect("reads")), (1, vec![]), "{what}");
        let byes = Store::state(&*self.store, "child", "byes").expect("reads").expect("is there");
        assert_eq!(byes.to_json(), json!(2), "{what}: each cleans up once");
    }
}

fn deed() -> Deed {
    Deed { by: Actor::LOCAL, reason: None }
}

fn settle(engine: &mut Inline) {
    assert!(engine.settle(), "{:?}", engine.trouble());
}

fn pass(engine: &mut Inline, time: Duration) {
    let until = engine.now().plus(time);
    while !engine.advance(until).expect("goes on") {}
}

fn go_on(engine: &mut Inline, run: RunId, place: Place) {
    let handle = engine.handle().clone();
    match place {
        Place::Paused => drop(engine.call(handle.resume(run, &deed())).expect("resumes")),
        Place::Held => assert!(engine.call(handle.let_go(Some("parent"), &deed())).expect("lets go")),
        _ => {}
    }
    settle(engine);
}

/// The parent waits, from wherever it is in a step of its own, too.
const PARALLEL: &str = r#"parallel([WAITS, || { step("x", || 1); sleep("9d") }])"#;

#[test]
fn what_a_cancelled_run_waited_for_ends_with_it() {
    for (place, head) in PLACES.into_iter().flat_map(|place| [(place, ""), (place, r#"step("a", || 1);"#)]) {
        let home = Home::new("", &format!("{head} {PARALLEL}"));
        let (mut engine, run) = home.waiting(place);
        let handle = engine.handle().clone();
        engine.call(handle.cancel(run, "no more", &Actor::LOCAL)).expect("cancels");
        settle(&mut engine);
        assert_eq!(home.row(run).status, Status::Cancelled);
        home.nothing_is_left(run, &format!("{place:?} {head}"));
    }
}

#[test]
fn what_a_cancelled_run_waited_for_ends_before_its_own_clean_up_is_over() {
    for place in PLACES {
        let home = Home::new("", &format!(r#"on_exit("slow", || sleep("1d")); {PARALLEL}"#));
        let (mut engine, run) = home.waiting(place);
        let handle = engine.handle().clone();
        engine.call(handle.cancel(run, "no more", &Actor::LOCAL)).expect("cancels");
        settle(&mut engine);
        assert!(!home.row(run).status.is_final());
        home.nothing_is_left(run, &format!("{place:?}"));
    }
}

#[test]
fn what_a_run_waited_for_ends_with_its_deadline_and_its_time_of_running() {
    for place in PLACES {
        let home = Home::new(r#"workflow(#{ deadline: "2d" });"#, PARALLEL);
        let (mut engine, run) = home.waiting(place);
        pass(&mut engine, DAY * 3);
        go_on(&mut engine, run, place);
        assert_eq!(home.row(run).status, Status::TimedOut, "{place:?}");
        home.nothing_is_left(run, &format!("{place:?}"));
    }
}

#[test]
fn what_a_branch_waited_for_that_goes_ends_although_the_run_goes_on() {
    let ways = [
        r#"race([WAITS, || { step("x", || 1); sleep("1d") }])"#,
        r#"race([|| { step("x", || 1); sleep("1d") }, WAITS])"#,
        r#"attempt(|| timeout("1d", || parallel([WAITS])))"#,
        r#"attempt(|| parallel([WAITS, || { step("x", || 1); sleep("1d"); throw "no" }]))"#,
        r#"attempt(|| step("s", #{ timeout: "1d" }, || parallel([WAITS])))"#,
    ];
    for (place, way) in PLACES.into_iter().flat_map(|place| ways.map(|way| (place, way))) {
        let home = Home::new("", &format!(r#"{way}; wait_for("never")"#));
        let (mut engine, run) = home.waiting(place);
        pass(&mut engine, DAY * 2);
        go_on(&mut engine, run, place);
        assert_eq!(home.row(run).status, Status::Waiting, "{place:?} {way}");
        home.nothing_is_left(run, &format!("{place:?} {way}"));
    }
}

#[test]
fn a_crash_at_any_write_of_a_cancellation_leaves_no_child_without_its_parent() {
    for (fault, n) in [Fault::Lost, Fault::Kept].into_iter().flat_map(|fault| (1..12).map(move |n| (fault, n))) {
        let home = Home::new("", &format!(r#"on_exit("slow", || sleep("1d")); {PARALLEL}"#));
        let (mut engine, run) = home.waiting(Place::Evicted);
        let handle = engine.handle().clone();
        home.store.fail_at(n, fault);
        let _ = engine.call(handle.cancel(run, "no more", &Actor::LOCAL));
        let _ = engine.settle();
        drop(engine);
        let mut engine = home.engine(Place::Evicted);
        engine.recover().expect("recovers");
        settle(&mut engine);
        let handle = engine.handle().clone();
        let _ = engine.call(handle.cancel(run, "no more", &Actor::LOCAL));
        settle(&mut engine);
        home.nothing_is_left(run, &format!("{fault:?} {n}"));
        pass(&mut engine, DAY * 2);
        assert_eq!(home.row(run).status, Status::Cancelled, "{fault:?} {n}");
    }
}

#[test]
fn a_child_that_ended_at_the_same_moment_keeps_its_end_and_a_key_of_another_is_no_child() {
    let home = Home::new("", PARALLEL);
    let (mut engine, run) = home.waiting(Place::Evicted);
    let handle = engine.handle().clone();
    let second = engine.call(handle.start("parent", Start::default())).expect("starts").run;
    settle(&mut engine);
    assert_eq!((home.open("child"), home.open("grandchild")), (3, 3));
    engine.call(handle.cancel(second, "no more", &Actor::LOCAL)).expect("cancels");
    settle(&mut engine);
    assert_eq!((home.open("child"), home.open("grandchild")), (2, 2), "the one with the key is the first one's");
    let child = home.rows("child").into_iter().find(|child| !child.status.is_final()).expect("is there");
    for run in [child.id, run] {
        let asked = handle.clone();
        engine.call(asked.cancel(run, "by hand", &Actor::LOCAL)).expect("cancels");
    }
    settle(&mut engine);
    let error = home.row(child.id).error.expect("an error").to_json();
    assert_eq!((error["message"].clone(), home.open("child")), (json!("by hand"), 0));
}

#[test]
fn a_paused_run_does_not_undo_until_it_is_resumed() {
    for is_cancelled in [true, false] {
        let home =
            Home::new("", r#"on_rollback("b", || { sleep("1h"); state::set("b", 1) }); wait_for("end"); throw "x""#);
        let mut engine = home.engine(Place::Evicted);
        let handle = engine.handle().clone();
        let run = engine.call(handle.start("parent", Start::default())).expect("starts").run;
        settle(&mut engine);
        if is_cancelled {
            engine.call(handle.cancel(run, "no more", &Actor::LOCAL)).expect("cancels");
        } else {
            let (id, at, payload) = ("e".into(), engine.now(), crate::payload::Payload::unit());
            let event = crate::store::Event { seq: 0, id, name: "end".into(), key: None, payload, run: None, at };
            engine.call(handle.emit(event)).expect("emits");
        }
        settle(&mut engine);
        engine.call(handle.pause(run, &deed())).expect("pauses");
        pass(&mut engine, DAY);
        drop(engine);
        let mut engine = home.engine(Place::Restarted);
        engine.recover().expect("recovers");
        pass(&mut engine, DAY);
        let undone = || Store::state(&*home.store, "parent", "b").expect("reads").is_some();
        assert_eq!((home.row(run).status, undone()), (Status::Paused, false), "cancelled: {is_cancelled}");
        let handle = engine.handle().clone();
        engine.call(handle.resume(run, &deed())).expect("resumes");
        settle(&mut engine);
        let end = if is_cancelled { Status::Cancelled } else { Status::Failed };
        assert_eq!((home.row(run).status, undone()), (end, true));
    }
}

#[test]
fn a_run_that_is_to_end_and_does_not_unwind_yet_is_not_held() {
    let home = Home::new("", PARALLEL);
    let (mut engine, run) = home.waiting(Place::Evicted);
    let handle = engine.handle().clone();
    engine.call(handle.cancel(run, "no more", &Actor::LOCAL)).expect("cancels");
    let refused = engine.call(handle.pause(run, &deed())).expect_err("it is to end").to_string();
    assert!(refused.contains("asked to end") && refused.contains("hint"), "{refused}");
    settle(&mut engine);
    assert_eq!(home.row(run).status, Status::Cancelled);
}

#[test]
fn what_a_step_waited_for_that_is_left_out_ends_in_the_same_commit() {
    let body = r#"parallel([|| step("s", || parallel([WAITS])), || wait_for("never")])"#;
    let values = [None, Some(json!(1))];
    for (place, value) in PLACES[..4].iter().flat_map(|place| values.clone().map(|value| (*place, value))) {
        let home = Home::new("", body);
        let (mut engine, run) = home.waiting(place);
        let handle = engine.handle().clone();
        engine.call(handle.set_result(run, "s", value.as_ref(), &deed())).expect("sets it");
        settle(&mut engine);
        let status = if place == Place::Paused { Status::Paused } else { Status::Waiting };
        assert_eq!(home.row(run).status, status, "{place:?}");
        home.nothing_is_left(run, &format!("{place:?} {value:?}"));
    }
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_a_repair_leaves_the_run_as_it_was() {
    let body =
        r#"parallel([|| step("s", || http::get("https://a.example")), || loop { sleep("1h"); state::add("n", 1) }])"#;
    for patience in 1..6 {
        let home = Home::new("", body);
        let mut engine = home.engine(Place::Evicted);
        let handle = engine.handle().clone();
        let run = engine.call(handle.start("parent", Start::default())).expect("starts").run;
        settle(&mut engine);
        let (by, mut polls) = (deed(), 0);
        let mut asked = Box::pin(handle.set_result(run, "s", None, &by));
        let gone = engine.call(std::future::poll_fn(|context| {
            polls += 1;
            let is_gone = polls > patience;
            if is_gone { Err(Error::Stopped("gone".into())).into() } else { asked.as_mut().poll(context) }
        }));
        assert!(gone.is_err(), "the effect is on its way");
        drop(asked);
        pass(&mut engine, Duration::from_hours(3));
        let n = Store::state(&*home.store, "parent", "n").expect("reads").map(|n| n.to_json());
        assert_eq!((home.row(run).status, n), (Status::Running, Some(json!(3))), "after {patience} polls");
    }
}
