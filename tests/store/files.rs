//! The `SQLite` store and its folder: reopening, refusing, a full disk, the lock, the shell's views.

use std::fs;
use std::path::Path;

use panta::store::lock;
use panta::store::memory::{Fault, Memory};
use panta::store::sqlite::{Options, Sqlite, restore};
use panta::store::{Error, Run, Store};
use rusqlite::Connection;

use crate::support::stores::*;

fn open(folder: &Path) -> Result<Sqlite, Error> {
    Sqlite::open(folder, &options())
}

/// A store that is closed, and its folder.
fn closed() -> tempfile::TempDir {
    let (store, folder) = sqlite();
    given(&store, [start(running(1)), append(1, 1, "a")]);
    folder
}

fn shell(folder: &Path, sql: &str) {
    Connection::open(folder.join("panta.db")).unwrap().execute_batch(sql).unwrap();
}

fn bytes(folder: &Path) -> (Vec<u8>, Option<Vec<u8>>) {
    (fs::read(folder.join("panta.db")).unwrap(), fs::read(folder.join("panta.db-wal")).ok())
}

#[test]
fn reopening_keeps_everything() {
    let (store, folder) = sqlite();
    given(&store, [start(running(1)), append(1, 1, "a"), emit(event("x", "e", None, at(1))), set("w", "k", Some("v"))]);
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!((get(&store, 1), journal(&store, 1)), (running(1), vec!["a".to_owned()]));
    assert_eq!(apply(&store, emit(event("y", "e", None, at(2)))), emitted(2, &[]));
    assert_eq!(store.counts().unwrap()[0].2, 1);
}

#[test]
fn a_crash_keeps_every_journal() {
    let (store, folder) = sqlite();
    let runs = [1, 2, 3, 4];
    given(&store, runs.map(running).map(start));
    for n in 0..5000 {
        // One run parks now and then, one has a single segment, the others are never written but for their segments.
        let park = (n % 100 == 0).then(|| park(2, &[]));
        let first = (n == 0).then(|| append(4, 1, "only"));
        let segments = [append(1, 1, &n.to_string()), append(2, 1, &n.to_string()), append(3, 1, "x")];
        given(&store, segments.into_iter().chain(park).chain(first));
    }
    let crashed = crashed(folder.path());
    let again = open(crashed.path()).unwrap();
    assert_eq!(runs.map(|n| journal(&again, n)), runs.map(|n| journal(&store, n)));
    assert_eq!(runs.map(|n| journal(&again, n).len()), [5000, 5000, 5000, 1]);
    given(&again, [append(4, 1, "more")]);
    assert_eq!(journal(&again, 4), ["only", "more"]);
}

#[test]
fn a_crash_after_pruning_the_newest_keeps_the_rest() {
    let (store, folder) = sqlite();
    given(&store, [start(running(1)), start(running(2)), append(1, 1, "a")]);
    given(&store, (0..9000).map(|_| append(2, 1, "b")));
    given(&store, [finish(2, at(3)), prune(at(9), at(0), 10)]);
    drop(store);
    let store = open(folder.path()).unwrap();
    given(&store, [append(1, 1, "c")]);
    let crashed = crashed(folder.path());
    let again = open(crashed.path()).unwrap();
    assert_eq!(journal(&again, 1), ["a", "c"]);
}

#[test]
fn reads_see_whole_batches() {
    let (store, _folder) = sqlite();
    given(&store, [start(running(1))]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..300 {
                let park = (n % 7 == 0).then(|| park(1, &[]));
                given(&store, [append(1, 1, "a"), append(1, 1, "b")].into_iter().chain(park));
            }
        });
        while !writer.is_finished() {
            let seen = journal(&store, 1);
            assert!(seen.chunks(2).all(|pair| pair == ["a", "b"]), "{seen:?}");
        }
    });
    assert_eq!(journal(&store, 1).len(), 600);
}

#[test]
fn a_closed_file_is_whole_without_its_log() {
    let folder = closed();
    fs::remove_file(folder.path().join("panta.db-wal")).unwrap();
    assert_eq!(get(&open(folder.path()).unwrap(), 1), running(1));
}

#[test]
fn the_log_keeps_its_size() {
    let (store, folder) = sqlite();
    let size = || fs::metadata(folder.path().join("panta.db-wal")).unwrap().len();
    let before = size();
    assert!(before >= options().wal_bytes);
    given(&store, [start(running(1))]);
    for _ in 0..100 {
        given(&store, [append(1, 1, &"x".repeat(2000))]);
    }
    assert_eq!(size(), before);
    drop(store);
    assert_eq!(size(), before);
}

#[test]
fn a_newer_store_is_refused_untouched() {
    let folder = closed();
    shell(folder.path(), "PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);");
    let before = bytes(folder.path());
    let Err(Error::Newer { found: 99, .. }) = open(folder.path()) else { panic!("opened") };
    assert_eq!(bytes(folder.path()), before);
}

#[test]
fn a_file_of_the_first_version_gets_slots() {
    let folder = tempfile::tempdir().unwrap();
    let first = include_str!("../../src/store/sqlite/v1.sql");
    shell(folder.path(), &format!("{first} PRAGMA user_version = 1; PRAGMA application_id = 0x506e7461;"));
    let store = open(folder.path()).expect("is brought up to date");
    assert_eq!(apply(&store, start(running(70))), panta::store::Applied::Started);
    assert_eq!(apply(&store, acquire(70, "till", "0", 1)), panta::store::Applied::Acquired(true));
    assert!(ready(&store, "a").contains(&id(70)));
}

#[test]
fn a_newer_store_that_crashed_is_refused_untouched() {
    let folder = closed();
    let newer = Connection::open(folder.path().join("panta.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    let crashed = crashed(folder.path());
    let before = bytes(crashed.path());
    let Err(Error::Newer { found: 99, .. }) = open(crashed.path()) else { panic!("opened") };
    assert_eq!(bytes(crashed.path()), before);
}

#[test]
fn a_file_of_something_else_is_refused_untouched() {
    for content in ["no database".to_owned(), "x".repeat(5000)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("panta.db"), &content).unwrap();
        let Err(Error::Damaged(_)) = open(folder.path()) else { panic!("opened") };
        assert_eq!(bytes(folder.path()), (content.into_bytes(), None));
    }
    let folder = tempfile::tempdir().unwrap();
    shell(folder.path(), "CREATE TABLE mine(x)");
    let before = bytes(folder.path());
    let Err(Error::Damaged(_)) = open(folder.path()) else { panic!("opened") };
    assert_eq!(bytes(folder.path()), before);
}

#[test]
fn a_file_that_was_just_begun_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("panta.db"), "").unwrap();
    drop(open(folder.path()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    shell(folder.path(), "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;");
    given(&open(folder.path()).unwrap(), [start(run(1))]);
}

#[test]
fn a_second_opener_learns_who_holds_the_folder() {
    let (store, folder) = sqlite();
    store.announce("127.0.0.1:7262").unwrap();
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let Err(error @ Error::Held { .. }) = open(&link) else { panic!("opened") };
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("127.0.0.1:7262"), "{text}");
    assert_eq!(lock::holder(&link).unwrap().listen.as_deref(), Some("127.0.0.1:7262"));
    drop(store);
    assert_eq!(lock::holder(&link), None);
    open(&link).unwrap();
}

#[test]
fn the_files_are_for_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let _store = open(&data).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["panta.db", "panta.db-wal", "panta.lock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), &Options { max_pages: Some(80), ..options() }).unwrap();
    given(&store, [start(running(1)), start(running(2)), finish(2, at(3))]);
    let batch = [append(1, 1, "small"), append(1, 1, &"x".repeat(400_000))];
    for _ in 0..3 {
        assert!(matches!(store.commit(&batch), Err(Error::Full)));
    }
    assert!(journal(&store, 1).is_empty());
    given(&store, [append(1, 1, "small"), start(Run { workflow: "new".into(), ..run(3) })]);
    assert_eq!((journal(&store, 1), get(&store, 3).workflow), (vec!["small".to_owned()], "new".into()));
}

#[test]
fn pruning_gives_space_back() {
    let (store, folder) = sqlite();
    let big = "x".repeat(1_000_000);
    given(&store, [start(running(1)), append(1, 1, &big), finish(1, at(2)), prune(at(9), at(0), 10)]);
    drop(store);
    assert!(fs::metadata(folder.path().join("panta.db")).unwrap().len() < 500_000);
}

#[test]
fn a_backup_is_a_store() {
    let (store, _folder) = sqlite();
    given(&store, [start(running(1))]);
    let copy = tempfile::tempdir().unwrap();
    store.backup(&copy.path().join("panta.db")).unwrap();
    assert_eq!(get(&open(copy.path()).unwrap(), 1), running(1));
}

#[test]
fn a_backup_takes_the_place_of_a_store_which_stays_beside() {
    let (store, folder) = sqlite();
    fs::write(folder.path().join("secrets"), "sealed").unwrap();
    given(&store, [start(running(1))]);
    let backup = tempfile::tempdir().unwrap().path().join("b.db");
    fs::create_dir_all(backup.parent().unwrap()).unwrap();
    store.backup(&backup).unwrap();
    given(&store, [start(running(2))]);
    assert!(matches!(restore(folder.path(), &backup, "x"), Err(Error::Held { .. })));
    drop(store);
    fs::write(folder.path().join("secrets"), "sealed since").unwrap();
    let restored = restore(folder.path(), &backup, "x").unwrap();
    assert_eq!((restored.runs, restored.open), (1, 1));
    let store = open(folder.path()).unwrap();
    assert!(get(&store, 1) == running(1) && store.run(id(2)).unwrap().is_none());
    assert_eq!(fs::read_to_string(folder.path().join("secrets")).unwrap(), "sealed");
    drop(store);
    assert_eq!(fs::read_to_string(folder.path().join("secrets.before-x")).unwrap(), "sealed since");
    fs::remove_file(folder.path().join("panta.db-wal")).unwrap();
    fs::copy(restored.before.unwrap(), folder.path().join("panta.db")).unwrap();
    assert!(open(folder.path()).unwrap().run(id(2)).unwrap().is_some(), "nothing of the old one is lost");
}

#[test]
fn what_is_no_backup_is_refused_and_changes_nothing() {
    let (store, folder) = sqlite();
    given(&store, [start(running(1))]);
    let file = folder.path().join("no.db");
    store.backup(&file).unwrap();
    drop(store);
    let whole = fs::read(&file).unwrap();
    let torn = [&whole[..4096], &vec![7; whole.len() - 4096]].concat();
    for bytes in [Vec::new(), b"hello".to_vec(), torn] {
        fs::write(&file, bytes).unwrap();
        assert!(restore(folder.path(), &file, "x").is_err());
    }
    assert!(restore(folder.path(), &folder.path().join("none"), "x").is_err());
    assert_eq!(get(&open(folder.path()).unwrap(), 1), running(1));
}

#[test]
fn the_shell_shows_runs_and_events() {
    let (store, folder) = sqlite();
    given(&store, [start(running(1)), emit(event("x", "e", Some("k"), at(1)))]);
    let conn = Connection::open(folder.path().join("panta.db")).unwrap();
    let row = |sql: &str| conn.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
    let [run, status, created]: [String; 3] = row("SELECT run, status, created_at FROM runs");
    assert_eq!((run, &*status, created), (id(1).to_string(), "running", at(1).to_string()));
    let [name, key, received]: [String; 3] = row("SELECT name, key, received_at FROM events");
    assert_eq!((&*name, &*key, received), ("e", "k", at(1).to_string()));
}

#[test]
fn a_crash_in_memory_keeps_what_was_committed() {
    let store = Memory::new();
    given(&store, [start(running(1))]);
    let crashed = store.crash();
    given(&store, [append(1, 1, "a")]);
    assert!(journal(&crashed, 1).is_empty());
    for (fault, kept) in [(Fault::Full, 1), (Fault::Lost, 1), (Fault::Kept, 2)] {
        store.fail_next(fault);
        store.commit(&[append(1, 1, "b")]).unwrap_err();
        assert_eq!(journal(&store, 1).len(), kept);
    }
}
