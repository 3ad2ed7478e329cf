//! The hot path alone: scripts on fibers, and a thread that commits what has gathered to `SQLite`. Nothing of a product is
//! around it; it is what the engine is held against.

pub(super) mod strict;

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rhai::{AST, Dynamic, FnPtr, NativeCallContext, Scope};

use super::meter::measured;
use super::stage::{IN_FLIGHT, TEN_STEPS, workers};
use super::{Bench, Figure, Result, Workload};
use crate::script::fiber::{Fiber, Pause, StackPool, Turn, suspend};
use crate::script::{rewrite, value};

pub(super) const WORKLOAD: Workload = Workload {
    name: "hot",
    about: "scripts on fibers and a thread that commits, nothing else: what the engine is held against",
    measure: |bench| {
        let figure = measure(bench)?;
        bench.note_hot(figure.value);
        Ok(vec![figure])
    },
};

/// One row of a run, as the hot path writes it.
struct Row {
    run: i64,
    body: Vec<u8>,
    /// It is the last one.
    ends: bool,
    worker: usize,
    slot: usize,
}

/// Evaluates so many runs on one worker; the rows go to the log, the slots of those that are durable come back.
type Evaluate = fn(worker: usize, runs: usize, to_log: &Sender<Row>, acked: &Receiver<usize>);

pub(super) fn measure(bench: &Bench) -> Result<Figure> {
    with(bench, "hot path alone (output commit)", bench.count(40_000, 4_000), evaluate)
}

/// Scripts on fibers, one thread that commits what has gathered, nothing else.
fn with(bench: &Bench, what: &str, runs: usize, evaluate: Evaluate) -> Result<Figure> {
    let folder = bench.scratch()?;
    let connection = filled_log(&folder.path().join("hot.db"))?;
    let workers = workers();
    let each = (runs / workers).max(1);
    let (commits, spent) = measured(|| {
        let (to_log, rows) = channel();
        let (acks, acked): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let log = std::thread::spawn(move || commit_rows(&connection, &rows, &acks));
        let threads: Vec<_> = acked
            .into_iter()
            .enumerate()
            .map(|(worker, acked)| {
                let to_log = to_log.clone();
                std::thread::spawn(move || evaluate(worker, each, &to_log, &acked))
            })
            .collect();
        drop(to_log);
        threads.into_iter().for_each(|worker| worker.join().expect("a worker does not panic"));
        Ok(log.join().expect("the log does not panic")?)
    })?;
    let runs = each * workers;
    Ok(spent.steps(what, runs * 10).commits(commits, runs))
}

pub(super) fn filled_log(path: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
         CREATE TABLE segment(id INTEGER PRIMARY KEY, run INTEGER, prev INTEGER, body BLOB);
         CREATE TABLE run(id INTEGER PRIMARY KEY, workflow TEXT, input TEXT, status INTEGER, output TEXT);
         CREATE TABLE filler(b BLOB); BEGIN;",
    )?;
    for _ in 0..32 {
        connection.execute("INSERT INTO filler VALUES(zeroblob(1000000))", [])?;
    }
    connection
        .execute_batch("COMMIT; DROP TABLE filler; PRAGMA wal_checkpoint(RESTART); PRAGMA wal_autocheckpoint=4000;")?;
    Ok(connection)
}

/// Commits what comes, in groups of what has gathered; how many commits it were.
fn commit_rows(
    connection: &rusqlite::Connection,
    rows: &Receiver<Row>,
    acks: &[Sender<usize>],
) -> rusqlite::Result<u64> {
    let mut commits = 0;
    while let Ok(first) = rows.recv() {
        let group: Vec<_> = std::iter::once(first).chain(rows.try_iter().take(4_095)).collect();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for row in &group {
            let mut segment = connection.prepare_cached("INSERT INTO segment(run, prev, body) VALUES(?1, 0, ?2)")?;
            segment.execute(rusqlite::params![row.run, row.body])?;
            if row.ends {
                let mut run = connection.prepare_cached("INSERT OR REPLACE INTO run VALUES(?1, 'w', '{}', 2, '45')")?;
                run.execute([row.run])?;
            }
        }
        connection.execute_batch("COMMIT")?;
        commits += 1;
        for row in group {
            let _ = acks[row.worker].send(row.slot);
        }
    }
    Ok(commits)
}

/// What a worker evaluates with.
struct Script {
    engine: Rc<rhai::Engine>,
    ast: Rc<AST>,
    pool: Rc<StackPool>,
}

impl Script {
    fn new() -> Self {
        let mut engine = crate::script::sandbox::engine();
        engine.register_fn("step", |ctx: NativeCallContext, _name: &str, body: FnPtr| {
            let value = body.call_within_context::<Dynamic>(&ctx, ())?;
            suspend(Pause::Waiting);
            Ok::<_, Box<rhai::EvalAltResult>>(value)
        });
        let engine = Rc::new(engine);
        let ast = Rc::new(rewrite::rewrite(engine.compile(TEN_STEPS).expect("the script is ours")));
        Self { engine, ast, pool: Rc::new(StackPool::new()) }
    }

    fn fiber(&self) -> Fiber<std::result::Result<Dynamic, Box<rhai::EvalAltResult>>> {
        let (engine, ast) = (Rc::clone(&self.engine), Rc::clone(&self.ast));
        Fiber::new(&self.pool, move || engine.call_fn::<Dynamic>(&mut Scope::new(), &ast, "main", (Dynamic::UNIT,)))
    }
}

/// Writes down a step.
fn record(body: &mut Vec<u8>) {
    body.extend_from_slice(&[0; 48]);
    body.extend_from_slice(value::encode(&Dynamic::from(7_i64)).expect("a number is data").text().as_bytes());
}

fn evaluate(worker: usize, runs: usize, to_log: &Sender<Row>, acked: &Receiver<usize>) {
    let (script, workers) = (Script::new(), workers());
    let (mut started, mut finished) = (0, 0);
    let mut free: VecDeque<usize> = (0..(IN_FLIGHT / workers).max(1)).collect();
    while finished < runs {
        while started < runs
            && let Some(slot) = free.pop_front()
        {
            let mut fiber = script.fiber();
            let mut body = Vec::with_capacity(512);
            let result = loop {
                match fiber.resume() {
                    Turn::Paused(_) => record(&mut body),
                    Turn::Finished(result) => break result,
                }
            };
            assert_eq!(result.expect("the script has no error").as_int(), Ok(45));
            let row = Row { run: (started * workers + worker) as i64, body, ends: true, worker, slot };
            if to_log.send(row).is_err() {
                return;
            }
            started += 1;
        }
        let Ok(first) = acked.recv() else { return };
        for slot in std::iter::once(first).chain(acked.try_iter()) {
            finished += 1;
            free.push_back(slot);
        }
    }
}
