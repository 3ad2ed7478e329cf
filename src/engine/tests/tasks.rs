//! Tasks through the engine: answers, races, restarts, escalations, what closes them; signed addresses; progress.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::engine::people::{Directory, Given, Person};
use crate::host::schema::Texts;
use crate::id::RunId;
use crate::store::TaskFilter;
use crate::task::{self, Task};
use crate::time::{Clock, SystemClock, Timestamp};

/// The system's clock, moved.
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
}

/// Keeps what people are told.
#[derive(Default)]
struct Told(Mutex<Vec<Notification>>);

impl Notifier for Told {
    fn notify(&self, notification: Notification) {
        self.0.lock().unwrap().push(notification);
    }
}

/// An engine with one script that can be stopped and started again; ann and bob are in finance, bob stands in for ann.
struct Desk {
    store: Arc<Memory>,
    clock: Arc<Moved>,
    told: Arc<Told>,
    folder: tempfile::TempDir,
    script: String,
    engine: Option<Engine>,
    evict_after: Duration,
}

impl Desk {
    fn new(script: &str) -> Self {
        Self::with(script, Duration::from_millis(20))
    }

    fn with(script: &str, evict_after: Duration) -> Self {
        let mut desk = Self {
            store: Arc::default(),
            clock: Arc::default(),
            told: Arc::default(),
            folder: tempfile::tempdir().expect("a folder"),
            script: script.to_owned(),
            engine: None,
            evict_after,
        };
        desk.start_engine();
        desk
    }

    fn start_engine(&mut self) {
        let person = |group: &str, substitute: Option<&str>| Person {
            email: None,
            groups: vec![group.into()],
            substitute: substitute.map(Into::into),
        };
        let people =
            [("ann", person("finance", Some("bob"))), ("bob", person("finance", None)), ("dora", person("cfo", None))];
        let people = Directory { people: people.into_iter().map(|(name, person)| (name.into(), person)).collect() };
        let options = Options {
            evict_after: self.evict_after,
            workers: 2,
            people: Arc::new(people),
            clock: Arc::clone(&self.clock) as _,
            notifier: Arc::clone(&self.told) as _,
            ..Options::new(self.folder.path())
        };
        let engine = Engine::start(Arc::clone(&self.store) as _, options);
        let bundle = Bundle::of_text("w.rhai", &self.script).expect("a bundle");
        let settings: Arc<dyn Settings> = Arc::new(NoSettings);
        engine.handle().deploy(compile(bundle, &settings).expect("compiles"));
        engine.handle().recover().expect("recovers");
        self.engine = Some(engine);
    }

    /// The process is down for so long.
    fn restart_after(&mut self, pause: Duration) {
        self.engine.take().expect("it runs").stop();
        self.clock.0.fetch_add(pause.as_millis() as i64, Ordering::Relaxed);
        self.start_engine();
    }

    fn handle(&self) -> Handle {
        self.engine.as_ref().expect("it runs").handle()
    }

    #[expect(clippy::unused_self, reason = "read as: the desk waits")]
    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { tokio::time::timeout(Duration::from_mins(2), future).await.expect("in time") })
    }

    fn begin(&self) -> RunId {
        self.block(self.handle().start("w", Start::default())).expect("starts").run
    }

    /// Waits until something holds of the store; looks after each change.
    fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let handle = self.handle();
        self.block(async {
            let mut notices = handle.watch();
            loop {
                if let Some(found) = look() {
                    return found;
                }
                let _ = tokio::time::timeout(Duration::from_millis(5), notices.next()).await;
            }
        })
    }

    fn tasks(&self, status: task::Status) -> Vec<Task> {
        self.handle().tasks(&TaskFilter { status: Some(status), limit: 100, ..TaskFilter::default() }).expect("a read")
    }

    /// The one open task, once the run waits for it.
    fn open(&self) -> Task {
        self.until(|| {
            let tasks = self.tasks(task::Status::Open);
            let parked = |task: &Task| self.handle().run(task.run).is_ok_and(|run| run.status == Status::Waiting);
            tasks.first().filter(|task| parked(task)).cloned()
        })
    }

    fn answer(&self, task: &Task, by: &str, choice: &str) -> Result<Task, Error> {
        self.block(self.handle().answer(task.id, &given(by, choice), &Actor::LOCAL))
    }

    fn ended(&self, run: RunId) -> Run {
        self.block(self.handle().ended(run)).expect("ends")
    }

    fn output(&self, run: RunId) -> Value {
        let run = self.ended(run);
        run.output.unwrap_or_else(|| panic!("{:?}", run.error)).to_json()
    }

    fn told(&self) -> Vec<(String, String)> {
        let told = self.told.0.lock().unwrap();
        told.iter().map(|one| (one.channel.to_string(), one.title.clone())).collect()
    }
}

fn given(by: &str, choice: &str) -> Given {
    Given { choice: Some(choice.into()), data: Value::Null, by: Some(by.into()), note: None, texts: Texts::Strict }
}

const PAY: &str = r#"task::ask(#{ title: "Pay?", text: "R1", to: "finance", choices: ["yes", "no"], due: "2d" })"#;

#[test]
fn a_person_answers_and_the_run_goes_on() {
    let desk = Desk::new(PAY);
    let run = desk.begin();
    let task = desk.open();
    let waiting = desk.handle().run(run).unwrap().waiting_for.to_string();
    assert!(waiting.starts_with("ann, bob (finance) to answer `Pay?`, due 2"), "{waiting}");
    assert!(matches!(desk.answer(&task, "dora", "yes"), Err(Error::MayNotAnswer(_))));
    desk.answer(&task, "ann", "yes").unwrap();
    let output = desk.output(run);
    assert_eq!((&output["choice"], &output["by"], &output["data"]), (&json!("yes"), &json!("ann"), &json!(null)));
    assert_eq!(desk.told(), [("ann".into(), "Pay?".into()), ("bob".into(), "Pay?".into())]);
}

#[test]
fn of_fifty_answers_at_once_one_counts_and_the_others_are_told_whose() {
    let desk = Desk::new(PAY);
    let run = desk.begin();
    let task = desk.open();
    let handle = desk.handle();
    let answers = desk.block(async {
        let all: Vec<_> = (0..50)
            .map(|n| {
                let (handle, given) = (handle.clone(), given(["ann", "bob"][n % 2], ["yes", "no"][n % 2]));
                tokio::spawn(async move { handle.answer(task.id, &given, &Actor::LOCAL).await })
            })
            .collect();
        let mut done = Vec::new();
        for one in all {
            done.push(one.await.expect("it ends"));
        }
        done
    });
    let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    let winner = won[0].answer.clone().expect("an answer");
    for lost in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let Error::TaskOver(task) = lost else { panic!("{lost}") };
        assert_eq!(task.answer.as_ref(), Some(&winner));
        assert!(lost.to_string().contains("was answered by `"), "{lost}");
    }
    assert_eq!(desk.output(run), winner.to_json());
}

#[test]
fn a_task_outlives_a_restart_and_is_opened_once() {
    let mut desk = Desk::new(PAY);
    let run = desk.begin();
    let task = desk.open();
    desk.restart_after(Duration::from_hours(1));
    assert_eq!(desk.open(), task);
    desk.restart_after(Duration::from_hours(1));
    desk.answer(&task, "bob", "no").unwrap();
    desk.restart_after(Duration::from_hours(72));
    assert_eq!(desk.output(run)["choice"], "no");
    assert_eq!((desk.tasks(task::Status::Answered).len(), desk.told().len()), (1, 2));
}

#[test]
fn reminders_and_escalations_come_in_their_time() {
    let script =
        r#"task::ask(#{ title: "Pay?", to: "ann", due: "2d", remind: "1d", escalate: [#{ after: "2d", to: "cfo" }] })"#;
    let mut desk = Desk::new(script);
    let run = desk.begin();
    let opened = desk.open();
    desk.restart_after(Duration::from_hours(25));
    desk.until(|| (desk.told().len() == 2).then_some(()));
    desk.restart_after(Duration::from_hours(24));
    let task = desk.until(|| desk.tasks(task::Status::Open).into_iter().find(|task| task.stage == 2));
    assert_eq!((task.to.len(), task.due), (2, Some(opened.opened_at.plus(Duration::from_hours(96)))));
    let sentence = |part: &str| desk.handle().run(run).unwrap().waiting_for.contains(part).then_some(());
    desk.until(|| sentence("ann or dora (cfo) to answer `Pay?`"));
    desk.restart_after(Duration::from_hours(50));
    assert_eq!(desk.output(run), json!(null));
    assert_eq!(desk.tasks(task::Status::Expired).len(), 1);
    assert!(matches!(desk.answer(&task, "dora", "x"), Err(Error::TaskOver(_))));
    let told = ["Pay?", "reminder: Pay?", "escalated: Pay?", "reminder: Pay?", "reminder: Pay?"];
    let to = ["ann", "ann", "dora", "ann", "dora"];
    assert_eq!(desk.told(), to.into_iter().zip(told).map(|(to, told)| (to.into(), told.into())).collect::<Vec<_>>());
}

#[test]
fn while_the_process_lives_its_own_timers_do_it() {
    for evict_after in [Duration::from_millis(5), Duration::from_mins(1)] {
        let script = r#"task::ask(#{ title: "Pay?", to: "ann", due: "60ms", remind: "20ms", escalate: [#{ after: "80ms", to: "cfo" }] })"#;
        let desk = Desk::with(script, evict_after);
        assert_eq!(desk.output(desk.begin()), json!(null));
        let titles: Vec<_> = desk.told().into_iter().map(|(_, title)| title).collect();
        assert_eq!(titles[..3], ["Pay?", "reminder: Pay?", "escalated: Pay?"], "{titles:?}");
    }
}

#[test]
fn a_task_that_nobody_waits_for_any_more_is_cancelled() {
    let ask = r#"task::ask(#{ title: "Pay?" })"#;
    for script in [
        format!("race([|| {ask}, || sleep(\"30ms\")])"),
        format!("attempt(|| timeout(\"30ms\", || {ask}))"),
        format!("attempt(|| parallel([|| {ask}, || {{ sleep(\"30ms\"); throw \"no\" }}]))"),
    ] {
        for evict_after in [Duration::from_millis(5), Duration::from_mins(1)] {
            // The run goes on: it is not its end that closes the task.
            let desk = Desk::with(&format!("{script}; wait_for(\"more\")"), evict_after);
            let run = desk.begin();
            let task = desk.until(|| desk.tasks(task::Status::Cancelled).pop());
            assert_eq!((task.run, desk.handle().run(run).unwrap().ended_at), (run, None), "{script}");
        }
    }
}

#[test]
fn a_cancelled_run_takes_its_task_with_it() {
    for evict_after in [Duration::from_millis(5), Duration::from_mins(1)] {
        let desk = Desk::with(PAY, evict_after);
        let run = desk.begin();
        let task = desk.open();
        desk.block(desk.handle().cancel(run, "enough", &Actor::LOCAL)).unwrap();
        assert_eq!(desk.ended(run).status, Status::Cancelled);
        let error = desk.answer(&task, "ann", "yes").unwrap_err();
        assert!(error.to_string().ends_with("(cancelled)"), "{error}");
    }
}

#[test]
fn each_attempt_of_a_step_asks_anew() {
    let script = r#"step("ask", #{ retry: #{ attempts: 2, delay: "1ms" } }, || {
        let answer = task::ask(#{ title: "Ok?", to: "ann" });
        if answer.choice != "yes" { throw "not yet" }
        attempt_number()
    })"#;
    let desk = Desk::new(script);
    let run = desk.begin();
    let first = desk.open();
    desk.answer(&first, "ann", "no").unwrap();
    let second = desk.open();
    assert_ne!(first.id, second.id);
    desk.answer(&second, "ann", "yes").unwrap();
    assert_eq!(desk.output(run), json!(2));
}

#[test]
fn data_is_typed_by_the_form() {
    let script = r#"let a = task::ask(#{ title: "How much?", form: #{ amount: "decimal", note: "string?" } }); a.data.amount + a.data.amount"#;
    let desk = Desk::new(script);
    let run = desk.begin();
    let task = desk.open();
    let bad = Given { data: json!({ "amount": "x", "note": 1 }), ..given("ann", "") };
    let Err(Error::Answer(faults)) = desk.block(desk.handle().answer(task.id, &bad, &Actor::LOCAL)) else {
        panic!("refused")
    };
    assert_eq!(faults.iter().map(|fault| &*fault.path).collect::<Vec<_>>(), ["data.amount", "data.note"]);
    let good = Given { data: json!({ "amount": "1.25" }), ..bad };
    desk.block(desk.handle().answer(task.id, &good, &Actor::LOCAL)).unwrap();
    assert_eq!(desk.output(run), "2.50");
}

#[test]
fn a_name_that_nobody_has_is_an_error_with_a_hint() {
    let desk = Desk::new(r#"task::ask(#{ title: "Pay?", to: "finanze" })"#);
    let error = desk.ended(desk.begin()).error.expect("an error").to_json();
    assert_eq!(error["kind"], "not_found");
    assert!(error["message"].as_str().unwrap().contains("did you mean `finance`?"), "{error}");
    assert!(desk.tasks(task::Status::Open).is_empty());
}

#[test]
fn bad_arguments_are_errors_of_the_call() {
    for (map, part) in [
        ("#{}", "needs the option `title`"),
        ("#{ title: \"\" }", "needs the option `title`"),
        ("#{ title: \"a\", to: 3 }", "option `to` takes texts"),
        ("#{ title: \"a\", to: [\"\"] }", "option `to` takes texts"),
        ("#{ title: \"a\", choices: \"x\" }", "`choices` is a list"),
        ("#{ title: \"a\", choices: [] }", "`choices` is a list"),
        ("#{ title: \"a\", form: #{ n: \"strin\" } }", "did you mean `string`?"),
        ("#{ title: \"a\", form: \"string\" }", "option `form` is a map"),
        ("#{ title: \"a\", remind: \"1d\" }", "counts back from `due`"),
        ("#{ title: \"a\", due: \"so\" + \"on\" }", "`soon`"),
        ("#{ title: \"a\", escalate: [1] }", "`escalate` takes maps"),
        ("#{ title: \"a\", escalate: [#{ after: \"1d\" }] }", "`escalate` takes maps"),
    ] {
        let error = error(&format!("task::ask({map})"));
        let message = error["message"].as_str().unwrap_or_default();
        assert!(error["kind"] == "invalid" && message.contains(part), "{map}: {error}");
    }
}

#[test]
fn a_signed_address_is_the_same_on_replay() {
    let script =
        r#"let url = event::url("parcel", #{ key: "A1", expires: "1d" }); [url, wait_for("parcel", #{ key: "A1" })]"#;
    let mut desk = Desk::new(script);
    let run = desk.begin();
    desk.until(|| (desk.handle().run(run).unwrap().status == Status::Waiting).then_some(()));
    desk.restart_after(Duration::from_hours(1));
    let event = crate::store::Event {
        seq: 0,
        id: "1".into(),
        name: "parcel".into(),
        key: Some("A1".into()),
        payload: crate::payload::Payload::from_text("7"),
        run: None,
        at: desk.clock.now(),
    };
    desk.block(desk.handle().emit(event)).unwrap();
    let output = desk.output(run);
    let token = output[0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let link = desk.handle().links().read_event(&token).expect("it is signed");
    assert_eq!((&*link.name, link.key.as_deref(), link.expires.is_some()), ("parcel", Some("A1"), true));
}

#[test]
fn the_newest_progress_is_shown_and_never_an_entry() {
    let script = r#"for i in 0..500 { progress(i / 1000.0, `at ${i}`); } sleep("5ms"); progress(0.9, "nearly"); wait_for("x"); progress(1)"#;
    let desk = Desk::new(script);
    let run = desk.begin();
    let shown = |value: &Value| desk.handle().progress(run).unwrap().filter(|shown| shown == value);
    desk.until(|| shown(&json!({ "text": "nearly", "value": 0.9 })));
    assert!(desk.handle().journal(run).unwrap().len() < 6);
    let row = desk.handle().run(run).unwrap();
    assert_eq!(desk.handle().run_json(&row).unwrap()["progress"]["value"], 0.9);
}

#[test]
fn progress_is_from_0_to_1() {
    for bad in ["40", "-0.1", "\"ha\" + \"lf\"", "1.01"] {
        let message = error(&format!("progress({bad})"))["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("a number from 0 to 1"), "{message}");
    }
}
