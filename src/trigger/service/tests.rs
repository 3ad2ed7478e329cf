//! Schedules and files through the engine on the memory store, with a clock that tests set.

use std::path::Path;
use std::sync::atomic::AtomicI64;

use super::*;
use crate::effect::message::Brokers;
use crate::effect::sql::{Database, Databases, Where};
use crate::engine::{Engine, NoSettings, Options, Settings, compile};
use crate::id::RunId;
use crate::script::bundle::Bundle;
use crate::store::memory::Memory;
use crate::store::{Event, Run, RunFilter, Status, Store};
use crate::time::{Clock, SystemClock, parse_time};

/// No test waits longer for what must come.
const BOUND: Duration = Duration::from_mins(2);

/// The system's clock, moved.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
}

/// One database `crm`, in this file.
fn databases(path: &Path) -> Arc<Databases> {
    let crm = Database { place: Where::Sqlite(path.to_owned()), secret: None, max_rows: 100, pool: 1 };
    Arc::new(Databases::new([("crm".to_owned(), crm)].into(), Box::new(|_, _| Err("none".to_owned()))))
}

/// A daemon that can be stopped and started again over the same data.
struct Bench {
    store: Arc<dyn Store>,
    clock: Arc<Moved>,
    data: tempfile::TempDir,
    script: &'static str,
    running: Option<(Service, Engine)>,
}

impl Bench {
    fn new(script: &'static str) -> Self {
        let mut bench = Self::stopped(script);
        bench.start();
        bench
    }

    fn stopped(script: &'static str) -> Self {
        let (store, clock) = (Arc::new(Memory::default()), Arc::new(Moved(AtomicI64::new(0))));
        Self { store, clock, data: tempfile::tempdir().unwrap(), script, running: None }
    }

    fn start(&mut self) {
        let databases = databases(&self.data.path().join("crm.db"));
        let clock = Arc::clone(&self.clock) as _;
        let brokers = Some(Arc::new(Brokers::new([].into(), Box::new(|_, _| Err("none".to_owned())))));
        let options =
            Options { clock, workers: 1, databases: Some(databases), brokers, ..Options::new(self.data.path()) };
        let engine = Engine::start(Arc::clone(&self.store), options);
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        let bundle = Bundle::of_text("w.rhai", self.script).unwrap();
        engine.handle().deploy(compile(bundle, &settings).unwrap());
        engine.handle().recover().unwrap();
        self.running = Some((Service::start(engine.handle()), engine));
    }

    fn stop(&mut self) {
        if let Some((service, engine)) = self.running.take() {
            service.stop();
            engine.stop();
        }
    }

    fn service(&self) -> &Service {
        &self.running.as_ref().expect("it runs").0
    }

    /// Sets the clock to a time of day, from where it goes on.
    fn at(&self, time: &str) {
        self.clock.0.store(parse_time(time).unwrap().0 - SystemClock.now().0, Ordering::Relaxed);
    }

    /// Emits an event without a payload.
    fn emit(&self, name: &str) {
        let handle = self.running.as_ref().expect("it runs").1.handle();
        let (id, at) = (RunId::new().to_string().as_str().into(), handle.clock().now());
        let event = Event { seq: 0, id, name: name.into(), key: None, payload: Payload::unit(), run: None, at };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(handle.emit(event)).unwrap();
    }

    /// What the first trigger remembers.
    fn state(&self) -> Value {
        self.store.states(SCOPE, "w/").unwrap().first().map(|(_, state)| state.to_json()).unwrap_or_default()
    }

    fn outputs(runs: &[Run]) -> Vec<Value> {
        runs.iter().filter_map(|run| Some(run.output.as_ref()?.to_json())).collect()
    }

    fn drop_file(&self, name: &str, text: &str) {
        std::fs::write(self.data.path().join("workspace/w/inbox").join(name), text).unwrap();
    }

    /// All runs, oldest first, once there are so many that have ended.
    fn ended(&self, count: usize) -> Vec<Run> {
        Bench::until(|| self.runs().iter().filter(|run| run.status == Status::Completed).count() >= count);
        self.runs()
    }

    fn runs(&self) -> Vec<Run> {
        let mut runs = self.store.runs(&RunFilter { limit: 100, ..RunFilter::default() }).unwrap();
        runs.reverse();
        runs
    }

    fn scheduled(runs: &[Run]) -> Vec<String> {
        let at = |run: &Run| run.trigger.to_json()["scheduled_at"].as_str().unwrap_or_default().to_owned();
        runs.iter().map(at).collect()
    }

    fn until(condition: impl Fn() -> bool) {
        Self::within(BOUND, condition);
    }

    fn within(bound: Duration, condition: impl Fn() -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waiting = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        runtime.block_on(async { tokio::time::timeout(bound, waiting).await }).expect("in time");
    }

    fn noted(&self) -> usize {
        self.store.states(SCOPE, "w/").unwrap().len()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
    }
}

const INBOX: &str = "trigger::file(\"inbox/*.csv\", #{ settle: \"50ms\" });\nfn main(f) { file::read(f.path) }";

#[test]
fn three_files_are_three_runs_also_when_one_came_while_the_daemon_was_down() {
    let mut bench = Bench::new(INBOX);
    Bench::until(|| Path::new(&bench.data.path().join("workspace/w/inbox")).is_dir());
    bench.drop_file("a.csv", "A");
    bench.drop_file("b.csv", "B");
    bench.drop_file("no.txt", "-");
    bench.ended(2);
    Bench::until(|| bench.noted() == 2);
    bench.stop();
    bench.drop_file("c.csv", "C");
    bench.start();
    let mut outputs: Vec<_> = bench.ended(3).iter().map(|run| run.output.as_ref().unwrap().to_json()).collect();
    outputs.sort_by_key(ToString::to_string);
    assert_eq!(outputs, [json!("A"), json!("B"), json!("C")]);
    assert_eq!(bench.runs()[0].input.to_json()["path"], "inbox/a.csv");
}

#[test]
fn a_crash_between_start_and_note_starts_no_file_twice() {
    let mut bench = Bench::new(INBOX);
    Bench::until(|| Path::new(&bench.data.path().join("workspace/w/inbox")).is_dir());
    bench.drop_file("a.csv", "A");
    Bench::until(|| bench.noted() == 1);
    bench.stop();
    let (key, _) = bench.store.states(SCOPE, "w/").unwrap().remove(0);
    bench.store.commit(&[note(&key, None)]).unwrap();
    bench.start();
    Bench::until(|| bench.noted() == 1);
    assert_eq!(bench.runs().len(), 1);
}

const ORDERS: &str = "workflow(#{ allow: #{ sql: [\"crm\"] } });\n\
    trigger::sql(\"crm\", \"select id, paid from orders where id > :cursor order by id limit 2\", #{ every: \"50ms\", cursor: \"id\" });\n\
    fn main(rows) { rows.map(|row| [row.id, row.paid]) }";

impl Bench {
    /// With a table `orders` that has orders of these numbers.
    fn with_orders(script: &'static str, numbers: &[i64]) -> Self {
        let bench = Self::stopped(script);
        bench.sql("create table orders (id integer primary key, paid decimal(10,2))");
        numbers.iter().for_each(|number| bench.order(*number));
        bench
    }

    fn sql(&self, text: &str) {
        let open = || rusqlite::Connection::open(self.data.path().join("crm.db")).unwrap();
        open().execute_batch(text).unwrap();
    }

    fn order(&self, number: i64) {
        self.sql(&format!("insert into orders values ({number}, '12.50')"));
    }

    /// The numbers of the orders that runs got, in the order of the runs.
    fn taken(&self) -> Vec<i64> {
        let rows = |run: &Run| run.input.to_json().as_array().cloned().unwrap_or_default();
        self.runs().iter().flat_map(rows).filter_map(|row| row["id"].as_i64()).collect()
    }
}

#[test]
fn each_row_is_taken_once_also_across_a_restart() {
    let mut bench = Bench::with_orders(ORDERS, &[1, 2, 3]);
    bench.start();
    Bench::until(|| bench.taken() == [1, 2, 3]);
    assert_eq!(bench.ended(2)[0].output.as_ref().unwrap().to_json(), json!([[1, "12.5"], [2, "12.5"]]));
    bench.stop();
    bench.order(4);
    bench.start();
    Bench::until(|| bench.taken() == [1, 2, 3, 4]);
    assert_eq!(bench.state()["cursor"], 4);
}

#[test]
fn a_crash_between_find_and_note_starts_no_row_twice() {
    let mut bench = Bench::with_orders(ORDERS, &[1]);
    bench.start();
    Bench::until(|| bench.state()["cursor"] == 1 && bench.state()["found"].is_null());
    bench.stop();
    // The run is there, and its note is not: as it is after a crash between the two. More rows have come meanwhile.
    let (key, state) = bench.store.states(SCOPE, "w/").unwrap().remove(0);
    bench.order(2);
    let mut before = state.to_json();
    before["found"] = json!([{ "id": 1, "paid": "12.5" }]);
    bench.store.commit(&[note(&key, Some(&before))]).unwrap();
    bench.start();
    Bench::until(|| bench.state()["cursor"] == 2 && bench.state()["found"].is_null());
    assert_eq!(bench.taken(), [1, 2]);
}

#[test]
fn without_a_cursor_other_rows_are_new() {
    let script = "workflow(#{ allow: #{ sql: [\"crm\"] } });\n\
        trigger::sql(\"crm\", \"select id from orders order by id\", #{ every: \"20ms\", when: |rows| rows[0].id > 0 });\nfn main(rows) { rows.len() }";
    let mut bench = Bench::with_orders(script, &[1]);
    bench.start();
    Bench::until(|| bench.taken() == [1]);
    bench.order(2);
    Bench::until(|| bench.taken() == [1, 1, 2]);
    bench.sql("delete from orders");
    Bench::until(|| bench.state()["seen"].is_null());
    bench.order(2);
    Bench::until(|| bench.taken() == [1, 1, 2, 2]);
}

#[test]
fn a_broker_that_cannot_be_reached_is_told_with_the_trigger() {
    let mut bench = Bench::stopped(
        "workflow(#{ allow: #{ message: [\"127.0.0.1\"] } });\ntrigger::message(\"nats://127.0.0.1:1/orders\");\nfn main(m) { m }",
    );
    bench.start();
    let handle = bench.running.as_ref().expect("it runs").1.handle();
    let refused = || handle.refusal("w", "message:nats://127.0.0.1:1/orders").map(|refusal| refusal.reason);
    Bench::until(|| refused().is_some_and(|reason| reason.contains("cannot be reached") && reason.contains("hint: ")));
}

#[test]
fn a_query_that_fails_is_told_and_asked_again() {
    let mut bench = Bench::stopped(ORDERS);
    bench.start();
    let refused = |bench: &Bench| {
        let handle = bench.running.as_ref().expect("it runs").1.handle();
        handle.refusal("w", "sql:crm").map(|refusal| refusal.reason).unwrap_or_default()
    };
    Bench::until(|| refused(&bench).contains("there is no file"));
    bench.sql("create table orders (id integer primary key, paid decimal(10,2))");
    bench.order(7);
    Bench::until(|| bench.taken() == [7]);
}

#[test]
fn an_interval_starts_runs_and_is_never_early() {
    let bench = Bench::new("trigger::every(\"200ms\", #{ overlap: \"allow\", input: 5 });\nfn main(n) { n }");
    let runs = bench.ended(3);
    for (run, at) in runs.iter().zip(Bench::scheduled(&runs)) {
        assert!(run.created_at >= parse_time(&at).unwrap());
    }
    assert_eq!(runs[0].output.as_ref().unwrap().to_json(), json!(5));
    assert_eq!(bench.service().next_fires().len(), 1);
}

#[test]
fn a_new_schedule_makes_up_for_nothing_and_a_known_one_for_the_last_time() {
    let mut bench = Bench::stopped("trigger::cron(\"0 8 * * *\");\nfn main() { 1 }");
    bench.at("2026-03-01T12:00Z");
    bench.start();
    Bench::until(|| bench.noted() == 1);
    bench.stop();
    bench.at("2026-03-04T12:00Z");
    bench.start();
    let runs = bench.ended(1);
    assert_eq!(Bench::scheduled(&runs), ["2026-03-04T08:00:00.000Z"]);
    let next = parse_time("2026-03-05T08:00Z").unwrap();
    Bench::until(|| bench.service().next_fires().first().is_some_and(|fire| fire.2 == next));
    bench.stop();
    bench.start();
    Bench::until(|| !bench.service().next_fires().is_empty());
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn all_that_was_missed_runs_one_after_another_where_that_is_asked_for() {
    let mut bench =
        Bench::stopped("trigger::cron(\"0 8 * * *\", #{ catch_up: \"all\" });\nfn main() { sleep(\"50ms\") }");
    bench.at("2026-03-01T12:00Z");
    bench.start();
    Bench::until(|| bench.noted() == 1);
    bench.stop();
    bench.at("2026-03-04T12:00Z");
    bench.start();
    let days = Bench::scheduled(&bench.ended(3));
    assert_eq!(days.iter().map(|day| &day[8..10]).collect::<Vec<_>>(), ["02", "03", "04"]);
}

impl Bench {
    /// A minutely schedule with these options, its daemon away from the first time to the second. The runs that it has
    /// ended once there are so many, oldest first.
    fn away(options: &str, until: &str, count: usize) -> (Self, Vec<Run>) {
        let script = format!("trigger::cron(\"* * * * *\", #{{ {options} }});\nfn main() {{ 1 }}");
        let mut bench = Self::stopped(script.leak());
        bench.at("2026-03-01T12:00:30Z");
        bench.start();
        Self::until(|| bench.noted() == 1);
        bench.stop();
        bench.at(until);
        bench.start();
        // The daemon is there again: the time after those that were missed is the next.
        let next = parse_time(until).unwrap().plus(Duration::from_secs(30));
        Self::within(Duration::from_mins(3), || {
            let is_next = bench.service().next_fires().first().is_some_and(|fire| fire.2 >= next);
            is_next && bench.completed() >= count
        });
        let mut runs = bench.store.runs(&RunFilter { limit: 10_000, ..RunFilter::default() }).unwrap();
        runs.reverse();
        (bench, runs)
    }

    fn completed(&self) -> usize {
        let counts = self.store.counts().unwrap();
        counts.iter().filter(|(_, status, _)| *status == Status::Completed).map(|(_, _, count)| *count as usize).sum()
    }
}

const CATCH_UPS: [&str; 3] = ["last", "none", "all"];

#[test]
fn three_days_without_a_daemon_start_what_catch_up_says() {
    for (catch_up, missed) in CATCH_UPS.into_iter().zip([1, 0, 3 * 1440]) {
        let (_bench, runs) = Bench::away(&format!("catch_up: \"{catch_up}\""), "2026-03-04T12:00:30Z", missed);
        let expected = (1..=3 * 1440).map(|n| parse_time("2026-03-01T12:00Z").unwrap().plus(Duration::from_mins(n)));
        let expected: Vec<_> = expected.map(|at| at.to_string()).collect();
        // While it made up for them, a minute of the present may have come.
        assert_eq!(Bench::scheduled(&runs)[..missed], expected[expected.len() - missed..], "{catch_up}");
        assert!(runs.len() - missed < 5, "{catch_up}");
    }
}

#[test]
fn what_was_missed_is_the_same_for_each_overlap_and_only_allow_overlaps() {
    for overlap in ["skip", "queue", "allow"] {
        for (catch_up, missed) in CATCH_UPS.into_iter().zip([1, 0, 120]) {
            let options = format!("catch_up: \"{catch_up}\", overlap: \"{overlap}\"");
            let (_bench, runs) = Bench::away(&options, "2026-03-01T14:00:30Z", missed);
            let scheduled = Bench::scheduled(&runs);
            assert!(scheduled.is_sorted() && runs.len() - missed < 5, "{options}: {scheduled:?}");
            let is_one_by_one = runs.windows(2).all(|pair| pair[0].ended_at <= Some(pair[1].created_at));
            assert!(is_one_by_one || overlap == "allow", "{options}");
        }
    }
}

#[test]
fn a_daemon_that_ends_while_it_makes_up_for_times_goes_on_where_it_was() {
    let script = "trigger::cron(\"* * * * *\", #{ catch_up: \"all\" });\nfn main() { 1 }";
    let mut bench = Bench::stopped(script);
    bench.at("2026-03-01T12:00:30Z");
    bench.start();
    Bench::until(|| bench.noted() == 1);
    for least in [0, 10, 40, 90, 120] {
        bench.stop();
        bench.at("2026-03-01T14:00:30Z");
        bench.start();
        Bench::within(Duration::from_mins(3), || bench.completed() >= least);
    }
    let runs = bench.store.runs(&RunFilter { limit: 10_000, ..RunFilter::default() }).unwrap();
    let scheduled = Bench::scheduled(&runs);
    let each_once: std::collections::BTreeSet<_> = scheduled.iter().collect();
    assert_eq!((each_once.len(), scheduled.is_sorted_by(|a, b| a > b)), (scheduled.len(), true));
    assert!(scheduled.len() - 120 < 5, "{}", scheduled.len());
}

#[test]
fn a_crash_between_start_and_note_starts_no_schedule_twice() {
    let mut bench = Bench::stopped("trigger::cron(\"0 8 * * *\");\nfn main() { 1 }");
    let before = || note("w/cron:0 8 * * *", Some(&json!({ "last": "2026-03-03T12:00:00Z", "run": null })));
    bench.at("2026-03-04T12:00Z");
    for _ in 0..2 {
        bench.store.commit(&[before()]).unwrap();
        bench.start();
        Bench::until(|| bench.service().next_fires().first().is_some_and(|next| next.2.to_string().contains("-05T")));
        bench.stop();
    }
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn a_time_is_skipped_while_the_run_before_is_open() {
    let bench = Bench::new("trigger::every(\"50ms\");\nfn main() { wait_for(\"go\") }");
    Bench::until(|| bench.runs().len() == 1);
    let passed = |count: i64| {
        let first = parse_time(&Bench::scheduled(&bench.runs())[0]).unwrap();
        bench.service().next_fires().first().is_some_and(|next| next.2.0 > first.0 + 50 * count)
    };
    Bench::until(|| passed(4));
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn a_start_of_the_daemon_starts_once() {
    let mut bench = Bench::new("trigger::startup();\nfn main() { trigger::info().kind }");
    assert_eq!(bench.ended(1)[0].output.as_ref().unwrap().to_json(), json!("startup"));
    bench.stop();
    bench.start();
    assert_eq!(bench.ended(2).len(), 2);
}

#[test]
fn a_trigger_that_is_gone_is_forgotten() {
    let bench = Bench::new("trigger::every(\"1h\");\nfn main() { 1 }");
    Bench::until(|| bench.noted() == 1);
    bench.running.as_ref().unwrap().1.handle().withdraw("w");
    // The note goes first, and a moment later what is held in memory.
    Bench::until(|| bench.noted() == 0 && bench.service().next_fires().is_empty());
}

#[test]
fn a_time_waits_for_the_run_before_also_over_a_restart_where_that_is_asked_for() {
    let mut bench = Bench::new("trigger::every(\"50ms\", #{ overlap: \"queue\" });\nfn main() { wait_for(\"go\") }");
    Bench::until(|| bench.state()["queued"].as_array().is_some_and(|queued| queued.len() >= 2));
    bench.stop();
    assert_eq!(bench.runs().len(), 1);
    let queued = bench.state()["queued"].clone();
    bench.start();
    bench.emit("go");
    Bench::until(|| bench.runs().len() == 2);
    bench.emit("go");
    Bench::until(|| bench.runs().len() == 3);
    let scheduled = Bench::scheduled(&bench.runs());
    assert_eq!(json!(scheduled[1..]), json!(queued.as_array().unwrap()[..2]));
}

#[test]
fn runs_overlap_where_that_is_allowed() {
    let bench = Bench::new("trigger::every(\"30ms\", #{ overlap: \"allow\" });\nfn main() { wait_for(\"go\") }");
    Bench::until(|| bench.runs().iter().filter(|run| run.status != Status::Completed).count() >= 3);
}

#[test]
fn what_was_missed_stays_missed_where_that_is_asked_for() {
    let mut bench = Bench::stopped("trigger::cron(\"0 8 * * *\", #{ catch_up: \"none\" });\nfn main() { 1 }");
    for day in ["2026-03-01T12:00Z", "2026-03-04T12:00Z"] {
        bench.stop();
        bench.at(day);
        bench.start();
        let next = parse_time(day).unwrap().plus(Duration::from_hours(20));
        Bench::until(|| bench.service().next_fires().first().is_some_and(|fire| fire.2 == next));
    }
    assert_eq!(bench.runs(), []);
}

#[test]
fn jitter_spreads_starts_and_makes_none_early() {
    let bench = Bench::new(
        "trigger::every(\"60ms\", #{ jitter: \"50ms\", overlap: \"allow\" });\nfn main() { trigger::info() }",
    );
    let runs = bench.ended(4);
    let most = Duration::from_millis(50);
    let mut later = std::collections::BTreeSet::new();
    for (run, at) in runs.iter().zip(Bench::scheduled(&runs)) {
        let at = parse_time(&at).unwrap();
        let jitter = schedules::jitter(most, "w/every:60ms", at);
        assert!(jitter <= most && run.created_at >= at.plus(jitter), "{at} {jitter:?}");
        later.insert(jitter);
    }
    assert!(later.len() > 1);
}

#[test]
fn a_schedule_asks_its_closures_and_its_run_knows_its_time() {
    let script = "trigger::cron(\"0 8 * * *\", #{ catch_up: \"all\", when: |t| t.scheduled_at < \"2026-03-04\", input: |t| t.scheduled_at });
        fn main(i) { [i, trigger::info()] }";
    let mut bench = Bench::stopped(script);
    for (day, noted) in [("2026-03-02T12:00Z", "2026-03-02T12"), ("2026-03-05T12:00Z", "2026-03-05T08")] {
        bench.stop();
        bench.at(day);
        bench.start();
        Bench::until(|| bench.state()["last"].as_str().is_some_and(|last| last.starts_with(noted)));
    }
    let at = "2026-03-03T08:00:00.000Z";
    let info = json!({ "kind": "cron", "trigger": "cron:0 8 * * *", "scheduled_at": at });
    assert_eq!(Bench::outputs(&bench.ended(1)), [json!([at, info])]);
}

#[test]
fn files_are_chosen_by_closures_and_the_run_knows_which() {
    let script = "trigger::file(\"inbox/*\", #{ settle: \"20ms\", when: |f| f.name != \"no.csv\", input: |f| f.name });
        fn main(i) { [i, trigger::info()] }";
    let mut bench = Bench::new(script);
    Bench::until(|| bench.data.path().join("workspace/w/inbox").is_dir());
    bench.drop_file("no.csv", "-");
    bench.drop_file("a.csv", "A");
    Bench::until(|| bench.noted() == 2);
    let outputs = Bench::outputs(&bench.ended(1));
    let info = &outputs[0][1];
    assert_eq!(
        (&outputs[0][0], &info["kind"], &info["path"]),
        (&json!("a.csv"), &json!("file"), &json!("inbox/a.csv"))
    );
    assert_eq!(
        (&info["trigger"], &info["size"], info["sha256"].as_str().unwrap().len()),
        (&json!("file:inbox/*"), &json!(1), 64)
    );
    bench.stop();
    bench.start();
    bench.drop_file("b.csv", "B");
    assert_eq!(bench.ended(2).len(), 2);
}

#[test]
fn a_condition_that_throws_or_never_ends_stops_no_schedule() {
    let script = "trigger::every(\"40ms\", #{ when: |t| { loop {} } });
        trigger::every(\"41ms\", #{ when: |t| t.nothing.x });
        trigger::every(\"42ms\", #{ overlap: \"allow\", input: |t| 7 });
        fn main(i) { i }";
    let bench = Bench::new(script);
    let outputs = Bench::outputs(&bench.ended(3));
    assert!(outputs.iter().all(|output| *output == json!(7)), "{outputs:?}");
}

#[test]
fn what_comes_after_something_that_hit_the_limit_waits_and_is_not_refused() {
    let mut bench = Bench::stopped(
        "trigger::event(\"e\", #{ when: |e| { let n = 0; while e.payload == \"big\" { n += 1; } true } });\nfn main(e) { e }",
    );
    bench.start();
    let handle = bench.running.as_ref().expect("it runs").1.handle();
    let deployed = handle.workflow("w").unwrap();
    let (name, spec) = (&deployed.name, &deployed.triggers[0]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let came = |payload: &str| {
        let seen = Some(json!({ "payload": payload }));
        runtime.block_on(begin(&handle, Cause { input: payload.into(), seen, ..Cause::of(name, spec) }))
    };
    assert!(matches!(came("small"), Begun::Run(_)));
    assert!(matches!(came("big"), Begun::Never(why) if why.contains("CPU limit")));
    assert!(matches!(came("small"), Begun::NotNow(why) if why.contains("CPU limit")));
}
