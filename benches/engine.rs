//! What the engine does on this machine, beside what its parts could do: the hot path alone (scripts on fibers and a
//! thread that commits to `SQLite`, nothing of a product around them), and commits of equal rows. Ratios within one run
//! count; the machine's speed does not.
//!
//! `cargo bench --bench engine` prints a table; `-- quick` takes a tenth of the work, and `hot`, `engine`, `replay` and
//! `memory` choose what is measured.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use panta::engine::{Engine, NoSettings, Options, Settings, Start, compile};
use panta::payload::Payload;
use panta::script::bundle::Bundle;
use panta::script::fiber::{Fiber, Pause, StackPool, Turn, suspend};
use panta::script::{rewrite, value};
use panta::sim::{Sim, Written};
use panta::store::sqlite::Sqlite;
use panta::time::elapsed;
use rhai::{AST, Dynamic, FnPtr, NativeCallContext, Scope};

const TEN_STEPS: &str = r#"fn main(x) { let t = 0; for i in 0..10 { t += step("s" + i, || i); } t }"#;
const IN_FLIGHT: usize = 64;
const WORKERS: usize = 2;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let quick = chosen.iter().any(|name| name == "quick");
    let all = chosen.iter().all(|name| name == "quick");
    let is_chosen = |name: &str| all || chosen.iter().any(|other| other == name);
    let runs = if quick { 4_000 } else { 40_000 };
    println!("{IN_FLIGHT} runs in flight, ten no-op steps each, {WORKERS} workers, SQLite with full durability");
    let alone = is_chosen("hot").then(|| hot_path(runs).print("hot path alone (output commit)"));
    let whole = is_chosen("engine").then(|| whole_engine(runs).print("the engine (output commit)"));
    if let (Some(alone), Some(whole)) = (alone, whole) {
        println!("{:<44} {:>11.2}", "ratio of steps per second", whole / alone);
    }
    if is_chosen("replay") {
        replay(if quick { 10_000 } else { 100_000 });
    }
    if is_chosen("memory") {
        memory(if quick { 500 } else { 3_000 });
    }
}

/// Steps, seconds on the wall, seconds of CPU.
struct Figures {
    steps: f64,
    wall: f64,
    cpu: f64,
}

impl Figures {
    fn measure(steps: usize, work: impl FnOnce()) -> Self {
        let (wall, cpu) = (elapsed(), cpu_seconds());
        work();
        Self { steps: steps as f64, wall: elapsed().saturating_sub(wall).as_secs_f64(), cpu: cpu_seconds() - cpu }
    }

    fn rate(&self) -> f64 {
        self.steps / self.wall
    }

    /// Prints a line of the table; returns the steps per second.
    fn print(&self, what: &str) -> f64 {
        println!("{what:<44} {:>9.0} steps/s {:>8.2} µs CPU a step", self.rate(), self.cpu * 1e6 / self.steps);
        self.rate()
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    (fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks")) / 100.0
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc");
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
}

/// One row of a run that has ended, as the hot path writes it.
struct Row {
    run: i64,
    body: Vec<u8>,
    worker: usize,
    slot: usize,
}

/// Scripts on fibers, one thread that commits what has gathered, nothing else.
fn hot_path(runs: usize) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = filled_log(&folder.path().join("hot.db"));
    Figures::measure(runs * 10, || {
        let (to_log, rows) = channel();
        let (acks, acked): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| channel()).unzip();
        let log = std::thread::spawn(move || commit_rows(&connection, &rows, &acks));
        let workers: Vec<_> = acked
            .into_iter()
            .enumerate()
            .map(|(worker, acked)| {
                let to_log = to_log.clone();
                std::thread::spawn(move || evaluate(worker, runs / WORKERS, &to_log, &acked))
            })
            .collect();
        drop(to_log);
        workers.into_iter().for_each(|worker| worker.join().expect("a worker"));
        log.join().expect("the log");
    })
}

fn filled_log(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).expect("opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
             CREATE TABLE segment(id INTEGER PRIMARY KEY, run INTEGER, prev INTEGER, body BLOB);
             CREATE TABLE run(id INTEGER PRIMARY KEY, workflow TEXT, input TEXT, status INTEGER, output TEXT);
             CREATE TABLE filler(b BLOB); BEGIN;",
        )
        .expect("schema");
    for _ in 0..32 {
        connection.execute("INSERT INTO filler VALUES(zeroblob(1000000))", []).expect("fills");
    }
    connection
        .execute_batch("COMMIT; DROP TABLE filler; PRAGMA wal_checkpoint(RESTART); PRAGMA wal_autocheckpoint=4000;")
        .expect("fills");
    connection
}

fn commit_rows(connection: &rusqlite::Connection, rows: &Receiver<Row>, acks: &[Sender<usize>]) {
    while let Ok(first) = rows.recv() {
        let group: Vec<_> = std::iter::once(first).chain(rows.try_iter().take(4_095)).collect();
        connection.execute_batch("BEGIN IMMEDIATE").expect("begins");
        for row in &group {
            let mut segment =
                connection.prepare_cached("INSERT INTO segment(run, prev, body) VALUES(?1, 0, ?2)").expect("sql");
            segment.execute(rusqlite::params![row.run, row.body]).expect("inserts");
            let mut run =
                connection.prepare_cached("INSERT OR REPLACE INTO run VALUES(?1, 'w', '{}', 2, '45')").expect("sql");
            run.execute([row.run]).expect("inserts");
        }
        connection.execute_batch("COMMIT").expect("commits");
        for row in group {
            let _ = acks[row.worker].send(row.slot);
        }
    }
}

fn evaluate(worker: usize, runs: usize, to_log: &Sender<Row>, acked: &Receiver<usize>) {
    let mut engine = panta::script::sandbox::engine();
    engine.register_fn("step", |ctx: NativeCallContext, _name: &str, body: FnPtr| {
        let value = body.call_within_context::<Dynamic>(&ctx, ())?;
        suspend(Pause::Waiting);
        Ok::<_, Box<rhai::EvalAltResult>>(value)
    });
    let engine = Rc::new(engine);
    let ast: Rc<AST> = Rc::new(rewrite::rewrite(engine.compile(TEN_STEPS).expect("compiles")));
    let pool = Rc::new(StackPool::new());
    let (mut started, mut finished) = (0, 0);
    let mut free: VecDeque<usize> = (0..IN_FLIGHT / WORKERS).collect();
    while finished < runs {
        while started < runs
            && let Some(slot) = free.pop_front()
        {
            let (engine, ast) = (Rc::clone(&engine), Rc::clone(&ast));
            let mut fiber =
                Fiber::new(&pool, move || engine.call_fn::<Dynamic>(&mut Scope::new(), &ast, "main", (Dynamic::UNIT,)));
            let mut body = Vec::with_capacity(512);
            let result = loop {
                match fiber.resume() {
                    Turn::Paused(_) => {
                        body.extend_from_slice(&[0; 48]);
                        body.extend_from_slice(value::encode(&Dynamic::from(7_i64)).expect("data").text().as_bytes());
                    }
                    Turn::Finished(result) => break result,
                }
            };
            assert_eq!(result.expect("no error").as_int(), Ok(45));
            to_log.send(Row { run: (started * WORKERS + worker) as i64, body, worker, slot }).expect("the log lives");
            started += 1;
        }
        let first = acked.recv().expect("an acknowledgement");
        for slot in std::iter::once(first).chain(acked.try_iter()) {
            finished += 1;
            free.push_back(slot);
        }
    }
}

fn engine_with(script: &str, folder: &Path, evict_after: Duration) -> Engine {
    let store = Arc::new(Sqlite::open(folder, &panta::store::sqlite::Options::default()).expect("a store"));
    let engine = Engine::start(store, Options { workers: WORKERS, evict_after, ..Options::new(folder) });
    let settings: Arc<dyn Settings> = Arc::new(NoSettings);
    let bundle = Bundle::of_text("w.rhai", script).expect("a bundle");
    engine.handle().deploy(compile(bundle, &settings).expect("compiles"));
    engine
}

fn whole_engine(runs: usize) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine_with(TEN_STEPS, folder.path(), Duration::from_secs(10));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Figures::measure(runs * 10, || {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..IN_FLIGHT)
                .map(|_| {
                    let handle = engine.handle();
                    async move {
                        for _ in 0..runs / IN_FLIGHT {
                            let started = handle.start("w", Start::default()).await.expect("starts");
                            handle.ended(started.run).await.expect("ends");
                        }
                    }
                })
                .collect();
            let local = tokio::task::LocalSet::new();
            let spawned: Vec<_> = tasks.into_iter().map(|task| local.spawn_local(task)).collect();
            local
                .run_until(async {
                    for task in spawned {
                        task.await.expect("a task");
                    }
                })
                .await;
        });
    })
}

fn replay(entries: usize) {
    let script = format!("fn main() {{ for i in 0..{entries} {{ step(\"s\", || i); }} }}");
    let bundle = Bundle::of_text("w.rhai", &script).expect("a bundle");
    let sim = Sim::new(&bundle, Payload::unit(), |_, _| unreachable!("no effects")).expect("compiles");
    let whole = sim.run(Written::default());
    let figures = Figures::measure(entries, || drop(sim.run(whole.written)));
    println!("{:<44} {:>9.0} entries/s ({entries} entries)", "replay of a journal", figures.rate());
}

fn memory(runs: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let waiting = r#"fn main(x) { wait_for("never", #{ key: "k" }) }"#;
    let base = resident_bytes();
    let engine = engine_with(waiting, folder.path(), Duration::from_secs(4));
    let handle = engine.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for _ in 0..runs {
            handle.start("w", Start::default()).await.expect("starts");
        }
    });
    let parked = resident_bytes().saturating_sub(base);
    runtime.block_on(async {
        while handle.in_motion().0 > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let evicted = resident_bytes().saturating_sub(base);
    println!("{:<44} {:>9.1} KB a run ({runs} runs)", "memory of a parked run", parked as f64 / runs as f64 / 1024.0);
    println!(
        "{:<44} {:>9.1} KB a run (with what the allocator keeps)",
        "memory of an evicted run",
        evicted as f64 / runs as f64 / 1024.0
    );
}
