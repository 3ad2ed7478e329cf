mod crowds;

use std::cell::RefCell;
use std::path::Path;

use super::*;
use crate::engine::hands::Mocked;
use crate::engine::{NoSettings, Settings, Start, compile};
use crate::host::session::{Answer, Ask, What};
use crate::id::RunId;
use crate::payload::Payload;
use crate::script::bundle::Bundle;
use crate::store::Status;
use crate::store::memory::{Fault, Memory};

/// Answers every effect by the number of its call.
#[derive(Default)]
struct Counting(RefCell<Vec<String>>);

impl Mocks for Counting {
    fn answer(&self, _: RunId, ask: &Ask) -> Mocked {
        let (What::Effect { called: Some(called), .. } | What::Stand { called }) = &ask.what else {
            return Mocked::Never;
        };
        let mut calls = self.0.borrow_mut();
        calls.push(format!("{}:{}", called.function, called.line));
        Mocked::Answer(Answer::Given(Ok(Payload::from_text(calls.len().to_string()))))
    }

    fn stands_for_step(&self, name: &str) -> bool {
        name == "replaced"
    }

    fn begun(&self, _: &str, _: &str) {}

    fn functions(&self) -> Vec<String> {
        Vec::new()
    }

    fn has_stopped(&self) -> bool {
        false
    }
}

struct Bench {
    store: Arc<Memory>,
    clock: Arc<VirtualClock>,
    mocks: Rc<Counting>,
    run: RunId,
    bundle: Bundle,
}

impl Bench {
    fn new(script: &str) -> Self {
        Self {
            store: Arc::default(),
            clock: Arc::new(VirtualClock::new(Timestamp(1_700_000_000_000))),
            mocks: Rc::default(),
            run: RunId::new(),
            bundle: Bundle::of_text("t.rhai", script).unwrap(),
        }
    }

    fn engine(&self, evict_after: Duration) -> Inline {
        let options = Options { evict_after, ..Options::new(Path::new("/nonexistent")) };
        let (clock, mocks) = (Arc::clone(&self.clock), Rc::clone(&self.mocks) as Rc<dyn Mocks>);
        let inline = Inline::new(Arc::clone(&self.store) as Arc<dyn Store>, options, clock, mocks, Tools::new());
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        inline.handle().deploy(compile(self.bundle.clone(), &settings).unwrap());
        inline
    }

    fn start(&self, engine: &mut Inline) {
        let start = Start { run: Some(self.run), ..Start::default() };
        let handle = engine.handle().clone();
        engine.call(handle.start("t", start)).unwrap();
        engine.settle();
    }

    fn output(&self) -> String {
        let run = self.store.run(self.run).unwrap().unwrap();
        format!("{}: {}", run.status.name(), run.output.unwrap_or_default().text())
    }
}

#[test]
fn time_jumps_to_what_is_due() {
    for evict_after in [Duration::MAX, Duration::ZERO] {
        let bench =
            Bench::new("sleep(\"30d\"); let n = http::get(\"https://a.example\"); step(\"replaced\", || 0) + n");
        let mut engine = bench.engine(evict_after);
        bench.start(&mut engine);
        let until = engine.now().plus(Duration::from_hours(40 * 24));
        assert_eq!((engine.advance(until), bench.output().as_str()), (Some(false), "completed: 3"));
        assert_eq!(*bench.mocks.0.borrow(), ["http::get:1", "replaced:1"]);
    }
}

#[test]
fn whoever_waits_for_a_run_that_is_no_child_is_woken_out_of_memory() {
    for evict_after in [Duration::MAX, Duration::ZERO] {
        let bench = Bench::new(
            r#"fn main(i) {
                if i != () { sleep("1d"); if i > 1 { workflow::continue_as(i - 1); } return i; }
                let runs = [workflow::start("t", 1), workflow::start("t", 3)];
                runs.map(|run| workflow::wait(run))
            }"#,
        );
        let mut engine = bench.engine(evict_after);
        bench.start(&mut engine);
        let until = engine.now().plus(Duration::from_hours(4 * 24));
        while engine.advance(until) == Some(false) {}
        assert_eq!(bench.output(), "completed: [1,1]", "leaves memory after {evict_after:?}");
    }
}

#[test]
fn a_failed_commit_stops_it_and_another_one_goes_on() {
    for fault in [Fault::Lost, Fault::Kept] {
        let bench = Bench::new("sleep(\"1d\"); http::post(\"https://a.example\", 1)");
        let mut engine = bench.engine(Duration::MAX);
        bench.start(&mut engine);
        bench.store.fail_next(fault);
        let until = engine.now().plus(Duration::from_hours(48));
        assert_eq!(engine.advance(until), None);
        let mut engine = bench.engine(Duration::MAX);
        engine.recover().unwrap();
        while engine.advance(until) == Some(false) {}
        assert_eq!((bench.output().as_str(), bench.mocks.0.borrow().len()), ("completed: 1", 1));
        assert_eq!(bench.store.run(bench.run).unwrap().unwrap().status, Status::Completed);
    }
}

#[test]
fn events_are_gathered_in_virtual_time_and_over_a_crash() {
    let bench = Bench::new("trigger::event(\"paid\", #{ debounce: \"30d\", when: |p| p > 1 }); fn main(i) { i }");
    let inputs = || -> Vec<_> {
        let filter = crate::store::RunFilter { limit: 9, ..Default::default() };
        bench.store.runs(&filter).unwrap().iter().map(|run| run.input.text().to_owned()).collect()
    };
    let hour = Duration::from_hours(1);
    for n in [2, 3, 1] {
        let mut engine = bench.engine(hour);
        engine.recover().unwrap();
        let (id, payload, at) = (n.to_string().as_str().into(), Payload::from_text(n.to_string()), engine.now());
        let event = crate::store::Event { seq: 0, id, name: "paid".into(), key: None, payload, run: None, at };
        let handle = engine.handle().clone();
        engine.call(handle.emit(event)).unwrap();
        assert_eq!(engine.advance(at.plus(hour)), Some(true));
        assert_eq!(inputs(), [""; 0]);
    }
    let mut engine = bench.engine(hour);
    engine.recover().unwrap();
    let until = engine.now().plus(hour * 24 * 31);
    while engine.advance(until) == Some(false) {}
    assert_eq!(inputs(), ["3"]);
}
