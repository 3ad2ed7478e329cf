//! How fast the store commits and reads: `cargo bench --bench store [-- append|raw|life|park|reads]`.
//!
//! Beside each measurement of the store stands what `SQLite` alone does with the same rows and settings.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use panta::id::{RunId, Version};
use panta::payload::Payload;
use panta::store::sqlite::{Options, Sqlite};
use panta::store::{Change, End, Rollback, Run, RunFilter, Status, Store, Subscription};
use panta::time::{Timestamp, elapsed};
use rusqlite::Connection;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part| words.is_empty() || words.iter().any(|word| word == part);
    println!("{:<44} {:>10} {:>12} {:>11} {:>10}", "", "commits/s", "changes/s", "CPU µs each", "wall ms");
    if wanted("append") {
        [4, 8, 16, 32].into_iter().for_each(appends);
    }
    if wanted("raw") {
        [1, 64, 256].into_iter().for_each(raw);
    }
    let store = Bench::new(8);
    for group in [1, 64] {
        if wanted("life") {
            store.measure(&format!("start, append, finish, groups of {group} × 3"), group, |_, _| life());
        }
        if wanted("park") {
            store.measure(&format!("park, groups of {group}"), group, Bench::park);
        }
    }
    if wanted("reads") {
        reads();
    }
}

/// How long each line is measured.
const LIMIT: Duration = Duration::from_secs(1);

fn appends(mebibytes: u64) {
    let store = Bench::new(mebibytes);
    for group in [1, 64, 256] {
        store.measure(&format!("append, groups of {group}, log of {mebibytes} MB"), group, Bench::append);
    }
}

/// A store with a thousand runs.
struct Bench {
    store: Sqlite,
    runs: Vec<RunId>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(mebibytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let before = elapsed();
        let options = Options { wal_bytes: mebibytes << 20, ..Options::default() };
        let store = Sqlite::open(folder.path(), &options).expect("a store");
        println!("opened with a log of {mebibytes} MB in {} ms", elapsed().saturating_sub(before).as_millis());
        let runs: Vec<_> = (0..1000).map(|_| RunId::new()).collect();
        let changes: Vec<_> = runs.iter().map(|id| start(run(*id))).collect();
        store.commit(&changes).expect("a commit");
        Self { store, runs, _folder: folder }
    }

    fn measure(&self, name: &str, group: usize, changes: impl Fn(&Self, usize) -> Vec<Change>) {
        let (begun, cpu, mut commits, mut count) = (elapsed(), cpu(), 0, 0);
        while elapsed().saturating_sub(begun) < LIMIT {
            let batch: Vec<_> = (0..group).flat_map(|n| changes(self, commits * group + n)).collect();
            count += batch.len();
            self.store.commit(&batch).expect("a commit");
            commits += 1;
        }
        report(name, commits, count, elapsed().saturating_sub(begun), self::cpu().saturating_sub(cpu));
    }

    fn some(&self, n: usize) -> RunId {
        self.runs[n * 7 % self.runs.len()]
    }

    fn append(&self, n: usize) -> Vec<Change> {
        vec![Change::Append { run: self.some(n), epoch: 1, segment: vec![b'x'; 200] }]
    }

    fn park(&self, n: usize) -> Vec<Change> {
        let key: Arc<str> = n.to_string().into();
        vec![Change::Park {
            run: self.some(n),
            epoch: 1,
            status: Status::Waiting,
            waiting_for: "waits for `payment` with key".into(),
            wake_at: Some(Timestamp(n as i64)),
            subscriptions: vec![Subscription { name: "payment".into(), key: Some(key), after: 0, since: Timestamp(0) }],
            children: vec![],
            slots: vec![],
            tasks: vec![],
        }]
    }
}

/// A short run.
fn life() -> Vec<Change> {
    let id = RunId::new();
    let end = End {
        status: Status::Completed,
        output: Some(Payload::unit()),
        error: None,
        rollback: Rollback::None,
        at: Timestamp(2),
        continued_as: None,
        expires_at: None,
    };
    let append = Change::Append { run: id, epoch: 1, segment: vec![b'x'; 200] };
    vec![start(run(id)), append, Change::Finish { run: id, epoch: 1, end }]
}

fn run(id: RunId) -> Run {
    let version = Version("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into());
    let input = Payload::from_text(r#"{"customer":"7","items":[1,2,3]}"#);
    Run {
        status: Status::Running,
        trigger: Payload::from_text(r#"{"kind":"api"}"#),
        started_at: Some(Timestamp(1)),
        owner: Some("node".into()),
        epoch: 1,
        ..Run::accepted(id, "orders/invoice".into(), version, input, Timestamp(1))
    }
}

fn start(run: Run) -> Change {
    Change::Start { run: Box::new(run), dedupe: None, gate: None }
}

/// The rows of `append`, written by `SQLite` alone.
fn raw(group: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Sqlite::open(folder.path(), &Options::default()).expect("a store"));
    let mut conn = Connection::open(folder.path().join("panta.db")).expect("a connection");
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;").expect("settings");
    let runs: Vec<_> = (0..1000).map(|_| RunId::new()).collect();
    let (begun, cpu, mut commits, mut count) = (elapsed(), cpu(), 0, 0);
    while elapsed().saturating_sub(begun) < LIMIT {
        insert(&mut conn, &runs, group, count);
        count += group;
        commits += 1;
    }
    report(
        &format!("SQLite alone, groups of {group}, log of 8 MB"),
        commits,
        count,
        elapsed().saturating_sub(begun),
        self::cpu().saturating_sub(cpu),
    );
}

fn insert(conn: &mut Connection, runs: &[RunId], group: usize, first: usize) {
    let transaction = conn.transaction().expect("a transaction");
    {
        let mut insert =
            transaction.prepare_cached("INSERT INTO segment(run, prev, body) VALUES(?1, ?2, ?3)").expect("a statement");
        for n in first..first + group {
            insert
                .execute((runs[n * 7 % runs.len()].0.as_bytes(), n as i64, [b'x'; 200].as_slice()))
                .expect("an insert");
        }
    }
    transaction.commit().expect("a commit");
}

/// Lists over two hundred thousand runs.
fn reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Sqlite::open(folder.path(), &Options::default()).expect("a store");
    for n in 0..200 {
        let one = |m: usize| Run { workflow: format!("workflow {}", m % 20).into(), ..finished(n * 1000 + m) };
        let batch: Vec<_> = (0..1000).map(|m| start(one(m))).collect();
        store.commit(&batch).expect("a commit");
    }
    println!("reads over 200,000 runs of 20 workflows, µs:");
    let page = RunFilter { limit: 50, ..RunFilter::default() };
    let workflow = Some("workflow 7".to_owned());
    time("runs", || store.runs(&page).expect("a read").len());
    time("runs of a workflow", || {
        store.runs(&RunFilter { workflow: workflow.clone(), ..page.clone() }).expect("a read").len()
    });
    let failed = RunFilter { statuses: vec![Status::Failed], ..page.clone() };
    time("runs that failed", || store.runs(&failed).expect("a read").len());
    time("runs since just now", || {
        let since = Some(Timestamp(uuid_ms(RunId::new())));
        store.runs(&RunFilter { since, ..page.clone() }).expect("a read").len()
    });
    time("counts", || store.counts().expect("a read").len());
    time("ready", || store.ready("node", 50).expect("a read").len());
    time("due", || store.due(None, Timestamp::MAX, 50).expect("a read").len());
}

fn uuid_ms(id: RunId) -> i64 {
    let (seconds, nanos) = id.0.get_timestamp().expect("a time").to_unix();
    seconds.cast_signed() * 1000 + i64::from(nanos / 1_000_000)
}

/// One in ten thousand failed, the others completed.
fn finished(n: usize) -> Run {
    let status = if n.is_multiple_of(10_000) { Status::Failed } else { Status::Completed };
    Run { status, ended_at: Some(Timestamp(2)), ready: false, owner: None, ..run(RunId::new()) }
}

fn time(name: &str, read: impl Fn() -> usize) {
    let rows = read();
    let begun = elapsed();
    for _ in 0..20 {
        read();
    }
    println!("  {name:<30} {rows:>4} rows {:>8.0}", elapsed().saturating_sub(begun).as_secs_f64() * 1e6 / 20.0);
}

fn report(name: &str, commits: usize, changes: usize, wall: Duration, cpu: Duration) {
    let seconds = wall.as_secs_f64();
    println!(
        "{name:<44} {:>10.0} {:>12.0} {:>11.1} {:>10.3}",
        commits as f64 / seconds,
        changes as f64 / seconds,
        cpu.as_secs_f64() * 1e6 / changes as f64,
        seconds * 1e3 / commits as f64,
    );
}

/// Time that this thread has been on a processor; zero where the system does not say.
fn cpu() -> Duration {
    let text = std::fs::read_to_string(Path::new("/proc/thread-self/schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}
